"""The control path of the switchboard: arm, list, disarm, and read what happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from trading_assets.exchange import http
from trading_assets.exchange.faults.broker_faults import BrokerFaults
from trading_assets.exchange.faults.plan import KINDS, Fault
from trading_assets.exchange.faults.stream_faults import StreamFaults
from trading_assets.exchange.faults.switchboard import Armed, Switchboard
from trading_assets.exchange.http import answer, json_body
from trading_assets.exchange.refusal import invalid, not_found
from trading_assets.exchange.state import World

PATH = "/practice/v1/faults"
Handler = Callable[[Request], Awaitable[Response]]


class FaultRoutes:
    """The routes of one switchboard; the caller puts them behind the control token."""

    def __init__(self, board: Switchboard, broker: BrokerFaults, stream: StreamFaults, world: World) -> None:
        self._board = board
        self._broker = broker
        self._stream = stream
        self._world = world

    def table(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        return [
            ("GET", PATH, self.armed),
            ("POST", PATH, self.arm),
            ("DELETE", PATH, self.disarm_all),
            ("GET", f"{PATH}/fired", self.fired),
            ("DELETE", PATH + "/{fault:int}", self.disarm),
        ]

    async def armed(self, request: Request) -> Response:
        """What is in place, and how many have happened."""
        return answer({"armed": [_armed(one) for one in self._board.armed()], "fired": len(self._board.fired())})

    async def arm(self, request: Request) -> Response:
        """Put a fault in place; what the broker does at once is done when this is answered."""
        try:
            fault = Fault.model_validate(await json_body(request))
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'fault'}: {item['msg'].removeprefix('Value error, ')}"
                for item in error.errors(include_input=False, include_context=False, include_url=False)
            )
            raise invalid(wrong) from None
        if fault.scope.account is not None and fault.scope.account not in self._world.accounts:
            raise invalid(f"scope.account: this exchange has no account {fault.scope.account[:40]}")
        one = self._board.arm(fault)
        try:
            if fault.at_once and KINDS[fault.kind].hook == "act":
                await self._broker.at_once(one)
            elif fault.at_once or fault.kind == "outage":
                self._stream.break_off(one)
        finally:
            # What was to happen now has happened, could not, or had its chance against it.
            if fault.at_once:
                self._board.disarm(one.id)
        return answer(_armed(one), 201)

    async def disarm(self, request: Request) -> Response:
        """Take one away."""
        identity = int(request.path_params["fault"])
        if not self._board.disarm(identity):
            raise not_found(f"fault {identity} is not armed")
        return Response(status_code=204)

    async def disarm_all(self, request: Request) -> Response:
        """Take all away."""
        return answer({"disarmed": self._board.disarm_all()})

    async def fired(self, request: Request) -> Response:
        """What happened so far, behind the sequence number ``after``, of one ``kind`` if it is named."""
        after = http.whole(request, "after", 0, 0, 2**31)
        found = self._board.fired(after, request.query_params.get("kind"))
        return answer([one.model_dump(mode="json") for one in found])


def _armed(one: Armed) -> dict[str, Any]:
    return {
        "id": one.id,
        **one.fault.model_dump(mode="json"),
        "armed_at": one.armed_at.isoformat(),
        "seen": one.seen,
        "hits": one.hits,
    }
