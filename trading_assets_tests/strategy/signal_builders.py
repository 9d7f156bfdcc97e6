"""Rows for tests of watchlist and signals: one plain feature row, varied by keyword, and the frames around it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.market.frames import FEATURES, MARKET_CONTEXT, SENTIMENT, WATCHLIST, empty
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig
from trading_assets.strategy.signals import decide

MINUTE = timedelta(minutes=1)
#: 10:45:05 New York; the bar of 10:44 decides.
AS_OF = datetime(2026, 3, 11, 14, 45, 5, tzinfo=UTC)

#: trend 0.5, setup 0.5, volatility 1, timeframes 0.9: base 0.30 x 0.5 + 0.15 x 0.5 + 0.15 x 1 + 0.40 x 0.9 = 0.735;
#: volume 0.85, breakout 1, index 1: confidence 0.62475 without news.
PLAIN: Mapping[str, Any] = {
    "ticker": "AAA",
    "close": 100.8,
    "volume": 22_000,
    "sma20": 100.0,
    "sma50": 99.6,
    "distance_sma20": 0.008,
    "atr14": 0.4,
    "volume_ratio": 2.2,
    "vol_ratio": 1.0,
    "return_60": 0.005,
    "donchian_high20": 100.7,
    "donchian_low20": 99.0,
    "trend_state": 1,
    "mtf_alignment": 0.9,
}
#: The same pattern turned upside down.
MIRRORED: Mapping[str, Any] = {
    "close": 99.2,
    "sma50": 100.4,
    "distance_sma20": -0.008,
    "return_60": -0.005,
    "donchian_high20": 101.0,
    "donchian_low20": 99.3,
    "trend_state": -1,
    "mtf_alignment": -0.9,
}


def feature(as_of: datetime = AS_OF, **changes: Any) -> dict[str, Any]:
    ts = as_of.replace(second=0, microsecond=0) - MINUTE
    return dict.fromkeys(FEATURES) | dict(PLAIN) | {"as_of": as_of, "ts": ts} | changes


def features(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([dict(row) for row in rows], schema=FEATURES)


def story(ticker: str | None = "AAA", *, ago: float = 10, score: float = 0.6, **changes: Any) -> dict[str, Any]:
    """A story published and known ``ago`` minutes before ``AS_OF``, a cluster of its own unless named."""
    at = AS_OF - ago * MINUTE
    uid = str(changes.get("event_uid", f"{ticker}-{ago}-{score}"))
    plain = {
        "event_uid": uid,
        "cluster_id": uid,
        "ticker": ticker,
        "published_at": at,
        "fetched_at": at,
        "scored_at": at,
        "known_at": at,
        "score": score,
        "label": "positive",
        "confidence": 0.9,
        "model": "m",
        "revision": "1",
        "title": "t",
    }
    return plain | changes


def stories(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame([dict(row) for row in rows], schema=SENTIMENT)


def listed(tickers: Mapping[str, float], as_of: datetime = AS_OF - MINUTE, *, member: bool = True) -> pl.DataFrame:
    """A watchlist decision: score by ticker."""
    rows = [
        dict.fromkeys(WATCHLIST)
        | {
            "as_of": as_of,
            "ticker": ticker,
            "rank": rank,
            "score": score,
            "direction": "BULLISH",
            "member": member,
            "entered_at": as_of,
            "last_feature_at": as_of,
        }
        for rank, (ticker, score) in enumerate(tickers.items(), 1)
    ]
    return pl.DataFrame(rows, schema=WATCHLIST)


def index(as_ofs: Sequence[datetime] = (AS_OF,), trend: int | None = 1) -> pl.DataFrame:
    rows = [
        dict.fromkeys(MARKET_CONTEXT) | {"as_of": as_of, "index": "SPY", "index_trend_1d": trend} for as_of in as_ofs
    ]
    return pl.DataFrame(rows, schema=MARKET_CONTEXT)


def decisions(
    rows: Sequence[Mapping[str, Any]],
    *,
    news: Iterable[Mapping[str, Any]] = (),
    watchlist: pl.DataFrame | None = None,
    context: pl.DataFrame | None = None,
    recent: pl.DataFrame | None = None,
    as_ofs: Sequence[datetime] | None = None,
    config: SignalConfig | None = None,
) -> pl.DataFrame:
    """Decisions over feature rows, every ticker of which is on the watchlist unless one is given."""
    moments = sorted({row["as_of"] for row in rows}) if as_ofs is None else as_ofs
    if watchlist is None:
        earliest = min(row["as_of"] for row in rows)
        watchlist = listed({row["ticker"]: 0.5 for row in rows}, earliest - MINUTE)
    told = stories(news)
    return decide(
        features(rows),
        watchlist,
        empty(SENTIMENT) if told.is_empty() else told,
        index(moments) if context is None else context,
        as_ofs=moments,
        recent=recent,
        config=SignalConfig() if config is None else config,
        news=NewsViewConfig(),
        config_hash="h",
        live=True,
    )


def decision(*, news: Iterable[Mapping[str, Any]] = (), **changes: Any) -> dict[str, Any]:
    """The one decision over a plain feature row with ``changes``; ``config`` and ``context`` pass through."""
    passed = {name: changes.pop(name) for name in ("config", "context") if name in changes}
    rows = decisions([feature(**changes)], news=news, **passed).to_dicts()
    assert len(rows) == 1
    return rows[0]
