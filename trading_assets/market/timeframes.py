"""Bars of longer timeframes built from minutes, their trends, and how far the trends agree.

Five minutes, fifteen minutes and one hour are anchored at the session's open; the last slot of a session ends at its
close, on a half day too. A slot counts only once it is completed. Slots in which nothing traded have no bar. Daily
bars are not built here: they are a data product of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import ceil

import polars as pl

from trading_assets.market.config import TimeframeWeights
from trading_assets.market.indicators import sma, span_within, trend_state
from trading_assets.market.sessions import Session

#: Stored column of each timeframe's trend, and the timeframe's minutes.
INTRADAY = {"trend_5m": 5, "trend_15m": 15, "trend_1h": 60}
TREND_SHORT, TREND_LONG = 20, 50


def slots_before(sessions: Sequence[Session], minutes: int) -> list[int]:
    """For each session, how many slots of ``minutes`` lie before its open, counted from the first session's open."""
    return [0, *accumulate(-(-session.minutes // minutes) for session in sessions)][: len(sessions)]


def completed_slots(session: Session, minutes: int, bars_end: int) -> int:
    """How many slots of ``minutes`` are complete once the minute bar that ends ``bars_end`` minutes after the open is.

    The shorter last slot of a session is complete at the close.
    """
    if bars_end >= session.minutes:
        return -(-session.minutes // minutes)
    return bars_end // minutes


def resample(located: pl.DataFrame, sessions: Sequence[Session], minutes: int) -> pl.DataFrame:
    """Bars of ``minutes`` from shorter bars, one row per (ticker, slot) in which at least one bar lies.

    ``located`` is sorted by ticker and time and carries ``session_no`` and ``minute_no`` (see ``bars.locate``); the
    result can be resampled again. Columns: ticker, session_no, minute_no (start of the slot, minutes after the open),
    slot (counted over all ``sessions``), end (instant at which the slot is complete), open, high, low, close, volume.
    The last slot may still be incomplete: whoever reads it compares ``end`` with the end of the newest bar.
    """
    opens = pl.Series("open_at", [s.open for s in sessions], dtype=pl.Datetime("us", "UTC"))
    closes = pl.Series("close_at", [s.close for s in sessions], dtype=pl.Datetime("us", "UTC"))
    before = pl.Series("before", slots_before(sessions, minutes), dtype=pl.Int64)
    number = located.get_column("session_no")
    keyed = located.with_columns((before.gather(number) + located.get_column("minute_no") // minutes).alias("slot"))
    bars = keyed.group_by("ticker", "slot", maintain_order=True).agg(
        pl.col("session_no").first(),
        (pl.col("minute_no").first() // minutes * minutes).alias("minute_no"),
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    number = bars.get_column("session_no")
    step = pl.duration(minutes=pl.col("minute_no") + minutes)
    return bars.with_columns(opens.gather(number), closes.gather(number)).select(
        "ticker",
        "session_no",
        "minute_no",
        "slot",
        pl.min_horizontal(pl.col("open_at") + step, pl.col("close_at")).alias("end"),
        "open",
        "high",
        "low",
        "close",
        "volume",
    )


def trend_of(bars: pl.DataFrame, slot: str, factor: float) -> pl.DataFrame:
    """``bars`` with ``trend`` and ``trend_until`` more.

    ``trend`` is the trend state of each bar (null before 50 bars, or where 20 or 50 bars span more than ``factor``
    times as many slots); ``trend_until`` is the last slot of session time up to which that trend may still be used
    before its windows reach back too far.
    """
    close = pl.col("close")
    windows = (TREND_SHORT, TREND_LONG)
    limit = pl.min_horizontal(*(pl.col(slot).shift(n - 1) + ceil(factor * n) - 1 for n in windows))
    wide = pl.all_horizontal(*(span_within(pl.col(slot), n, factor) for n in windows))
    state = trend_state(close, sma(close, TREND_SHORT), sma(close, TREND_LONG))
    return bars.with_columns(
        pl.when(wide.over("ticker")).then(state.over("ticker")).alias("trend"),
        limit.over("ticker").alias("trend_until"),
    )


def completed_at(instants: pl.DataFrame, bars: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Join to each row of ``instants`` (ticker, end) the newest bar of its ticker that was complete at ``end``.

    Both frames are sorted by ticker and ``end``; the joined ``columns`` of ``bars`` are null where none was complete.
    """
    return instants.join_asof(
        bars.select("ticker", "end", *columns), on="end", by="ticker", strategy="backward", check_sortedness=False
    )


def mtf_alignment(weights: TimeframeWeights) -> pl.Expr:
    """Weighted mean of trend_1d, trend_1h, trend_15m, trend_5m and trend_state, in [-1, 1].

    A null trend drops out of the weights; without the 5-minute or the 15-minute trend the alignment is null.
    """
    weighted = {
        "trend_1d": weights.d1,
        "trend_1h": weights.h1,
        "trend_15m": weights.m15,
        "trend_5m": weights.m5,
        "trend_state": weights.m1,
    }
    total = pl.sum_horizontal(*(pl.col(c).fill_null(0) * w for c, w in weighted.items()))
    weight = pl.sum_horizontal(*(pl.col(c).is_not_null().cast(pl.Float64) * w for c, w in weighted.items()))
    required = pl.col("trend_5m").is_not_null() & pl.col("trend_15m").is_not_null()
    return pl.when(required).then(total / weight)
