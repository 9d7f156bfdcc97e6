"""The engine: commands and the passing of time become events. It changes nothing itself and keeps no state.

Time is a grid of whole seconds. An order accepted at instant *a* is matched at every grid instant *t* with *a* < *t*
and open ≤ *t* < close, whatever the calls that moved the clock: the outcome depends on the grid, never on how an
advance is split. So a marketable order fills at the first grid instant after its submission. Within one instant orders
are matched in order of acceptance; orders of one account on the same side of one symbol share the displayed size.

A stop is reached by the last traded price of a stock (an option's bid, or its ask for a buy) and may trade from the
next grid instant on, as may the legs of an entry that ended.

What the broker closes before an expiry (``expiry``) trades in whole at the first later grid instant that has a bid, or
an ask for what is short.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from trading_assets.domain.values import Quote
from trading_assets.exchange import combos, complex_orders
from trading_assets.exchange.combo_rules import ComboRules
from trading_assets.exchange.combo_tickets import ComboTicket
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.events import (
    Event,
    LegResized,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderTriggered,
    TrailMoved,
)
from trading_assets.exchange.expiry import BROKER, Expiry
from trading_assets.exchange.identities import Identities
from trading_assets.exchange.listing import Listing
from trading_assets.exchange.market_port import Execution, MarketPort, Resting
from trading_assets.exchange.marks import mark_shorts
from trading_assets.exchange.refusal import not_found, unprocessable
from trading_assets.exchange.rules import OrderRules
from trading_assets.exchange.state import Account, Order, World
from trading_assets.exchange.tickets import read_changes, read_ticket
from trading_assets.exchange.wire import activity_id
from trading_assets.market.sessions import require_session

GRID = timedelta(seconds=1)


class Engine:
    """The decisions of one practice exchange in one session."""

    def __init__(self, config: ExchangeConfig, market: MarketPort, day: date) -> None:
        self.market = market
        self.listing = Listing(market)
        self.session = require_session(day)
        self.identities = Identities(config.seed)
        self._rules = OrderRules(market, self.listing, self.session, config.rules, self.identities)
        self._combos = ComboRules(
            market, self.listing, self.session, self._rules, self.identities, config.rules.market_collar
        )
        self.expiry = Expiry(market, self.listing, self.session, config.rules, self.identities)

    # --- commands ---------------------------------------------------------------------------------------------------

    def place(self, world: World, account: Account, body: object) -> tuple[OrderAccepted, ...]:
        """The events of a new order and its legs, the order itself first; raises ``Refusal``."""
        ticket = read_ticket(body)
        mark_shorts(self.market, account, world.now)
        if isinstance(ticket, ComboTicket):
            return self._combos.accept(world, account, ticket)
        return self._rules.accept(world, account, ticket)

    def replace(self, world: World, account: Account, order_id: str, body: object) -> Sequence[Event]:
        """The events of a replacement, the new order the first that is accepted; raises ``Refusal``."""
        changes = read_changes(body)
        mark_shorts(self.market, account, world.now)
        order = self._open(account, order_id)
        if order.is_combo:
            return self._combos.replace(world, account, order, changes)
        return self._rules.replace(world, account, order, changes)

    def cancel(self, account: Account, order_id: str) -> list[Event]:
        """The events of a cancel and of what it means for other legs; raises ``Refusal`` if nothing is left of it."""
        order = self._open(account, order_id)
        canceled = OrderCanceled(account=account.name, order_id=order_id)
        if order.is_combo:
            return [canceled, *self._cancel_legs(account, order)]
        return [canceled, *complex_orders.after_end(account, order, order.filled)]

    def _cancel_legs(self, account: Account, order: Order) -> list[Event]:
        return [OrderCanceled(account=account.name, order_id=leg.terms.id) for leg in account.legs(order)]

    def _open(self, account: Account, order_id: str) -> Order:
        order = account.orders.get(order_id)
        if order is None:
            raise not_found(f"order not found for {order_id}")
        if order_id not in account.open_orders:
            raise unprocessable(f'order is already in "{order.status}" state')
        if order.terms.source == BROKER:
            raise unprocessable("order was placed by the broker and cannot be canceled")
        if order.is_combo_leg:
            raise unprocessable("a leg of a multi-leg order cannot be changed by itself")
        return order

    # --- time -------------------------------------------------------------------------------------------------------

    def next_instant(self, world: World, after: datetime, until: datetime) -> datetime | None:
        """The next instant in (after, until] at which something may happen, or None."""
        candidates = [instant for instant in (self.expiry.liquidation, self.session.close) if instant > after]
        if after < self.expiry.morning and any(account.settling for account in world.accounts.values()):
            candidates.append(self.expiry.morning)
        if after < self.session.close and any(account.open_orders for account in world.accounts.values()):
            tick = max(after.replace(microsecond=0) + GRID, self.session.open)
            if tick < self.session.close:
                candidates.append(tick)
        first = min(candidates, default=None)
        return first if first is not None and first <= until else None

    def step(self, world: World, instant: datetime) -> list[Event]:
        """Everything that happens at ``instant``, which ``next_instant`` named."""
        if instant == self.session.close:
            return self.expiry.close(world)
        if instant == self.expiry.morning:
            return self.expiry.settle(world)
        events: list[Event] = self.expiry.liquidate(world) if instant == self.expiry.liquidation else []
        touched = {event.order_id for event in events if isinstance(event, OrderCanceled)}
        if self.session.contains(instant):
            events.extend(self._match(world, instant, touched))
        return events

    def _match(self, world: World, instant: datetime, touched: set[str]) -> list[Event]:
        """Fills and triggers of one instant. What one of its events changes is ``touched`` and left to the next."""
        taken: dict[tuple[str, str, str], int] = defaultdict(int)
        events: list[Event] = []
        for account, order in world.open_orders():
            if order.terms.id in touched or order.waits or order.is_combo_leg or order.active_at >= instant:
                continue
            found: list[Event] = []
            if order.is_combo:
                found = self._combo_events(account, order, instant, taken)
            elif order.is_stop:
                found = self._stop_events(account, order, instant)
            else:
                key = (account.name, order.terms.symbol, order.terms.side)
                execution = self._execution(order, instant, taken[key])
                if execution is not None:
                    taken[key] += execution.quantity
                    found = self._fill_events(account, order, execution, instant)
            events.extend(found)
            touched |= {
                event.order_id for event in found if isinstance(event, OrderCanceled | LegResized | OrderFilled)
            }
        return events

    def executed(self, account: Account, order: Order, execution: Execution, instant: datetime) -> list[Event]:
        """The events of an execution that did not come of matching."""
        return self._fill_events(account, order, execution, instant)

    def _combo_events(
        self, account: Account, order: Order, instant: datetime, taken: dict[tuple[str, str, str], int]
    ) -> list[Event]:
        def left(leg: Order) -> Quote | None:
            quote = self.market.quote(leg.terms.symbol, instant)
            key = (account.name, leg.terms.symbol, leg.terms.side)
            return None if quote is None else _less(quote, leg.terms.side, taken[key])

        filled = combos.fill(self.market, self.identities, account, order, left, instant)
        if filled is None:
            return []
        for part in filled.legs:
            leg = account.orders[part.order_id].terms
            taken[account.name, leg.symbol, leg.side] += part.quantity
        return [filled]

    def _fill_events(self, account: Account, order: Order, execution: Execution, instant: datetime) -> list[Event]:
        filled = order.filled + execution.quantity
        event = OrderFilled(
            account=account.name,
            order_id=order.terms.id,
            execution_id=activity_id(instant, self.identities.execution(order.terms.id, filled)),
            price=execution.price,
            quantity=execution.quantity,
        )
        if execution.quantity == order.remaining:
            return [event, *complex_orders.after_end(account, order, filled)]
        return [event, *complex_orders.after_fill(account, order, execution.quantity)]

    def _stop_events(self, account: Account, order: Order, instant: datetime) -> list[Event]:
        """A stop that is reached, or the best price that a trail has now seen; nothing where there is no price."""
        price, selling = self._stop_reference(order, instant), order.terms.side == "sell"
        if price is None:
            return []
        stop = order.stop_price
        if stop is not None and (price <= stop if selling else price >= stop):
            triggered = OrderTriggered(account=account.name, order_id=order.terms.id)
            return [triggered, *complex_orders.after_trigger(account, order)]
        mark = order.high_water
        if mark is not None and (price > mark if selling else price < mark):
            return [TrailMoved(account=account.name, order_id=order.terms.id, high_water=price)]
        return []

    def _stop_reference(self, order: Order, instant: datetime) -> Decimal | None:
        quote = self.market.quote(order.terms.symbol, instant)
        if quote is None:
            return None
        if order.terms.asset_class != "us_option":
            return self.market.price_at(order.terms.symbol, instant)
        return quote.bid if order.terms.side == "sell" else quote.ask

    def _execution(self, order: Order, instant: datetime, taken: int) -> Execution | None:
        quote = self.market.quote(order.terms.symbol, instant)
        if quote is None:
            return None
        if order.terms.source == BROKER:
            price = quote.bid if order.terms.side == "sell" else quote.ask
            return Execution(price, order.remaining) if price is not None and price > 0 else None
        quote = _less(quote, order.terms.side, taken)
        return self.market.execute(
            Resting(
                order_id=order.terms.id,
                symbol=order.terms.symbol,
                side=order.terms.side,
                limit_price=order.terms.limit_price,
                quantity=order.remaining,
                submitted_at=order.submitted_at,
            ),
            quote,
            instant,
        )


def _less(quote: Quote, side: str, taken: int) -> Quote:
    """The quote without the ``taken`` part of the size that an order of that side would meet."""
    if not taken:
        return quote
    if side == "buy":
        return replace(quote, ask_size=max(0, (quote.ask_size or 0) - taken))
    return replace(quote, bid_size=max(0, (quote.bid_size or 0) - taken))
