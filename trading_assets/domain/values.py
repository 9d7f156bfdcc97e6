"""Frozen values that cross the borders between rooms.

Prices and money are ``Decimal``; instants are timezone-aware UTC; ``None`` means 'not known' and never zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Direction(StrEnum):
    """Which way a signal expects the underlying to go."""

    BULLISH = "BULLISH"
    BEARISH = "BEARISH"


class Action(StrEnum):
    """What a decision asks for. HOLD rows stay in the decision frame and never reach the dispatcher."""

    BUY_CALL = "BUY_CALL"
    BUY_PUT = "BUY_PUT"
    BUY_STOCK = "BUY_STOCK"
    SELL = "SELL"
    HOLD = "HOLD"


class Strategy(StrEnum):
    """Which set of entry, size and exit rules applies."""

    DAY_TRADE = "day_trade"
    SWING_TRADE = "swing_trade"
    STOCK = "stock"


class Right(StrEnum):
    """Call or put."""

    CALL = "call"
    PUT = "put"


class Side(StrEnum):
    """Side of an order, in Alpaca's words."""

    BUY = "buy"
    SELL = "sell"


class SignalStatus(StrEnum):
    """Life cycle of one signal in one account (RULEBOOK §6). All but the first two are final."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    EXECUTED = "EXECUTED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


class Purpose(StrEnum):
    """Why an order exists. PROTECT rests over a position: the take profit or the stop of a bracket or of a pair.

    ROLL closes one position and opens another in one order of two legs; its legs are an EXIT and an ENTRY.
    """

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    PROTECT = "PROTECT"
    ROLL = "ROLL"


class OrderState(StrEnum):
    """State of an order intent in the ledger.

    INTENT is committed before the broker is asked; UNKNOWN is an ambiguous answer that blocks its symbol until the
    broker has been asked again. LIVE_STATES below may still fill.
    """

    INTENT = "INTENT"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    ABANDONED = "ABANDONED"


LIVE_STATES = frozenset({OrderState.INTENT, OrderState.UNKNOWN, OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED})


class PositionState(StrEnum):
    """State of a position in the ledger. OPENING has a live entry order and perhaps no fill yet."""

    OPENING = "OPENING"
    OPEN = "OPEN"
    CLOSING = "CLOSING"
    CLOSED = "CLOSED"
    VOID = "VOID"


class Regime(StrEnum):
    """Volatility regime by VIX level: <12, 12-20, 20-30, 30-40, >=40 (RULEBOOK §4)."""

    COMPLACENT = "complacent"
    NORMAL = "normal"
    ELEVATED = "elevated"
    HIGH = "high"
    EXTREME = "extreme"


class KillMode(StrEnum):
    """Kill switch: OFF, ENTRIES (no new risk), ALL (no orders but expiry exits), FLATTEN (close everything)."""

    OFF = "off"
    ENTRIES = "entries"
    ALL = "all"
    FLATTEN = "flatten"


class Priority(StrEnum):
    """Urgency of an exit."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"


@dataclass(frozen=True, slots=True)
class Quote:
    """A two-sided quote. A bid of 0 on a fresh quote is a price; None is 'no such side known'."""

    symbol: str
    bid: Decimal | None
    ask: Decimal | None
    at: datetime | None
    bid_size: int | None = None
    ask_size: int | None = None

    @property
    def is_two_sided(self) -> bool:
        """Both sides known and not crossed (bid 0 is allowed, ask must be positive)."""
        return self.bid is not None and self.ask is not None and self.ask > 0 and self.bid <= self.ask

    @property
    def mid(self) -> Decimal | None:
        """Mid price of a two-sided quote, else None."""
        if self.bid is None or self.ask is None or not self.is_two_sided:
            return None
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True)
class OptionContract:
    """A listed option. ``symbol`` is the compact OCC symbol, e.g. NVDA260313C00180000."""

    symbol: str
    underlying: str
    right: Right
    strike: Decimal
    expiry: date
    root: str
    multiplier: int = 100
    tradable: bool = True


@dataclass(frozen=True, slots=True)
class ContractSnapshot:
    """An option with its market at one instant. Missing numbers are None; Greeks are per share, theta per day,
    vega per volatility point. ``greeks_source`` is ``feed``, ``computed`` or None."""

    contract: OptionContract
    quote: Quote
    volume: int | None = None
    open_interest: int | None = None
    iv: float | None = None
    delta: float | None = None
    gamma: float | None = None
    theta: float | None = None
    vega: float | None = None
    greeks_source: str | None = None


#: The numbers that an account trades by unless it names another preset.
DEFAULT_PRESET = "default"


@dataclass(frozen=True, slots=True)
class Signal:
    """An actionable decision of the signals asset. ``known_at`` is the decision's as-of instant."""

    signal_id: str
    session: date
    ticker: str
    action: Action
    strategy: Strategy
    direction: Direction
    bar_start: datetime
    known_at: datetime
    confidence: float
    watchlist_score: float
    urgent: bool
    rule_set: str
    config_hash: str
    factors: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Any] = field(default_factory=dict)
    sentiment: Mapping[str, Any] = field(default_factory=dict)
    preset: str = DEFAULT_PRESET


@dataclass(frozen=True, slots=True)
class OpenPosition:
    """A position that is OPENING, OPEN or CLOSING, as the ledger knows it.

    ``quantity`` counts contracts or shares held; ``entry_price`` is the average fill per share (None before a fill);
    ``high_water`` the best executable price seen since entry; ``stage`` 0, or 1 once half was sold at the target;
    ``entry_delta`` the contract's delta when it was chosen; ``quantity_opened`` all that was ever bought (None:
    unknown).
    """

    position_id: str
    account: str
    symbol: str
    underlying: str
    strategy: Strategy
    direction: Direction
    state: PositionState
    quantity: int
    multiplier: int
    entry_price: Decimal | None
    entry_underlying: Decimal | None
    opened_at: datetime | None
    right: Right | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    stage: int = 0
    high_water: Decimal | None = None
    signal_id: str | None = None
    entry_delta: float | None = None
    quantity_opened: int | None = None


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """An order intent that may still fill (INTENT, UNKNOWN, ACCEPTED, PARTIALLY_FILLED)."""

    client_order_id: str
    account: str
    purpose: Purpose
    symbol: str
    underlying: str
    side: Side
    quantity: int
    filled_quantity: int
    multiplier: int
    limit_price: Decimal | None
    state: OrderState


@dataclass(frozen=True, slots=True)
class RecentFill:
    """An entry or exit fill of this session, for cool-downs and counts."""

    underlying: str
    purpose: Purpose
    at: datetime
    signal_id: str | None


@dataclass(frozen=True, slots=True)
class AccountSnapshot:
    """Everything the gates may know about one account at ``asof``, in-flight orders included.

    Unknown amounts are None, and a gate that needs one denies. ``reconciled_at`` is the last successful comparison of
    ledger and broker since this process or world was started, else None. ``cash_flow_today`` is what was paid in
    (negative: out) since the previous session; ``high_water`` the highest equity seen, adjusted for such flows;
    ``paused_at`` says since when a drawdown keeps the account from new risk, until a person resumes it.
    """

    account: str
    asof: datetime
    broker_account_id: str | None
    expected_broker_account_id: str | None
    status: str | None
    trading_blocked: bool | None
    options_level: int | None
    equity: Decimal | None
    last_equity: Decimal | None
    cash: Decimal | None
    options_buying_power: Decimal | None
    realized_pnl_today: Decimal | None
    unrealized_pnl: Decimal | None
    reconciled_at: datetime | None
    kill_mode: KillMode
    positions: tuple[OpenPosition, ...] = ()
    live_orders: tuple[LiveOrder, ...] = ()
    fills_today: tuple[RecentFill, ...] = ()
    blocked_symbols: frozenset[str] = frozenset()
    cash_flow_today: Decimal | None = None
    high_water: Decimal | None = None
    paused_at: datetime | None = None
    pause_reason: str | None = None


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate's answer. ``observed`` and ``threshold`` are JSON-ready; ``reason`` is a sentence for a person."""

    gate: str
    passed: bool
    observed: Any
    threshold: Any
    reason: str


@dataclass(frozen=True, slots=True)
class GateReport:
    """All gates of one signal in one account, in rulebook order. Every gate is evaluated, none is skipped."""

    results: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        """True only if there is at least one gate and all passed."""
        return bool(self.results) and all(r.passed for r in self.results)

    @property
    def denials(self) -> tuple[str, ...]:
        """Ids of the gates that denied, in order."""
        return tuple(r.gate for r in self.results if not r.passed)
