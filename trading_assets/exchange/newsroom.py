"""Which headlines are public at an instant: those of the drawn market, or the items of recorded feeds.

REST and the news socket ask here, so that both tell the same. A recorded item is public when it was first captured.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from trading_assets.exchange.market_port import Headline, MarketPort
from trading_assets.exchange.recorded_news import RecordedNews

#: Digits of a headline's id that make the article's number: below 2 to the 53rd, so that every client can hold it.
_ID_DIGITS = 13


class Newsroom:
    """The news of one venue. ``recorded`` stands in for the market's headlines."""

    def __init__(self, recorded: RecordedNews | None) -> None:
        self._recorded = recorded

    def public(self, market: MarketPort, now: datetime) -> Sequence[Headline]:
        """What had been published by ``now``, in order of publication."""
        known = market.headlines() if self._recorded is None else self._recorded.until(now)
        return [headline for headline in known if headline.published_at <= now]

    def between(self, market: MarketPort, after: datetime, until: datetime) -> Sequence[Headline]:
        """What was published in (after, until], in order."""
        return [headline for headline in self.public(market, until) if headline.published_at > after]

    def brought(self, before: MarketPort, market: MarketPort, at: datetime) -> Sequence[Headline]:
        """What became public because ``market`` took over from ``before``: it brings the news of its own morning."""
        known = {headline.id for headline in self.public(before, at)}
        return [headline for headline in self.public(market, at) if headline.id not in known]


def article(headline: Headline) -> dict[str, Any]:
    """A headline as the news interfaces write it; the content is its summary."""
    return {
        "id": int(headline.id[:_ID_DIGITS], 16),
        "headline": headline.title,
        "author": "Practice newsroom",
        "created_at": headline.published_at,
        "updated_at": headline.published_at,
        "summary": headline.summary,
        "content": headline.summary,
        "url": headline.link or None,
        "symbols": list(headline.symbols),
        "source": headline.feed,
    }
