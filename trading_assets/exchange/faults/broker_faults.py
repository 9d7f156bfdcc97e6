"""What a broker does of itself: it sells a position, busts or corrects an execution, fills an order just before its
cancel, and books what somebody traded by hand. All of it through the venue's journal."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from starlette.responses import Response

from trading_assets.exchange.events import Event, OrderCanceled
from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.broker_events import liquidation, revision
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.switchboard import Armed, Switchboard
from trading_assets.exchange.market_port import Execution
from trading_assets.exchange.refusal import Refusal, not_found, unprocessable
from trading_assets.exchange.state import Account, Order
from trading_assets.exchange.venue import Venue

_log = logging.getLogger(__name__)
_RACES = ("fill_before_cancel", "fill_before_replace")
_ACTS = ("liquidate", "hand_trade", "bust", "correct")
_ALL_ORDERS = "/v2/orders"


class BrokerFaults:
    """The acts of one venue's broker."""

    def __init__(self, board: Switchboard, venue: Venue) -> None:
        self._board = board
        self._venue = venue

    async def at_once(self, one: Armed) -> None:
        """Do what ``one`` says now; raises ``Refusal`` if it cannot be done, and nothing has happened then."""
        scope = one.fault.scope
        symbols = () if scope.symbol is None else (scope.symbol,)
        await self._act(one, Hit(account=scope.account, symbols=symbols, side=scope.side))

    async def before(self, hit: Hit) -> Response | None:
        """Do what is armed for this request; an answer in its place if the broker gives one of its own."""
        for one in self._board.waits_for("act", *_ACTS):
            if one.fault.covers(hit):
                try:
                    await self._act(one, hit)
                except Refusal as refusal:
                    # The request is not to blame. The fault stays armed and its record does not have it.
                    _log.warning("fault %d could not be done: %s", one.id, refusal)
        instead = None
        for one in self._board.waits_for("act", *_RACES):
            for raced in self._raced(hit):
                accepted = await self._race(one, raced)
                if accepted and raced.order_id == hit.order_id:
                    instead = Response(status_code=204)
        return instead

    # --- acts -------------------------------------------------------------------------------------------------------

    async def _act(self, one: Armed, hit: Hit) -> None:
        account = self._account(one, hit)
        if one.fault.kind == "hand_trade" and one.parameters(p.Hand).cancel_orders:
            symbol = _symbol(one, hit)
            await self._venue.act(lambda: _cancels(account, symbol))

        def decide() -> list[Event]:
            events = self._events(one, hit, account)
            return events if self._board.strikes(one, replace(hit, account=account.name)) else []

        await self._venue.act(decide)

    def _events(self, one: Armed, hit: Hit, account: Account) -> list[Event]:
        kind, venue = one.fault.kind, self._venue
        if kind == "liquidate":
            symbol = _symbol(one, hit)
            quantity = one.parameters(p.Quantity).quantity
            return [*_cancels(account, symbol), liquidation(venue.world, venue.engine, account, symbol, quantity)]
        if kind == "hand_trade":
            return list(venue.engine.place(venue.world, account, _ticket(one, hit)))
        how = one.parameters(p.Correction if kind == "correct" else p.Execution)
        price = how.price if isinstance(how, p.Correction) else None
        quantity = how.quantity if isinstance(how, p.Correction) else 0
        wanted = one.fault.scope
        return revision(venue.world, venue.engine, account, wanted, how.execution_id, price, quantity)

    def _account(self, one: Armed, hit: Hit) -> Account:
        name = one.fault.scope.account or hit.account
        account = None if name is None else self._venue.world.accounts.get(name)
        if account is None:
            raise not_found("scope.account: expected the name of an account of this exchange")
        return account

    # --- races ------------------------------------------------------------------------------------------------------

    def _raced(self, hit: Hit) -> list[Hit]:
        """The open orders that the request is about, each as a hit of its own."""
        if hit.account is None:
            return []
        book = self._venue.world.accounts[hit.account]
        every = hit.path == _ALL_ORDERS
        return [
            replace(
                hit,
                symbols=(order.terms.symbol,),
                side=order.terms.side,
                client_order_id=order.terms.client_order_id,
                order_id=order.terms.id,
            )
            for order in list(book.open_orders.values())
            if every or order.terms.id == hit.order_id
        ]

    async def _race(self, one: Armed, hit: Hit) -> bool:
        """Fill the order, if ``one`` hits it; whether its cancel is answered as if it had come in time."""
        assert hit.account is not None and hit.order_id is not None
        account, order_id = self._venue.world.accounts[hit.account], hit.order_id
        struck = False

        def decide() -> list[Event]:
            nonlocal struck
            order = account.open_orders.get(order_id)
            found = None if order is None else self._execution(one, order)
            if order is None or found is None or not self._board.strikes(one, hit):
                return []
            struck = True
            return self._venue.engine.executed(account, order, found, self._venue.world.now)

        await self._venue.act(decide)
        return struck and one.fault.kind == "fill_before_cancel" and one.parameters(p.Race).accepted

    def _execution(self, one: Armed, order: Order) -> Execution | None:
        """What the order gets before the request reaches it; None where it cannot be filled now."""
        if order.waits or order.is_stop or order.terms.source != "client":
            return None
        price = order.terms.limit_price
        if price is None:
            quote = self._venue.market.quote(order.terms.symbol, self._venue.world.now)
            price = None if quote is None else quote.ask if order.terms.side == "buy" else quote.bid
        wanted = one.parameters(p.Race if one.fault.kind == "fill_before_cancel" else p.Quantity).quantity
        return None if not price else Execution(price, min(order.remaining, wanted or order.remaining))


def _symbol(one: Armed, hit: Hit) -> str:
    symbol = one.fault.scope.symbol or (hit.symbols[0] if hit.symbols else None)
    if symbol is None:
        raise unprocessable("scope.symbol: this fault needs a symbol")
    return symbol


def _ticket(one: Armed, hit: Hit) -> dict[str, Any]:
    """An order without an id of the client's."""
    how, side = one.parameters(p.Hand), one.fault.scope.side or hit.side
    if side is None:
        raise unprocessable("scope.side: a trade by hand needs a side")
    ticket: dict[str, Any] = {"symbol": _symbol(one, hit), "side": side, "qty": how.quantity, "time_in_force": "day"}
    if how.limit_price is None:
        return {**ticket, "type": "market"}
    return {**ticket, "type": "limit", "limit_price": str(how.limit_price)}


def _cancels(account: Account, symbol: str) -> list[Event]:
    """The end of every open order in ``symbol``."""
    return [
        OrderCanceled(account=account.name, order_id=order.terms.id)
        for order in account.open_orders.values()
        if order.terms.symbol == symbol
    ]
