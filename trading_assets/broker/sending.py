"""The last step of every request: where the SDK hands it to the network, and the first look at what comes back.

What belongs here: what must hold for each HTTP request: time-outs, the account's request budget, no redirects, no proxy
on loopback. What does not: what an answer means and whether to try again (``transport``).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import RateLimited
from trading_assets.broker.rate_budget import RateBudget, Spent, share_of, word_of

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CHUNK = 65_536


def is_loopback(url: str) -> bool:
    """Whether the address is this machine."""
    return urlsplit(url).hostname in _LOOPBACK


def harden(client: Any, config: BrokerConfig, url: str, budget: RateBudget | None) -> None:
    """Give the SDK client time-outs and the account's budget, switch its own retry off, keep loopback free of proxies.

    ``budget`` None: the requests of this client are not counted.
    """
    from requests.adapters import HTTPAdapter
    from requests.exceptions import ReadTimeout, TooManyRedirects

    class Door(HTTPAdapter):
        """Every request of the client goes through here, the SDK's own pages and tries included."""

        def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
            if kwargs.get("timeout") is None:
                kwargs["timeout"] = (config.connect_timeout_seconds, config.read_timeout_seconds)
            path = urlsplit(request.url).path
            taken = budget.take(share_of(request.method, path, request.body)) if budget is not None else None
            if isinstance(taken, Spent):
                reset = datetime.fromtimestamp(taken.reset, UTC)
                where = f"{request.method} {path}"
                raise RateLimited(reset, where=where, seconds=max(0.0, taken.seconds), sent=False)
            word = None
            try:
                response = super().send(request, *args, **kwargs)
                word = word_of(response.headers)
                self._read_within(response, config.answer_timeout_seconds)
            finally:
                if budget is not None and taken is not None:
                    budget.answered(taken, word)
            if 300 <= response.status_code < 400:
                # The SDK takes one for a success, and an empty one for "done".
                raise TooManyRedirects(f"the broker answered {response.status_code}, a redirect", response=response)
            return response

        @staticmethod
        def _read_within(response: Any, seconds: float) -> None:
            """Read the whole answer. A time-out between two reads alone would let a dripping answer last for ever."""
            deadline, parts = time.monotonic() + seconds, []
            while chunk := response.raw.read1(_CHUNK, decode_content=True):
                parts.append(chunk)
                if time.monotonic() > deadline:
                    response.close()
                    raise ReadTimeout(f"the answer was not whole after {seconds:g} s", response=response)
            response._content, response._content_consumed = b"".join(parts), True

    session = client._session
    session.mount("https://", Door(max_retries=0))
    session.mount("http://", Door(max_retries=0))
    if is_loopback(url):
        session.trust_env = False
    client._retry = 0
    client._retry_codes = []
