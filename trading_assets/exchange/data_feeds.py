"""Which feed a request for market data reads, and what an account without its subscription may not see.

The free plan has what one exchange sees now, and of all exchanges what is a quarter of an hour old. Every feed shows
the same market here; what differs is when, and to whom.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from starlette.requests import Request

from trading_assets.exchange.http import bad
from trading_assets.exchange.refusal import FORBIDDEN, MALFORMED, UNPROCESSABLE, Refusal

DELAY = timedelta(minutes=15)
_SIP, _OPRA, _DELAYED = "sip", "opra", "delayed_sip"
_OF_THE_PAST = frozenset({_SIP, "iex"})
_OF_NOW = frozenset({_SIP, _DELAYED, "iex"})
_OF_OPTIONS = frozenset({_OPRA, "indicative"})
#: Feeds of markets that this exchange does not play.
_ELSEWHERE = frozenset({"otc", "boats", "overnight"})


def history_end(request: Request, feeds: Collection[str], end: datetime | None, now: datetime) -> datetime:
    """Until when a request for the past of stocks is answered; raises ``Refusal`` (400, 403).

    Without an ``end`` an account without the feed of all exchanges is shown what it may see; with a later one it is
    refused.
    """
    feed = _named(request, _OF_THE_PAST) or _SIP
    if feed != _SIP or _SIP in feeds:
        return now if end is None else min(end, now)
    if end is not None and end > now - DELAY:
        raise _recent()
    return now - DELAY if end is None else end


def instant(request: Request, feeds: Collection[str], now: datetime) -> datetime:
    """Of when a request for the latest of stocks tells; raises ``Refusal`` (400, 403)."""
    feed = _named(request, _OF_NOW)
    if feed == _SIP and _SIP not in feeds:
        raise _recent()
    return now - DELAY if feed == _DELAYED else now


def check_options(request: Request, feeds: Collection[str]) -> None:
    """The feed of options that is named may be read; raises ``Refusal`` (400, 403)."""
    if _named(request, _OF_OPTIONS) == _OPRA and _OPRA not in feeds:
        raise Refusal(403, FORBIDDEN, "OPRA agreement is not signed")


def _named(request: Request, known: frozenset[str]) -> str | None:
    currency = request.query_params.get("currency", "USD")
    if currency != "USD":
        raise Refusal(400, MALFORMED, f"currency {currency[:10]} is not offered by this exchange")
    given = request.query_params.get("feed")
    # The SDK's own tests name it in capital letters.
    feed = None if given is None else given.lower()
    if feed in _ELSEWHERE:
        raise Refusal(400, MALFORMED, f"feed {feed} is not offered by this exchange")
    if feed is not None and feed not in known:
        raise bad("feed", feed)
    return feed


def _recent() -> Refusal:
    # The broker's own status and code, which do not belong together.
    return Refusal(403, UNPROCESSABLE, "subscription does not permit querying recent SIP data")
