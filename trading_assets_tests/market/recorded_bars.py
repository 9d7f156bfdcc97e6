"""Recorded minute bars in the columns of ``BARS``, and daily bars made of them, for tests over real days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import polars as pl

from trading_assets.market.frames import BARS, DAILY_BARS, conform
from trading_assets.market.recordings import RecordingFormat, normalise
from trading_assets.market.sessions import MINUTE, Session, sessions_between

#: Folder, file and form of each recording.
RECORDINGS = {
    "2018": ("S3_us284_2018/bars_wanted31.parquet", RecordingFormat({"ts": "ts_et_naive"}, zone="America/New_York")),
    "2026": ("S1_yahoo_2026_tech100/bars.parquet", RecordingFormat()),
}


def recorded_days(
    folder: Path, name: str, tickers: Sequence[str], count: int
) -> tuple[pl.DataFrame, pl.DataFrame, list[Session]]:
    """The first ``count`` recorded sessions of ``tickers``: minute bars, daily bars, sessions. Nothing is filled in."""
    path, form = RECORDINGS[name]
    raw = pl.scan_parquet(folder / "bars_1m" / path).filter(pl.col("ticker").is_in(list(tickers))).collect()
    bars, _ = normalise(raw, form)
    days = bars["ts"].dt.date().unique().sort().to_list()[:count]
    sessions = [session for session in sessions_between(days[0], days[-1]) if session.day in days]
    kept = bars.filter(pl.col("ts").dt.date().is_in(days)).with_columns(
        pl.lit(None, pl.Int64).alias("trade_count"),
        pl.lit(None, pl.Float64).alias("vwap"),
        pl.lit("sip").alias("feed"),
        (pl.col("ts") + MINUTE).alias("known_at"),
        pl.lit("assumed").alias("known_how"),
    )
    daily = kept.group_by("ticker", pl.col("ts").dt.date().alias("session"), maintain_order=True).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        (pl.col("ts").max() + timedelta(minutes=16)).alias("known_at"),
        pl.col("known_how").first(),
    )
    return (
        conform(kept.select(list(BARS)), BARS, "bars"),
        conform(daily.select(list(DAILY_BARS)), DAILY_BARS, "daily_bars"),
        sessions,
    )
