"""What daily bars say about a ticker before today's session: trend, average range, rank of realised volatility.

What belongs here: numbers of completed sessions only. Implied volatility is in ``context`` (index) and with the option
chains. Bars are taken as stored unless splits are given (``splits.adjusted``).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import date, timedelta

import polars as pl

from trading_assets.market.bars import aged, back, per_ticker
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
    found = _by_session(daily_bars.filter(usable_daily() & (pl.col("session") < day)), day, config)
    if found is None:
        return pl.DataFrame(schema=_schema(daily_bars))
    rows, newest = found[0], len(found[1]) - 1
    close, slot = pl.col("close"), pl.col("slot")

    def spans(window: int) -> pl.Expr:
        return span_within(slot, window, config.span_factor, now=pl.lit(newest))

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


def daily_states(daily_bars: pl.DataFrame, days: Sequence[date], config: FeatureConfig) -> pl.DataFrame:
    """:func:`daily_state` of each of ``days`` (rising), with the column ``day``, in one pass over the bars.

    Each day sees every bar of the sessions before it: what is known later than some of ``days`` is not for here.
    Means and deviations may differ in the last digits from those of the day alone.
    """
    found = _by_session(daily_bars.filter(usable_daily() & (pl.col("session") < days[-1])), days[-1], config)
    if found is None:
        return pl.DataFrame(schema={**_schema(daily_bars), "day": pl.Date()})
    rows, sessions = found
    slot, close, rv = pl.col("slot"), pl.col("close"), pl.col("rv")
    ranked = config.rv_rank_window
    widths = {MEDIAN_WINDOW, config.daily_atr_window + 1, config.realized_vol_window + 1}
    windows = {
        **{f"oldest_{bars}": slot.shift(bars - 1) for bars in widths},
        "median": pl.col("atr_pct").rolling_median(MEDIAN_WINDOW),
        "low": rv.rolling_min(ranked, min_samples=1),
        "high": rv.rolling_max(ranked, min_samples=1),
        "known": rv.is_not_null().cast(pl.Int64).rolling_sum(ranked, min_samples=1),
    }
    rows = rows.with_columns(per_ticker(expr).alias(name) for name, expr in windows.items())
    asked = pl.DataFrame(
        {"day": days, "newest": [bisect_left(sessions, day) - 1 for day in days]},
        schema={"day": pl.Date(), "newest": pl.Int64()},
    )
    tickers = rows.select("ticker").unique(maintain_order=True)
    seen = (
        asked.join(tickers, how="cross")
        .sort("newest")
        .join_asof(
            rows.sort("slot"),
            left_on="newest",
            right_on="slot",
            by="ticker",
            strategy="backward",
            coalesce=False,
            check_sortedness=False,
        )
        .filter(slot.is_not_null())
    )
    newest = pl.col("newest")

    def spans(window: int) -> pl.Expr:
        return newest - pl.col(f"oldest_{window}") < config.span_factor * window

    enough = (pl.col("known") >= config.rv_rank_minimum) & (pl.col("high") > pl.col("low"))
    return seen.select(
        "ticker",
        pl.when(pl.col("trend_until") >= newest).then(pl.col("trend")).alias("trend_1d"),
        pl.when(spans(config.daily_atr_window + 1)).then(pl.col("atr_pct")).alias("daily_atr_pct"),
        pl.when(spans(MEDIAN_WINDOW)).then(pl.col("median")).alias("daily_atr_pct_median60"),
        pl.when(enough & spans(config.realized_vol_window + 1))
        .then((rv - pl.col("low")) / (pl.col("high") - pl.col("low")))
        .alias("rv_rank"),
        pl.col("known").alias("rv_rank_sessions"),
        pl.when(slot == newest).then(close).alias("previous_close"),
        "day",
    )


def _schema(daily_bars: pl.DataFrame) -> dict[str, pl.DataType]:
    return {
        "ticker": daily_bars.schema["ticker"],
        "trend_1d": pl.Int64(),
        "daily_atr_pct": pl.Float64(),
        "daily_atr_pct_median60": pl.Float64(),
        "rv_rank": pl.Float64(),
        "rv_rank_sessions": pl.Int64(),
        "previous_close": pl.Float64(),
    }


def _by_session(rows: pl.DataFrame, day: date, config: FeatureConfig) -> tuple[pl.DataFrame, list[date]] | None:
    """Usable rows by ticker and session with trend, average range and volatility of each, and the sessions from the
    first row's to the one before ``day``, which ``slot`` numbers; None without a row."""
    first = rows.get_column("session").min()
    if first is None:
        return None
    assert isinstance(first, date)
    days = [session.day for session in sessions_between(first, day - timedelta(days=1))]
    slots: list[int | None] = [None] * ((day - first).days)
    for number, known in enumerate(days):
        slots[(known - first).days] = number
    since = (rows.get_column("session") - first).dt.total_days()
    rows = rows.with_columns(pl.Series(slots, dtype=pl.Int64()).gather(since).alias("slot"))
    if rows.get_column("slot").null_count():
        rows = rows.drop_nulls("slot")
    rows = trend_of(_newest_versions(rows), "slot", config.span_factor)
    close, slot = pl.col("close"), pl.col("slot")
    spans = {
        name: slot - back(slot, bars) < config.span_factor * (bars + 1)
        for name, bars in (("atr_pct", config.daily_atr_window), ("rv", config.realized_vol_window))
    }
    rows = rows.with_columns(
        true_range(pl.col("high"), pl.col("low"), back(close, 1)).alias("range"),
        aged(close.log().diff(), 1).alias("return"),
    )
    rows = rows.with_columns(
        per_ticker(atr(pl.col("range"), config.daily_atr_window)).alias("atr_pct"),
        per_ticker(pl.col("return").rolling_std(config.realized_vol_window)).alias("rv"),
    ).with_columns(
        pl.when(spans["atr_pct"]).then(pl.col("atr_pct") / close).alias("atr_pct"),
        pl.when(spans["rv"]).then(pl.col("rv") * 252**0.5).alias("rv"),
    )
    return rows, days


def _newest_versions(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per ticker and session, the one known last, sorted by both. Sorted rows are not sorted again."""
    ticker, slot = pl.col("ticker"), pl.col("slot")
    ascending = (ticker > ticker.shift(1)) | ((ticker == ticker.shift(1)) & (slot > slot.shift(1)))
    if rows.select(ascending.slice(1).all()).item():
        return rows
    ordered = rows.sort("ticker", "slot", "known_at", "volume", "close", "high", "low", "open")
    return ordered.unique(["ticker", "slot"], keep="last", maintain_order=True)
