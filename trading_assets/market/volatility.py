"""What daily bars say about a ticker before today's session: trend, average range, rank of realised volatility.

What belongs here: numbers of completed sessions only. Implied volatility is in ``context`` (index) and with the option
chains. Bars are taken as stored unless splits are given (``splits.adjusted``).
"""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl

from trading_assets.market.config import FeatureConfig
from trading_assets.market.indicators import atr, span_within, true_range
from trading_assets.market.sessions import sessions_between
from trading_assets.market.splits import adjusted
from trading_assets.market.timeframes import trend_of

#: The median's length is part of the column name ``daily_atr_pct_median60``.
MEDIAN_WINDOW = 60
_PRICES = ("open", "high", "low", "close")

DAILY_COLUMNS = (
    "ticker",
    "trend_1d",
    "daily_atr_pct",
    "daily_atr_pct_median60",
    "rv_rank",
    "rv_rank_sessions",
    "previous_close",
)


def usable_daily() -> pl.Expr:
    """Whether a daily row has finite positive prices and high >= low."""
    sound = pl.all_horizontal(*(pl.col(c).is_finite() & (pl.col(c) > 0) for c in _PRICES))
    return (sound & (pl.col("high") >= pl.col("low")) & pl.col("known_at").is_not_null()).fill_null(False)


def daily_state(
    daily_bars: pl.DataFrame, day: date, config: FeatureConfig, splits: pl.DataFrame | None = None
) -> pl.DataFrame:
    """One row per ticker: what its daily bars of the sessions before ``day`` say.

    ``daily_bars`` has the columns of ``frames.DAILY_BARS``; of several versions of a bar the one known last counts, so
    the caller cuts by knowledge time first, ``splits`` (``splits.SPLITS``; none by default) too. Columns:

    - ``trend_1d``: trend state of the last session (close, 20 and 50 sessions);
    - ``daily_atr_pct``: Wilder's average true range of the daily bars / close, a fraction;
    - ``daily_atr_pct_median60``: median of its last 60 values;
    - ``rv_rank``: (rv - min) / (max - min) of realised volatility (standard deviation of 20 daily log returns,
      annualised with 252) over its last at most 252 values, null below ``rv_rank_minimum`` values or if all are equal;
    - ``rv_rank_sessions``: how many values that rank saw (0 if none);
    - ``previous_close``: close of the session just before ``day``, null if that one is missing.

    Anything whose window has too few bars, or reaches back over more than ``span_factor`` times its length in
    sessions, is null. Realised-volatility rank as in rank (not percentile) definitions of IV rank.
    """
    if splits is not None:
        daily_bars = adjusted(daily_bars, splits, day)
    rows = daily_bars.filter(usable_daily() & (pl.col("session") < day))
    if rows.is_empty():
        return pl.DataFrame(
            schema={
                "ticker": daily_bars.schema["ticker"],
                "trend_1d": pl.Int64(),
                "daily_atr_pct": pl.Float64(),
                "daily_atr_pct_median60": pl.Float64(),
                "rv_rank": pl.Float64(),
                "rv_rank_sessions": pl.Int64(),
                "previous_close": pl.Float64(),
            }
        )
    first = rows.get_column("session").min()
    assert isinstance(first, date)
    days = [session.day for session in sessions_between(first, day - timedelta(days=1))]
    calendar = pl.DataFrame({"session": pl.Series(days, dtype=pl.Date()), "slot": range(len(days))}).cast(
        {"slot": pl.Int64()}
    )
    newest = len(days) - 1
    rows = _newest_versions(rows.join(calendar, on="session", how="inner", maintain_order="left"))
    rows = trend_of(rows, "slot", config.span_factor)
    close, slot = pl.col("close"), pl.col("slot")
    ranges = true_range(pl.col("high"), pl.col("low"), close.shift(1))
    returns = close.log().diff()

    def spans(window: int) -> pl.Expr:
        return span_within(slot, window, config.span_factor, now=pl.lit(newest))

    rows = rows.with_columns(
        pl.when(span_within(slot, config.daily_atr_window + 1, config.span_factor))
        .then(atr(ranges, config.daily_atr_window) / close)
        .over("ticker")
        .alias("atr_pct"),
        pl.when(span_within(slot, config.realized_vol_window + 1, config.span_factor))
        .then(returns.rolling_std(config.realized_vol_window) * 252**0.5)
        .over("ticker")
        .alias("rv"),
    )
    values = pl.col("rv").tail(config.rv_rank_window).drop_nulls()
    rv, low, high = pl.col("rv").last(), values.min(), values.max()
    enough = (values.len() >= config.rv_rank_minimum) & (high > low)
    last_values = pl.col("atr_pct").tail(MEDIAN_WINDOW)
    return (
        rows.group_by("ticker", maintain_order=True)
        .agg(
            pl.when(pl.col("trend_until").last() >= newest).then(pl.col("trend").last()).alias("trend_1d"),
            pl.when(spans(config.daily_atr_window + 1).last()).then(pl.col("atr_pct").last()).alias("daily_atr_pct"),
            pl.when((last_values.count() >= MEDIAN_WINDOW) & spans(MEDIAN_WINDOW).last())
            .then(last_values.median())
            .alias("daily_atr_pct_median60"),
            pl.when(enough & spans(config.realized_vol_window + 1).last())
            .then((rv - low) / (high - low))
            .alias("rv_rank"),
            values.len().cast(pl.Int64).alias("rv_rank_sessions"),
            pl.when(slot.last() == newest).then(close.last()).alias("previous_close"),
        )
        .select(DAILY_COLUMNS)
    )


def _newest_versions(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per ticker and session, the one known last, sorted by both. Sorted rows are not sorted again."""
    ticker, slot = pl.col("ticker"), pl.col("slot")
    ascending = (ticker > ticker.shift(1)) | ((ticker == ticker.shift(1)) & (slot > slot.shift(1)))
    if rows.select(ascending.slice(1).all()).item():
        return rows
    ordered = rows.sort("ticker", "slot", "known_at", "volume", "close", "high", "low", "open")
    return ordered.unique(["ticker", "slot"], keep="last", maintain_order=True)
