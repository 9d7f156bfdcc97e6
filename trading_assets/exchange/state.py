"""The exchange's state and how events change it. No decision is taken here: a replay must not be able to differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from trading_assets.exchange.events import (
    AccountConfigured,
    AccountOpened,
    Event,
    ExecutionRevised,
    LegResized,
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

ZERO = Decimal(0)
#: What the orders of a bracket, OCO or OTO are to each other.
ENTRY, TAKE_PROFIT, STOP_LOSS = "entry", "take_profit", "stop_loss"
#: Types that wait for a price.
STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


#: The kind of an activity that is an execution.
FILL = "FILL"


@dataclass(slots=True)
class Order:
    """An order in an account's book. ``number`` counts the world's orders; ``filled_value`` = sum of price × qty.

    ``active_at`` is the instant after which it may trade: its submission, or what a leg waited for. ``quantity`` is
    what it stands for now; a leg's follows its entry and its sibling.
    """

    terms: OrderAccepted
    number: int
    submitted_at: datetime
    updated_at: datetime
    active_at: datetime
    quantity: int
    waits: bool
    status: str = "new"
    triggered: bool = False
    high_water: Decimal | None = None
    filled: int = 0
    filled_value: Decimal = ZERO
    filled_at: datetime | None = None
    canceled_at: datetime | None = None
    expired_at: datetime | None = None
    replaced_at: datetime | None = None
    replaced_by: str | None = None

    @property
    def remaining(self) -> int:
        """Quantity not yet executed."""
        return self.quantity - self.filled

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a price before it may trade."""
        return self.terms.type in STOPS and not self.triggered

    @property
    def stop_price(self) -> Decimal | None:
        """Where the order is triggered; a trail's follows its high-water mark. None for other types."""
        terms, mark = self.terms, self.high_water
        if terms.type != "trailing_stop" or mark is None:
            return terms.stop_price
        away = terms.trail_price if terms.trail_price is not None else mark * (terms.trail_percent or ZERO) / 100
        return mark - away if terms.side == "sell" else mark + away

    @property
    def average_price(self) -> Decimal | None:
        """Average execution price per share, None before the first fill."""
        return self.filled_value / self.filled if self.filled else None

    @property
    def reserved(self) -> Decimal:
        """Cash that the open rest of a buy holds back, dollars."""
        if self.terms.side != "buy":
            return ZERO
        return self.terms.hold_price * self.remaining * self.terms.multiplier


@dataclass(slots=True)
class Position:
    """A long position. ``cost`` is what the held quantity cost, dollars, by average price."""

    symbol: str
    asset_class: str
    asset_id: str
    multiplier: int
    quantity: int = 0
    cost: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Average entry price per share."""
        return self.cost / (self.quantity * self.multiplier)


@dataclass(frozen=True, slots=True)
class Activity:
    """A line of the account's history: a FILL or an OPEXP."""

    id: str
    kind: str
    at: datetime
    symbol: str
    quantity: int
    side: str = ""
    price: Decimal = ZERO
    order_id: str = ""
    cumulative: int = 0
    leaves: int = 0
    multiplier: int = 1


@dataclass(slots=True)
class Account:
    """One account: cash, book, positions, history.

    ``suspended``: its owner lets it take no orders. ``closes``: its equity at each session's close so far, dollars.
    """

    name: str
    id: str
    opening_cash: Decimal
    options_level: int
    opened_at: datetime
    cash: Decimal
    last_equity: Decimal
    suspended: bool = False
    confirm_email: str = "none"
    options_limit: int | None = None
    closes: list[tuple[date, Decimal]] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    open_orders: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)

    @property
    def trading_level(self) -> int:
        """The level of options that it may trade: what was approved, less where its owner set less."""
        return self.options_level if self.options_limit is None else min(self.options_level, self.options_limit)

    @property
    def reserved(self) -> Decimal:
        """Cash held back for open buys, dollars."""
        return sum((order.reserved for order in self.open_orders.values()), ZERO)

    @property
    def buying_power(self) -> Decimal:
        """Cash that a new buy may use, dollars, never below zero."""
        return max(ZERO, self.cash - self.reserved)

    def held_for_orders(self, symbol: str) -> int:
        """Quantity of ``symbol`` that open sells have claimed.

        Two legs of which only one can trade claim it once, and legs that wait what their entry has bought so far.
        """
        claimed: dict[str, int] = {}
        for order in self.open_orders.values():
            if order.terms.symbol == symbol and order.terms.side == "sell":
                key = order.terms.group or order.terms.id
                quantity = self.bought(order.terms.group) if order.waits else order.remaining
                claimed[key] = max(claimed.get(key, 0), quantity)
        return sum(claimed.values())

    def bought(self, group: str | None) -> int:
        """What the entry of a group has bought, also while it was another order that was replaced since."""
        if group is None:
            return 0
        return sum(
            order.filled for order in self.orders.values() if order.terms.group == group and order.terms.role == ENTRY
        )

    def lines_of(self, symbol: str) -> list[Activity]:
        """The history of ``symbol``, oldest first."""
        return [line for line in self.activities if line.symbol == symbol]

    def group(self, order: Order) -> list[Order]:
        """The other orders of the same bracket, OCO or OTO, replaced ones excepted, in order of acceptance."""
        if order.terms.group is None:
            return []
        return [
            other
            for other in self.orders.values()
            if other.terms.group == order.terms.group and other is not order and other.status != "replaced"
        ]


class World:
    """All accounts and the clock. ``apply`` is the only method that changes anything."""

    def __init__(self) -> None:
        self.opened: WorldOpened | None = None
        self.accounts: dict[str, Account] = {}
        self.sequence = 0
        self.orders = 0
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

        No order may end twice, and nobody may sell what is not held.
        """
        ended: set[str] = set()
        held: dict[tuple[str, str], int] = {}
        for event in events:
            if not isinstance(event, OrderEvent):
                continue
            account = self.accounts[event.account]
            order = account.open_orders.get(event.order_id)
            if order is None or event.order_id in ended:
                raise ValueError(f"{type(event).__name__} of order {event.order_id}, which is not open")
            if isinstance(event, OrderCanceled | OrderExpired | OrderReplaced):
                ended.add(event.order_id)
            elif isinstance(event, OrderFilled):
                symbol = order.terms.symbol
                position = account.positions.get(symbol)
                before = held.get((account.name, symbol), 0 if position is None else position.quantity)
                after = before + (event.quantity if order.terms.side == "buy" else -event.quantity)
                if after < 0 or event.quantity > order.remaining:
                    raise ValueError(f"order {event.order_id} would fill {event.quantity} with {before} held")
                held[account.name, symbol] = after
                if event.quantity == order.remaining:
                    ended.add(event.order_id)

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
            self.opened, self._session = event, event.session
            self.accounts = {account.name: _open(account, at) for account in event.accounts}
            return
        if isinstance(event, SessionOpened):
            closed, self._session = self.session, event.session
            for name, equity in event.equities.items():
                self.accounts[name].last_equity = equity
                self.accounts[name].closes.append((closed, equity))
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
            _fill(account, account.open_orders[event.order_id], event, at)
        elif isinstance(event, OrderCanceled):
            order = account.open_orders.pop(event.order_id)
            order.status, order.canceled_at, order.updated_at = "canceled", at, at
        elif isinstance(event, OrderExpired):
            order = account.open_orders.pop(event.order_id)
            order.status, order.expired_at, order.updated_at = "expired", at, at
        elif isinstance(event, AccountConfigured):
            account.suspended, account.confirm_email = event.suspended, event.confirm_email
            account.options_limit = event.options_limit
        elif isinstance(event, OrderTriggered):
            order = account.open_orders[event.order_id]
            order.triggered, order.status, order.updated_at = True, "new", at
        elif isinstance(event, TrailMoved):
            order = account.open_orders[event.order_id]
            order.high_water, order.updated_at = event.high_water, at
        elif isinstance(event, LegResized):
            _resize(account.open_orders[event.order_id], event.quantity, at)
        elif isinstance(event, OrderReplaced):
            order = account.open_orders.pop(event.order_id)
            order.status, order.replaced_at, order.updated_at = "replaced", at, at
            order.replaced_by = event.replaced_by
        elif isinstance(event, ExecutionRevised):
            _revise(account, event, at)
        elif isinstance(event, PositionExpired):
            position = account.positions.pop(event.symbol)
            account.activities.append(
                Activity(
                    event.activity_id, "OPEXP", at, event.symbol, -position.quantity, multiplier=position.multiplier
                )
            )


def _open(opened: AccountOpened, at: datetime) -> Account:
    return Account(opened.name, opened.id, opened.cash, opened.options_level, at, opened.cash, opened.cash)


def _resize(leg: Order, quantity: int, at: datetime) -> None:
    if leg.waits:
        leg.waits, leg.active_at = False, at
        if leg.terms.role != STOP_LOSS:
            leg.status = "new"
    leg.quantity, leg.updated_at = quantity, at


def _fill(account: Account, order: Order, event: OrderFilled, at: datetime) -> None:
    terms = order.terms
    order.filled += event.quantity
    order.filled_value += event.price * event.quantity
    order.updated_at = at
    if order.remaining == 0:
        order.status, order.filled_at = "filled", at
        del account.open_orders[terms.id]
    else:
        order.status = "partially_filled"
    value = event.price * event.quantity * terms.multiplier
    position = account.positions.setdefault(
        terms.symbol, Position(terms.symbol, terms.asset_class, terms.asset_id, terms.multiplier)
    )
    if terms.side == "buy":
        account.cash -= value
        position.quantity += event.quantity
        position.cost += value
    else:
        account.cash += value
        position.cost -= position.cost * event.quantity / position.quantity
        position.quantity -= event.quantity
        if position.quantity == 0:
            del account.positions[terms.symbol]
    account.activities.append(
        Activity(
            id=event.execution_id,
            kind=FILL,
            at=at,
            symbol=terms.symbol,
            quantity=event.quantity,
            side=terms.side,
            price=event.price,
            order_id=terms.id,
            cumulative=order.filled,
            leaves=order.remaining,
            multiplier=terms.multiplier,
        )
    )


def holding(lines: Sequence[Activity], revised: ExecutionRevised | None = None) -> tuple[int, Decimal] | None:
    """Quantity and cost that a history leaves, one execution in it ``revised``; None if more was sold than held."""
    quantity, cost = 0, ZERO
    for line in lines:
        price, traded = line.price, line.quantity
        if revised is not None and line.id == revised.execution_id:
            price, traded = revised.price, revised.quantity
        if line.kind != FILL:
            quantity, cost = 0, ZERO
        elif line.side == "buy":
            quantity, cost = quantity + traded, cost + price * traded * line.multiplier
        elif traded > quantity:
            return None
        elif traded:
            cost = ZERO if traded == quantity else cost - cost * traded / quantity
            quantity -= traded
    return quantity, cost


def _revise(account: Account, event: ExecutionRevised, at: datetime) -> None:
    """Order, cash, position and history as if the execution had been what it is now said to have been."""
    order = account.orders[event.order_id]
    terms = order.terms
    before = event.was_price * event.was_quantity
    after = event.price * event.quantity
    order.filled += event.quantity - event.was_quantity
    order.filled_value += after - before
    order.updated_at = at
    if terms.id in account.open_orders:
        order.status = "partially_filled" if order.filled else "new"
    elif order.status == "filled" and order.remaining:
        # It is not taken up again: what is missing was canceled.
        order.status, order.canceled_at = "canceled", at
    if not order.filled:
        order.filled_at = None
    paid = (after - before) * terms.multiplier
    account.cash -= paid if terms.side == "buy" else -paid
    left = holding(account.lines_of(terms.symbol), event)
    if left is None:
        raise ValueError(f"execution {event.execution_id} cannot be revised: what it bought was sold")
    account.positions.pop(terms.symbol, None)
    if left[0]:
        position = Position(terms.symbol, terms.asset_class, terms.asset_id, terms.multiplier, *left)
        account.positions[terms.symbol] = position
    account.activities = list(_rewritten(account.activities, event))


def _rewritten(lines: Sequence[Activity], event: ExecutionRevised) -> Iterator[Activity]:
    """The history with the execution as it is now said to have been: gone if busted, and counted so ever since."""
    met = False
    for line in lines:
        if line.id == event.execution_id:
            met = True
            if not event.quantity:
                continue
            line = replace(line, id=event.new_execution_id, price=event.price, quantity=event.quantity)
        if met and line.order_id == event.order_id:
            line = replace(line, cumulative=line.cumulative + event.quantity - event.was_quantity)
        yield line
