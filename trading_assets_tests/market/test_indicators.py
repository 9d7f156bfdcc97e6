"""Indicators per ticker, and what they say where nothing can be said. Their numbers: ``test_indicator_references``."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from trading_assets.market import indicators as ind
from trading_assets.market.bars import locate
from trading_assets_tests.market import definitions as defined
from trading_assets_tests.market.bars_factory import minute_bars, sessions_ending

CLOSE, HIGH, LOW = pl.col("close"), pl.col("high"), pl.col("low")
RANGE = ind.true_range(HIGH, LOW, CLOSE.shift(1))


def test_the_expressions_work_per_ticker() -> None:
    sessions = sessions_ending(date(2026, 3, 11), 1)
    both = pl.concat([minute_bars(["AAA"], sessions, seed=1), minute_bars(["BBB"], sessions, seed=2)])
    together = both.with_columns(defined.rsi(CLOSE, 14).over("ticker").alias("rsi"))
    for ticker in ("AAA", "BBB"):
        alone = both.filter(pl.col("ticker") == ticker).select(defined.rsi(CLOSE, 14).alias("rsi"))["rsi"]
        assert together.filter(pl.col("ticker") == ticker)["rsi"].equals(alone)


def test_a_price_that_never_moved_has_no_rsi() -> None:
    flat = pl.DataFrame({"close": [10.0] * 40})
    assert flat.select(defined.rsi(CLOSE, 14)).to_series().is_null().all()


def test_a_price_that_only_rose_has_an_rsi_of_a_hundred() -> None:
    rising = pl.DataFrame({"close": [10.0 + n for n in range(40)]})
    assert rising.select(defined.rsi(CLOSE, 14)).to_series().to_list()[14:] == [100.0] * 26


def test_where_the_range_restarts_the_previous_close_does_not_count() -> None:
    frame = pl.DataFrame({"high": [11.0, 21.0], "low": [9.0, 19.5], "close": [10.0, 20.0], "first": [True, True]})
    restarting = ind.true_range(HIGH, LOW, CLOSE.shift(1), restart=pl.col("first"))
    assert frame.select(restarting).to_series().to_list() == [2.0, 1.5]
    assert frame.select(RANGE).to_series().to_list() == [None, 11.0]


@pytest.mark.parametrize(
    ("close", "short", "long", "state"),
    [
        (3.0, 2.0, 1.0, 1),
        (1.0, 2.0, 3.0, -1),
        (2.0, 3.0, 1.0, 0),
        (2.0, 2.0, 1.0, 0),
        (3.0, 2.0, None, None),
        (3.0, None, 1.0, None),
    ],
)
def test_the_trend_state_needs_price_and_means_in_order(
    close: float, short: float | None, long: float | None, state: int | None
) -> None:
    row = pl.DataFrame({"c": [close], "s": [short], "l": [long]}, schema=dict.fromkeys("csl", pl.Float64()))
    assert row.select(ind.trend_state(pl.col("c"), pl.col("s"), pl.col("l"))).item() == state


def test_twenty_bars_may_span_sixty_session_minutes_and_no_more() -> None:
    for last, allowed in ((59, True), (60, False)):
        slots = pl.DataFrame({"slot": [*range(19), last]})
        assert slots.select(ind.span_within(pl.col("slot"), 20, 3.0)).to_series().to_list() == [None] * 19 + [allowed]


def test_session_time_not_wall_time_is_what_a_window_spans() -> None:
    sessions = sessions_ending(date(2026, 3, 9), 2)  # a weekend lies between
    placed = locate(minute_bars(["AAA"], sessions), sessions)
    within = placed.select(ind.span_within(pl.col("ordinal"), 20, 3.0)).to_series()
    assert within.null_count() == 19 and within.drop_nulls().all()
