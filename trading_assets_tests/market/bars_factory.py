"""Plausible random minute and daily bars for tests: a seeded walk with gaps, late and revised rows on request."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from trading_assets.market.frames import BARS, DAILY_BARS, conform
from trading_assets.market.sessions import MINUTE, Session, sessions_between, shift


def sessions_ending(day: date, count: int) -> list[Session]:
    """``count`` sessions in order, the last of them on ``day``."""
    first = day if count == 1 else shift(day, -(count - 1)).day
    return sessions_between(first, day)


def minute_bars(
    tickers: Sequence[str],
    sessions: Sequence[Session],
    *,
    seed: int = 1,
    gap_share: float = 0.0,
    late_share: float = 0.0,
    revised_share: float = 0.0,
    drift: float = 0.0,
    start_price: float = 100.0,
    feed: str = "sip",
) -> pl.DataFrame:
    """Minute bars in the columns of ``BARS``: known three seconds after their end unless late or revised.

    ``gap_share`` of the minutes have no bar, ``late_share`` come up to ten minutes late, ``revised_share`` have a
    second version thirty to ninety seconds after their end. ``drift`` is the mean return per minute.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for ticker in tickers:
        price = start_price * float(rng.uniform(0.5, 2.0))
        starts = [s.open + i * MINUTE for s in sessions for i in range(s.minutes)]
        count = len(starts)
        close = price * np.exp(np.cumsum(rng.normal(drift, 6e-4, count)))
        opened = np.concatenate([[price], close[:-1]]) * np.exp(rng.normal(0, 1e-4, count))
        high = np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 2e-4, count)))
        low = np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 2e-4, count)))
        volume = rng.lognormal(9, 0.7, count).astype(np.int64) + 1
        delay = np.where(rng.random(count) < late_share, rng.integers(61, 600, count), 3)
        frame = pl.DataFrame(
            {
                "ticker": ticker,
                "ts": pl.Series(starts, dtype=pl.Datetime("us", "UTC")),
                "open": opened,
                "high": high,
                "low": low,
                "close": close,
                "volume": volume,
                "trade_count": volume // 50 + 1,
                "vwap": (high + low + close) / 3,
                "feed": feed,
                "known_at": delay,
                "known_how": "observed",
            }
        ).with_columns((pl.col("ts") + MINUTE + pl.duration(seconds=pl.col("known_at"))).alias("known_at"))
        frame = frame.filter(pl.Series(rng.random(count) >= gap_share))
        revised = frame.filter(pl.Series(rng.random(frame.height) < revised_share)).with_columns(
            (pl.col("close") * 0.5 + pl.col("low") * 0.5).alias("close"),
            pl.col("volume") + 17,
            (pl.col("ts") + MINUTE + pl.duration(seconds=int(rng.integers(30, 90)))).alias("known_at"),
        )
        parts += [frame, revised]
    return conform(pl.concat(parts, how="vertical_relaxed"), BARS, "bars")


def daily_bars(tickers: Sequence[str], last: date, count: int, *, seed: int = 2, drift: float = 0.0005) -> pl.DataFrame:
    """``count`` daily bars per ticker up to the session ``last``, known fifteen minutes after each close."""
    rng = np.random.default_rng(seed)
    sessions = sessions_ending(last, count)
    parts = []
    for ticker in tickers:
        close = 100 * np.exp(np.cumsum(rng.normal(drift, 0.015, count)))
        opened = close * np.exp(rng.normal(0, 0.005, count))
        parts.append(
            pl.DataFrame(
                {
                    "ticker": ticker,
                    "session": [s.day for s in sessions],
                    "open": opened,
                    "high": np.maximum(opened, close) * (1 + np.abs(rng.normal(0, 0.006, count))),
                    "low": np.minimum(opened, close) * (1 - np.abs(rng.normal(0, 0.006, count))),
                    "close": close,
                    "volume": rng.integers(1_000_000, 9_000_000, count),
                    "known_at": pl.Series([s.close + timedelta(minutes=15) for s in sessions]).cast(
                        pl.Datetime("us", "UTC")
                    ),
                    "known_how": "assumed",
                }
            )
        )
    return conform(pl.concat(parts), DAILY_BARS, "daily_bars")
