"""A ticker that comes to be followed gets what it lacks of the sessions before, once; its minutes wait for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest
from sqlalchemy import Engine

from trading_assets.assets import daily_bars
from trading_assets.assets.bars import _newest
from trading_assets.assets.entrants import load_minutes, waiting
from trading_assets.assets.scope import Kind, Scope
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.market.frames import BARS, DAILY_BARS, SPLITS, empty
from trading_assets.market.sessions import MINUTE, Session, require_session, shift
from trading_assets.resources.desk import Desk
from trading_assets.world.frames import FrameStore
from trading_assets_tests.ledger.factory import position, register
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.resources.test_following import add
from trading_assets_tests.resources.test_following import desk_of as following

DAY = require_session(date(2026, 3, 11))


def bars(tickers: Sequence[str], start: datetime, end: datetime, known_at: datetime) -> pl.DataFrame:
    minutes = int((end - start) / MINUTE)
    rows = [
        {"ticker": ticker, "ts": start + MINUTE * number, "open": 10.0, "high": 10.0, "low": 10.0, "close": 10.0,
         "volume": 5, "trade_count": 1, "vwap": 10.0, "feed": "iex", "known_at": known_at, "known_how": "observed"}
        for ticker in tickers
        for number in range(minutes)
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=BARS)


def daily(tickers: Sequence[str], known_at: datetime, *, back: int = 1) -> pl.DataFrame:
    """The daily bar of the session before, or of one ``back`` sessions ago."""
    rows = [
        {"ticker": ticker, "session": shift(DAY.day, -back).day, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0,
         "volume": 1, "known_at": known_at, "known_how": "observed"}
        for ticker in tickers
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=DAILY_BARS)


class Data:
    """A source that has every minute of every ticker, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[str, ...], date]] = []
        self.fails_before = date.min

    def stock_bars(self, tickers: Sequence[str], start: datetime, end: datetime) -> pl.DataFrame:
        if start.date() < self.fails_before:
            raise BrokerUnavailable("no history today")
        self.asked.append((tuple(tickers), start.date()))
        return bars(tickers, start, end, start).drop("known_at", "known_how")


def desk_of(folder: Path, now: datetime, **more: Any) -> Desk:
    collection = SimpleNamespace(history_sessions=3)
    settings = SimpleNamespace(strategy=SimpleNamespace(collection=collection))
    parts = {"clock": SetClock(now), "frames": FrameStore(folder), "data": Data(), "settings": settings} | more
    return cast("Desk", SimpleNamespace(**parts))


def of_amd(desk: Desk, session: Session) -> pl.DataFrame:
    return desk.frames.read("bars", [session.key]).filter(pl.col("ticker") == "AMD")


def test_after_the_close_the_session_that_is_over_is_history_and_only_what_is_missing_is_added(tmp_path: Path) -> None:
    now = DAY.close + timedelta(hours=8)  # the next day already in UTC
    desk = desk_of(tmp_path, now)
    before, unread = shift(DAY.day, -1), shift(DAY.day, -2)
    half = DAY.open + MINUTE * 100
    desk.frames.replace("bars", before.key, bars(["KO"], before.open, before.close, before.close), before.close)
    desk.frames.append("bars", DAY.key, bars(["KO"], DAY.open, DAY.close, DAY.close), DAY.close)
    desk.frames.append("bars", DAY.key, bars(["AMD"], DAY.open, half, half), DAY.close + MINUTE)
    assert load_minutes(desk, {"AMD"}) == 2
    for session in (before, DAY):
        rows = of_amd(desk, session)
        assert rows.height == rows["ts"].n_unique() == session.minutes
    assert of_amd(desk, DAY).filter(pl.col("known_at") == now).height == DAY.minutes - 100
    assert of_amd(desk, before)["known_at"].unique().to_list() == [now], "no earlier decision sees it"
    assert not desk.frames.exists("bars", unread.key), "a session of which nothing is stored is loaded whole elsewhere"
    assert cast("Data", desk.data).asked == [(("AMD",), before.day), (("AMD",), DAY.day)]
    assert load_minutes(desk, ()) == load_minutes(desk, {"AMD"}) == 0


def test_while_the_session_runs_its_own_minutes_are_left_to_the_minute_runs(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, DAY.open + MINUTE * 30)
    desk.frames.append("bars", DAY.key, bars(["KO"], DAY.open, DAY.open + MINUTE, DAY.open), DAY.open)
    assert load_minutes(desk, {"AMD"}) == 0
    assert cast("Data", desk.data).asked == []


def test_minutes_of_who_entered_wait_for_daily_bars_and_for_a_look_at_the_splits_since(tmp_path: Path) -> None:
    since = DAY.open + MINUTE * 30
    desk = desk_of(tmp_path, since + MINUTE, entered=lambda _: {"AMD": since, "TSLA": since})
    assert waiting(desk, DAY) == {"AMD", "TSLA"}
    desk.frames.append("daily_bars", DAY.key, daily(["AMD"], since), since)
    desk.frames.append("splits", DAY.key, empty(SPLITS), since)
    assert waiting(desk, DAY) == {"AMD", "TSLA"}, "that look may have been a moment too soon"
    desk.frames.append("splits", DAY.key, empty(SPLITS), since + MINUTE)
    assert waiting(desk, DAY) == {"TSLA"}


@pytest.mark.parametrize("rebuilt", [False, True], ids=["lived", "rebuilt"])
def test_who_entered_overnight_waits_for_a_list_of_splits_that_knows_it(
    tmp_path: Path, ledger: Engine, rebuilt: bool
) -> None:
    """That of the session before stands in for today's while it cannot be read, and was read without the ticker."""
    before = shift(DAY.day, -1)
    add(ledger, "first", before.open - timedelta(hours=1), "KO")
    add(ledger, "evening", before.close + timedelta(hours=4), "AMD", "KO")
    follows = following(ledger)
    desk = desk_of(tmp_path, DAY.open + MINUTE, entered=follows.entered, universe=("AMD", "KO"))
    desk.frames.append("daily_bars", DAY.key, daily(["AMD", "KO"], DAY.open), DAY.open)
    assert waiting(desk, DAY) == {"AMD"}
    if rebuilt:
        desk.frames.replace("splits", before.key, empty(SPLITS), DAY.open - MINUTE)
    else:
        desk.frames.append("splits", before.key, empty(SPLITS), before.open + MINUTE)
    assert waiting(desk, DAY) == {"AMD"}
    stored, later = bars(["KO"], DAY.open, DAY.open + 30 * MINUTE, DAY.open), DAY.open + 30 * MINUTE
    seen = _newest(desk, DAY, stored, later - 6 * MINUTE, later)
    assert set(seen["ticker"]) == {"KO"}, "no minute of it is there to be decided"
    desk.frames.append("splits", DAY.key, empty(SPLITS), later)
    assert waiting(desk, DAY) == frozenset()
    seen = _newest(desk, DAY, stored, later - 6 * MINUTE, later).filter(pl.col("ticker") == "AMD")
    assert seen.height == 30, "then it has all minutes since the open"
    follows.ledger.dispose()


def test_F03_what_was_bought_by_hand_has_its_history_before_its_minutes_and_others_do_not_wait_for_it(
    tmp_path: Path, ledger: Engine
) -> None:
    """Nobody discovered it: the minute runs fetch all of it, once."""
    now, before = DAY.open + 30 * MINUTE, shift(DAY.day, -1)
    follows = following(ledger, mode="fixed")
    follows.write_down("run", before.open)
    bought_at = DAY.open + 20 * MINUTE
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="AMD", symbol="AMD", created_at=bought_at)
    desk = desk_of(tmp_path, now, entered=follows.entered, universe=follows.universe)
    desk.frames.replace("bars", before.key, bars(["KO"], before.open, before.close, before.close), before.close)
    desk.frames.append("daily_bars", DAY.key, daily(["AMD", "KO"], now), now)
    desk.frames.append("splits", DAY.key, empty(SPLITS), bought_at + MINUTE)
    stored, data = bars(["AAPL", "KO", "SPY"], DAY.open, now, DAY.open), cast("Data", desk.data)
    data.fails_before = DAY.day
    assert set(_newest(desk, DAY, stored, now - 6 * MINUTE, now)["ticker"]) == {"AAPL", "KO", "SPY"}
    data.fails_before = date.min
    seen = _newest(desk, DAY, stored, now - 6 * MINUTE, now).filter(pl.col("ticker") == "AMD")
    assert seen.height == 30
    assert of_amd(desk, before).height == before.minutes
    asked = data.asked.count((("AMD",), before.day))
    _newest(desk, DAY, stored, now - 6 * MINUTE, now)
    assert data.asked.count((("AMD",), before.day)) == asked == 1
    follows.ledger.dispose()


@pytest.mark.parametrize("looks", [0, 1, 2])
def test_who_is_discovered_while_a_minute_asks_for_bars_is_left_to_the_next_minute(
    tmp_path: Path, ledger: Engine, looks: int
) -> None:
    """Bars of the last minutes alone would keep those since the open from it all day, and nothing knows its splits."""
    now, follows = DAY.open + 30 * MINUTE, following(ledger)
    add(ledger, "first", DAY.open - timedelta(hours=1), "KO")
    left = [looks]

    class Meanwhile(SimpleNamespace):
        """A desk behind whose back another process discovers AMD after so many ``looks`` at who is followed."""

        def _looked(self, answer: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                add(ledger, "second", now - timedelta(seconds=1), "AMD", "KO")
            return answer

        @property
        def universe(self) -> tuple[str, ...]:
            return cast("tuple[str, ...]", self._looked(follows.universe))

        def entered(self, since: datetime) -> Any:
            return self._looked(follows.entered(since))

    desk = cast("Desk", Meanwhile(**vars(desk_of(tmp_path, now))))
    desk.frames.append("daily_bars", DAY.key, daily(["KO"], DAY.open), DAY.open)
    desk.frames.append("splits", DAY.key, empty(SPLITS), DAY.open + MINUTE)
    stored = bars(["KO", "SPY"], DAY.open, now, DAY.open)
    seen = _newest(desk, DAY, stored, now - 6 * MINUTE, now)
    assert set(seen["ticker"]) == {"KO", "SPY"}
    assert ("AMD" in follows.universe) is (looks > 0)
    follows.ledger.dispose()


def test_who_enters_without_the_newest_daily_bar_waits_alone(tmp_path: Path) -> None:
    """Halted yesterday, or new: it must not keep the others from being decided."""
    since = DAY.open + 30 * MINUTE
    desk = desk_of(tmp_path, since + MINUTE, entered=lambda _: {"AMD": since, "TSLA": since})
    desk.frames.append("daily_bars", DAY.key, daily(["KO"], DAY.open), DAY.open)
    desk.frames.append("daily_bars", DAY.key, daily(["TSLA"], since, back=2), since)
    scope = Scope(DAY.key, Kind.LIVE, since + MINUTE)
    for rows in (daily(["TSLA"], since, back=2), empty(DAILY_BARS)):
        assert all(found.passed for found in daily_bars._check(desk, scope, rows))
    desk.frames.append("daily_bars", DAY.key, daily(["AMD"], since), since + MINUTE)
    desk.frames.append("splits", DAY.key, empty(SPLITS), since + MINUTE)
    assert waiting(desk, DAY) == {"TSLA"}


def test_a_session_without_any_newest_daily_bar_is_still_refused(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, DAY.open + MINUTE)
    rows = daily(["KO"], DAY.open, back=2)
    desk.frames.append("daily_bars", DAY.key, rows, DAY.open)
    findings = {
        found.check: found.passed for found in daily_bars._check(desk, Scope(DAY.key, Kind.LIVE, DAY.open), rows)
    }
    assert findings == {"daily_bars_unique": True, "daily_bars_reach_the_previous_session": False}
