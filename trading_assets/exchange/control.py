"""The control path of a practice exchange: status, clock, corporate actions, early assignment; it has its own token."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.exchange.actions import AnyAction, CorporateAction, ordered
from trading_assets.exchange.http import answer, json_body, refused
from trading_assets.exchange.refusal import INVALID, MALFORMED, NOT_FOUND, UNAUTHORIZED, Refusal
from trading_assets.exchange.rss import RssRoutes
from trading_assets.exchange.venue import Venue

TOKEN_HEADER = "X-Practice-Token"
_ACTION: TypeAdapter[AnyAction] = TypeAdapter(CorporateAction)


Handler = Callable[[Request], Awaitable[Response]]


class ControlRoutes:
    """Status, clock, corporate actions and assignments of one venue."""

    def __init__(self, venue: Venue, news: RssRoutes) -> None:
        self._venue = venue
        self._news = news
        self._token = venue.config.control_token.get_secret_value().encode()

    def routes(self, more: Sequence[tuple[str, str, Handler]] = ()) -> list[Route]:
        """Every route, and ``more`` (method, path, handler), behind the token."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/practice/v1/status", self.status),
            ("GET", "/practice/v1/clock", self.clock),
            ("POST", "/practice/v1/clock", self.advance),
            ("POST", "/practice/v1/assignments", self.assign),
            ("POST", "/practice/v1/actions", self.announce),
            ("GET", "/practice/v1/actions", self.actions),
            *more,
        ]
        return [Route(path, self._guarded(handler), methods=[method]) for method, path, handler in table]

    def _guarded(self, handler: Handler) -> Handler:
        async def route(request: Request) -> Response:
            try:
                given = request.headers.get(TOKEN_HEADER, "").encode()
                if not hmac.compare_digest(given, self._token):
                    raise Refusal(401, UNAUTHORIZED, "the control token is missing or wrong")
                self._venue.require_sound()
                return await handler(request)
            except Refusal as refusal:
                return refused(refusal)

        return route

    async def status(self, request: Request) -> Response:
        """Where the world stands."""
        config, world = self._venue.config, self._venue.world
        return answer(
            {
                "now": world.now.isoformat(),
                "session": world.session.isoformat(),
                "seed": config.seed,
                "scenario": config.scenario,
                "speed": config.speed,
                "last_instant": config.last_instant.isoformat(),
                "open_orders": sum(1 for _ in world.open_orders()),
                "headlines_published": self._news.published(),
                "transactions": world.sequence,
            }
        )

    async def clock(self, request: Request) -> Response:
        """The exchange's time."""
        return answer({"now": self._venue.world.now.isoformat()})

    async def advance(self, request: Request) -> Response:
        """Move time forward; an earlier instant changes nothing. The answer carries the time that is reached."""
        body: Any = await json_body(request)
        given = body.get("advance_to") if isinstance(body, dict) else None
        try:
            target = datetime.fromisoformat(str(given).replace("Z", "+00:00"))
        except ValueError:
            raise Refusal(400, MALFORMED, "advance_to: expected an ISO 8601 instant") from None
        if target.tzinfo is None:
            raise Refusal(400, MALFORMED, "advance_to: expected an instant with a time zone")
        reached = await self._venue.advance_to(target.astimezone(UTC))
        return answer({"now": reached.isoformat()})

    async def announce(self, request: Request) -> Response:
        """Let a corporate action of a session to come take place, as the configuration would name it."""
        try:
            action = _ACTION.validate_python(await json_body(request))
        except ValidationError as error:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            raise Refusal(422, INVALID, f"{place or 'action'}: {first['msg'].removeprefix('Value error, ')}") from None
        await self._venue.announce(action)
        return answer({"id": action.id, **action.model_dump(mode="json")}, 201)

    async def actions(self, request: Request) -> Response:
        """Every corporate action of this world, what was and what is to come."""
        rows = ordered(self._venue.actions.all)
        return answer({"actions": [{"id": action.id, **action.model_dump(mode="json")} for action in rows]})

    async def assign(self, request: Request) -> Response:
        """Assign ``quantity`` short contracts of ``symbol`` to ``account`` before their expiry."""
        body: Any = await json_body(request)
        given = body if isinstance(body, dict) else {}
        account = self._venue.world.accounts.get(str(given.get("account")))
        symbol, quantity = given.get("symbol"), given.get("quantity", 1)
        if account is None:
            raise Refusal(404, NOT_FOUND, "account: unknown")
        if not isinstance(symbol, str) or not isinstance(quantity, int) or isinstance(quantity, bool):
            raise Refusal(400, MALFORMED, "expected symbol, a contract, and quantity, a whole number")
        await self._venue.assign(account, symbol, quantity)
        return answer({"account": account.name, "symbol": symbol, "quantity": quantity})
