"""Routes of news and corporate actions.

The articles are the headlines of the RSS feeds, under ids of their own. This market has no corporate actions: the
answer says so by being empty, as it does at the broker for names without any.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.exchange import http
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.market_port import Headline
from trading_assets.exchange.newsroom import Newsroom, article
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue

_MOST_ARTICLES = 50


class NewsRoutes:
    """The news interface of one venue."""

    def __init__(self, venue: Venue, newsroom: Newsroom) -> None:
        self._venue = venue
        self._newsroom = newsroom

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``."""
        return [
            Route("/v1beta1/news", door(self.news), methods=["GET"]),
            Route("/v1/corporate-actions", door(self.corporate_actions), methods=["GET"]),
        ]

    async def news(self, request: Request, account: Account) -> Response:
        """Articles that are public now, newest first unless asked otherwise, by symbol and time, paged."""
        start, end = http.moment(request, "start"), http.moment(request, "end", end_of_day=True)
        symbols, now = set(http.listed(request, "symbols")), self._venue.world.now
        rows = [
            headline
            for headline in self._newsroom.public(self._venue.market, now)
            if (start is None or headline.published_at >= start)
            and (end is None or headline.published_at <= end)
            and (not symbols or symbols & set(headline.symbols))
        ]
        rows.sort(key=lambda headline: (headline.published_at, headline.id))
        if request.query_params.get("sort", "desc") != "asc":
            rows.reverse()
        limit = http.whole(request, "limit", 10, 1, _MOST_ARTICLES)
        chosen, token = http.page(rows, request.query_params.get("page_token"), limit, lambda row: row.id)
        with_content = request.query_params.get("include_content", "false").lower() == "true"
        return answer({"news": [_article(row, with_content) for row in chosen], "next_page_token": token})

    async def corporate_actions(self, request: Request, account: Account) -> Response:
        """None in this market."""
        http.day(request, "start")
        http.day(request, "end")
        return answer({"corporate_actions": {}, "next_page_token": None})


def _article(headline: Headline, with_content: bool) -> dict[str, Any]:
    written = article(headline)
    return {**written, "content": written["content"] if with_content else "", "images": []}
