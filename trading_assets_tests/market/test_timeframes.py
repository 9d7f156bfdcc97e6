"""Longer bars from minutes, and how trends are weighed against each other."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from trading_assets.market.bars import locate
from trading_assets.market.config import TimeframeWeights
from trading_assets.market.sessions import MINUTE, require_session
from trading_assets.market.timeframes import completed_slots, mtf_alignment, resample, slots_before, trend_of
from trading_assets_tests.market.bars_factory import minute_bars

HALF_DAY, AFTER = require_session(date(2025, 11, 28)), require_session(date(2025, 12, 1))
SESSIONS = [HALF_DAY, AFTER]
TRENDS = ("trend_1d", "trend_1h", "trend_15m", "trend_5m", "trend_state")


def test_hours_are_anchored_at_the_open_and_the_last_one_ends_at_the_close() -> None:
    hours = resample(locate(minute_bars(["AAA"], SESSIONS), SESSIONS), SESSIONS, 60)
    half, full = (hours.filter(pl.col("session_no") == n)["end"].to_list() for n in (0, 1))
    assert half == [HALF_DAY.open + MINUTE * n for n in (60, 120, 180, 210)]
    assert full == [AFTER.open + MINUTE * n for n in (60, 120, 180, 240, 300, 360, 390)]
    assert hours["slot"].to_list() == list(range(11))


def test_a_longer_bar_opens_with_its_first_minute_and_closes_with_its_last() -> None:
    placed = locate(minute_bars(["AAA"], SESSIONS, gap_share=0.2), SESSIONS)
    fives = resample(placed, SESSIONS, 5)
    third = placed.filter((pl.col("session_no") == 1) & pl.col("minute_no").is_between(10, 14))
    bar = fives.filter((pl.col("session_no") == 1) & (pl.col("minute_no") == 10)).to_dicts()[0]
    assert (bar["open"], bar["close"]) == (third["open"][0], third["close"][-1])
    assert (bar["high"], bar["low"]) == (third["high"].max(), third["low"].min())
    assert bar["volume"] == third["volume"].sum()


@pytest.mark.parametrize(("short", "long"), [(5, 15), (15, 60)])
def test_longer_bars_can_be_built_from_shorter_ones(short: int, long: int) -> None:
    placed = locate(minute_bars(["AAA", "BBB"], SESSIONS, gap_share=0.3), SESSIONS)
    assert resample(resample(placed, SESSIONS, short), SESSIONS, long).equals(resample(placed, SESSIONS, long))


def test_a_slot_without_a_trade_has_no_bar() -> None:
    placed = locate(minute_bars(["AAA"], SESSIONS), SESSIONS)
    quiet = placed.filter(~pl.col("ordinal").is_between(5, 9))
    assert resample(quiet, SESSIONS, 5)["slot"].to_list()[:3] == [0, 2, 3]


def test_slots_are_complete_at_their_end_or_at_the_close() -> None:
    assert [completed_slots(HALF_DAY, 60, end) for end in (59, 60, 179, 209, 210)] == [0, 1, 2, 3, 4]
    assert slots_before(SESSIONS, 60) == [0, 4]
    assert slots_before([AFTER, HALF_DAY], 15) == [0, 26]


def test_a_trend_may_be_used_until_its_windows_reach_back_too_far() -> None:
    bars = pl.DataFrame({"ticker": "AAA", "slot": range(50), "close": [100.0 + n for n in range(50)]})
    last = trend_of(bars, "slot", 3.0).to_dicts()[-1]
    # 20 bars from slot 30 on may span 60 slots, 50 bars from slot 0 on 150.
    assert last["trend"] == 1 and last["trend_until"] == min(30 + 59, 0 + 149)


def alignment(**trends: int | None) -> float | None:
    row = pl.DataFrame({name: [trends.get(name)] for name in TRENDS}, schema=dict.fromkeys(TRENDS, pl.Int64()))
    value = row.select(mtf_alignment(TimeframeWeights())).item()
    assert value is None or isinstance(value, float)
    return value


def test_alignment_weighs_day_hour_quarter_five_and_one_minute_nine_seven_four_two_one() -> None:
    assert alignment(trend_1d=1, trend_1h=1, trend_15m=1, trend_5m=1, trend_state=1) == 1
    assert alignment(trend_1d=-1, trend_1h=-1, trend_15m=-1, trend_5m=-1, trend_state=-1) == -1
    mixed = alignment(trend_1d=1, trend_1h=-1, trend_15m=0, trend_5m=1, trend_state=-1)
    assert mixed == pytest.approx((9 - 7 + 0 + 2 - 1) / 23)


def test_an_unknown_trend_drops_out_of_the_weights() -> None:
    assert alignment(trend_15m=1, trend_5m=0, trend_state=-1) == pytest.approx((4 - 1) / 7)
    assert alignment(trend_15m=1, trend_5m=1) == 1


def test_without_the_five_or_the_fifteen_minute_trend_there_is_no_alignment() -> None:
    assert alignment(trend_1d=1, trend_1h=1, trend_15m=1, trend_state=1) is None
    assert alignment(trend_1d=1, trend_1h=1, trend_5m=1, trend_state=1) is None
