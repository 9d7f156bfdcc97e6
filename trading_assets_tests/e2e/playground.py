"""A practice world opened inside the test's process: real exchange, real PostgreSQL, real Dagster instance."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, Definitions
from sqlalchemy import func, select

from trading_assets.automation.names import MINUTE_TICK, NEWS_TICK
from trading_assets.automation.sensors import fresh_signals
from trading_assets.definitions import build_definitions
from trading_assets.demo.ticks import Ticker
from trading_assets.jobs.backfill import run_range
from trading_assets.ledger import dispatch
from trading_assets.ledger.tables import metadata
from trading_assets.market.sessions import Session, require_session, shift
from trading_assets.resources.desk import Desk
from trading_assets.settings import load_settings
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.lease import stop_world
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets.world.runtime import open_world
from trading_assets_tests.databases import FAST

SESSION = date(2026, 3, 11)
#: For tests in which a second account would only repeat the first.
ONE_ACCOUNT = "accounts: {large: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 121000}}"

#: So far into the drawn day no signal comes: minutes run before would decide nothing and only take time.
CALM = timedelta(minutes=70)


@dataclass
class Playground:
    """An opened world and what drives it."""

    desk: Desk
    definitions: Definitions
    instance: DagsterInstance
    ticker: Ticker

    @property
    def session(self) -> Session:
        return require_session(SESSION)

    def minute(self, instant: datetime) -> None:
        """Advance to ``instant`` and fire the two minute schedules, as the demo does."""
        self.desk.clock.wait_until(instant)
        now = self.desk.wall.now()
        for name in (NEWS_TICK, MINUTE_TICK):
            assert all(outcome.success for outcome in self.ticker.schedule(name, now))

    def until_a_signal(self, step: timedelta = timedelta(minutes=10)) -> list[str]:
        """Minute runs from now on until a fresh signal waits; its ids. Nothing is dispatched on the way."""
        instant = max(self.desk.clock.now(), self.session.open + CALM) + step
        while instant < self.session.close:
            self.minute(instant)
            ids: list[str] = fresh_signals(self.desk, self.session, self.desk.clock.now())["signal_id"].to_list()
            with self.desk.ledger.connect() as connection:
                ids = list(dispatch.unpublished_ids(connection, ids))
            if ids:
                return ids
            instant += step
        raise AssertionError("the day brought no further signal")

    def ledger_counts(self) -> dict[str, int]:
        """Rows of every table."""
        with self.desk.ledger.connect() as connection:
            return {
                table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
                for table in metadata.sorted_tables
            }

    def frame_bytes(self) -> dict[str, int]:
        """Every stored frame file with its size and time: any write shows."""
        root = self.desk.frames.root
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*.parquet")}

    def broker_orders(self) -> list[Any]:
        """Every order the exchange ever took."""
        return [order for account in self.desk.accounts for order in self.desk.broker(account.name).orders("all")]


@contextmanager
def playground(
    home: Path,
    *,
    seed: int = 5,
    scenario: str = "normal",
    history: int = 10,
    accounts: str | None = None,
    sessions: int = 1,
    feed_delays: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[Playground]:
    """Open a world with ``history`` sessions of minute bars; everything ends with the block.

    ``accounts`` is the text of an ``accounts.yaml`` in place of the packaged one; ``sessions`` are played one after the
    other. ``feed_delays`` makes the exchange's feeds late.
    """
    world = World(home, "play")
    if accounts is not None:
        world.create()
        (world.directory / "accounts.yaml").write_text(accounts)
    settings = load_settings(world=world, kind=WorldKind.PRACTICE, env={})
    arguments: dict[str, Any] = {"session": SESSION.isoformat(), "seed": seed, "scenario": scenario}
    if sessions > 1:
        arguments["sessions"] = sessions
    if feed_delays is not None:
        arguments["feed_delays"] = feed_delays
    lock = world.lock()
    lock.acquire()
    kept = os.environ.get("TRADING_ASSETS_DAGSTER_URL")
    try:
        EmbeddedPostgres(world.postgres, own=world.home, settings=FAST).start()
        runtime = open_world(settings, arguments=arguments, begin=True)
        os.environ["TRADING_ASSETS_DAGSTER_URL"] = runtime.dagster_url
        desk = Desk(lambda: settings, lambda _: runtime)
        definitions = build_definitions(desk)
        with DagsterInstance.from_config(str(write_dagster_home(world, capture=False))) as instance:
            found = Playground(desk, definitions, instance, Ticker(definitions, instance, desk))
            if history:
                from trading_assets.assets.bars import bars

                run_range(definitions, instance, [bars.key], shift(SESSION, -history).key, shift(SESSION, -1).key)
            yield found
    finally:
        if kept is None:
            os.environ.pop("TRADING_ASSETS_DAGSTER_URL", None)
        else:
            os.environ["TRADING_ASSETS_DAGSTER_URL"] = kept
        stop_world(world)
        lock.release()
