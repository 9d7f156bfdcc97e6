"""Implementations of the one clock: the system's, and the practice exchange's."""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from typing import Any
from urllib.parse import urlsplit

from trading_assets.domain.clock import require_utc
from trading_assets.domain.errors import BrokerUnavailable, ConfigurationError

TOKEN_HEADER = "X-Practice-Token"
#: Longest single sleep: a clock that was stepped or sped up meanwhile is noticed after this many seconds.
_LONGEST_SLEEP = 0.5
_SHORTEST_SLEEP = 0.005


class SystemClock:
    """The machine's clock, for paper and live worlds."""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.now(UTC)

    def wait_until(self, instant: datetime) -> None:
        """Sleep until ``now() >= instant``."""
        target = require_utc(instant)
        while (remaining := (target - self.now()).total_seconds()) > 0:
            time.sleep(min(remaining, _LONGEST_SLEEP))


def require_loopback(url: str) -> str:
    """``url`` without a trailing slash; raises :class:`ConfigurationError` unless its host is this machine's loopback.

    A practice clock beside a broker elsewhere would let a simulated time decide about real orders.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if parts.scheme not in ("http", "https") or not local:
        raise ConfigurationError(
            f"a practice exchange must be on loopback, saw host {host!r}",
            where="practice exchange",
            mend="Use 127.0.0.1, or a paper world with the system's clock.",
        )
    return url.rstrip("/")


class ExchangeClock:
    """The practice exchange's clock, for practice worlds only.

    ``control_url`` is the exchange's address on loopback, ``token`` its control token. Every call asks the exchange;
    no answer, or one that makes no sense, raises :class:`BrokerUnavailable`.
    """

    def __init__(self, control_url: str, token: str, *, timeout: float = 10.0) -> None:
        self._url = require_loopback(control_url) + "/practice/v1"
        self._token = token
        self._timeout = timeout
        # Schedules and sensors tick in threads of one process; a connection carries one exchange at a time.
        self._local = threading.local()

    def __repr__(self) -> str:
        return f"ExchangeClock({self._url!r})"

    @property
    def _connection(self) -> HTTPConnection:
        """This thread's connection."""
        known: HTTPConnection | None = getattr(self._local, "connection", None)
        if known is None:
            parts = urlsplit(self._url)
            known = self._local.connection = HTTPConnection(parts.hostname or "", parts.port, timeout=self._timeout)
        return known

    def now(self) -> datetime:
        """The exchange's current instant, UTC."""
        return self._status()[0]

    def speed(self) -> float:
        """How fast the exchange's time runs by the wall's; 0: it stands still until it is moved."""
        return self._status()[1]

    def wait_until(self, instant: datetime) -> None:
        """Return once the exchange's time is at or after ``instant``: a stepped exchange is moved there, a running one
        is waited for at its speed."""
        target = require_utc(instant)
        while True:
            now, speed = self._status()
            remaining = (target - now).total_seconds()
            if remaining <= 0:
                return
            if speed == 0:
                self._ask("POST", "/clock", {"advance_to": target.isoformat()})
            else:
                time.sleep(min(max(remaining / speed, _SHORTEST_SLEEP), _LONGEST_SLEEP))

    def _status(self) -> tuple[datetime, float]:
        body = self._ask("GET", "/status")
        try:
            return require_utc(datetime.fromisoformat(body["now"])), float(body["speed"])
        except (KeyError, TypeError, ValueError) as error:
            raise BrokerUnavailable(
                f"the practice exchange's status makes no sense: {type(error).__name__}: {error}", where=self._url
            ) from None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """One request on a kept connection, which is opened anew if the exchange was restarted meanwhile."""
        target = urlsplit(self._url).path + path
        headers = {TOKEN_HEADER: self._token, "Content-Type": "application/json"}
        payload = None if body is None else json.dumps(body)
        for last in (False, True):
            try:
                self._connection.request(method, target, payload, headers)
                response = self._connection.getresponse()
                content = response.read()
                if response.status != 200:
                    raise ValueError(f"status {response.status}")
                return json.loads(content)
            except (OSError, HTTPException, ValueError) as error:
                self._connection.close()
                # Asking for the time, or to move it to an instant, may be repeated: both change nothing twice.
                if last or not isinstance(error, (RemoteDisconnected, ConnectionError)):
                    raise BrokerUnavailable(
                        f"the practice exchange's clock gave no answer: {type(error).__name__}: {error}",
                        where=self._url + path,
                        mend="Look at logs/exchange.log of this world; 'trading-assets up' starts the exchange again.",
                    ) from None
        raise AssertionError("unreachable")
