"""The watchlist: every followed ticker scored on a five-minute grid, the best thirty as members, with hysteresis.

score = 0.40 technical + 0.30 volume + 0.20 sentiment + 0.10 performance, each 0 to 1. A ticker one of whose factors is
unknown has no score and cannot enter; a member without a score keeps its last one for half an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.domain.values import Direction
from trading_assets.market.frames import WATCHLIST, empty
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.strategy.confidence import with_base
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
from trading_assets.strategy.news_view import aggregate_sentiment

#: ``direction`` of a ticker whose price and trend give none.
NO_DIRECTION = "NONE"
_DIRECTIONS = {1: Direction.BULLISH.value, -1: Direction.BEARISH.value, 0: NO_DIRECTION}


def grid(as_ofs: Sequence[datetime], session: Session, config: WatchlistConfig) -> list[datetime]:
    """Those of ``as_ofs`` (rising) that are the first in their five minutes of the session."""
    chosen: list[datetime] = []
    last: int | None = None
    for moment in as_ofs:
        slot = int((moment - session.open) / MINUTE) // config.every_minutes
        if slot != last:
            chosen.append(moment)
            last = slot
    return chosen


def is_due(last: datetime | None, as_of: datetime, session: Session, config: WatchlistConfig) -> bool:
    """Whether the watchlist is decided at ``as_of``, given that it was last decided at ``last`` (None: not yet)."""
    return last is None or len(grid([last, as_of], session, config)) == 2


def watchlist_over(
    features: pl.DataFrame,
    sentiment: pl.DataFrame,
    *,
    as_ofs: Sequence[datetime],
    previous: pl.DataFrame | None,
    config: WatchlistConfig,
    signals: SignalConfig,
    news: NewsViewConfig,
) -> pl.DataFrame:
    """``WATCHLIST`` rows decided at each of ``as_ofs`` (rising, already on the grid), each building on the one before.

    ``features`` and ``sentiment`` are the session's stored frames; ``previous`` holds earlier watchlist rows, of which
    only the newest decision counts.
    """
    state = _newest(previous)
    views = aggregate_sentiment(sentiment, as_ofs, news)
    parts = []
    for as_of in as_ofs:
        state = update_watchlist(
            features.filter(pl.col("as_of") == as_of),
            views.filter(pl.col("as_of") == as_of),
            state,
            as_of,
            config,
            signals,
        )
        parts.append(state)
    return pl.concat(parts) if parts else empty(WATCHLIST)


def update_watchlist(
    features: pl.DataFrame,
    news: pl.DataFrame,
    previous: pl.DataFrame,
    as_of: datetime,
    config: WatchlistConfig,
    signals: SignalConfig,
) -> pl.DataFrame:
    """The decision at ``as_of``: one row per ticker with features now or membership before, by rank.

    Enter at rank <= 30 with a score >= 0.30; leave below 0.25, when thirty better ones are there, or after 30 minutes
    without features or with one that lacks a factor. Until then such a member keeps its last score and factors.
    """
    scored = _scores(features, news, config, signals)
    before = {row["ticker"]: row for row in previous.filter("member").to_dicts()}
    silent = {**dict.fromkeys(before, "no features"), **dict.fromkeys(scored["ticker"], "a factor is unknown")}
    judged = [row for row in scored.to_dicts() if row["score"] is not None or row["ticker"] not in before]
    rows = [_judge(row, before.get(row["ticker"]), as_of, config) for row in judged]
    present = {row["ticker"] for row in rows}
    rows += [
        _without_score(row, silent[ticker], as_of, config)
        for ticker, row in sorted(before.items())
        if ticker not in present
    ]
    rows.sort(key=lambda row: (not row["member"], -(row["score"] if row["score"] is not None else -1), row["ticker"]))
    for position, row in enumerate(rows):
        row["rank"] = position + 1
        if row["member"] and position >= config.size:
            row.update(
                member=False, entered_at=None, reason=f"rank {position + 1}: {config.size} better ones are there"
            )
    return pl.DataFrame(rows, schema=WATCHLIST)


def _newest(previous: pl.DataFrame | None) -> pl.DataFrame:
    if previous is None or previous.is_empty():
        return empty(WATCHLIST)
    return previous.filter(pl.col("as_of") == pl.col("as_of").max())


def _scores(features: pl.DataFrame, news: pl.DataFrame, config: WatchlistConfig, signals: SignalConfig) -> pl.DataFrame:
    sign = pl.col("sign")
    rows = with_base(features, signals).join(news.select("ticker", "sentiment"), on="ticker", how="left")
    return (
        rows.with_columns(
            technical=pl.col("base"),
            volume_factor=(pl.col("volume_ratio") / config.full_volume_ratio).clip(0, 1),
            sentiment_factor=pl.when(pl.col("sentiment").is_null())
            .then(0.5)
            .otherwise((0.5 + 0.5 * sign * pl.col("sentiment")).clip(0, 1)),
            performance_factor=(0.5 + sign * pl.col("return_60") / config.full_return).clip(0, 1),
        )
        .with_columns(
            score=config.weight_technical * pl.col("technical")
            + config.weight_volume * pl.col("volume_factor")
            + config.weight_sentiment * pl.col("sentiment_factor")
            + config.weight_performance * pl.col("performance_factor")
        )
        .select("ticker", "sign", "score", "technical", "volume_factor", "sentiment_factor", "performance_factor")
        .sort("score", "ticker", descending=[True, False], nulls_last=True)
    )


def _judge(
    row: dict[str, Any], before: dict[str, Any] | None, as_of: datetime, config: WatchlistConfig
) -> dict[str, Any]:
    score = row["score"]
    if score is None:
        member, reason = False, "no score: a factor is unknown"
    elif before is None:
        member = score >= config.enter_score
        reason = "entered" if member else f"score {score:.2f} is below {config.enter_score:.2f}"
    else:
        member = score >= config.leave_score
        reason = "stays" if member else f"left: score {score:.2f} is below {config.leave_score:.2f}"
    return {
        **{name: row[name] for name in ("ticker", "score", "technical", "volume_factor")},
        **{name: row[name] for name in ("sentiment_factor", "performance_factor")},
        "as_of": as_of,
        "rank": None,
        "direction": NO_DIRECTION if row["sign"] is None else _DIRECTIONS[row["sign"]],
        "member": member,
        "entered_at": (before["entered_at"] if before is not None else as_of) if member else None,
        "last_feature_at": as_of,
        "reason": reason,
    }


def _without_score(before: dict[str, Any], why: str, as_of: datetime, config: WatchlistConfig) -> dict[str, Any]:
    silent = as_of - before["last_feature_at"]
    stays = silent < timedelta(minutes=config.retention_minutes)
    minutes = silent / MINUTE
    return {
        **before,
        "as_of": as_of,
        "rank": None,
        "member": stays,
        "entered_at": before["entered_at"] if stays else None,
        "reason": f"{'stays' if stays else 'left'}: {why} for {minutes:.0f} min",
    }
