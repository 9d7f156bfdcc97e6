"""Tickers that a discovery names are followed from then on: with their history, from the open, and no minute sooner."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import AssetCheckKey, AssetKey

from trading_assets.assets.universe import CHECK
from trading_assets.automation.names import DISCOVERY_JOB, DISCOVERY_TICK
from trading_assets.jobs.backfill import QUIET
from trading_assets.ledger import universe as store
from trading_assets.market.sessions import MINUTE, shift
from trading_assets.world.paths import World
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground
from trading_assets_tests.news.converse_server import ConverseServer, call, converse, converse_server, refusal
from trading_assets_tests.news.test_discovery import entry

__all__ = ["converse", "converse_server"]
KEY = SESSION.isoformat()
ENTERED = ("AMD", "TSLA")


@pytest.fixture
def world(world_home: Path, converse: ConverseServer) -> Iterator[Playground]:
    """A world that asks the server for four tickers, and follows four others until then."""
    strategy = {
        "universe": {
            "mode": "discovered",
            "tickers": ["AAPL", "KO", "MSFT", "NVDA"],
            "discovery": {
                "method": "bedrock",
                "wanted": 5,
                "active": 4,
                "least": 2,
                "bedrock": {"model": "some.model", "endpoint_url": converse.url, "attempts": 1},
            },
        }
    }
    folder = World(world_home, "play")
    folder.create()
    (folder.directory / "strategy.yaml").write_text(json.dumps(strategy))
    with playground(world_home, accounts=ONE_ACCOUNT) as found:
        yield found


def discoveries(world: Playground) -> int:
    with world.desk.ledger.connect() as connection:
        return len(store.runs_known_between(connection, world.session.open - timedelta(days=1), world.session.close))


def by_hand(world: Playground, **tags: str) -> bool:
    """The job as a person starts it in the UI."""
    job = world.definitions.resolve_job_def(DISCOVERY_JOB)
    result = job.execute_in_process(
        instance=world.instance, partition_key=KEY, run_config=QUIET, tags=tags, raise_on_error=False
    )
    return bool(result.success)


def told(world: Playground) -> dict[str, Any]:
    event = world.instance.get_latest_materialization_event(AssetKey("universe"))
    assert event is not None and event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def minutes_of(world: Playground, ticker: str) -> pl.DataFrame:
    return world.desk.frames.read("bars", [KEY]).filter(pl.col("ticker") == ticker)


@pytest.mark.patient
def test_a_discovered_ticker_is_decided_on_with_its_history_and_one_that_left_no_longer(
    world: Playground, converse: ConverseServer
) -> None:
    desk, session = world.desk, world.session
    assert desk.universe == ("AAPL", "KO", "MSFT", "NVDA", "SPY")
    world.minute(session.open + 60 * MINUTE)
    assert set(desk.frames.read("bars", [KEY])["ticker"]) == set(desk.universe)

    # The headline's model answers with two new names, two old ones and one that is not listed.
    named = [entry("AMD", confidence=0.9), entry("TSLA"), entry("NVDA"), entry("XHACK"), entry("AAPL")]
    converse.answers(call({"tickers": named}))
    [outcome] = world.ticker.schedule(DISCOVERY_TICK, desk.wall.now())
    assert outcome.success
    assert desk.universe == ("AAPL", "AMD", "NVDA", "SPY", "TSLA")
    assert world.ticker.schedule(DISCOVERY_TICK, desk.wall.now()) == [], "the next one is due in hours"
    seen = told(world)
    assert (seen["active"], seen["rejected"], seen["tickers_entered"], seen["tickers_left"]) == (4, 1, 2, 2)
    assert "XHACK" in str(seen["refused"]) and "KO" in str(seen["changes"])
    known_at = _known_at(world)

    before = [shift(SESSION, -back).key for back in range(1, 11)]
    history = desk.frames.read("bars", before).filter(pl.col("ticker").is_in(ENTERED))
    assert history.group_by("ticker").agg(pl.col("ts").dt.date().n_unique()).sort("ticker").rows() == [
        ("AMD", 10),
        ("TSLA", 10),
    ]
    assert history["known_at"].max() <= known_at, "its history is there before it is followed"  # type: ignore[operator]
    assert history["known_at"].min() > session.open, "and no earlier decision sees it"  # type: ignore[operator]

    for minute in (61, 62, 63):
        world.minute(session.open + minute * MINUTE)
    for ticker in ENTERED:
        rows = minutes_of(world, ticker)
        assert rows["ts"].min() == session.open, "today from the open, for windows and the session's own price"
        assert rows["known_at"].min() > known_at  # type: ignore[operator]
        assert rows.select("ts", "known_at").is_unique().all()
    assert set(ENTERED) <= set(desk.frames.read("daily_bars", [KEY])["ticker"])
    read_at = desk.frames.last_as_of("splits", KEY)
    assert read_at is not None and read_at > known_at, "the list of splits was read for it"
    features = desk.frames.read("features", [KEY]).filter(pl.col("ticker") == "AMD")
    assert features["as_of"].min() > known_at  # type: ignore[operator]
    assert features["sma50"].null_count() == features["trend_1d"].null_count() == 0
    assert minutes_of(world, "KO")["ts"].max() < known_at  # type: ignore[operator]
    assert desk.universe_in(SESSION) == ("AAPL", "AMD", "KO", "MSFT", "NVDA", "SPY", "TSLA")

    # A person may run it, too; one that fails changes nothing and is seen.
    converse.answers(refusal("AccessDeniedException", 403))
    assert by_hand(world)
    assert desk.universe == ("AAPL", "AMD", "NVDA", "SPY", "TSLA")
    assert "AccessDeniedException" in told(world)["note"]
    key = AssetCheckKey(AssetKey("universe"), CHECK)
    [record] = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None and record.event.dagster_event is not None
    assert not record.event.dagster_event.asset_check_evaluation_data.passed
    count, asked = discoveries(world), len(converse.asked)
    assert by_hand(world, **{"dagster/backfill": "again"})
    assert (discoveries(world), len(converse.asked)) == (count, asked), "a backfill discovers nothing"


def _known_at(world: Playground) -> datetime:
    with world.desk.ledger.connect() as connection:
        newest = store.newest_following(connection)
    assert newest is not None
    return newest.known_at
