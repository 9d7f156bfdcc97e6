"""How a request leaves and what its answer is allowed to mean.

The SDK by itself has no time-outs, re-sends a POST on 429 and 504, and lets an HTML page end in a decoding error. Here
each of its sessions gets time-outs on every request (``broker.sending``), its own retry is switched off, requests that
change nothing are retried a bounded number of times with waits of the Clock, and every outcome is a value or a typed
error.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, RateLimited, Rejected
from trading_assets.broker.rate_budget import seconds_until
from trading_assets.broker.sending import is_loopback
from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import ConfigurationError

log = logging.getLogger(__name__)

_HOSTS = {
    "PAPER": ("paper-api.alpaca.markets", "data.alpaca.markets"),
    "LIVE": ("api.alpaca.markets", "data.alpaca.markets"),
}
_WRONG_KEY = {"PAPER": "AK", "LIVE": "PK"}
NOT_AUTHORIZED_CODE = 40110000
#: Refused although the answer is 4xx: the server gave up or was overtaken, the request may still have had its effect.
_AMBIGUOUS_STATUS = frozenset({408, 425, 499})
#: Seconds after which a request that the budget held back asks again: other callers may have learned more meanwhile.
_LONGEST_SLEEP = 1.0


def check_address(mode: str, key: str, trading_url: str, data_url: str) -> None:
    """Refuse an address that does not belong to the mode, before any key is sent there.

    An empty address is refused too: the SDK would fall back to an address of its own choosing.
    """
    if mode not in ("PRACTICE", "PAPER", "LIVE"):
        raise ConfigurationError(f"unknown mode {mode!r}", where="account mode", mend="Use PRACTICE, PAPER or LIVE.")
    for number, (name, url) in enumerate((("trading address", trading_url), ("data address", data_url))):
        if not url:
            raise ConfigurationError(f"the {name} of the broker is empty", where=mode, mend="Set it explicitly.")
        parts = urlsplit(url)
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise ConfigurationError(
                f"the {name} of the broker must be scheme and host only",
                where=mode,
                mend="Leave out user, query and fragment: keys are never part of an address.",
            )
        if mode == "PRACTICE":
            if parts.scheme != "http" or not is_loopback(url):
                raise ConfigurationError(
                    f"a practice account trades only on this machine, saw {parts.hostname}",
                    where=name,
                    mend="Use the practice exchange's address or another mode.",
                )
        elif parts.scheme != "https" or parts.netloc.lower() != _HOSTS[mode][number] or parts.path not in ("", "/"):
            raise ConfigurationError(
                f"expected https://{_HOSTS[mode][number]} for mode {mode}, saw {parts.scheme}://{parts.netloc}",
                where=name,
                mend="Mode and address must name the same broker environment.",
            )
    wrong = _WRONG_KEY.get(mode)
    if wrong is not None and key.startswith(wrong):
        raise ConfigurationError(f"a key that starts with {wrong} does not belong to mode {mode}", where="broker key")


def _classify(status: int, text: str, headers: Mapping[str, str], where: str) -> Exception:
    """The typed error for an HTTP error answer; only status and code decide."""
    if status == 429:
        reset = _reset(headers)
        seconds = None if reset is None else seconds_until(reset.timestamp(), headers)
        return RateLimited(reset, where=where, seconds=seconds)
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if status == 401:
        return NotAuthorized("the broker refused the credentials", where=where, mend="Check key and secret.")
    if status >= 500 or status in _AMBIGUOUS_STATUS or not isinstance(body, dict):
        kind = "with JSON" if isinstance(body, dict) else "without a JSON body"
        return BrokerUnavailable(f"the broker answered {status} {kind}", where=where)
    code = body.get("code")
    code = code if isinstance(code, int) else None
    if code == NOT_AUTHORIZED_CODE:
        return NotAuthorized("the broker refused the credentials", where=where, mend="Check key and secret.")
    return Rejected(status, code, str(body.get("message", "")), body, where=where)


def _reset(headers: Mapping[str, str]) -> datetime | None:
    value = headers.get("X-RateLimit-Reset")
    try:
        return None if value is None else datetime.fromtimestamp(float(value), UTC)
    except (ValueError, OverflowError, OSError):
        return None


class Transport:
    """Runs calls of SDK clients and turns each outcome into a value or a typed error."""

    def __init__(self, clock: Clock, config: BrokerConfig) -> None:
        self._clock = clock
        self._config = config

    def once(self, where: str, call: Callable[[], Any]) -> Any:
        """One try. Raises ``Rejected``, ``NotAuthorized``, ``RateLimited`` or, for anything unclear,
        ``BrokerUnavailable``; after that last one a request that changes something may have had its effect."""
        from alpaca.common.exceptions import APIError
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError as TransportError

        try:
            return call()
        except APIError as error:
            response = error.response
            if response is None:
                raise BrokerUnavailable("the broker answered with an error without a status", where=where) from None
            raise _classify(response.status_code, response.text, response.headers, where) from None
        except (RequestException, TransportError, UnicodeDecodeError) as error:
            raise BrokerUnavailable(f"no readable answer ({type(error).__name__})", where=where) from error

    def repeated(self, where: str, call: Callable[[], Any]) -> Any:
        """A call that changes nothing, or does so only once however often it is made: a bounded number of tries.

        A request that the account's own budget held back was not sent and is no try; it waits for the next window.
        """
        wait = self._config.read_retry_seconds
        attempt, patience = 1, time.monotonic() + self._config.rate_limit_wait_seconds
        while True:
            try:
                return self.once(where, call)
            except BrokerUnavailable as error:
                if isinstance(error, RateLimited) and not error.sent:
                    if time.monotonic() + (error.seconds or 0.0) > patience:
                        raise
                    time.sleep(min(error.seconds or 0.0, _LONGEST_SLEEP))
                    continue
                if attempt == self._config.read_attempts:
                    raise
                log.warning("broker try %d of %d failed: %s", attempt, self._config.read_attempts, error)
                attempt += 1
                if isinstance(error, RateLimited):
                    self.wait_for_reset(error)
                else:
                    self._clock.wait_until(self._clock.now() + timedelta(seconds=wait))
                    wait *= 2

    def seconds_to_reset(self, limit: RateLimited) -> float:
        """Seconds until the rate limit lifts, at least the first retry's wait where only the Clock can tell."""
        if limit.seconds is not None:
            return limit.seconds
        until = 0.0 if limit.reset is None else (limit.reset - self._clock.now()).total_seconds()
        return max(self._config.read_retry_seconds, until)

    def wait_for_reset(self, limit: RateLimited) -> None:
        """Wait until the rate limit lifts, at most the configured time.

        The broker counts by the wall: where it said how long, so does this wait. In a stepped practice world, or where
        nothing was said, the Clock waits.
        """
        seconds = min(self.seconds_to_reset(limit), self._config.rate_limit_wait_seconds)
        if limit.seconds is not None:
            time.sleep(seconds)
        else:
            self._clock.wait_until(self._clock.now() + timedelta(seconds=seconds))
