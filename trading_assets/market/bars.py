"""Bars as raw material: which rows are usable, which version was known when, where a bar lies in its session.

What belongs here: cleaning, knowledge time and session positions of minute bars. What does not: any formula over
several bars (``indicators``, ``timeframes``, ``features``). Gaps stay gaps: nothing here invents a bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate, pairwise
from typing import Literal

import numpy as np
import polars as pl

from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.market.sessions import Session, sessions_between

MINUTE_US = 60_000_000
_PRICES = ("open", "high", "low", "close")


def instants(values: Sequence[datetime], name: str = "instants") -> pl.Series:
    """Timezone-aware instants as a polars series of ``Datetime('us', 'UTC')``; naive ones raise ``ValueError``."""
    return pl.Series(name, [require_utc(value) for value in values], dtype=pl.Datetime("us", "UTC"))


def index_in(
    ordered: pl.Series, sought: pl.Series, side: Literal["left", "right"] = "left", name: str = "index"
) -> pl.Series:
    """Where each of ``sought`` (whole numbers, no nulls) would be put into ``ordered``, before or after equal ones.

    By numpy, which goes on from where the number before was found: bars come in order.
    """
    return pl.Series(name, np.searchsorted(ordered.to_numpy(), sought.to_numpy(), side=side), dtype=pl.Int64)


def age_in_ticker() -> pl.Expr:
    """How many rows of the same ticker come before a row, on rows that are sorted by ticker."""
    number = pl.int_range(pl.len(), dtype=pl.Int64)
    new = (pl.col("ticker") != pl.col("ticker").shift(1)).fill_null(value=True)
    return number - pl.when(new).then(number).forward_fill()


def per_ticker(window: pl.Expr) -> pl.Expr:
    """``window`` of each ticker alone, on rows that are sorted by ticker."""
    return window.over("ticker", mapping_strategy="explode")


def aged(column: pl.Expr, bars: int) -> pl.Expr:
    """``column``, null for the first ``bars`` rows of a ticker (by the column ``age``)."""
    return pl.when(pl.col("age") >= bars).then(column)


def back(column: pl.Expr, bars: int) -> pl.Expr:
    """The value ``bars`` rows before, null where that row is another ticker's (by the column ``age``)."""
    return aged(column.shift(bars), bars)


def _first_failure() -> pl.Expr:
    """Why a row is unusable, or null: the first matching reason."""
    known = pl.all_horizontal(*(pl.col(c).is_not_null() & pl.col(c).is_finite() for c in _PRICES))
    positive = pl.all_horizontal(*(pl.col(c) > 0 for c in _PRICES))
    identified = pl.col("ticker").is_not_null() & pl.col("ts").is_not_null() & pl.col("known_at").is_not_null()
    return (
        pl.when(~identified)
        .then(pl.lit("missing_key"))
        .when(~known | pl.col("volume").is_null())
        .then(pl.lit("missing_or_not_finite"))
        .when(~positive)
        .then(pl.lit("not_positive"))
        .when(pl.col("high") < pl.col("low"))
        .then(pl.lit("high_below_low"))
        .when(pl.col("volume") < 0)
        .then(pl.lit("negative_volume"))
        .when(pl.col("ts").to_physical() % MINUTE_US != 0)
        .then(pl.lit("not_on_a_minute"))
    )


def usable() -> pl.Expr:
    """Whether a bar row has a key on a whole minute, four finite positive prices, high >= low and a volume >= 0."""
    return (
        pl.all_horizontal(*(pl.col(c).is_finite() & (pl.col(c) > 0) for c in _PRICES))
        & (pl.col("high") >= pl.col("low"))
        & (pl.col("volume") >= 0)
        & (pl.col("ts").to_physical() % MINUTE_US == 0)
        & pl.col("ticker").is_not_null()
        & pl.col("known_at").is_not_null()
    ).fill_null(False)


def locate(bars: pl.DataFrame, sessions: Sequence[Session]) -> pl.DataFrame:
    """``bars`` that start inside one of ``sessions``, with three integer columns more, in the order given.

    ``session_no``: index into ``sessions``; ``minute_no``: minutes since that session's open; ``ordinal``: minutes of
    session time since the open of the first session, half days counted with their own length. ``sessions`` must be
    in order. Rows outside [open, close), the auction bar at the close among them, are dropped.
    """
    if any(later.open <= earlier.open for earlier, later in pairwise(sessions)):
        raise ValueError("sessions must be in order and distinct")
    opens = pl.Series("open_at", [s.open for s in sessions], dtype=pl.Datetime("us", "UTC")).to_physical()
    minutes = pl.Series("minutes", [s.minutes for s in sessions], dtype=pl.Int64)
    before = pl.Series("before", [0, *accumulate(s.minutes for s in sessions)][: len(sessions)], dtype=pl.Int64)
    starts = bars.get_column("ts").to_physical()
    number = index_in(opens, starts, side="right") - 1
    located = bars.with_columns(number.alias("session_no")).filter(pl.col("session_no") >= 0)
    number = located.get_column("session_no")
    minute = (located.get_column("ts").to_physical() - opens.gather(number)) // MINUTE_US
    return located.with_columns(minute.alias("minute_no"), (before.gather(number) + minute).alias("ordinal")).filter(
        minute < minutes.gather(number)
    )


def clean_bars(bars: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Rows fit for use, in the order given, and how many rows were dropped for which reason (zero counts included).

    Dropped: exact duplicates of a row, rows without ticker, start or knowledge time, with a missing, infinite or NaN
    price or a missing volume, with a price that is not positive, with high below low, with negative volume, with a
    start off the whole minute, and rows outside regular sessions. Later versions of a bar are no duplicates: they
    stay (see ``as_known``). ``bars`` has the columns of ``frames.BARS``.
    """
    counts = dict.fromkeys(
        (
            "duplicate",
            "missing_key",
            "missing_or_not_finite",
            "not_positive",
            "high_below_low",
            "negative_volume",
            "not_on_a_minute",
            "out_of_session",
        ),
        0,
    )
    distinct = bars.unique(maintain_order=True)
    counts["duplicate"] = bars.height - distinct.height
    judged = distinct.with_columns(_first_failure().alias("failure"))
    for failure, count in judged.group_by("failure").len().iter_rows():
        if failure is not None:
            counts[failure] = count
    sound = judged.filter(pl.col("failure").is_null()).drop("failure")
    if sound.is_empty():
        return sound, counts
    first, last = sound.select(pl.col("ts").min().alias("first"), pl.col("ts").max().alias("last")).row(0)
    sessions = sessions_between(first.astimezone(NEW_YORK).date(), last.astimezone(NEW_YORK).date())
    inside = locate(sound, sessions).select(bars.columns)
    counts["out_of_session"] = sound.height - inside.height
    return inside, counts


def latest_versions(bars: pl.DataFrame) -> pl.DataFrame:
    """One row per (ticker, ts), the one known last, sorted by ticker and start.

    Versions with the same knowledge time are ordered by their numbers, so that the result does not depend on the
    order of the input.
    """
    if not _is_sorted_and_distinct(bars):
        bars = bars.sort("ticker", "ts")
    if _is_sorted_and_distinct(bars):
        return bars
    ties = [c for c in ("volume", "close", "high", "low", "open", "feed") if c in bars.columns]
    ordered = bars.sort("ticker", "ts", "known_at", *ties, nulls_last=False)
    return ordered.unique(["ticker", "ts"], keep="last", maintain_order=True)


def _is_sorted_and_distinct(bars: pl.DataFrame) -> bool:
    ticker, ts = pl.col("ticker"), pl.col("ts")
    ascending = (ticker > ticker.shift(1)) | ((ticker == ticker.shift(1)) & (ts > ts.shift(1)))
    return bool(bars.select(ascending.slice(1).all()).item())


def as_known(bars: pl.DataFrame, as_of: datetime) -> pl.DataFrame:
    """The bars as they were known at ``as_of``: per (ticker, ts) the latest version with ``known_at`` <= ``as_of``.

    Sorted by ticker and start. A bar whose every version became known later is absent.
    """
    return latest_versions(bars.filter(pl.col("known_at") <= require_utc(as_of)))
