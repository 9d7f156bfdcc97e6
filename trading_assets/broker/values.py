"""Frozen values that the broker adapter hands out and takes.

Amounts are ``Decimal``, instants timezone-aware UTC, and None means that the broker did not say. ``status`` keeps the
broker's own word, so that a word this code does not know loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from trading_assets.domain.values import OptionContract, OrderState, Side

_FINAL = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELED,
    "replaced": OrderState.CANCELED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
}


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """The account as the broker sees it now."""

    account_id: str
    status: str | None
    trading_blocked: bool | None
    options_level: int | None
    equity: Decimal | None
    last_equity: Decimal | None
    cash: Decimal | None
    options_buying_power: Decimal | None
    buying_power: Decimal | None


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order at the broker. ``side`` and ``order_type`` are None where the broker's word is not known here."""

    order_id: str
    client_order_id: str
    symbol: str
    side: Side | None
    order_type: str | None
    quantity: Decimal | None
    filled_quantity: Decimal | None
    filled_avg_price: Decimal | None
    limit_price: Decimal | None
    status: str
    submitted_at: datetime | None
    stop_price: Decimal | None = None
    #: The orders that wait for this one (bracket) or rest beside it (OCO), where the answer carried them.
    legs: tuple[BrokerOrder, ...] = ()

    @property
    def is_final(self) -> bool:
        """Whether nothing more can happen to this order. An unknown status is not final."""
        return self.status in _FINAL

    @property
    def state(self) -> OrderState:
        """The ledger's word for the status. A status this code does not know counts as still working."""
        if self.status in _FINAL:
            return _FINAL[self.status]
        return OrderState.PARTIALLY_FILLED if self.filled_quantity else OrderState.ACCEPTED


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """What the account holds of one symbol. ``quantity`` is negative for a short position."""

    symbol: str
    quantity: Decimal
    avg_entry_price: Decimal | None
    market_value: Decimal | None
    unrealized_pnl: Decimal | None
    current_price: Decimal | None


@dataclass(frozen=True, slots=True)
class BrokerFill:
    """One FILL activity. ``cumulative_quantity`` is the order's filled quantity after this fill."""

    activity_id: str
    order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    cumulative_quantity: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class UnreadFill:
    """A FILL activity that cannot be booked, and ``why``: what it says of itself, None where not even that is known."""

    activity_id: str | None
    order_id: str | None
    symbol: str | None
    at: datetime | None
    why: str

    def __str__(self) -> str:
        name = "without id" if self.activity_id is None else self.activity_id
        return f"an activity of type FILL ({name}) cannot be read: {self.why}"


@dataclass(frozen=True, slots=True)
class BrokerActivity:
    """An activity that is not a fill: expiry, exercise, assignment, fee, cash movement.

    ``quantity`` is signed as the broker reports it; ``net_amount`` is the effect on cash in dollars; ``price`` is that
    of a share; ``group`` joins the lines of one settlement.
    """

    activity_id: str
    activity_type: str
    symbol: str | None
    quantity: Decimal | None
    net_amount: Decimal | None
    on: date | None
    price: Decimal | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class BrokerSplit:
    """A split in the broker's list: ``numerator`` new shares for ``denominator`` old ones from ``ex_date`` on."""

    action_id: str
    symbol: str
    ex_date: date
    numerator: Decimal
    denominator: Decimal


@dataclass(frozen=True, slots=True)
class BrokerAsset:
    """A listed stock or fund."""

    symbol: str
    name: str | None
    exchange: str | None
    tradable: bool
    optionable: bool


@dataclass(frozen=True, slots=True)
class ListedContract:
    """A listed option with the open interest of the last count."""

    contract: OptionContract
    open_interest: int | None
    open_interest_date: date | None


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order to send: whole contracts or shares, good for the day.

    ``limit_price`` None is a market order. ``take_profit`` and ``stop_loss`` together make the purchase of a stock a
    bracket, and its sale a pair of which one cancels the other (OCO; ``limit_price`` is the take profit then).
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: int
    limit_price: Decimal | None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None

    @property
    def order_type(self) -> str:
        """``limit`` or ``market``."""
        return "market" if self.limit_price is None else "limit"
