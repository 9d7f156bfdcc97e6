"""Request counting per account: 200 a minute of wall time, reported in three headers.

In a stepped world a minute of exchange time may hold any number of calls, so nothing is counted and the headers report
a full allowance that is renewed in the exchange's next minute.
"""

from __future__ import annotations

import time
from datetime import datetime

from trading_assets.exchange.refusal import RATE_LIMITED, Refusal

_WINDOW = 60


class RateLimit:
    """Fixed windows of one wall minute per account, for one interface (trading or data)."""

    def __init__(self, per_minute: int, message: str, *, counts: bool) -> None:
        self._limit = per_minute
        self._message = message
        self._counts = counts
        self._used: dict[str, tuple[int, int]] = {}

    def take(self, account: str, exchange_now: datetime) -> dict[str, str]:
        """Count one request and return its headers; raises ``Refusal`` (429) with headers in ``headers``."""
        now = int(time.time()) if self._counts else int(exchange_now.timestamp())
        window = now // _WINDOW
        used = 0
        if self._counts:
            seen, used = self._used.get(account, (window, 0))
            used = (used if seen == window else 0) + 1
            self._used[account] = (window, used)
        headers = self.headers(used, exchange_now)
        if used > self._limit:
            raise RateLimited(self._message, headers)
        return headers

    def headers(self, used: int, exchange_now: datetime) -> dict[str, str]:
        """The headers of an answer to who has ``used`` so much of the present minute."""
        now = int(time.time()) if self._counts else int(exchange_now.timestamp())
        return {
            "X-RateLimit-Limit": str(self._limit),
            "X-RateLimit-Remaining": str(max(0, self._limit - used)),
            "X-RateLimit-Reset": str((now // _WINDOW + 1) * _WINDOW),
        }


class RateLimited(Refusal):
    """429 that carries the rate-limit headers."""

    def __init__(self, message: str, headers: dict[str, str]) -> None:
        super().__init__(429, RATE_LIMITED, message)
        self.headers = headers
