"""What every HTTP route shares: who asks, how to answer, how to read parameters. It knows nothing of the market."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import orjson
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.limits import RateLimit
from trading_assets.exchange.refusal import MALFORMED, UNAUTHORIZED, Refusal
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue

Row = TypeVar("Row")
Handler = Callable[[Request, Account], Awaitable[Response]]
#: The largest body that a route reads.
_MAX_BODY = 64 * 1024
#: Digits before or after the point that a parameter may have.
_MOST_DIGITS = 12


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; instants in UTC are written as RFC 3339 with Z."""
    body = orjson.dumps(value, option=orjson.OPT_UTC_Z)
    return Response(body, status, dict(headers or {}), media_type="application/json")


def refused(refusal: Refusal) -> Response:
    """The answer to a refused request."""
    return answer(refusal.body, refusal.status, getattr(refusal, "headers", None))


class Door:
    """Lets requests with an account's credentials through to a handler, counted, and answers the others."""

    def __init__(self, venue: Venue, limit: RateLimit) -> None:
        self._venue = venue
        self._limit = limit
        self._keys = _keys(venue.config)
        self._tokens = {
            account.name: account.token.get_secret_value()
            for account in venue.config.accounts
            if account.token is not None
        }

    def __call__(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The route for ``handler``."""

        async def route(request: Request) -> Response:
            # Who is nobody has an allowance of nobody: every answer says one, and none of his counts.
            headers = self._limit.headers(0, self._venue.world.now)
            try:
                self._venue.require_sound()
                account = self._venue.world.accounts[self._authenticate(request)]
                headers = self._limit.take(account.name, self._venue.world.now)
                response = await handler(request, account)
            except Refusal as refusal:
                response = refused(refusal)
            for name, value in headers.items():
                response.headers.setdefault(name, value)
            return response

        return route

    def _authenticate(self, request: Request) -> str:
        name = self.account_asking(request)
        if name is None:
            raise Refusal(401, UNAUTHORIZED, "request is not authorized")
        return name

    def account_asking(self, request: Request) -> str | None:
        """The account whose credentials the request carries, None if they are nobody's."""
        token = bearer(request)
        return self.account_of(*credentials(request)) if token is None else self._owner_of(token)

    def _owner_of(self, token: str) -> str | None:
        """The account that a token of an app stands for, None if it is nobody's."""
        found = None
        for name, expected in self._tokens.items():
            if hmac.compare_digest(token.encode(), expected.encode()):
                found = name
        return found

    def account_of(self, key: str, secret: str) -> str | None:
        """The account of these credentials, None if they are nobody's."""
        name, expected = self._keys.get(key, ("", ""))
        return name if name and hmac.compare_digest(secret.encode(), expected.encode()) else None


def _keys(config: ExchangeConfig) -> dict[str, tuple[str, str]]:
    return {
        account.key.get_secret_value(): (account.name, account.secret.get_secret_value()) for account in config.accounts
    }


def bearer(request: HTTPConnection) -> str | None:
    """The token of an app in the headers of a request; None where there is none."""
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" and value.strip() else None


def credentials(request: HTTPConnection) -> tuple[str, str]:
    """Key and secret in the headers of a request or of a handshake; empty where there are none."""
    key, secret = request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")
    if key is not None and secret is not None:
        return key, secret
    kind, _, value = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            key, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
        except ValueError:
            return "", ""
        return key, secret
    return "", ""


async def json_body(request: Request) -> Any:
    """The request's JSON; raises ``Refusal`` (400, 413)."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise Refusal(413, MALFORMED, "request body is too large")
    try:
        return orjson.loads(bytes(body))
    except orjson.JSONDecodeError:
        raise Refusal(400, MALFORMED, "request body format is invalid") from None


def bad(name: str, value: str) -> Refusal:
    """400 for a parameter that cannot be read."""
    return Refusal(400, MALFORMED, f"invalid value for {name}: {value[:60]}")


def whole(request: Request, name: str, default: int, least: int, most: int) -> int:
    """An integer parameter, held within its range."""
    given = request.query_params.get(name)
    if given is None:
        return default
    try:
        return max(least, min(most, int(given)))
    except ValueError:
        raise bad(name, given) from None


def number(request: Request, name: str) -> Decimal | None:
    """A decimal parameter, or None."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        value = Decimal(given)
    except InvalidOperation:
        raise bad(name, given) from None
    # A number that nobody writes in earnest could keep the event loop busy for minutes.
    if not value.is_finite() or abs(value.adjusted()) > _MOST_DIGITS:
        raise bad(name, given)
    return value


def moment(request: Request, name: str, *, end_of_day: bool = False) -> datetime | None:
    """An instant: RFC 3339 (naive counts as UTC), or a date, which means its New York midnight (or, ``end_of_day``, its
    last microsecond)."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        if len(given) == 10:
            clock = time.max if end_of_day else time.min
            return datetime.combine(date.fromisoformat(given), clock, NEW_YORK).astimezone(UTC)
        found = datetime.fromisoformat(given.replace(" ", "+").replace("Z", "+00:00"))
    except ValueError:
        raise bad(name, given) from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def day(request: Request, name: str) -> date | None:
    """A calendar day, or None; a time after it is ignored."""
    given = request.query_params.get(name)
    if given is None:
        return None
    try:
        return date.fromisoformat(given[:10])
    except ValueError:
        raise bad(name, given) from None


def listed(request: Request, name: str) -> list[str]:
    """A comma-separated parameter, without empty items and doubles, in order."""
    given = request.query_params.get(name, "")
    return list(dict.fromkeys(item.strip() for item in given.split(",") if item.strip()))


def required(request: Request, name: str, most: int | None = None) -> list[str]:
    """The same, which must be there and have no more than ``most`` items; raises ``Refusal`` (400)."""
    found = listed(request, name)
    if not found:
        raise Refusal(400, MALFORMED, f"{name} is required")
    if most is not None and len(found) > most:
        raise Refusal(400, MALFORMED, f"too many {name}: {len(found)}, at most {most}")
    return found


def word(request: Request, name: str, default: str, *others: str) -> str:
    """One of some words: ``default`` where none is given; raises ``Refusal`` (400) for any that is not among them."""
    given = request.query_params.get(name, default)
    if given not in (default, *others):
        raise bad(name, given)
    return given


def truth(request: Request, name: str) -> bool | None:
    """A Boolean parameter, or None; clients send ``True`` and ``true``."""
    given = request.query_params.get(name)
    if given is None:
        return None
    if given.lower() not in ("true", "false"):
        raise bad(name, given)
    return given.lower() == "true"


def page(
    rows: Sequence[Row], token: str | None, limit: int, key: Callable[[Row], str]
) -> tuple[Sequence[Row], str | None]:
    """The page of ``rows`` that begins after the row ``token`` names, and the next token or None.

    A token names the last row that was sent by its ``key``, not by its place: between two pages time may move and the
    rows of an earlier symbol may become more.
    """
    offset = 0
    if token:
        last = read_token(token)
        offset = next((place for place, row in enumerate(rows, start=1) if key(row) == last), 0)
        if offset == 0:
            raise bad("page_token", token)
    chosen = rows[offset : offset + limit]
    if not chosen or offset + limit >= len(rows):
        return chosen, None
    return chosen, make_token(key(chosen[-1]))


def make_token(key: str) -> str:
    """The page token that names the row of ``key`` as the last one sent."""
    return base64.urlsafe_b64encode(key.encode()).decode()


def read_token(token: str) -> str:
    """The key in a page token; raises ``Refusal`` (400)."""
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except ValueError:
        raise bad("page_token", token) from None
