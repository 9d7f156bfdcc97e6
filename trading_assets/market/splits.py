"""Share splits: which are known at a session, and bars as they read in the shares of that session.

Bars are stored raw. Whoever decides in a session sees earlier bars in its own shares: prices divided, volumes
multiplied by the ratio of every split that took effect after the bar and no later than the session, and that was known
by then. What does not belong here: dividends (they move prices, but no share count), and the source of the list.
Without a list, bars are taken as stored.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.frames import SPLITS
from trading_assets.market.sessions import Session

__all__ = ["SPLITS", "adjusted", "known_too_late"]

_PRICES = ("open", "high", "low", "close", "vwap")


def adjusted(bars: pl.DataFrame, splits: pl.DataFrame, session: date) -> pl.DataFrame:
    """``bars`` in the shares of ``session``, in the order given and with the same columns.

    ``bars`` are minute bars (with ``ts``) or daily bars (with ``session``); ``splits`` has the columns of ``SPLITS``,
    cut by knowledge time by the caller. Of several rows for a ticker and day the one known last counts. A split
    with an ex-date after ``session`` changes nothing. Volumes that are whole numbers stay so. Raises ``ValueError``
    for a ratio that is missing, not finite or not above zero: a bar adjusted by it would be worth nothing.
    """
    effective = _effective(splits, session)
    if effective.is_empty() or bars.is_empty():
        return bars
    day = pl.col("session") if "session" in bars.columns else pl.col("ts").dt.convert_time_zone(str(NEW_YORK)).dt.date()
    rows = bars.with_row_index("_row").with_columns(
        day.alias("_day"), pl.col("ticker").cast(pl.String()).alias("_name")
    )
    factors = (
        rows.select("_row", "_name", "_day")
        .join(effective, left_on="_name", right_on="ticker", how="inner")
        .filter(pl.col("_day") < pl.col("ex_session"))
        .sort("_row", "ex_session")
        .group_by("_row", maintain_order=True)
        .agg(pl.col("_ratio").product())
    )
    ratio, touched = pl.col("_ratio"), pl.col("_ratio").is_not_null()
    prices = [name for name in _PRICES if name in bars.columns]
    volume = pl.col("volume") * ratio
    if bars.schema["volume"].is_integer():
        volume = volume.round().cast(bars.schema["volume"])
    return (
        rows.join(factors, on="_row", how="left", maintain_order="left")
        .with_columns(
            *(pl.when(touched).then(pl.col(name) / ratio).otherwise(pl.col(name)).alias(name) for name in prices),
            pl.when(touched).then(volume).otherwise(pl.col("volume")).alias("volume"),
        )
        .select(bars.columns)
    )


def known_too_late(splits: pl.DataFrame, session: Session) -> pl.DataFrame:
    """``ticker`` and ``known_at`` of splits in force since this very session that nobody knew at its open.

    Their bars are not read in the new shares before the next session: who decides must leave them out from then on.
    """
    today = splits.filter(pl.col("ex_session") == session.day).group_by("ticker").agg(pl.col("known_at").min())
    return today.filter(pl.col("known_at") > session.open)


def _effective(splits: pl.DataFrame, session: date) -> pl.DataFrame:
    """The newest version of each split that is in force in ``session``, with its ratio of new shares to old."""
    newest = (
        splits.filter(pl.col("ex_session") <= session)
        .sort("ticker", "ex_session", "known_at", "numerator", "denominator")
        .unique(["ticker", "ex_session"], keep="last", maintain_order=True)
        .with_columns((pl.col("numerator") / pl.col("denominator")).alias("_ratio"))
    )
    wrong = newest.filter(~(pl.col("_ratio").is_finite() & (pl.col("_ratio") > 0)).fill_null(value=False))
    if not wrong.is_empty():
        raise ValueError(f"split of {wrong['ticker'][0]} on {wrong['ex_session'][0]}: its ratio is no positive number")
    return newest.select("ticker", "ex_session", "_ratio")
