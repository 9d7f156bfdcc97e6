"""A signal from outside, from the command to the account that follows the rule set ``webhook``, and the day rebuilt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from dagster import AssetKey
from sqlalchemy import select

from trading_assets.assets.signals import signals
from trading_assets.automation.names import DISPATCHER_TICK
from trading_assets.domain.values import SignalStatus
from trading_assets.jobs.backfill import run_range
from trading_assets.ledger import dispatch, external_signals
from trading_assets.ledger.tables import dispatch_recommendations
from trading_assets.world.paths import World, WorldKind
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.playground import SESSION, Playground, playground

FOLLOWER = """
accounts:
  large: {rule_sets: [webhook], limits: {strategies: [swing_trade, day_trade]}, practice_cash: 121000}
"""
BELIEVED = "signals: {webhook: {sources: {desk: 0.9, blog: 0.2}}}\n"
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """One day for all tests of this file, each going on where the one before stopped; half past ten at the start."""
    home = World(module_world_home, "play")
    home.create()
    (home.directory / "strategy.yaml").write_text(BELIEVED)
    with playground(module_world_home, accounts=FOLLOWER, history=3) as opened:
        opened.minute(opened.session.open + timedelta(minutes=60))
        yield opened


def tool(world: Playground, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a person types it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRADING_ASSETS_", "DAGSTER"))}
    home = world.desk.settings.world.home
    return subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", "signal", *arguments, "--world", "play"],
        cwd=home,
        env=kept | {"TRADING_ASSETS_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def members(world: Playground) -> dict[str, str]:
    """The watchlist with the way in which each member's own trend points."""
    rows = world.desk.frames.read("watchlist", [SESSION.isoformat()]).filter("member")
    newest = rows.filter(pl.col("as_of") == rows["as_of"].max())
    return dict(newest.select("ticker", "direction").iter_rows())


def decided(world: Playground, at: datetime | None = None) -> pl.DataFrame:
    rows = world.desk.frames.read("signals", [SESSION.isoformat()])
    return rows if at is None else rows.filter(pl.col("as_of") == at)


def next_minute(world: Playground) -> datetime:
    world.minute(world.desk.clock.now() + MINUTE)
    return world.desk.clock.now()


def receive(world: Playground, source: str, ticker: str, sources: set[str]) -> None:
    with world.desk.ledger.begin() as connection:
        external_signals.receive(
            connection, world.desk.clock, sources=sources, source=source, ticker=ticker, direction="bullish"
        )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["stranger", "NVDA", "bullish"], "the source 'stranger' is not configured (at strategy.yaml, "),
        (["stranger", "NVDA", "bullish"], "Configured are: blog, desk."),
        (["desk", "../etc", "bullish"], "is no ticker"),
        (["desk", "NVDA", "bullish", "--note", "\x1b[2J"], "the note is not taken"),
        (["desk", "NVDA", "sideways"], "'sideways' is not one of"),
        (["desk", "NVDA", "bullish", "--strategy", "lottery"], "'lottery' is not one of"),
    ],
)
def test_bad_input_is_refused_with_2_and_stores_nothing(world: Playground, arguments: list[str], says: str) -> None:
    before = world.ledger_counts()
    done = tool(world, *arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert says in " ".join(done.stderr.replace("│", " ").split())
    assert "Traceback" not in done.stderr and "\x1b[2J" not in done.stderr
    assert world.ledger_counts() == before


def test_a_world_without_a_running_exchange_has_no_time_to_receive_at(world_home: Path) -> None:
    asleep = World(world_home, "asleep")
    asleep.begin(WorldKind.PRACTICE, {})
    (world_home / "strategy.yaml").write_text(BELIEVED)
    for name, says in (("asleep", "does not run, so it has no time"), ("nowhere", "there is no world 'nowhere'")):
        done = DemoWorld(world_home, []).tool("signal", "desk", "NVDA", "bullish", "--world", name)
        assert done.returncode == 2 and done.stderr.startswith("trading-assets: ") and says in done.stderr


def test_a_signal_is_stored_by_the_worlds_clock_once_and_says_what_it_meets(world: Playground) -> None:
    ticker = min(members(world))
    said = ["desk", ticker.lower(), "bullish", "--id", "first", "--strategy", "swing_trade", "--note", "a chart"]
    done = tool(world, *said, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    now = world.desk.clock.now()
    assert answer == {
        "stored": True,
        "source": "desk",
        "id": "first",
        "ticker": ticker,
        "direction": "BULLISH",
        "strategy": "swing_trade",
        "note": "a chart",
        "received_at": str(now),
        "accounts": ["large"],
        "counts_until": str(now + timedelta(seconds=300)),
        "market_open": True,
        "on_watchlist": True,
    }
    counts = world.ledger_counts()
    again = tool(world, *said)
    assert again.returncode == 0 and again.stdout.startswith(f"nothing changed: desk sent 'first' before, {ticker} ")
    assert world.ledger_counts() == counts
    elsewhere = tool(world, "blog", "ZZZZ", "bearish")
    assert "ZZZZ is not on the watchlist: it is decided only if it comes onto it before" in elsewhere.stdout


def test_what_was_received_is_decided_from_the_next_minute_on_and_handled_by_its_follower(world: Playground) -> None:
    assert decided(world).is_empty(), "nothing was heard before, and a signal received now is no part of the past"
    for _ in range(30):
        said = members(world)
        for ticker in said:
            receive(world, "desk", ticker, {"desk"})
        received_at = world.desk.clock.now()
        at = next_minute(world)
        rows = decided(world, at)
        assert received_at < at
        assert set(rows["ticker"]) <= set(said) and set(rows["rule_set"]) <= {"webhook-1"}
        acting = rows.filter(pl.col("action") != "HOLD")
        if acting.height:
            break
    else:
        raise AssertionError(f"the day took nothing: {rows['reason'].to_list()}")
    heard = [json.loads(text) for text in acting["own_factors"]]
    assert {(row["source"], datetime.fromisoformat(row["received_at"])) for row in heard} == {("desk", received_at)}
    assert set(acting["confidence"]) == {0.9}

    assert all(outcome.success for outcome in world.ticker.sensor(DISPATCHER_TICK))
    with world.desk.ledger.connect() as connection:
        published = set(connection.scalars(select(dispatch_recommendations.c.signal_id)))
        found = [dispatch.status_of(connection, signal, "large") for signal in acting["signal_id"]]
    assert set(acting["signal_id"]) <= published
    assert all(row is not None and row[0] in (SignalStatus.EXECUTED, SignalStatus.SKIPPED) for row in found)


def test_a_source_that_is_not_configured_any_more_is_held_in_words(world: Playground) -> None:
    next_minute(world)
    said = members(world)
    for ticker in said:
        receive(world, "stranger", ticker, {"stranger"})
    rows = decided(world, next_minute(world))
    held = rows.filter(pl.col("own_factors").str.contains("stranger"))
    assert held.height
    assert set(held["action"]) == {"HOLD"}
    assert set(held["reason"]) == {"the source of the signal has no confidence in the configuration"}


def test_the_day_rebuilt_hears_the_same_and_decides_the_same(world: Playground) -> None:
    ticker = min(members(world))
    receive(world, "desk", ticker, {"desk"})
    next_minute(world)
    live = decided(world)
    # Received after the last decision: the rebuild of the day must not hear it either.
    receive(world, "blog", ticker, {"blog"})
    world.desk.clock.wait_until(world.session.close + MINUTE)
    run_range(world.definitions, world.instance, [signals.key], SESSION.isoformat(), SESSION.isoformat())
    event = world.instance.get_latest_materialization_event(AssetKey("signals"))
    assert event is not None and event.asset_materialization is not None
    note = event.asset_materialization.metadata["note"].value
    assert note == f"{live.height} live rows kept; recomputed they are equal to what was decided"
    assert decided(world).equals(live)
