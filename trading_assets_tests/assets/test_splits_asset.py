"""The list of splits comes from the broker, is kept as it became known, and decides in whose shares bars are read."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from trading_assets.assets import features, splits
from trading_assets.assets.history import known_splits
from trading_assets.assets.scope import Kind, Scope
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.shared_data import SharedMarketData
from trading_assets.domain.connections import BrokerConnection
from trading_assets.market.config import FeatureConfig
from trading_assets.market.frames import BARS, DAILY_BARS, conform
from trading_assets.market.sessions import MINUTE, Session, require_session, shift
from trading_assets.market.splits import SPLITS, known_too_late
from trading_assets.resources.desk import Desk
from trading_assets.world.frames import FrameStore
from trading_assets_tests.broker.bracket_desk import QUICK
from trading_assets_tests.broker.desk import SECRET, SteppedClock
from trading_assets_tests.exchange.venue_process import CLOSE, SESSION, TOKEN, prepare
from trading_assets_tests.market.bars_factory import daily_bars, minute_bars, sessions_ending

MONDAY = shift(SESSION, 1)


def strategy() -> Any:
    collection = SimpleNamespace(daily_sessions=60, history_sessions=3)
    return SimpleNamespace(strategy=SimpleNamespace(collection=collection, features=FeatureConfig()))


def seen(desk: Desk, day: Session) -> dict[str, Any]:
    """One minute's look, kept as a live run keeps it; when each name's split was first seen."""
    found = splits._observe(desk, Scope(day.key, Kind.LIVE, desk.clock.now()))
    if found.rows.height or not (found.unread or desk.frames.exists("splits", day.key)):
        desk.frames.append("splits", day.key, found.rows, found.as_of)
    rows = desk.frames.read("splits", [shift(day.day, -1).key, day.key])
    return dict(rows.sort("known_at").select("ticker", "known_at").iter_rows())


def test_splits_are_known_from_their_announcement_on_and_told_where_it_came_too_late(tmp_path: Path) -> None:
    late = MONDAY.open + 10 * MINUTE
    actions = [
        {"type": "split", "symbol": "NVDA", "ex_session": MONDAY.key, "new": 2, "old": 1},
        {"type": "split", "symbol": "KO", "ex_session": MONDAY.key, "new": 3, "old": 1, "announced": late.isoformat()},
        {"type": "split", "symbol": "BAC", "ex_session": "2026-02-02", "new": 1, "old": 2},
        {"type": "cash_dividend", "symbol": "PFE", "ex_session": MONDAY.key, "rate": "0.10"},
    ]
    account = {"name": "one", "key": "PKTEST", "secret": SECRET, "cash": "90000", "options_level": 2}
    exchange = prepare(
        tmp_path / "exchange",
        CLOSE - 14 * MINUTE,
        last_session=MONDAY.key,
        accounts=[account],
        actions=actions,
        faults=True,
    )
    url = exchange.start().url
    clock = SteppedClock(url, TOKEN)
    broker = AlpacaBroker(BrokerConnection("PRACTICE", url, url, "PKTEST", SECRET), clock, QUICK)
    parts = SimpleNamespace(
        clock=clock,
        frames=FrameStore(tmp_path / "frames"),
        data=SharedMarketData([("one", lambda: broker)]),
        universe=("BAC", "KO", "NVDA", "PFE"),
        entered=lambda since: {},
        settings=strategy(),
    )
    desk, friday = cast("Desk", parts), require_session(SESSION)
    try:
        asked = clock.now()
        assert seen(desk, friday) == {"NVDA": asked, "BAC": require_session(shift(friday.day, -29).day).close}
        clock.wait_until(MONDAY.open + MINUTE)
        assert set(seen(desk, MONDAY)) == {"NVDA", "BAC"}
        _, check = splits._check(desk, Scope(MONDAY.key, Kind.LIVE, clock.now()), pl.DataFrame(schema=SPLITS))
        assert check.passed
        clock.wait_until(MONDAY.open + 14 * MINUTE)
        assert set(seen(desk, MONDAY)) == {"NVDA", "BAC"}
        clock.wait_until(MONDAY.open + 15 * MINUTE)
        known = seen(desk, MONDAY)
        assert known["KO"] == MONDAY.open + 15 * MINUTE and known["NVDA"] == asked
        _, check = splits._check(desk, Scope(MONDAY.key, Kind.LIVE, clock.now()), pl.DataFrame(schema=SPLITS))
        assert not check.passed and check.warning and "KO" in check.description and "NVDA" not in check.description
        clock.wait_until(MONDAY.open + 30 * MINUTE)
        fault = {"kind": "server_error", "scope": {"path": "/v1/corporate-actions"}, "count": 99}
        assert exchange.control.post(f"{url}/practice/v1/faults", json=fault).status_code == 201
        found = splits._observe(desk, Scope(MONDAY.key, Kind.LIVE, clock.now()))
        assert found.rows.is_empty() and found.unread and "cannot be read" in found.came_in
    finally:
        broker.close()
        exchange.stop()


def test_F29_what_was_seen_two_sessions_before_is_known_at_the_open_though_the_list_fails(tmp_path: Path) -> None:
    friday, thursday = require_session(SESSION), shift(SESSION, -1)
    actions = [
        {"type": "split", "symbol": "NVDA", "ex_session": MONDAY.key, "new": 2, "old": 1},
        {"type": "split", "symbol": "BAC", "ex_session": "2026-02-02", "new": 1, "old": 2},
    ]
    account = {"name": "one", "key": "PKTEST", "secret": SECRET, "cash": "90000", "options_level": 2}
    exchange = prepare(
        tmp_path / "exchange",
        thursday.close - 14 * MINUTE,
        session=thursday.key,
        last_session=MONDAY.key,
        accounts=[account],
        actions=actions,
        faults=True,
    )
    url = exchange.start().url
    clock = SteppedClock(url, TOKEN)
    broker = AlpacaBroker(BrokerConnection("PRACTICE", url, url, "PKTEST", SECRET), clock, QUICK)
    parts = SimpleNamespace(
        clock=clock,
        frames=FrameStore(tmp_path / "frames"),
        data=SharedMarketData([("one", lambda: broker)]),
        universe=("BAC", "NVDA"),
        entered=lambda since: {},
        settings=strategy(),
    )
    desk = cast("Desk", parts)
    try:
        asked = clock.now()
        first = seen(desk, thursday)
        assert first["NVDA"] == asked
        for minutes in (1, 15, 30):
            clock.wait_until(friday.open + minutes * MINUTE)
            assert seen(desk, friday) == first
        clock.wait_until(MONDAY.open + MINUTE)
        fault = {"kind": "server_error", "scope": {"path": "/v1/corporate-actions"}, "count": 99}
        assert exchange.control.post(f"{url}/practice/v1/faults", json=fault).status_code == 201
        assert seen(desk, MONDAY) == first
        known = known_splits(desk, MONDAY.day)
        assert set(known["ticker"]) == {"BAC", "NVDA"} and known_too_late(known, MONDAY).is_empty()
        assert exchange.control.delete(f"{url}/practice/v1/faults").is_success
        clock.wait_until(MONDAY.open + 15 * MINUTE)
        assert seen(desk, MONDAY) == first
        for day in (thursday, friday, MONDAY):
            assert desk.frames.count("splits", day.key) == 2, "each session has the list whole, and once"
    finally:
        broker.close()
        exchange.stop()


@pytest.mark.parametrize(
    ("known_after_open", "told"),
    [(-60, True), (3600, False)],
    ids=["the-day-before", "an-hour-after-the-open"],
)
def test_a_name_is_decided_in_the_shares_of_today_or_not_at_all(
    tmp_path: Path, known_after_open: int, told: bool
) -> None:
    sessions = sessions_ending(SESSION, 4)
    today = sessions[-1]
    store = FrameStore(tmp_path)
    bars, days = minute_bars(["AAA", "BBB"], sessions), daily_bars(["AAA", "BBB"], sessions[-2].day, 60)
    at = today.close
    before = (pl.col("ticker") == "AAA") & (pl.col("ts") < today.open)
    raw = bars.with_columns(
        *(pl.when(before).then(pl.col(name) * 2).otherwise(pl.col(name)) for name in ("open", "high", "low", "close"))
    )
    for session in sessions:
        rows = raw.filter(pl.col("ts").is_between(session.open, session.close, closed="left"))
        store.append("bars", session.key, conform(rows, BARS, "bars"), at)
    halved = days.with_columns(
        pl.when(pl.col("ticker") == "AAA").then(pl.col(name) * 2).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    store.append("daily_bars", today.key, conform(halved, DAILY_BARS, "daily_bars"), at)
    known_at = today.open + timedelta(seconds=known_after_open)
    row = pl.DataFrame([("AAA", today.day, 2.0, 1.0, known_at)], schema=SPLITS, orient="row")
    store.append("splits", today.key, row, at)
    desk = cast("Desk", SimpleNamespace(frames=store, settings=strategy()))
    instants = [today.open + minute * MINUTE + timedelta(seconds=5) for minute in (20, 59, 61, 90)]
    rows = features._compute(desk, Scope(today.key, Kind.PAST, at), instants)
    mine, other = (rows.filter(pl.col("ticker") == name) for name in ("AAA", "BBB"))
    assert other.height == 4
    assert mine["as_of"].to_list() == (instants if told else instants[:2])
    if told:
        assert (mine["distance_sma50"].abs() < 0.1).all() and (mine["gap"].abs() < 0.3).all()
