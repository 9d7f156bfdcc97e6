"""What daily bars say: only completed sessions, whole windows, and ranks with their number of observations."""

from __future__ import annotations

import math
import statistics
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest
import talib

from trading_assets.market.config import FeatureConfig
from trading_assets.market.frames import DAILY_BARS, empty
from trading_assets.market.sessions import shift
from trading_assets.market.volatility import DAILY_COLUMNS, daily_state
from trading_assets_tests.market.bars_factory import daily_bars

DAY = date(2026, 3, 11)
YESTERDAY = shift(DAY, -1).day
CONFIG = FeatureConfig()


def state(frame: pl.DataFrame) -> dict[str, Any]:
    rows = daily_state(frame, DAY, CONFIG).to_dicts()
    assert len(rows) == 1
    return rows[0]


def realised(close: list[float]) -> list[float]:
    moves = [math.log(now / before) for before, now in pairwise(close)]
    return [statistics.stdev(moves[end - 20 : end]) * math.sqrt(252) for end in range(20, len(moves) + 1)]


def test_the_daily_range_agrees_with_ta_lib() -> None:
    bars = daily_bars(["AAA"], YESTERDAY, 300)
    high, low, close = (bars[name].to_numpy() for name in ("high", "low", "close"))
    fractions = talib.ATR(high, low, close, 14) / close
    seen = state(bars)
    assert seen["daily_atr_pct"] == pytest.approx(fractions[-1], rel=1e-9)
    assert seen["daily_atr_pct_median60"] == pytest.approx(float(np.median(fractions[-60:])), rel=1e-9)


@pytest.mark.parametrize("count", [300, 120, 30])
def test_the_rank_places_today_between_the_calmest_and_the_wildest(count: int) -> None:
    bars = daily_bars(["AAA"], YESTERDAY, count)
    values = realised(bars["close"].to_list())[-252:]
    seen = state(bars)
    assert seen["rv_rank"] == pytest.approx((values[-1] - min(values)) / (max(values) - min(values)), rel=1e-6)
    assert seen["rv_rank_sessions"] == len(values) == min(252, count - 20)


def test_fewer_than_ten_observations_give_no_rank_but_their_number() -> None:
    nine = state(daily_bars(["AAA"], YESTERDAY, 29))
    assert nine["rv_rank"] is None and nine["rv_rank_sessions"] == 9
    assert state(daily_bars(["AAA"], YESTERDAY, 30))["rv_rank"] is not None


def test_a_price_that_never_moved_has_no_rank() -> None:
    flat = daily_bars(["AAA"], YESTERDAY, 100).with_columns(
        *(pl.lit(50.0).alias(name) for name in ("open", "high", "low", "close"))
    )
    assert state(flat)["rv_rank"] is None


def test_windows_are_whole_or_unknown() -> None:
    known = {
        count: {name for name, value in state(daily_bars(["AAA"], YESTERDAY, count)).items() if value is not None}
        for count in (14, 15, 49, 50, 73, 74)
    }
    assert "daily_atr_pct" in known[15] - known[14]
    assert "trend_1d" in known[50] - known[49]
    assert "daily_atr_pct_median60" in known[74] - known[73]


def test_the_deciding_day_itself_is_not_seen() -> None:
    bars = daily_bars(["AAA"], YESTERDAY, 100)
    today = bars.tail(1).with_columns(session=pl.lit(DAY), close=pl.lit(9e5), high=pl.lit(1e6))
    assert state(pl.concat([bars, today])) == state(bars)


def test_a_missing_previous_session_leaves_the_previous_close_unknown_and_the_trend_known() -> None:
    bars = daily_bars(["AAA"], YESTERDAY, 100)
    seen = state(bars.filter(pl.col("session") != YESTERDAY))
    assert seen["previous_close"] is None and seen["trend_1d"] is not None
    assert state(bars)["previous_close"] == bars["close"][-1]


def test_a_history_that_ended_long_ago_says_nothing_about_today() -> None:
    seen = state(daily_bars(["AAA"], shift(DAY, -130).day, 300))
    assert {name: seen[name] for name in DAILY_COLUMNS if name not in ("ticker", "rv_rank_sessions")} == dict.fromkeys(
        ("trend_1d", "daily_atr_pct", "daily_atr_pct_median60", "rv_rank", "previous_close")
    )


def test_a_corrected_daily_bar_replaces_the_first() -> None:
    bars = daily_bars(["AAA"], YESTERDAY, 100)
    wrong = bars.tail(1).with_columns(close=pl.lit(1.0), low=pl.lit(0.5), known_at=pl.col("known_at") - timedelta(1))
    assert state(pl.concat([bars, wrong])) == state(bars)


def test_no_daily_bars_give_no_rows() -> None:
    assert daily_state(empty(DAILY_BARS), DAY, CONFIG).is_empty()
    broken = daily_bars(["AAA"], YESTERDAY, 5).with_columns(close=pl.lit(float("nan")))
    assert daily_state(broken, DAY, CONFIG).is_empty()
