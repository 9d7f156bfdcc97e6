"""Faults between the engine and its market: a symbol that does not trade, an order that gets only a part.

It stands in the way of executions only; every other question goes to the market as it is.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from trading_assets.domain.values import Quote
from trading_assets.exchange.events import Event
from trading_assets.exchange.faults import parameters as p
from trading_assets.exchange.faults.plan import Hit
from trading_assets.exchange.faults.switchboard import Switchboard
from trading_assets.exchange.market_port import Execution, MarketPort, Resting
from trading_assets.exchange.state import World
from trading_assets.exchange.venue import Markets, Venue


class FillFaults:
    """What the broker does to orders that would fill. ``attach`` it once the venue stands."""

    def __init__(self, board: Switchboard) -> None:
        self._board = board
        self._venue: Venue | None = None
        #: The instant that is being matched: the venue's clock follows it only when something happened.
        self.instant: datetime | None = None
        self._cut_short: list[tuple[str, str]] = []

    def markets(self, markets: Markets) -> Markets:
        """The same markets, whose executions pass here."""
        return lambda day, held: cast(MarketPort, _Market(markets(day, held), self))

    def attach(self, venue: Venue) -> None:
        """Hear of each step of ``venue``, to cancel what was cut short in it."""
        self._venue = venue
        venue.after_step = self._cancels

    def now(self) -> datetime:
        """The exchange's clock, also in the middle of an advance."""
        assert self._venue is not None
        now = self._venue.world.now
        return now if self.instant is None else max(now, self.instant)

    def passed(self, order: Resting, found: Execution) -> Execution | None:
        """What is left of an execution; None for nothing."""
        hit = self._hit(order)
        if hit is None:
            return found
        if self._board.first("fill", hit, "no_fills") is not None:
            return None
        if order.quantity < 2 or (hit.account, hit.order_id) in self._cut_short:
            return found
        one = self._board.first("fill", hit, "partial_then_cancel")
        if one is None:
            return found
        assert hit.account is not None and hit.order_id is not None
        self._cut_short.append((hit.account, hit.order_id))
        wanted = one.parameters(p.Quantity).quantity or order.quantity // 2
        return Execution(found.price, min(found.quantity, wanted, order.quantity - 1))

    def _hit(self, order: Resting) -> Hit | None:
        assert self._venue is not None
        for name, account in self._venue.world.accounts.items():
            known = account.open_orders.get(order.order_id)
            if known is not None:
                return Hit(
                    account=name,
                    symbols=(order.symbol,),
                    side=order.side,
                    client_order_id=known.terms.client_order_id,
                    order_id=order.order_id,
                )
        return None

    def _cancels(self) -> list[Event]:
        """The end of the orders that were cut short in the step that was just applied."""
        assert self._venue is not None
        cut_short, self._cut_short = self._cut_short, []
        world: World = self._venue.world
        events: list[Event] = []
        for name, order_id in cut_short:
            if order_id in world.accounts[name].open_orders:
                events += self._venue.engine.cancel(world.accounts[name], order_id)
        return events


class _Market:
    """A market whose executions pass the faults; everything else is the market's own."""

    def __init__(self, port: MarketPort, faults: FillFaults) -> None:
        self._port = port
        self._faults = faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        found = self._port.execute(order, quote, instant)
        self._faults.instant = instant
        return None if found is None else self._faults.passed(order, found)
