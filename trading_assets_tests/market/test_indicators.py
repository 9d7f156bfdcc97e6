"""Indicators against TA-Lib and against recorded reference results, and what they say where nothing can be said."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib

from trading_assets.market import indicators as ind
from trading_assets.market.bars import locate
from trading_assets_tests.market.bars_factory import minute_bars, sessions_ending

Floats = npt.NDArray[np.float64]
CLOSE, HIGH, LOW = pl.col("close"), pl.col("high"), pl.col("low")
RANGE = ind.true_range(HIGH, LOW, CLOSE.shift(1))


@pytest.fixture(scope="module")
def prices() -> pl.DataFrame:
    return minute_bars(["AAA"], sessions_ending(date(2026, 3, 11), 3), seed=4)


def oracle(prices: pl.DataFrame) -> dict[str, tuple[pl.Expr, Floats, int]]:
    """Expression, TA-Lib's answer, and the first bar from which the two must agree.

    TA-Lib starts the fast mean of the MACD later than its own first window (that fades within some hundred bars) and
    withholds the line until its signal exists.
    """
    close, high, low = (prices[name].to_numpy() for name in ("close", "high", "low"))
    macd, signal, _ = talib.MACD(close, 12, 26, 9)
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    line = ind.macd(CLOSE, 12, 26)
    return {
        "sma20": (ind.sma(CLOSE, 20), talib.SMA(close, 20), 0),
        "rsi14": (ind.rsi(CLOSE, 14), talib.RSI(close, 14), 0),
        "atr14": (ind.atr(RANGE, 14), talib.ATR(high, low, close, 14), 0),
        "ema26": (ind.ema(CLOSE, 26), talib.EMA(close, 26), 0),
        "macd": (line, macd, 300),
        "macd_signal": (ind.ema(line, 9), signal, 400),
        "bollinger_upper": (ind.bollinger(CLOSE, 20, 2.0)[0], upper, 0),
        "bollinger_lower": (ind.bollinger(CLOSE, 20, 2.0)[1], lower, 0),
    }


@pytest.mark.parametrize(
    "name", ["sma20", "rsi14", "atr14", "ema26", "macd", "macd_signal", "bollinger_upper", "bollinger_lower"]
)
def test_the_indicator_agrees_with_ta_lib(prices: pl.DataFrame, name: str) -> None:
    expression, expected, start = oracle(prices)[name]
    seen = prices.select(expression).to_series()
    if start == 0:
        assert seen.is_null().to_list() == np.isnan(expected).tolist()
    known = seen.to_numpy()[start:]
    # TA-Lib's band takes the root of a difference of squares: the comparison is relative to the price.
    scale = prices["close"].mean() if name.startswith("bollinger") else 1.0
    assert isinstance(scale, float)
    np.testing.assert_allclose(known / scale, expected[start:] / scale, rtol=0, atol=1e-9)


def test_the_expressions_work_per_ticker() -> None:
    sessions = sessions_ending(date(2026, 3, 11), 1)
    both = pl.concat([minute_bars(["AAA"], sessions, seed=1), minute_bars(["BBB"], sessions, seed=2)])
    together = both.with_columns(ind.rsi(CLOSE, 14).over("ticker").alias("rsi"))
    for ticker in ("AAA", "BBB"):
        alone = both.filter(pl.col("ticker") == ticker).select(ind.rsi(CLOSE, 14).alias("rsi"))["rsi"]
        assert together.filter(pl.col("ticker") == ticker)["rsi"].equals(alone)


def recorded(folder: Path, name: str) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    quotes = pl.read_csv(folder / "reference" / "R2_skender" / "quotes" / "default.csv")
    results = folder / "reference" / "R2_skender" / "results" / f"{name}.standard.json"
    return quotes, json.loads(results.read_text())


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "column", "expression"),
    [
        ("rsi", "rsi", ind.rsi(CLOSE, 14)),
        ("atr", "tr", RANGE),
        ("atr", "atr", ind.atr(RANGE, 14)),
        ("macd", "macd", ind.macd(CLOSE, 12, 26)),
        ("macd", "signal", ind.ema(ind.macd(CLOSE, 12, 26), 9)),
        ("bb", "upperBand", ind.bollinger(CLOSE, 20, 2.0)[0]),
        ("bb", "lowerBand", ind.bollinger(CLOSE, 20, 2.0)[1]),
    ],
)
def test_the_indicator_reproduces_recorded_results(
    recorded_data: Path, name: str, column: str, expression: pl.Expr
) -> None:
    quotes, expected = recorded(recorded_data, name)
    seen = quotes.select(expression.alias("seen"))["seen"].to_list()
    assert len(seen) == len(expected) == 502
    assert seen == pytest.approx([row[column] for row in expected], abs=1e-9)


def test_a_price_that_never_moved_has_no_rsi() -> None:
    flat = pl.DataFrame({"close": [10.0] * 40})
    assert flat.select(ind.rsi(CLOSE, 14)).to_series().is_null().all()


def test_a_price_that_only_rose_has_an_rsi_of_a_hundred() -> None:
    rising = pl.DataFrame({"close": [10.0 + n for n in range(40)]})
    assert rising.select(ind.rsi(CLOSE, 14)).to_series().to_list()[14:] == [100.0] * 26


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
