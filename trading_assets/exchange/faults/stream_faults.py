"""Faults of the stream of trade updates: frames that are lost, late, doubled, out of order or nonsense, and breaks."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import orjson
from starlette.websockets import WebSocket

from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.connections import cut
from trading_assets.exchange.faults.order_answers import shifted
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.requests import symbols_of
from trading_assets.exchange.faults.switchboard import Armed, Switchboard
from trading_assets.exchange.trade_updates import TradeUpdates

_GOING_AWAY = 1001


class StreamFaults:
    """Stands between what the stream has to tell and its listeners."""

    def __init__(self, board: Switchboard, updates: TradeUpdates) -> None:
        self._board = board
        self._updates = updates
        self._held: dict[str, list[bytes]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()
        updates.pass_on = self.frame
        updates.refuses = self.refuses

    def refuses(self, account: str) -> bool:
        """Whether a listener with good credentials is sent away."""
        return any(
            self._board.strikes(one, Hit(account=account))
            for one in self._board.waits_for("connect")
            if one.parameters(p.RefuseConnection).at == "authorization"
        )

    def frame(self, account: str, message: bytes) -> None:
        """Send ``message`` to the listeners of ``account``, or do with it what an armed fault says."""
        hit = _hit(account, message)
        for skew in self._board.all("answer", hit, "clock_skew"):
            message = orjson.dumps(shifted(orjson.loads(message), skew.parameters(p.Skew).seconds))
        one = self._board.first("frame", hit)
        if one is not None and one.fault.kind == "reorder_frames":
            self._held[account].append(message)
            return
        if one is None:
            self._updates.send(account, message)
        else:
            self._spoil(one, account, message)
        # What was held back comes after the frame that followed it.
        for held in self._held.pop(account, []):
            self._updates.send(account, held)

    def _spoil(self, one: Armed, account: str, message: bytes) -> None:
        kind = one.fault.kind
        if kind == "duplicate_frame":
            self._updates.send(account, message)
            self._updates.send(account, message)
        elif kind == "bad_frame":
            self._updates.send(account, _nonsense(one.parameters(p.BadFrame).shape, message))
            self._updates.send(account, message)
        elif kind == "late_frame":
            late = one.parameters(p.Late).seconds
            asyncio.get_running_loop().call_later(late, self._updates.send, account, message)
        elif kind == "disconnect":
            self._leave(account, abrupt=one.parameters(p.Disconnect).abrupt)
        # mute and drop_frame: nobody hears of it.

    def break_off(self, one: Armed) -> None:
        """End the connections of the listeners in scope, as ``disconnect`` now or an ``outage`` that begins."""
        disconnects, wanted = one.fault.kind == "disconnect", one.fault.scope.account
        if disconnects and not self._board.strikes(one, Hit(account=wanted)):
            return
        for account in list(self._updates.sockets):
            if wanted in (None, account):
                self._leave(account, abrupt=not disconnects or one.parameters(p.Disconnect).abrupt)

    def _leave(self, account: str, *, abrupt: bool) -> None:
        for socket in list(self._updates.sockets[account]):
            if abrupt:
                cut(socket.scope, reset=False)
            else:
                self._later(socket)

    def _later(self, socket: WebSocket) -> None:
        task = asyncio.get_running_loop().create_task(socket.close(_GOING_AWAY))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _hit(account: str, message: bytes) -> Hit:
    data = orjson.loads(message)["data"]
    order = data["order"]
    return Hit(
        account=account,
        symbols=symbols_of(order),
        side=order["side"],
        client_order_id=order["client_order_id"],
        order_id=order["id"],
        event=data["event"],
    )


def _nonsense(shape: str, message: bytes) -> bytes:
    """A frame that a handler chokes on."""
    if shape == "not_json":
        return message[: len(message) // 2]
    if shape == "no_object":
        return b"[]"
    frame: dict[str, Any] = orjson.loads(message)
    if shape == "no_data":
        del frame["data"]
    elif shape == "null_order":
        frame["data"]["order"] = None
    else:
        frame["data"]["order"]["status"] = "awaiting_regulator"
    return orjson.dumps(frame)
