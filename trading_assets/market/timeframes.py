"""Bars of longer timeframes built from minutes, their trends, and how far the trends agree.

Five minutes, fifteen minutes and one hour are anchored at the session's open; the last slot of a session ends at its
close, on a half day too. A slot counts only once it is completed. Slots in which nothing traded have no bar. Daily
bars are not built here: they are a data product of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from math import ceil

import polars as pl

from trading_assets.market.bars import age_in_ticker, back, per_ticker
from trading_assets.market.config import TimeframeWeights
from trading_assets.market.indicators import atr, sma, trend_state, true_range
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
    slots = before.gather(located.get_column("session_no")) + located.get_column("minute_no") // minutes
    ticker, slot = pl.col("ticker"), pl.col("slot")
    new = ((ticker != ticker.shift(1)) | (slot != slot.shift(1))).fill_null(value=True)
    keyed = located.select(
        "ticker", slots.alias("slot"), "session_no", "minute_no", "open", "high", "low", "close", "volume"
    ).with_columns(new.cast(pl.UInt32).cum_sum().set_sorted().alias("bar"))
    bars = keyed.group_by("bar", maintain_order=True).agg(
        pl.col("ticker").first(),
        pl.col("slot").first(),
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

    ``bars`` is sorted by ticker and ``slot``; ``age`` (rows of the ticker before) comes with it. ``trend`` is the trend
    state of each bar (null before 50 bars, or where 20 or 50 bars span more than ``factor`` times as many slots);
    ``trend_until`` is the last slot of session time up to which that trend may still be used before its windows reach
    back too far.
    """
    close = pl.col("close")
    windows = (TREND_SHORT, TREND_LONG)
    bars = bars.with_columns(
        age_in_ticker().alias("age"),
        *(per_ticker(sma(close, n)).alias(f"mean_{n}") for n in windows),
    )
    oldest = {n: back(pl.col(slot), n - 1) for n in windows}
    wide = pl.all_horizontal(*(pl.col(slot) - oldest[n] < factor * n for n in windows))
    state = trend_state(close, pl.col(f"mean_{TREND_SHORT}"), pl.col(f"mean_{TREND_LONG}"))
    return bars.with_columns(
        pl.when(wide).then(state).alias("trend"),
        pl.min_horizontal(*(oldest[n] + ceil(factor * n) - 1 for n in windows)).alias("trend_until"),
    ).drop(f"mean_{n}" for n in windows)


def with_newest(
    rows: pl.DataFrame, bars: pl.DataFrame, sessions: Sequence[Session], factor: float, warm_up: int, atr_window: int
) -> pl.DataFrame:
    """``rows`` with the trends of :data:`INTRADAY` and ``atr14_5m`` of the longer bars complete by their bar's end.

    Both frames are sorted by ticker and time and carry ``session_no`` and ``minute_no``; ``bars`` are minutes. A
    window that reaches back over more than ``warm_up`` sessions before a row's own is null there.
    """
    frame, longer = rows, bars
    ends = rows.get_column("minute_no") + 1
    numbers = rows.get_column("session_no")
    own = numbers.unique().sort().to_list()
    offsets = [0] * len(sessions)
    for number, after in pairwise(own):
        offsets[after] = offsets[number] + sessions[number].minutes + 1
    at = pl.Series(offsets, dtype=pl.Int64).gather(numbers) + ends
    for column, minutes in INTRADAY.items():
        longer = resample(longer, sessions, minutes)
        before = slots_before(sessions, minutes)
        # Sessions of one length have the same slots.
        complete = {
            session.minutes: [completed_slots(session, minutes, end) - 1 for end in range(session.minutes + 1)]
            for session in {sessions[number].minutes: sessions[number] for number in own}.values()
        }
        table = [before[number] + slots for number in own for slots in complete[sessions[number].minutes]]
        newest = pl.Series("newest", table, pl.Int64()).gather(at)
        trends = trend_of(longer, "slot", factor)
        values = {column: ("trend", "trend_until")}
        reaches = {"trend_until": TREND_LONG - 1}
        if minutes == 5:
            restart = (pl.col("session_no") != pl.col("session_no").shift(1)).fill_null(value=True)
            ranges = true_range(pl.col("high"), pl.col("low"), pl.col("close").shift(1), restart=restart)
            reach = back(pl.col("slot"), atr_window - 1) + ceil(factor * atr_window) - 1
            trends = trends.with_columns(per_ticker(atr(ranges, atr_window)).alias("atr"), reach.alias("atr_until"))
            values["atr14_5m"] = ("atr", "atr_until")
            reaches["atr_until"] = atr_window - 1
        trends = trends.with_columns(
            pl.col("session_no").shift(oldest).alias(f"{until}_from") for until, oldest in reaches.items()
        )
        found = _newest_complete(
            frame, newest, trends, [*chain(*values.values()), *(f"{name}_from" for name in reaches)]
        )
        frame = frame.with_columns(
            pl.when((found[until] >= newest) & (found[f"{until}_from"] >= numbers - warm_up))
            .then(found[value])
            .alias(name)
            for name, (value, until) in values.items()
        )
    return frame


def _newest_complete(rows: pl.DataFrame, newest: pl.Series, bars: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Per row ``columns`` of the bar of its ticker with the highest slot up to ``newest``; null where there is none.

    Both frames are sorted by ticker and slot.
    """
    # One rising number per ticker and slot; -1 is the newest slot before the first one.
    code = pl.col("ticker").to_physical().cast(pl.Int64) * 2**32
    sought = rows.select((code + newest).set_sorted().alias("key"))
    known = bars.select((code + pl.col("slot")).set_sorted().alias("key")).with_row_index("position")
    position = sought.join_asof(known, on="key", strategy="backward").get_column("position")
    found = bars.select(pl.col("ticker", *columns).gather(position))
    own = found.get_column("ticker") == rows.get_column("ticker")
    return found.select(pl.when(own).then(pl.exclude("ticker")))


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
