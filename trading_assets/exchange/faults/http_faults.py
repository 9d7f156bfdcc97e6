"""Faults in front of every route: requests that are lost, answers that are lost, late, refused or spoilt.

A middleware, put in place only where faults are on. What no armed fault can hit is passed through untouched.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.answers import Answer, captured
from trading_assets.exchange.faults.broker_faults import BrokerFaults
from trading_assets.exchange.faults.connections import cut, gone
from trading_assets.exchange.faults.order_answers import held_for_orders
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.rejections import rejection
from trading_assets.exchange.faults.requests import Body, Identify, read_hit
from trading_assets.exchange.faults.switchboard import Armed, Switchboard
from trading_assets.exchange.http import answer, refused
from trading_assets.exchange.refusal import INTERNAL, RATE_LIMITED, UNAUTHORIZED, Refusal
from trading_assets.exchange.venue import Venue

_CONTROL = "/practice/"
_HTML = (
    b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>"
)
#: Changes of what a route answered: the hit and the answer, which is changed in place.
Change = Callable[[Hit, Answer], None]


class HttpFaults:
    """The middleware of one venue."""

    def __init__(
        self,
        app: ASGIApp,
        board: Switchboard,
        venue: Venue,
        identify: Identify,
        broker: BrokerFaults,
        changes: tuple[Change, ...],
    ) -> None:
        self._app = app
        self._board = board
        self._venue = venue
        self._identify = identify
        self._broker = broker
        self._changes = changes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or do with it what an armed fault says."""
        kind = scope["type"]
        if kind == "websocket":
            await self._stream(scope, receive, send)
        elif kind != "http" or scope["path"].startswith(_CONTROL) or not self._concerned():
            await self._app(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    def _concerned(self) -> bool:
        return any(self._board.waits_for(hook) for hook in ("request", "answer", "act"))

    # --- streams ----------------------------------------------------------------------------------------------------

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        hit = Hit(method="GET", path=scope["path"])
        if self._board.first("request", hit, "outage") is not None:
            cut(scope, reset=False)
            return
        refusing = [
            one
            for one in self._board.waits_for("connect")
            if one.parameters(p.RefuseConnection).at == "handshake" and self._board.strikes(one, hit)
        ]
        if refusing:
            await WebSocket(scope, receive, send).send_denial_response(
                answer({"code": 406, "message": "connection limit exceeded"}, 406)
            )
            return
        await self._app(scope, receive, send)

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, body = Request(scope), Body(receive)
        await body.read()
        hit = read_hit(request, body.json(), self._venue.world, self._identify(request))
        instead = await self._broker.before(hit)
        if instead is not None:
            await instead(scope, body.receive, send)
            return
        one = self._board.first("request", hit)
        if one is not None:
            await self._suffer(one, hit, scope, body, send)
        elif self._board.waits_for("answer"):
            await (await self._answered(hit, scope, body)).send(send)
        else:
            await self._app(scope, body.receive, send)

    async def _answered(self, hit: Hit, scope: Scope, body: Body) -> Answer:
        """What the route answers, with the faults of single orders, quotes and bars in it."""
        found = await captured(self._app, scope, body.receive)
        for change in self._changes:
            change(hit, found)
        return found

    async def _suffer(self, one: Armed, hit: Hit, scope: Scope, body: Body, send: Send) -> None:
        kind = one.fault.kind
        response = self._response(one, hit)
        if kind in ("lost_answer", "lost_request", "reset", "outage"):
            await self._lose(one, hit, scope, body, send)
        elif kind == "hang":
            await self._hang(one, hit, scope, body, send)
        elif response is not None:
            if one.fault.parameters.get("handled"):
                await self._answered(hit, scope, body)
            await response(scope, body.receive, send)
        else:
            await self._spoil(one, await self._answered(hit, scope, body), send)

    async def _lose(self, one: Armed, hit: Hit, scope: Scope, body: Body, send: Send) -> None:
        kind = one.fault.kind
        mode = one.parameters(p.Outage).mode if kind == "outage" else "refuse"
        if kind == "lost_answer" or (kind == "reset" and one.parameters(p.Handled).handled):
            await self._answered(hit, scope, body)
        if mode != "hang":
            cut(scope, reset=kind == "reset" or mode == "reset")
        await gone(body.receive)

    async def _hang(self, one: Armed, hit: Hit, scope: Scope, body: Body, send: Send) -> None:
        how = one.parameters(p.Hang)
        found = await self._answered(hit, scope, body) if how.handled else None
        if how.seconds is None:
            await gone(body.receive)
            return
        await asyncio.sleep(how.seconds)
        if found is not None:
            await found.send(send)
        else:
            await _internal(504)(scope, body.receive, send)

    async def _spoil(self, one: Armed, found: Answer, send: Send) -> None:
        kind = one.fault.kind
        if kind == "empty_200":
            await Answer(200, found.headers, b"").send(send)
        elif kind == "truncated_json":
            keep = one.parameters(p.Truncated).keep
            await Answer(found.status, found.headers, found.body[: int(len(found.body) * keep)]).send(send)
        else:
            how = one.parameters(p.Slow)
            await found.send(send, pieces=how.chunks, pause=how.seconds / how.chunks)

    def _response(self, one: Armed, hit: Hit) -> Response | None:
        """The answer that stands in the place of the route's; None where there is none of its own."""
        kind = one.fault.kind
        if kind == "rate_limited":
            return self._rate_limited(one.parameters(p.RateLimited).reset_s)
        if kind == "server_error":
            return _internal(one.parameters(p.ServerError).status)
        if kind == "html_body":
            return Response(_HTML, one.parameters(p.HtmlBody).status, media_type="text/html")
        if kind == "unauthorized":
            return refused(Refusal(401, UNAUTHORIZED, "request is not authorized"))
        if kind == "bad_positions":
            return _internal(one.parameters(p.BadPositions).status)
        if kind == "reject_order":
            how = one.parameters(p.Rejection)
            own = Refusal(how.status, how.code, how.message, **how.extras)
            return refused(own if how.reason is None else rejection(how.reason))
        if kind == "held_for_orders":
            return refused(held_for_orders(self._venue.world, hit))
        return None

    def _rate_limited(self, reset_s: int) -> Response:
        # The same clock that the real limit counts by.
        counts = self._venue.config.speed > 0
        now = time.time() if counts else self._venue.world.now.timestamp()
        headers = {
            "X-RateLimit-Limit": str(self._venue.config.rules.requests_per_minute),
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(int(now) + reset_s),
        }
        return answer({"code": RATE_LIMITED, "message": "rate limit exceeded"}, 429, headers)


def _internal(status: int) -> Response:
    return answer({"code": INTERNAL, "message": "internal server error occurred"}, status)
