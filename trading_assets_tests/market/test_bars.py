"""Raw bars: what is dropped and counted, which version is known when, where a bar lies in its session."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from trading_assets.market.bars import as_known, clean_bars, locate
from trading_assets.market.frames import BARS, conform
from trading_assets.market.sessions import require_session
from trading_assets_tests.market.bars_factory import minute_bars

DAY = require_session(date(2026, 3, 11))
HALF_DAY = require_session(date(2025, 11, 28))


def bars(*changes: dict[str, Any]) -> pl.DataFrame:
    """One bar per mapping of what differs from a plain one."""
    plain = {
        "ticker": "AAA",
        "ts": DAY.open,
        "open": 10.0,
        "high": 11.0,
        "low": 9.0,
        "close": 10.5,
        "volume": 100,
        "trade_count": 5,
        "vwap": 10.2,
        "feed": "sip",
        "known_at": DAY.open + timedelta(seconds=63),
        "known_how": "observed",
    }
    return conform(pl.DataFrame([plain | change for change in changes], schema=BARS), BARS, "bars")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"close": float("nan")}, "missing_or_not_finite"),
        ({"high": float("inf")}, "missing_or_not_finite"),
        ({"open": None}, "missing_or_not_finite"),
        ({"volume": None}, "missing_or_not_finite"),
        ({"low": 0.0}, "not_positive"),
        ({"low": -1.0}, "not_positive"),
        ({"high": 8.0}, "high_below_low"),
        ({"volume": -1}, "negative_volume"),
        ({"ts": DAY.open + timedelta(seconds=30)}, "not_on_a_minute"),
        ({"known_at": None}, "missing_key"),
        ({"ticker": None}, "missing_key"),
        ({"ts": DAY.close}, "out_of_session"),
        ({"ts": DAY.open - timedelta(minutes=1)}, "out_of_session"),
        ({"ts": datetime(2026, 3, 14, 15, 0, tzinfo=UTC)}, "out_of_session"),
        ({"ts": HALF_DAY.close}, "out_of_session"),
    ],
)
def test_an_unusable_bar_is_dropped_and_counted_under_its_reason(change: dict[str, Any], reason: str) -> None:
    kept, counts = clean_bars(bars({"ts": DAY.open + timedelta(minutes=5)}, change))
    assert kept.height == 1
    assert {name: count for name, count in counts.items() if count} == {reason: 1}


def test_exact_duplicates_are_dropped_and_later_versions_stay() -> None:
    revised = {"close": 10.6, "known_at": DAY.open + timedelta(seconds=95)}
    kept, counts = clean_bars(bars({}, {}, {}, revised))
    assert counts["duplicate"] == 2
    assert kept["close"].to_list() == [10.5, 10.6]


def test_a_bar_without_volume_traded_stays_because_zero_is_a_number() -> None:
    kept, counts = clean_bars(bars({"volume": 0}))
    assert kept.height == 1 and not any(counts.values())


def test_nothing_in_gives_nothing_out() -> None:
    kept, counts = clean_bars(bars())
    assert kept.is_empty() and kept.columns == list(BARS) and not any(counts.values())


def test_the_version_known_last_before_the_instant_counts() -> None:
    history = bars(
        {"close": 10.7, "known_at": DAY.open + timedelta(seconds=95)},
        {"close": 10.5},
        {"ts": DAY.open + timedelta(minutes=1), "known_at": DAY.open + timedelta(minutes=9)},
    )
    assert as_known(history, DAY.open + timedelta(seconds=62)).is_empty()
    assert as_known(history, DAY.open + timedelta(seconds=63))["close"].to_list() == [10.5]
    assert as_known(history, DAY.open + timedelta(seconds=95))["close"].to_list() == [10.7]
    assert as_known(history, DAY.open + timedelta(minutes=9)).height == 2


def test_versions_of_the_same_instant_do_not_depend_on_the_order_of_the_rows() -> None:
    twins = bars({"close": 10.5}, {"close": 10.7}, {"close": 10.1})
    chosen = {as_known(twins[order], DAY.close)["close"].item() for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0])}
    assert len(chosen) == 1


def test_a_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone-aware"):
        as_known(bars({}), datetime(2026, 3, 11, 15, 0))


def test_session_minutes_run_on_over_a_half_day_with_its_own_length() -> None:
    after = require_session(date(2025, 12, 1))
    placed = locate(minute_bars(["AAA"], [HALF_DAY, after]), [HALF_DAY, after])
    assert placed.height == 210 + 390
    assert placed.filter(pl.col("session_no") == 1)["ordinal"].min() == 210
    assert placed["ordinal"].to_list() == list(range(600))
    assert placed.filter(pl.col("session_no") == 1)["minute_no"].max() == 389


def test_sessions_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="in order"):
        locate(bars({}), [DAY, HALF_DAY])
