"""Routes of news and corporate actions.

The articles are the headlines of the RSS feeds, under ids of their own. The corporate actions are those that the world
was configured with, each from the instant on at which it was announced.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange import http
from trading_assets.exchange.actions import PLURALS, ordered
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
        if http.truth(request, "exclude_contentless"):
            rows = [headline for headline in rows if headline.summary]
        if http.word(request, "sort", "desc", "asc") == "desc":
            rows.reverse()
        limit = http.whole(request, "limit", 10, 1, _MOST_ARTICLES)
        chosen, token = http.page(rows, request.query_params.get("page_token"), limit, lambda row: row.id)
        with_content = http.truth(request, "include_content") is True
        return answer({"news": [_article(row, with_content) for row in chosen], "next_page_token": token})

    async def corporate_actions(self, request: Request, account: Account) -> Response:
        """What is known now, by the day on which it takes effect, by kind, name and day, paged."""
        now = self._venue.world.now
        today = now.astimezone(NEW_YORK).date()
        first, last = http.day(request, "start") or today, http.day(request, "end") or today
        kinds, symbols = set(http.listed(request, "types")), set(http.listed(request, "symbols"))
        wanted, cusips = set(http.listed(request, "ids")), http.listed(request, "cusips")
        for kind in sorted(kinds - PLURALS.keys()):
            raise http.bad("types", kind)
        if wanted and (kinds or symbols or cusips or {"start", "end"} & request.query_params.keys()):
            raise http.bad("ids", "mutually exclusive with all other filters")
        if not wanted and last < first:
            raise http.bad("end", last.isoformat())
        rows = [
            action
            for action in ordered(self._venue.actions.all)
            if action.is_known(now)
            and (action.id in wanted if wanted else first <= action.ex_session <= last)
            and (not kinds or action.kind in kinds)
            and (not symbols or not action.symbols.isdisjoint(symbols))
            and (not cusips or not action.cusips.isdisjoint(cusips))
        ]
        if http.word(request, "sort", "asc", "desc") == "desc":
            rows.reverse()
        limit = http.whole(request, "limit", 100, 1, 1000)
        chosen, token = http.page(rows, request.query_params.get("page_token"), limit, lambda action: action.id)
        found: dict[str, list[dict[str, Any]]] = {}
        for action in chosen:
            found.setdefault(PLURALS[action.kind], []).append(action.as_wire())
        return answer({"corporate_actions": found, "next_page_token": token})


def _article(headline: Headline, with_content: bool) -> dict[str, Any]:
    written = article(headline)
    return {**written, "content": written["content"] if with_content else "", "images": []}
