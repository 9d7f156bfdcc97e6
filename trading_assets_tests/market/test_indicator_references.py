"""Indicators against outside references: TA-Lib, Skender's Stock.Indicators and the worked sheets of StockCharts.

Warm-up. An indicator says nothing before its window is full. A recursive one (exponential mean, Wilder's smoothing)
starts at the last bar of its first full window from the plain mean of that window, and is compared from that very bar
at 1e-9 relative where the reference starts the same way. Where it starts elsewhere, two claims take the place of the
one. First, from the reference's own start our recursion reproduces it at every bar, so that nothing but the start
differs. Second, the difference of the starts shrinks by (1 - alpha) with each bar, and the two agree to 1e-9 from
``WARM_UP`` bars on: 26 + 9 bars until the MACD's signal starts, and 320 more, by which (1 - 2/27) has fallen to 2e-11.

What starts elsewhere, and why ours stands:

- TA-Lib's MACD starts its fast mean not with the first 12 bars but with the 12 that end where the slow one starts. As
  a function of its own, TA-Lib's EMA starts like ours, and Skender's MACD is the difference of two such means.
- The sheets for RSI and MACD start from the first value instead of a mean. The sheet for the ATR of the same school,
  TA-Lib and Skender start Wilder's smoothing from a mean, as Wilder does.

A sheet that is printed to d decimals is compared to half a unit of its last one.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
import talib

from trading_assets.market import indicators as ind
from trading_assets.market.config import FeatureConfig
from trading_assets.market.features import compute_features
from trading_assets.market.frames import BARS, DAILY_BARS, conform, empty
from trading_assets.market.sessions import MINUTE
from trading_assets_tests.market import definitions as defined
from trading_assets_tests.market.bars_factory import minute_bars, sessions_ending

Floats = npt.NDArray[np.float64]
OPEN, HIGH, LOW, CLOSE = pl.col("open"), pl.col("high"), pl.col("low"), pl.col("close")
RANGE = ind.true_range(HIGH, LOW, CLOSE.shift(1))
FAST, SLOW, SIGNAL = 12, 26, 9
WARM_UP = SLOW + SIGNAL + 320
TOLERANCE = 1e-9
#: Volatility per bar, first price, bars: a quiet minute, a penny stock, a wild and dear one.
WALKS = [(0.0006, 100.0, 2000), (0.01, 0.5, 800), (0.03, 4000.0, 1200)]


def walk(seed: int, volatility: float, start: float, bars: int) -> pl.DataFrame:
    """A random walk of open, high, low and close, with some bars that do not move."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, volatility, bars) * (rng.random(bars) > 0.05)
    close = start * np.exp(np.cumsum(steps))
    opened = np.concatenate([[start], close[:-1]])
    high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, volatility / 3, bars)))
    low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, volatility / 3, bars)))
    return pl.DataFrame({"open": opened, "high": high, "low": low, "close": close})


@pytest.fixture(scope="module", params=[(seed, *shape) for seed, shape in enumerate(WALKS)], ids=str)
def prices(request: pytest.FixtureRequest) -> pl.DataFrame:
    return walk(*request.param)


def seen(frame: pl.DataFrame, expression: pl.Expr) -> Floats:
    """The values of an expression, null as NaN."""
    return frame.select(expression.cast(pl.Float64).alias("seen"))["seen"].to_numpy()


def agree(ours: Floats, theirs: Floats, *, scale: Floats | float | None = None) -> None:
    """Known at the same bars, and there equal to 1e-9 of ``scale`` (the reference's own values by default)."""
    assert np.isnan(ours).tolist() == np.isnan(theirs).tolist()
    known = ~np.isnan(theirs)
    assert known.sum() > 20
    size = np.abs(theirs) if scale is None else np.broadcast_to(scale, theirs.shape)
    assert np.max(np.abs(ours - theirs)[known] / np.maximum(size[known], 1e-300)) <= TOLERANCE


# --- TA-Lib -----------------------------------------------------------------------------------------------------------


def from_ta_lib(prices: pl.DataFrame, name: str) -> tuple[pl.Expr, Floats]:
    """Our expression and TA-Lib's answer, which start alike."""
    high, low, close = (prices[column].to_numpy() for column in ("high", "low", "close"))
    answers: dict[str, tuple[pl.Expr, Floats]] = {
        "sma20": (ind.sma(CLOSE, 20), talib.SMA(close, 20)),
        "sma50": (ind.sma(CLOSE, 50), talib.SMA(close, 50)),
        "ema12": (defined.ema(CLOSE, FAST), talib.EMA(close, FAST)),
        "ema26": (defined.ema(CLOSE, SLOW), talib.EMA(close, SLOW)),
        "rsi14": (defined.rsi(CLOSE, 14), talib.RSI(close, 14)),
        "true range": (RANGE, talib.TRANGE(high, low, close)),
        "atr14": (ind.atr(RANGE, 14), talib.ATR(high, low, close, 14)),
        "donchian high": (HIGH.rolling_max(20), talib.MAX(high, 20)),
        "donchian low": (LOW.rolling_min(20), talib.MIN(low, 20)),
    }
    return answers[name]


@pytest.mark.parametrize(
    "name",
    ["sma20", "sma50", "ema12", "ema26", "rsi14", "true range", "atr14", "donchian high", "donchian low"],
)
def test_an_indicator_is_ta_libs_from_its_first_value_on(prices: pl.DataFrame, name: str) -> None:
    expression, theirs = from_ta_lib(prices, name)
    agree(seen(prices, expression), theirs)


def test_the_features_of_a_session_are_ta_libs_on_its_bars_and_those_before() -> None:
    """What decisions read goes another way than the definitions above, over all tickers at once."""
    sessions = sessions_ending(date(2026, 3, 11), 4)
    bars, today = minute_bars(["AAPL"], sessions, seed=3), sessions[-1]
    asked = [today.open + MINUTE * (number + 1) + timedelta(seconds=5) for number in range(today.minutes)]
    found = compute_features(
        bars, empty(DAILY_BARS), sessions=sessions, as_ofs=asked, config=FeatureConfig.model_validate({})
    )
    high, low, close = (bars.sort("ts")[name].to_numpy() for name in ("high", "low", "close"))
    upper, _, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    macd, signal, histogram = talib.MACD(close, FAST, SLOW, SIGNAL)
    before = np.array([np.nan])
    expected: dict[str, tuple[Floats, Floats | float]] = {
        "sma20": (talib.SMA(close, 20), 1.0),
        "sma50": (talib.SMA(close, 50), 1.0),
        "rsi14": (talib.RSI(close, 14), 1.0),
        "bollinger_upper": (upper, 1.0),
        "bollinger_lower": (lower, 1.0),
        # Differences of prices: to nine digits of the price they are made of.
        "macd": (macd, close),
        "macd_signal": (signal, close),
        "macd_histogram": (histogram, close),
        "donchian_high20": (np.concatenate([before, talib.MAX(high, 20)[:-1]]), 1.0),
        "donchian_low20": (np.concatenate([before, talib.MIN(low, 20)[:-1]]), 1.0),
        "return_60": (talib.ROCP(close, 60), close),
    }
    assert found.height == today.minutes
    for name, (theirs, scale) in expected.items():
        last = theirs[-today.minutes :]
        agree(found[name].to_numpy(), last, scale=scale if isinstance(scale, float) else scale[-today.minutes :])


def test_bollinger_bands_are_ta_libs_relative_to_the_price(prices: pl.DataFrame) -> None:
    # TA-Lib takes the deviation as the root of a difference of squares, which loses digits next to the price.
    close = prices["close"].to_numpy()
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    ours = defined.bollinger(CLOSE, 20, 2.0)
    for expression, theirs in ((ours[0], upper), (ind.sma(CLOSE, 20), middle), (ours[1], lower)):
        agree(seen(prices, expression), theirs, scale=close)


def test_the_macd_is_the_difference_of_two_exponential_means_each_from_its_own_first_window(
    prices: pl.DataFrame,
) -> None:
    close = prices["close"].to_numpy()
    agree(seen(prices, defined.macd(CLOSE, FAST, SLOW)), talib.EMA(close, FAST) - talib.EMA(close, SLOW), scale=close)


def test_ta_libs_macd_differs_in_the_start_of_its_fast_mean_and_in_nothing_else(prices: pl.DataFrame) -> None:
    close = prices["close"].to_numpy()
    line, signal, histogram = talib.MACD(close, FAST, SLOW, SIGNAL)
    bar = pl.int_range(pl.len())
    late = defined.ema(pl.when(bar >= SLOW - FAST).then(CLOSE), FAST) - defined.ema(CLOSE, SLOW)
    frame = prices.with_columns(late.alias("line")).with_columns(defined.ema(pl.col("line"), SIGNAL).alias("signal"))
    shown = pl.when(bar >= SLOW + SIGNAL - 2)  # TA-Lib withholds the line until its signal exists
    agree(seen(frame, shown.then(pl.col("line"))), line, scale=close)
    agree(seen(frame, pl.col("signal")), signal, scale=close)
    agree(seen(frame, shown.then(pl.col("line") - pl.col("signal"))), histogram, scale=close)


def test_after_the_warm_up_the_macd_is_ta_libs(prices: pl.DataFrame) -> None:
    close = prices["close"].to_numpy()
    line, signal, _ = talib.MACD(close, FAST, SLOW, SIGNAL)
    ours = defined.macd(CLOSE, FAST, SLOW)
    frame = prices.with_columns(ours.alias("line")).with_columns(defined.ema(pl.col("line"), SIGNAL).alias("signal"))
    tail = slice(WARM_UP, None)
    agree(seen(frame, pl.col("line"))[tail], line[tail], scale=close[tail])
    agree(seen(frame, pl.col("signal"))[tail], signal[tail], scale=close[tail])
    start = SLOW + SIGNAL - 2
    assert np.abs(seen(frame, pl.col("line")) - line)[start] > TOLERANCE * close[start]  # not so before it


# --- Skender's Stock.Indicators ---------------------------------------------------------------------------------------


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("name", "column", "expression"),
    [
        ("sma", "sma", ind.sma(CLOSE, 20)),
        ("ema", "ema", defined.ema(CLOSE, 20)),
        ("smma", "smma", ind.wilder(CLOSE, 20)),
        ("rsi", "rsi", defined.rsi(CLOSE, 14)),
        ("tr", "tr", RANGE),
        ("atr", "atr", ind.atr(RANGE, 14)),
        ("atr", "atrp", 100 * ind.atr(RANGE, 14) / CLOSE),
        ("macd", "fastEma", defined.ema(CLOSE, FAST)),
        ("macd", "slowEma", defined.ema(CLOSE, SLOW)),
        ("bb", "sma", ind.sma(CLOSE, 20)),
        ("bb", "upperBand", defined.bollinger(CLOSE, 20, 2.0)[0]),
        ("bb", "lowerBand", defined.bollinger(CLOSE, 20, 2.0)[1]),
        ("donchian", "upperBand", HIGH.rolling_max(20).shift(1)),
        ("donchian", "lowerBand", LOW.rolling_min(20).shift(1)),
    ],
)
def test_an_indicator_is_skenders_from_its_first_value_on(
    recorded_data: Path, name: str, column: str, expression: pl.Expr
) -> None:
    quotes, theirs = skender(recorded_data, name, column)
    agree(seen(quotes, expression), theirs)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("feature", "name", "column"),
    [
        ("sma20", "sma", "sma"),
        ("rsi14", "rsi", "rsi"),
        ("macd", "macd", "macd"),
        ("macd_signal", "macd", "signal"),
        ("macd_histogram", "macd", "histogram"),
        ("bollinger_upper", "bb", "upperBand"),
        ("bollinger_lower", "bb", "lowerBand"),
        ("donchian_high20", "donchian", "upperBand"),
        ("donchian_low20", "donchian", "lowerBand"),
    ],
)
def test_a_feature_is_skenders_where_his_bars_are_minutes(
    recorded_data: Path, feature: str, name: str, column: str
) -> None:
    """His 502 bars as the minutes of two sessions; the second of them decides, with the first behind it."""
    quotes, theirs = skender(recorded_data, name, column)
    sessions = sessions_ending(date(2026, 3, 11), 2)
    starts = [session.open + MINUTE * n for session in sessions for n in range(session.minutes)][: quotes.height]
    bars = quotes.select("open", "high", "low", "close", pl.col("volume").cast(pl.Int64)).with_columns(
        pl.lit("AAPL").alias("ticker"),
        pl.Series("ts", starts, dtype=BARS["ts"]),
        pl.Series("known_at", [start + MINUTE for start in starts], dtype=BARS["known_at"]),
        pl.lit(None, pl.Int64).alias("trade_count"),
        pl.lit(None, pl.Float64).alias("vwap"),
        pl.lit("sip").alias("feed"),
        pl.lit("assumed").alias("known_how"),
    )
    asked = [start + MINUTE + timedelta(seconds=1) for start in starts if start >= sessions[-1].open]
    found = compute_features(
        conform(bars.select(list(BARS)), BARS, "bars"),
        empty(DAILY_BARS),
        sessions=sessions,
        as_ofs=asked,
        config=FeatureConfig.model_validate({}),
    )
    assert found.height == len(asked) == 112
    agree(found[feature].to_numpy(), theirs[-len(asked) :], scale=quotes["close"].to_numpy()[-len(asked) :])


@pytest.mark.recorded
@pytest.mark.parametrize("column", ["macd", "signal", "histogram"])
def test_the_macd_is_skenders_from_its_first_value_on(recorded_data: Path, column: str) -> None:
    quotes, theirs = skender(recorded_data, "macd", column)
    line = defined.macd(CLOSE, FAST, SLOW)
    ours = {"macd": line, "signal": defined.ema(line, SIGNAL), "histogram": line - defined.ema(line, SIGNAL)}
    # A difference that crosses zero is compared relative to the price it is a difference of.
    agree(seen(quotes, ours[column]), theirs, scale=quotes["close"].to_numpy())


def skender(folder: Path, name: str, column: str) -> tuple[pl.DataFrame, Floats]:
    home = folder / "reference" / "R2_skender"
    rows: list[dict[str, Any]] = json.loads((home / "results" / f"{name}.standard.json").read_text())
    quotes = pl.read_csv(home / "quotes" / "default.csv")
    theirs = np.array([np.nan if row[column] is None else row[column] for row in rows], dtype=np.float64)
    assert quotes.height == len(theirs) == 502
    return quotes, theirs


# --- StockCharts' worked sheets ---------------------------------------------------------------------------------------


def sheet(folder: Path, name: str) -> pl.DataFrame:
    """A worked sheet with its column names in lower case."""
    raw = pl.read_csv(folder / "reference" / "R1_ta_stockcharts" / "data" / f"{name}.csv", infer_schema_length=None)
    return raw.rename({column: column.lower() for column in raw.columns})


def printed(ours: Floats, theirs: pl.Series, decimals: int, *, start: int) -> None:
    """Equal from row ``start`` on to half a unit of the last printed decimal, and unknown before it."""
    known = theirs.to_numpy()[start:]
    assert len(known) > 8 and not np.isnan(known).any()
    assert np.isnan(ours[:start]).all()
    np.testing.assert_allclose(ours[start:], known, rtol=TOLERANCE, atol=0.5001 * 10.0**-decimals)


@pytest.mark.recorded
def test_the_sheet_of_the_average_true_range_counts_the_first_bars_own_range(recorded_data: Path) -> None:
    # The features do the same with the first bar of a session: where no previous close counts, high - low does.
    for name, window in (("cs-atr", 14), ("cs-atr2", 10)):
        frame = sheet(recorded_data, name)
        ranges = ind.true_range(HIGH, LOW, CLOSE.shift(1), restart=CLOSE.shift(1).is_null())
        printed(seen(frame, ranges), frame["tr"], 12, start=0)
        decimals = 10 if name == "cs-atr" else 9
        printed(seen(frame, ind.atr(ranges, window)), frame["atr"], decimals, start=window - 1)


@pytest.mark.recorded
def test_the_sheet_of_the_bollinger_bands(recorded_data: Path) -> None:
    frame = sheet(recorded_data, "cs-bbands")
    upper, lower = defined.bollinger(CLOSE, 20, 2.0)
    for expression, column in ((upper, "highband"), (lower, "lowband"), (ind.sma(CLOSE, 20), "middleband")):
        printed(seen(frame, expression), frame[column], 6, start=19)


@pytest.mark.recorded
def test_the_sheets_of_the_donchian_channel_with_and_without_the_bar_itself(recorded_data: Path) -> None:
    for name, offset in (("cs-dc", 0), ("cs-dc2", 1)):  # the stored donchian_high20 and low20 leave the bar out
        frame = sheet(recorded_data, name)
        start = 19 + offset
        printed(seen(frame, HIGH.rolling_max(20).shift(offset)), frame["upper_band"], 2, start=start)
        printed(seen(frame, LOW.rolling_min(20).shift(offset)), frame["lower_band"], 2, start=start)


@pytest.mark.recorded
def test_the_sheet_of_the_rsi_starts_from_zero_and_differs_in_nothing_else(recorded_data: Path) -> None:
    frame = sheet(recorded_data, "cs-rsi")
    change = CLOSE.diff()
    for column, moved in (("avg gain", change), ("avg loss", -change)):
        # Fourteen values before the sheet begins whose mean is the sheet's start.
        moves = seen(frame, moved.clip(lower_bound=0))[1:]
        before = pl.DataFrame({"value": np.concatenate([np.zeros(14), moves])})
        ours = seen(before, ind.wilder(pl.col("value"), 14))[13:]
        printed(ours, frame[column].cast(pl.Float64), 6, start=0)
    # The index follows from the two printed means: 100 g / (g + l) = 100 - 100 / (1 + g / l).
    stated = seen(frame, ind.relative_strength(pl.col("avg gain"), pl.col("avg loss")))
    np.testing.assert_allclose(stated[14:], frame["rsi"].cast(pl.Float64).to_numpy()[14:], rtol=0, atol=5e-4)
    # Our start, the mean of the first fourteen moves, is TA-Lib's and Wilder's; it and the sheet's then draw together.
    apart = np.abs(seen(frame, defined.rsi(CLOSE, 14)) - frame["rsi"].cast(pl.Float64).to_numpy())
    assert apart[14] > 1 and apart[-1] < 3


@pytest.mark.recorded
def test_the_sheet_of_the_macd_starts_from_the_first_price_and_differs_in_nothing_else(recorded_data: Path) -> None:
    frame = sheet(recorded_data, "cs-macd")
    close = frame["close"].to_numpy()
    for column, window in (("short_ema", FAST), ("long_ema", SLOW)):
        before = pl.DataFrame({"value": np.concatenate([np.full(window, close[0]), close[1:]])})
        printed(seen(before, defined.ema(pl.col("value"), window))[window - 1 :], frame[column], 8, start=0)
        # Two starts under one recursion: their distance shrinks by (1 - alpha) a bar, exactly.
        distance = seen(frame, defined.ema(CLOSE, window)) - frame[column].to_numpy()
        bars = np.arange(len(close) - window + 1)
        shrinking = distance[window - 1] * (1 - 2 / (window + 1)) ** bars
        np.testing.assert_allclose(distance[window - 1 :], shrinking, rtol=0, atol=3e-8)
    line = seen(frame, pl.col("short_ema") - pl.col("long_ema"))
    np.testing.assert_allclose(line[1:], frame["macd_line"].to_numpy()[1:], rtol=0, atol=1.1e-8)
