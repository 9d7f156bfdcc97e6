"""What a request is about: account, symbols, side and order, as far as it says so or its order is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.types import Message, Receive

from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.state import Account, World

#: More of a body is not looked at; no request of the protocol is as large.
_MOST_BODY = 64 * 1024
Identify = Callable[[Request], str | None]


class Body:
    """A request's body, read ahead and handed on unchanged."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: list[Message] = []
        self.content = b""

    async def read(self) -> None:
        """Read ahead to its end, or to the most that is looked at."""
        more = True
        while more and len(self.content) <= _MOST_BODY:
            message = await self._receive()
            self._messages.append(message)
            self.content += message.get("body", b"")
            more = message.get("more_body", False)

    async def receive(self) -> Message:
        """What was read, once more, and then what comes."""
        return self._messages.pop(0) if self._messages else await self._receive()

    def json(self) -> dict[str, Any]:
        """The object that it is; empty for anything else."""
        try:
            found = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


def read_hit(request: Request, body: dict[str, Any], world: World, account: str | None) -> Hit:
    """What ``request`` of ``account`` would hit."""
    path = request.url.path
    query = request.query_params
    symbols = [part for part in query.get("symbols", "").split(",") if part]
    side, client_order_id, order_id = query.get("side"), query.get("client_order_id"), None
    if request.method == "POST":
        symbols += symbols_of(body)
        side, client_order_id = body.get("side", side), body.get("client_order_id", client_order_id)
    last = unquote(path.rpartition("/")[2])
    if account is not None:
        book = world.accounts[account]
        order = book.orders.get(last) or book.orders.get(book.by_client_id.get(client_order_id or "", ""))
        if order is not None:
            symbols.append(order.terms.symbol)
            side = side or order.terms.side
            client_order_id, order_id = order.terms.client_order_id, order.terms.id
        symbols += _named(book, path, last)
    return Hit(
        method=request.method,
        path=path,
        account=account,
        symbols=tuple(dict.fromkeys(symbols)),
        side=side if isinstance(side, str) else None,
        client_order_id=client_order_id if isinstance(client_order_id, str) else None,
        order_id=order_id,
    )


def symbols_of(order: dict[str, Any]) -> tuple[str, ...]:
    """What an order or the request of one is about: its symbol, else those of its legs."""
    legs = order.get("legs")
    rows = [order, *(legs if isinstance(legs, list) else [])]
    found = (row.get("symbol") for row in rows if isinstance(row, dict))
    return tuple(dict.fromkeys(symbol for symbol in found if isinstance(symbol, str) and symbol))


def _named(book: Account, path: str, last: str) -> list[str]:
    """The symbol at the end of the path of a position, a contract, an asset or a chain."""
    if not path.startswith(("/v2/positions/", "/v2/options/contracts/", "/v2/assets/", "/v1beta1/options/snapshots/")):
        return []
    held = [position.symbol for position in book.positions.values() if position.asset_id == last]
    return held or [last]
