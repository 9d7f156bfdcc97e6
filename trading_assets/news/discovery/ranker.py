"""The built-in discovery: a deterministic ranking over the same context that a language model would be shown.

``score = 0.40 news + 0.15 tone + 0.30 volume + 0.15 tracked`` (weights configured), each factor in [0, 1]:

- news: events that name the ticker, of ``full_news`` (3);
- tone: the size of their mean sentiment, each event counting once;
- volume: ``(ratio - 1) / (full_volume - 1)`` of its volume in multiples of the usual, from 1 to ``full_volume`` (3);
- tracked: 1 if it is followed, watched or held already, or configured, so that without news the universe stays.

What is not known speaks for nothing. ``confidence = 0.5 + score / 2``. Equal ones are ordered by symbol.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from trading_assets.news.discovery.config import DiscoveryConfig
from trading_assets.news.discovery.context import Context
from trading_assets.news.discovery.validation import LIST

NAME, REVISION = "ranker", "1"
_UNNAMED = "Unknown"


def ranked(
    context: Context, eligible: Collection[str], sectors: Mapping[str, str], config: DiscoveryConfig
) -> dict[str, Any]:
    """The best ``wanted`` of the ``eligible`` tickers that the context names, as an answer like a model's."""
    named = (
        {ticker for event in context.events for ticker in event.tickers} | set(context.volumes) | set(context.tracked)
    )
    scores = {ticker: _score(ticker, context, config) for ticker in named & set(eligible)}
    best = sorted(scores, key=lambda ticker: (-scores[ticker], ticker))[: config.wanted]
    return {
        LIST: [
            {
                "ticker": ticker,
                "sector": sectors.get(ticker, _UNNAMED),
                "catalyst": _catalyst(ticker, context),
                "confidence": round(0.5 + scores[ticker] / 2, 6),
                "expected_volume": round(context.volumes[ticker].ratio, 4) if ticker in context.volumes else None,
            }
            for ticker in best
        ]
    }


def _score(ticker: str, context: Context, config: DiscoveryConfig) -> float:
    weights = config.ranker
    events = [event for event in context.events if ticker in event.tickers]
    told = [event.score for event in events if event.score is not None]
    news = min(1.0, len(events) / weights.full_news)
    tone = abs(sum(told) / len(told)) if told else 0.0
    ratio = context.volumes[ticker].ratio if ticker in context.volumes else 1.0
    volume = min(1.0, max(0.0, (ratio - 1) / (weights.full_volume - 1)))
    return (
        weights.news_weight * news
        + weights.tone_weight * tone
        + weights.volume_weight * volume
        + weights.tracked_weight * (ticker in context.tracked)
    )


def _catalyst(ticker: str, context: Context) -> str:
    """The title of the first event that names it, else its surge, else why it is tracked."""
    for event in context.events:
        if ticker in event.tickers:
            return event.title
    volume = context.volumes.get(ticker)
    if volume is not None and volume in context.surges:
        return f"volume {volume.ratio:.1f} times the usual"
    why = context.tracked.get(ticker)
    return ", ".join(why) if why else "no news"
