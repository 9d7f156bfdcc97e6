"""An account of the exchange and its orders: what they are now and what follows from it. No event, no decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from trading_assets.domain.values import Right
from trading_assets.exchange.events import OrderAccepted
from trading_assets.exchange.margin import SHORT_STOCK, Requirement, requirement
from trading_assets.exchange.positions import EXERCISE, ZERO, Activity, Position, Settlement
from trading_assets.market.options import parse_occ

#: Shares of one contract.
_SHARES = 100
#: What the orders of a bracket, OCO or OTO are to each other.
ENTRY, TAKE_PROFIT, STOP_LOSS = "entry", "take_profit", "stop_loss"
MULTI_LEG = "mleg"
#: Types that wait for a price.
STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


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
        """Cash that the open rest of an order holds back, dollars; nothing for what only gives something away."""
        return self.terms.hold_price * self.remaining * self.terms.multiplier

    @property
    def is_combo(self) -> bool:
        """Whether it is a multi-leg order as a whole."""
        return self.terms.order_class == MULTI_LEG and self.terms.ratio is None

    @property
    def is_combo_leg(self) -> bool:
        """Whether it is a leg of a multi-leg order: it trades with the whole and never by itself."""
        return self.terms.ratio is not None

    @property
    def closes(self) -> bool:
        """Whether it takes from a position."""
        return (self.terms.position_intent or "").endswith("_to_close")


@dataclass(slots=True)
class Account:
    """One account: cash, book, positions, history.

    ``suspended``: its owner lets it take no orders. ``closes``: its equity at each session's close so far, dollars.
    ``shorting``: it may sell stock short, unless its owner said no (``no_shorting``). ``settling``: exercised and
    assigned contracts that are still positions; ``not_exercised``: contracts that are to expire without exercise.
    ``short_prices``: what stock that is short would cost to buy back, as it was last looked up (``marks``): no part of
    what is kept, for it follows from the market.
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
    shorting: bool = False
    no_shorting: bool | None = None
    settling: list[Settlement] = field(default_factory=list)
    not_exercised: set[str] = field(default_factory=set)
    closes: list[tuple[date, Decimal]] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    open_orders: dict[str, Order] = field(default_factory=dict)
    by_client_id: dict[str, str] = field(default_factory=dict)
    positions: dict[str, Position] = field(default_factory=dict)
    activities: list[Activity] = field(default_factory=list)
    short_prices: dict[str, Decimal] = field(default_factory=dict, compare=False, repr=False)

    @property
    def trading_level(self) -> int:
        """The level of options that it may trade: what was approved, less where its owner set less."""
        return self.options_level if self.options_limit is None else min(self.options_level, self.options_limit)

    @property
    def may_short(self) -> bool:
        """Whether it may sell stock short."""
        return self.shorting and not self.no_shorting

    @property
    def reserved(self) -> Decimal:
        """Cash held back for open orders and for exercised calls that are not settled yet, dollars."""
        calls = (parse_occ(line.symbol).strike * line.quantity for line in self.settling if _takes(line, Right.CALL))
        held = (order.reserved for order in self.open_orders.values())
        return sum(held, ZERO) + sum(calls, ZERO) * _SHARES

    @property
    def buying_power(self) -> Decimal:
        """Cash that a new order may use, dollars, never below zero."""
        return max(ZERO, self.cash - self.reserved - self.required)

    @property
    def required(self) -> Decimal:
        """What short positions tie up, dollars: zero for an account without any."""
        return self.option_requirement().loss + sum(
            (
                -position.quantity * self.short_price(position) * SHORT_STOCK
                for position in self.positions.values()
                if position.quantity < 0 and position.asset_class != "us_option"
            ),
            ZERO,
        )

    def short_price(self, position: Position) -> Decimal:
        """What a share that is short ties up the multiple of: its price now, and never less than it was sold for."""
        return max(position.average_price, self.short_prices.get(position.symbol, ZERO))

    @property
    def sells_options_short(self) -> bool:
        """Whether it is short of a contract, or about to be."""
        return any(p.quantity < 0 and p.asset_class == "us_option" for p in self.positions.values()) or any(
            order.terms.position_intent == "sell_to_open" and order.terms.asset_class == "us_option"
            for order in self.open_orders.values()
        )

    def option_requirement(self, changes: Mapping[str, int] | None = None, *, longs: bool = True) -> Requirement:
        """What its short options tie up, with ``changes`` (signed contracts by symbol) made to what it holds.

        Without ``longs`` only cash and shares cover. What is being exercised and shares that an order is about to sell
        cover nothing.
        """
        options = {p.symbol: p.quantity for p in self.positions.values() if p.asset_class == "us_option"}
        for line in self.settling:
            if line.reason == EXERCISE:
                options[line.symbol] -= line.quantity
        for symbol, signed in (changes or {}).items():
            options[symbol] = options.get(symbol, 0) + signed
        if all(quantity >= 0 for quantity in options.values()):
            return Requirement(ZERO, 0, {})
        if not longs:
            options = {symbol: quantity for symbol, quantity in options.items() if quantity < 0}
        shares = {
            p.symbol.replace(".", ""): p.quantity - self.held_for_orders(p.symbol)
            for p in self.positions.values()
            if p.asset_class != "us_option"
        }
        return requirement(options, shares)

    def covering(self, symbol: str) -> int:
        """Shares of ``symbol`` that cover calls which are sold or about to be."""
        opening: dict[str, int] = {}
        for order in self.open_orders.values():
            terms = order.terms
            if terms.position_intent == "sell_to_open" and terms.asset_class == "us_option" and not order.is_combo_leg:
                opening[order.terms.symbol] = opening.get(order.terms.symbol, 0) - order.remaining
        return self.option_requirement(opening).shares.get(symbol.replace(".", ""), 0)

    def held_for_orders(self, symbol: str) -> int:
        """Quantity of ``symbol`` that open orders which close have claimed, and what waits to be settled.

        Two legs of which only one can trade claim it once, and legs that wait what their entry has bought so far.
        """
        claimed: dict[str, int] = {"settling": self.settling_of(symbol)}
        for order in self.open_orders.values():
            if order.terms.symbol == symbol and order.closes:
                key = order.terms.id if order.is_combo_leg else order.terms.group or order.terms.id
                quantity = self.bought(order.terms.group) if order.waits else order.remaining
                claimed[key] = max(claimed.get(key, 0), quantity)
        return sum(claimed.values())

    def settling_of(self, symbol: str) -> int:
        """Contracts that are being settled, or shares that exercised puts will take."""
        root = symbol.replace(".", "")
        return sum(
            line.quantity if line.symbol == symbol else line.quantity * _SHARES
            for line in self.settling
            if line.symbol == symbol or (_takes(line, Right.PUT) and parse_occ(line.symbol).root == root)
        )

    def lines_of(self, symbol: str) -> list[Activity]:
        """The history of ``symbol``, oldest first."""
        return [line for line in self.activities if line.symbol == symbol]

    def bought(self, group: str | None) -> int:
        """What the entry of a group has bought, also while it was another order that was replaced since."""
        if group is None:
            return 0
        return sum(
            order.filled for order in self.orders.values() if order.terms.group == group and order.terms.role == ENTRY
        )

    def legs(self, order: Order) -> list[Order]:
        """The legs of a multi-leg order, in the order in which they were named; none of another order."""
        if not order.is_combo:
            return []
        return [other for other in self.orders.values() if other.is_combo_leg and other.terms.group == order.terms.id]

    def group(self, order: Order) -> list[Order]:
        """The other orders of the same bracket, OCO or OTO, replaced ones excepted, in order of acceptance."""
        if order.terms.group is None:
            return []
        return [
            other
            for other in self.orders.values()
            if other.terms.group == order.terms.group and other is not order and other.status != "replaced"
        ]


def _takes(line: Settlement, right: Right) -> bool:
    return line.reason == EXERCISE and parse_occ(line.symbol).right is right
