"""The prepared world that every sequence begins with: two reconciled accounts, two hours of a day, signals to offer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql

from trading_assets.broker.ladder import Entry
from trading_assets.domain.values import Action, Direction, Signal, Strategy
from trading_assets.jobs.recovery import reconcile_all
from trading_assets.jobs.weighing import weigh
from trading_assets.ledger.engine import ledger_url
from trading_assets.market.sessions import MINUTE
from trading_assets.world.lease import stop_world
from trading_assets.world.paths import World
from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets.world.runtime import LEDGER_DATABASE
from trading_assets_tests.chaos import actor
from trading_assets_tests.chaos.nursery import Nursery
from trading_assets_tests.chaos.steps import ACCOUNTS
from trading_assets_tests.databases import FAST
from trading_assets_tests.e2e.playground import Playground, playground

WORLD = "play"
_ACCOUNTS_YAML = """
accounts:
  large: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 121000, practice_options_level: 3}
  small: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 24000, practice_options_level: 3}
"""
#: How far into the session a sequence begins.
_BEGIN = timedelta(minutes=120)
_NAMES = 12
#: This process's nurseries by the home of the prepared world.
_nurseries: dict[Path, Nursery] = {}


@dataclass(frozen=True, slots=True)
class Template:
    """Where the prepared world lies, under which start it was reconciled, and what may be offered in it."""

    home: Path
    start_id: str
    names: tuple[Signal, ...]
    #: What each of the names would be bought by.
    entries: tuple[Entry, ...]

    @property
    def world(self) -> World:
        """The prepared world."""
        return World(self.home, WORLD)

    @property
    def server(self) -> EmbeddedPostgres:
        """Its database server, which serves every sequence."""
        return EmbeddedPostgres(self.world.postgres, own=self.home, settings=FAST)


def nursery(template: Template) -> Nursery:
    """What forks this process's sequences of the prepared world; it is warmed with the first."""
    if template.home not in _nurseries:
        _nurseries[template.home] = Nursery(actor.warm, template.world)
    return _nurseries[template.home]


def prepare(home: Path) -> Template:
    """Play the first two hours without trading and leave the world stopped, its database server running."""
    with playground(home, accounts=_ACCOUNTS_YAML) as opened:
        opened.minute(opened.session.open + _BEGIN)
        # What the minute itself decided is too old by then: only a sequence's own signals are dispatched.
        opened.desk.clock.wait_until(opened.desk.clock.now() + timedelta(minutes=6))
        said = reconcile_all(opened.desk, "preparation")
        if said:
            raise AssertionError(f"the prepared world is not clean: {said}")
        names = _names(opened)
        entries = tuple(entry for _, entry in names)
        template = Template(home, opened.desk.start_id, tuple(signal for signal, _ in names), entries)
    # No sequence kills the database, so it may trade durability for speed.
    template.server.start()
    return template


@contextmanager
def prepared(home: Path) -> Iterator[Template]:
    """A prepared world that ends, with its database server and this process's nursery, when the block does."""
    template = prepare(home)
    try:
        yield template
    finally:
        if (own := _nurseries.pop(home, None)) is not None:
            own.close()
        stop_world(template.world)


def copy_world(template: Template, home: Path) -> World:
    """A copy of the prepared world under ``home``: the exchange's state is its own, the frames are shared."""
    place = World(home, WORLD)
    place.create()
    shutil.copytree(template.world.exchange, place.exchange, dirs_exist_ok=True)
    (place.exchange / "exchange.json").unlink(missing_ok=True)
    for name in ("accounts.yaml", "world.json"):
        shutil.copy(template.world.directory / name, place.directory / name)
    place.frames.rmdir()
    place.frames.symlink_to(template.world.frames)
    return place


def copy_ledger(template: Template, name: str) -> str:
    """A copy of the prepared ledger in a database ``name`` of the same server; its address."""
    copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    _administer(template, copied.format(sql.Identifier(name), sql.Identifier(LEDGER_DATABASE)))
    return template.server.url(name)


def drop_ledger(template: Template, name: str) -> None:
    """Remove the database ``name`` with whoever is still connected."""
    _administer(template, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _administer(template: Template, statement: sql.Composed) -> None:
    address = ledger_url(template.server.url("postgres")).set(drivername="postgresql")
    with psycopg.connect(address.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(statement)


def _names(opened: Playground) -> tuple[tuple[Signal, Entry], ...]:
    """A confident bullish signal in each name that somebody would buy now, with what, the cheapest names first."""
    rows = opened.desk.frames.read("features", [opened.session.key]).filter(pl.col("as_of") == pl.col("as_of").max())
    known = rows.drop_nulls(["daily_atr_pct_median60", "rv_rank"]).sort("close").select(pl.exclude("ts", "as_of"))
    now = opened.desk.clock.now()
    offered = [
        Signal(
            signal_id="",
            session=opened.session.day,
            ticker=row["ticker"],
            action=Action.BUY_CALL,
            strategy=Strategy.SWING_TRADE,
            direction=Direction.BULLISH,
            bar_start=now - MINUTE,
            known_at=now,
            confidence=0.9,
            watchlist_score=0.5,
            urgent=False,
            rule_set="test",
            config_hash="c" * 64,
            features=row,
        )
        for row in known.to_dicts()
    ]
    bought = [(each, entry) for each in offered if (entry := _entry(opened, each)) is not None]
    return tuple(bought[:_NAMES])


def _entry(opened: Playground, offered: Signal) -> Entry | None:
    """What the first account that would buy now would buy."""
    for account in ACCOUNTS:
        entry = weigh(opened.desk, account, offered, opened.session).entry
        if entry is not None:
            return entry
    return None


__all__ = ["ACCOUNTS", "WORLD", "Template", "copy_ledger", "copy_world", "drop_ledger", "prepare"]
