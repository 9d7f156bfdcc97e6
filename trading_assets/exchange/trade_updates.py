"""The stream of trade updates: what happens to an account's orders, told to whoever listens, once it is durable.

It tells what is new and nothing else: no replay, no numbers in sequence. Whoever was not connected asks for activities.
A listener that does not keep up is cut off, as the protocol has it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from trading_assets.exchange import wire
from trading_assets.exchange.events import (
    ComboFilled,
    Event,
    ExecutionRevised,
    LegResized,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
)
from trading_assets.exchange.sockets import (
    POLICY_VIOLATION,
    TRY_AGAIN_LATER,
    Authenticate,
    receive,
)
from trading_assets.exchange.state import Account, Order, World

STREAM = "trade_updates"
#: Who has not said who they are by then is sent away.
_AUTHENTICATION_SECONDS = 10.0
#: Updates that a slow listener may be behind.
_MOST_BEHIND = 2000
_log = logging.getLogger(__name__)


class TradeUpdates:
    """The connected listeners by account. ``applied`` collects what happened, ``durable`` sends it."""

    def __init__(self, world: World, authenticate: Authenticate, most_behind: int = _MOST_BEHIND) -> None:
        self._world = world
        self._authenticate = authenticate
        self._most_behind = most_behind
        self._listeners: dict[str, set[asyncio.Queue[bytes | None]]] = defaultdict(set)
        self._waiting: list[tuple[str, bytes]] = []
        #: The open connections of each account.
        self.sockets: dict[str, set[WebSocket]] = defaultdict(set)
        #: Where an update goes, and whether good credentials are refused: faults put themselves in between.
        self.pass_on: Callable[[str, bytes], None] = self.send
        self.refuses: Callable[[str], bool] = lambda account: False

    def routes(self) -> list[WebSocketRoute]:
        """The stream, with and without the slash at its end."""
        return [WebSocketRoute("/stream", self._connected), WebSocketRoute("/stream/", self._connected)]

    # --- what happens -----------------------------------------------------------------------------------------------

    def applied(self, event: Event, at: datetime) -> None:
        """Keep the update that ``event`` is, if anybody listens to its account. The world has just taken it in."""
        name = getattr(event, "account", None)
        if name is None or not self._listeners.get(name):
            return
        data = _update(self._world.accounts[name], event, at)
        if data is not None:
            self._waiting.append((name, orjson.dumps({"stream": STREAM, "data": data})))

    def durable(self) -> None:
        """Send what was kept: it is in the journal now."""
        waiting, self._waiting = self._waiting, []
        for name, message in waiting:
            self.pass_on(name, message)

    def send(self, account: str, message: bytes) -> None:
        """Put ``message`` into the queue of each listener of ``account``."""
        for queue in list(self._listeners[account]):
            if queue.full():
                # Room for the farewell: what was lost would be missed without a word otherwise.
                queue.get_nowait()
                queue.put_nowait(None)
                self.unsubscribe(account, queue)
            else:
                queue.put_nowait(message)

    def queue(self) -> asyncio.Queue[bytes | None]:
        """The place of one listener: messages, and None where it was too slow."""
        return asyncio.Queue(self._most_behind)

    def subscribe(self, account: str, queue: asyncio.Queue[bytes | None]) -> None:
        """Put updates of ``account`` into ``queue`` from now on."""
        self._listeners[account].add(queue)

    def unsubscribe(self, account: str, queue: asyncio.Queue[bytes | None]) -> None:
        """Put none into it any more."""
        self._listeners[account].discard(queue)

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _connected(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            account = await asyncio.wait_for(self._greet(socket), _AUTHENTICATION_SECONDS)
        except TimeoutError:
            await _fail(socket, "authentication timed out")
            return
        except WebSocketDisconnect:
            return
        if account is None:
            await socket.close(POLICY_VIOLATION)
            return
        queue = self.queue()
        self.sockets[account].add(socket)
        sender = asyncio.create_task(self._send(socket, queue))
        try:
            await self._listen(socket, account, queue)
        except WebSocketDisconnect:
            _log.info("account %s: a listener left", account)
        finally:
            self.unsubscribe(account, queue)
            self.sockets[account].discard(socket)
            sender.cancel()

    async def _greet(self, socket: WebSocket) -> str | None:
        """The account that the first message names by its credentials; None if they are no account's.

        Raises ``WebSocketDisconnect`` where the connection is refused all the same.
        """
        message = await _read(socket)
        given = message.get("data") if message.get("action") == "authenticate" else message
        if message.get("action") not in ("authenticate", "auth") or not isinstance(given, dict):
            given = {}
        key, secret = given.get("key_id", given.get("key")), given.get("secret_key", given.get("secret"))
        account = self._authenticate(str(key), str(secret)) if key and secret else None
        if account is not None and self.refuses(account):
            await _fail(socket, "connection limit exceeded")
            raise WebSocketDisconnect
        status = "unauthorized" if account is None else "authorized"
        await _say(socket, {"stream": "authorization", "data": {"status": status, "action": "authenticate"}})
        return account

    async def _listen(self, socket: WebSocket, account: str, queue: asyncio.Queue[bytes | None]) -> None:
        while True:
            message = await _read(socket)
            data = message.get("data")
            wanted = data.get("streams") if isinstance(data, dict) else None
            if message.get("action") != "listen" or not isinstance(wanted, list):
                await _fail(socket, "unknown action")
                return
            streams = [STREAM] if STREAM in wanted else []
            (self.subscribe if streams else self.unsubscribe)(account, queue)
            await _say(socket, {"stream": "listening", "data": {"streams": streams}})

    async def _send(self, socket: WebSocket, queue: asyncio.Queue[bytes | None]) -> None:
        while True:
            message = await queue.get()
            if message is None:
                _log.warning("a listener of trade updates was too slow and is cut off")
                await socket.close(TRY_AGAIN_LATER)
                return
            await socket.send_bytes(message)


def _update(account: Account, event: Event, at: datetime) -> dict[str, Any] | None:
    """The data of the update that ``event`` is; None for what the stream does not tell."""
    if isinstance(event, OrderEvent) and account.orders[event.order_id].is_combo_leg:
        # Told with the whole.
        return None
    if isinstance(event, OrderAccepted):
        order = account.orders[event.id]
        return None if order.is_combo_leg else _accepted(order, at)
    if isinstance(event, ComboFilled):
        return _combo_filled(account, event, at)
    if isinstance(event, OrderFilled):
        order = account.orders[event.order_id]
        position = account.positions.get(order.terms.symbol)
        return {
            **_told("fill" if order.remaining == 0 else "partial_fill", order, at),
            "price": wire.text(event.price),
            "qty": wire.text(event.quantity),
            "position_qty": wire.text(0 if position is None else position.quantity),
            "execution_id": event.execution_id.partition("::")[2],
        }
    if isinstance(event, ExecutionRevised):
        return _revised(account, event, at)
    if isinstance(event, OrderCanceled | OrderExpired | OrderReplaced):
        names = {OrderCanceled: "canceled", OrderExpired: "expired", OrderReplaced: "replaced"}
        return _told(names[type(event)], account.orders[event.order_id], at)
    if isinstance(event, LegResized):
        order = account.orders[event.order_id]
        return _told("new", order, at) if order.active_at == at and order.status == "new" else None
    return None


def _accepted(order: Order, at: datetime) -> dict[str, Any]:
    """What is told of an order that was taken: ``new`` where it is in the book, else that it waits, and for what."""
    told = _told("new", order, at)
    return {**told, "event": told["order"]["status"]}


def _revised(account: Account, event: ExecutionRevised, at: datetime) -> dict[str, Any]:
    """A bust tells what is gone, a correction what stands; both name the execution that they revise."""
    order = account.orders[event.order_id]
    position = account.positions.get(order.terms.symbol)
    bust = event.quantity == 0
    return {
        **_told("trade_bust" if bust else "trade_correct", order, at),
        "price": wire.text(event.was_price if bust else event.price),
        "qty": wire.text(event.was_quantity if bust else event.quantity),
        "position_qty": wire.text(0 if position is None else position.quantity),
        "execution_id": event.new_execution_id.partition("::")[2],
        "previous_execution_id": event.execution_id.partition("::")[2],
    }


def _combo_filled(account: Account, event: ComboFilled, at: datetime) -> dict[str, Any]:
    """The fill of a multi-leg order: net price and units, and what each leg got and now stands at."""
    order = account.orders[event.order_id]
    legs, positions = [], {}
    for part in event.legs:
        terms = account.orders[part.order_id].terms
        position = account.positions.get(terms.symbol)
        positions[terms.symbol] = wire.text(0 if position is None else position.quantity)
        legs.append(
            {
                "order_id": part.order_id,
                "symbol": terms.symbol,
                "side": terms.side,
                "price": wire.text(part.price),
                "qty": wire.text(part.quantity),
                "execution_id": part.execution_id.partition("::")[2],
                "position_qty": positions[terms.symbol],
            }
        )
    whole = wire.order_json(order, at, [account.orders[part.order_id] for part in event.legs])
    return {
        **_told("fill" if order.remaining == 0 else "partial_fill", order, at),
        "order": whole,
        "price": wire.text(event.price),
        "qty": wire.text(event.quantity),
        "position_qtys": positions,
        "legs": legs,
        "execution_id": event.execution_id.partition("::")[2],
    }


def _told(name: str, order: Order, at: datetime) -> dict[str, Any]:
    stamp = wire.instant(at)
    return {"event": name, "timestamp": stamp, "at": stamp, "order": wire.order_json(order, at)}


async def _read(socket: WebSocket) -> dict[str, Any]:
    """The next message; an empty one for what is no JSON object."""
    frame = await receive(socket)
    try:
        message = orjson.loads(frame)
    except orjson.JSONDecodeError:
        return {}
    return message if isinstance(message, dict) else {}


async def _say(socket: WebSocket, message: dict[str, Any]) -> None:
    # Binary frames with JSON inside, as the paper interface sends them.
    await socket.send_bytes(orjson.dumps(message))


async def _fail(socket: WebSocket, why: str) -> None:
    await _say(socket, {"action": "error", "data": {"error_message": why}})
    await socket.close(POLICY_VIOLATION)
