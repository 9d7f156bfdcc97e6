"""The broker's news interface through the real SDK: a bounded number of pages, and what was read before a failure.

What belongs here: asking. What does not: what an article means, and storing it (the news). Unlike market data, where
part of an answer would be a wrong one, every article stands for itself: pages before a failure are handed on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, RateLimited, Rejected
from trading_assets.broker.rate_budget import RateBudget
from trading_assets.broker.sending import harden
from trading_assets.broker.transport import Transport, check_address
from trading_assets.domain.clock import Clock, require_utc
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.newswire import AsksNews, WireAnswer

log = logging.getLogger(__name__)
_PATH = "/news"
_PAGE = 50


class NewsWire:
    """One account's way to the news interface. Each page is tried once: who asks every minute need not insist."""

    def __init__(self, connection: BrokerConnection, clock: Clock, config: BrokerConfig) -> None:
        """Opens nothing yet. ``ConfigurationError`` if mode and addresses do not belong together."""
        check_address(connection.mode, connection.key, connection.trading_url, connection.data_url)
        from alpaca.data.historical.news import NewsClient

        self._url = connection.data_url.rstrip("/")
        self._client = NewsClient(connection.key, connection.secret, raw_data=True, url_override=self._url)
        # The same window as that of market data: it is one interface to the broker.
        budget = None if connection.budget is None else RateBudget(connection.budget / "data")
        harden(self._client, config, self._url, budget)
        self._transport = Transport(clock, config)

    def __repr__(self) -> str:
        return f"NewsWire(at={self._url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client._session.close()

    def articles(self, since: datetime, most_pages: int, deadline_seconds: float) -> WireAnswer:
        """Articles that changed at or after ``since``, the earliest change first. Never raises for an answer."""
        params = {"start": require_utc(since).isoformat(), "sort": "asc", "limit": _PAGE}
        rows: list[Mapping[str, Any]] = []
        unreadable, token, seen = 0, None, set()
        until = time.monotonic() + deadline_seconds
        for _ in range(most_pages):
            try:
                found, token = self._page(params if token is None else {**params, "page_token": token})
            except (BrokerUnavailable, NotAuthorized, Rejected) as error:
                wait = self._transport.seconds_to_reset(error) if isinstance(error, RateLimited) else None
                return WireAnswer(tuple(rows), False, unreadable, str(error), wait)
            good = [row for row in found if isinstance(row, Mapping)]
            unreadable += len(found) - len(good)
            rows += good
            if token is None:
                return WireAnswer(tuple(rows), True, unreadable)
            if token in seen:
                return WireAnswer(tuple(rows), False, unreadable, f"the broker repeats a page (at GET {_PATH})")
            seen.add(token)
            if time.monotonic() > until:
                break
        return WireAnswer(tuple(rows), False, unreadable)

    def _page(self, params: Mapping[str, Any]) -> tuple[Sequence[Any], str | None]:
        where = f"GET {_PATH}"
        answer = self._transport.once(where, lambda: self._client.get(_PATH, dict(params)))
        found = answer.get("news") if isinstance(answer, Mapping) else None
        if not isinstance(found, list):
            raise BrokerUnavailable(f"expected a list of articles, saw {type(found).__name__}", where=where)
        token = answer.get("next_page_token") or None
        return found, str(token) if token is not None else None


class SharedNewsWire:
    """Asks through one account, and through the next one while it gives no article and fails."""

    def __init__(self, connections: Sequence[tuple[str, Callable[[], AsksNews]]]) -> None:
        if not connections:
            raise ValueError("news need at least one connection")
        self._connections = list(connections)

    def articles(self, since: datetime, most_pages: int, deadline_seconds: float) -> WireAnswer:
        """As :meth:`NewsWire.articles`; the first failure if none answers."""
        first: WireAnswer | None = None
        for account, connect in self._connections:
            try:
                answer = connect().articles(since, most_pages, deadline_seconds)
            except ConfigurationError as error:
                answer = WireAnswer((), False, error=str(error))
            if answer.error is None or answer.rows:
                return answer
            log.warning("news through account %s: %s", account, answer.error)
            first = first or answer
        assert first is not None  # there is at least one connection
        return first
