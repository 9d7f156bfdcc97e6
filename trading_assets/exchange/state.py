"""The exchange's state and how events change it. No decision is taken here: a replay must not be able to differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime

from trading_assets.exchange import bookings, revisions
from trading_assets.exchange.accounts import ENTRY, MULTI_LEG, STOP_LOSS, STOPS, TAKE_PROFIT, Account, Order
from trading_assets.exchange.actions import AnyAction
from trading_assets.exchange.events import (
    AccountConfigured,
    ActionAnnounced,
    ComboFilled,
    DividendPaid,
    Event,
    ExecutionRevised,
    ExerciseDeclined,
    HoldingChanged,
    LegResized,
    OptionSettled,
    OptionSettling,
    OrderAccepted,
    OrderCanceled,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderReplaced,
    OrderTriggered,
    PositionExpired,
    SessionOpened,
    TrailMoved,
    Transaction,
    WorldOpened,
)
from trading_assets.exchange.positions import EXERCISE, ZERO, Activity, Position, Settlement

__all__ = [
    "ENTRY",
    "MULTI_LEG",
    "STOPS",
    "STOP_LOSS",
    "TAKE_PROFIT",
    "ZERO",
    "Account",
    "Activity",
    "Order",
    "Position",
    "World",
]


class World:
    """All accounts and the clock. ``apply`` is the only method that changes anything."""

    def __init__(self) -> None:
        self.opened: WorldOpened | None = None
        self.accounts: dict[str, Account] = {}
        self.sequence = 0
        self.orders = 0
        self.in_force = ""
        #: Corporate actions that were announced since the world was opened.
        self.announced: list[AnyAction] = []
        self._now: datetime | None = None
        self._session: date | None = None

    @property
    def now(self) -> datetime:
        """The exchange's clock, UTC."""
        if self._now is None:
            raise RuntimeError("the world has not been opened")
        return self._now

    @property
    def session(self) -> date:
        """The session whose market is played: the current one, or the last one until shortly before the next opens."""
        if self._session is None:
            raise RuntimeError("the world has not been opened")
        return self._session

    def open_orders(self) -> Iterator[tuple[Account, Order]]:
        """Every open order of every account, in order of acceptance."""
        pairs = [(account, order) for account in self.accounts.values() for order in account.open_orders.values()]
        return iter(sorted(pairs, key=lambda pair: pair[1].number))

    def check(self, events: Sequence[Event]) -> None:
        """Raise ``ValueError`` if ``events`` cannot be applied one after the other; asked before they are written.

        No order may end twice, nobody may close what is not held, and no order turns a position into its opposite.
        """
        ended: set[str] = set()
        held: dict[tuple[str, str], int] = {}

        def move(account: Account, order: Order, quantity: int) -> None:
            symbol, buys = order.terms.symbol, order.terms.side == "buy"
            position = account.positions.get(symbol)
            before = held.get((account.name, symbol), 0 if position is None else position.quantity)
            after = before + (quantity if buys else -quantity)
            short = order.terms.position_intent in ("sell_to_open", "buy_to_close")
            if quantity > order.remaining or (max(before, after) > 0 if short else min(before, after) < 0):
                raise ValueError(f"order {order.terms.id} would fill {quantity} with {before} held")
            held[account.name, symbol] = after
            if quantity == order.remaining:
                ended.add(order.terms.id)

        for event in events:
            if isinstance(event, OptionSettled | OptionSettling):
                self._check_settlement(event)
            if isinstance(event, HoldingChanged | DividendPaid):
                self._check_holding(event)
            if not isinstance(event, OrderEvent):
                continue
            account = self.accounts[event.account]
            order = account.open_orders.get(event.order_id)
            if order is None or event.order_id in ended:
                raise ValueError(f"{type(event).__name__} of order {event.order_id}, which is not open")
            if isinstance(event, OrderCanceled | OrderExpired | OrderReplaced):
                ended.add(event.order_id)
            elif isinstance(event, OrderFilled):
                move(account, order, event.quantity)
            elif isinstance(event, ComboFilled):
                for part in event.legs:
                    leg = account.open_orders.get(part.order_id)
                    if (
                        leg is None
                        or part.order_id in ended
                        or part.quantity != event.quantity * (leg.terms.ratio or 0)
                    ):
                        raise ValueError(f"order {event.order_id} would not fill all legs alike")
                    move(account, leg, part.quantity)
                if event.quantity == order.remaining:
                    ended.add(event.order_id)

    def _check_settlement(self, event: OptionSettled | OptionSettling) -> None:
        account = self.accounts[event.account]
        position = account.positions.get(event.symbol)
        held = 0 if position is None else position.quantity if event.reason == EXERCISE else -position.quantity
        waiting = sum(line.quantity for line in account.settling if line.symbol == event.symbol)
        most = waiting if isinstance(event, OptionSettled) else held - waiting
        if not 0 < event.quantity <= min(held, most):
            raise ValueError(f"{event.reason} of {event.quantity} {event.symbol} with {held} held")

    def _check_holding(self, event: HoldingChanged | DividendPaid) -> None:
        position = self.accounts[event.account].positions.get(event.symbol)
        if position is None or position.quantity != event.quantity:
            held = 0 if position is None else position.quantity
            raise ValueError(f"{type(event).__name__} of {event.quantity} {event.symbol} with {held} held")

    def apply(self, transaction: Transaction, told: Callable[[Event, datetime], None] = lambda event, at: None) -> None:
        """Apply one transaction; raises ``ValueError`` if it does not follow the last one.

        ``told`` hears of each event as soon as it is part of the world.
        """
        if transaction.sequence != self.sequence + 1:
            raise ValueError(f"expected transaction {self.sequence + 1}, saw {transaction.sequence}")
        if self._now is not None and transaction.at < self._now:
            raise ValueError(f"transaction {transaction.sequence} lies before the clock")
        self.sequence = transaction.sequence
        self._now = transaction.at
        for event in transaction.events:
            self._apply(event, transaction.at)
            told(event, transaction.at)

    def _apply(self, event: Event, at: datetime) -> None:
        if isinstance(event, WorldOpened):
            self.opened, self._session, self.in_force = event, event.session, event.in_force
            self.accounts = {account.name: bookings.open_account(account, at) for account in event.accounts}
            return
        if isinstance(event, SessionOpened):
            closed, self._session, self.in_force = self.session, event.session, event.in_force
            for name, equity in event.equities.items():
                self.accounts[name].last_equity = equity
                self.accounts[name].closes.append((closed, equity))
            return
        if isinstance(event, ActionAnnounced):
            self.announced.append(event.action)
            return
        account = self.accounts[event.account]
        if isinstance(event, OrderAccepted):
            self.orders += 1
            order = Order(event, self.orders, at, at, at, event.quantity, event.waits, high_water=event.high_water)
            order.triggered = event.triggered
            if event.waits or (event.role == STOP_LOSS and not event.triggered):
                order.status = "held"
            account.orders[event.id] = account.open_orders[event.id] = order
            account.by_client_id[event.client_order_id] = event.id
        elif isinstance(event, OrderFilled):
            bookings.fill(account, account.open_orders[event.order_id], event, at)
        elif isinstance(event, OrderCanceled):
            order = account.open_orders.pop(event.order_id)
            order.status, order.canceled_at, order.updated_at = "canceled", at, at
        elif isinstance(event, OrderExpired):
            order = account.open_orders.pop(event.order_id)
            order.status, order.expired_at, order.updated_at = "expired", at, at
        elif isinstance(event, AccountConfigured):
            account.suspended, account.confirm_email = event.suspended, event.confirm_email
            account.options_limit, account.no_shorting = event.options_limit, event.no_shorting
        elif isinstance(event, ComboFilled):
            bookings.fill_combo(account, event, at)
        elif isinstance(event, OrderTriggered):
            order = account.open_orders[event.order_id]
            order.triggered, order.status, order.updated_at = True, "new", at
        elif isinstance(event, TrailMoved):
            order = account.open_orders[event.order_id]
            order.high_water, order.updated_at = event.high_water, at
        elif isinstance(event, LegResized):
            bookings.resize(account.open_orders[event.order_id], event.quantity, at)
        elif isinstance(event, OrderReplaced):
            order = account.open_orders.pop(event.order_id)
            order.status, order.replaced_at, order.updated_at = "replaced", at, at
            order.replaced_by = event.replaced_by
        elif isinstance(event, ExecutionRevised):
            revisions.revise(account, event, at)
        elif isinstance(event, PositionExpired):
            bookings.expire(account, event, at)
        elif isinstance(event, OptionSettling):
            account.settling.append(Settlement(event.symbol, event.quantity, event.reason, event.day))
        elif isinstance(event, ExerciseDeclined):
            account.not_exercised.add(event.symbol)
            account.settling = [
                line for line in account.settling if (line.symbol, line.reason) != (event.symbol, EXERCISE)
            ]
        elif isinstance(event, OptionSettled):
            bookings.settle(account, event, at)
        elif isinstance(event, HoldingChanged):
            bookings.change_holding(account, event, at)
        elif isinstance(event, DividendPaid):
            bookings.pay_dividend(account, event, at)
