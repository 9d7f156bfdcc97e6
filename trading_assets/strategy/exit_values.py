"""The values that exit rules take and give. No rule lives here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from trading_assets.domain.values import KillMode, OpenPosition, Priority, Quote

Number = str | float | int | None
Numbers = Mapping[str, Number]

#: The only exit that the kill switch mode ``all`` still allows.
EXPIRY = "expiry"


def numbers(**values: Decimal | datetime | date | float | int | str | None) -> dict[str, Number]:
    """JSON-ready copies: amounts as exact strings, instants and days in ISO form, None as None."""
    result: dict[str, Number] = {}
    for name, value in values.items():
        if isinstance(value, Decimal):
            result[name] = str(value)
        elif isinstance(value, date):
            result[name] = value.isoformat()
        else:
            result[name] = value
    return result


@dataclass(frozen=True, slots=True)
class ExitMarket:
    """What the market says about one position. None is 'not known'.

    ``quote`` is the held contract's (or stock's); ``model_price`` the value per share from the same underlying price
    and the feed's last volatility, which serves the stop where the quote is no price and is compared with the quote
    where it is one; ``atr`` the 14-bar average true range of 5-minute bars in dollars, for stocks only; ``stop`` the
    stop of the bracket by which a stock was bought, which serves in place of its range. ``delta`` and
    ``theta`` (dollars per share and calendar day, negative where time costs) are the contract's own.
    ``earnings_next_session`` is None where no earnings calendar is configured.
    """

    quote: Quote | None
    underlying_price: Decimal | None
    underlying_at: datetime | None
    model_price: Decimal | None = None
    atr: Decimal | None = None
    stop: Decimal | None = None
    delta: float | None = None
    theta: float | None = None
    earnings_next_session: bool | None = None


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """What exits need to know of the account. ``daily_loss_reached`` None: unknown, no position is closed for it."""

    kill_mode: KillMode
    daily_loss_reached: bool | None


@dataclass(frozen=True, slots=True)
class ExitDecision:
    """Sell ``quantity`` contracts or shares. ``market_at_once`` skips the limit ladder; ``reason`` is a sentence."""

    rule: str
    priority: Priority
    quantity: int
    market_at_once: bool
    reason: str
    numbers: Numbers


class AlertKind(StrEnum):
    """Why a person is told.

    MISSING: an input is not known, so a rule holds. DUE: a condition is met and the system does not act on it.
    FORBIDDEN: an exit is due and the kill switch forbids it. ORDERED: an exit is being worked. STUCK: an exit is due
    and could not be sold, or not wholly.
    """

    MISSING = "missing"
    DUE = "due"
    FORBIDDEN = "forbidden"
    ORDERED = "ordered"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class ExitAlert:
    """Something a person should know about one position, with the numbers behind it and what to do."""

    position_id: str
    rule: str
    priority: Priority
    reason: str
    numbers: Numbers
    recommended_action: str
    kind: AlertKind

    @property
    def condition(self) -> str:
        """What makes two alerts of a position the same: rule, kind and priority. A change of any is told at once."""
        return f"{self.rule}:{self.kind.value}:{self.priority.value}"


@dataclass(frozen=True, slots=True)
class RollDecision:
    """Close ``close_symbol`` and open the contract nearest to ``target_delta`` (absolute) at ``target_expiry``."""

    position_id: str
    close_symbol: str
    quantity: int
    target_delta: float
    target_expiry: date
    reason: str
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class ExitOutcome:
    """Result of looking at one position.

    ``high_water`` is to be stored at once. ``stage`` is the stage once the decided quantity is sold: it is to be stored
    when that sale is booked, not before, or an unfilled half would never be tried again. ``roll`` is None where an exit
    is due: leaving comes before rolling.
    """

    decision: ExitDecision | None
    high_water: Decimal | None
    stage: int
    alerts: tuple[ExitAlert, ...]
    roll: RollDecision | None = None


@dataclass(frozen=True, slots=True)
class OvernightPosition:
    """A position before the close, with its executable price per share (None: no fresh quote)."""

    position: OpenPosition
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class OvernightDecision:
    """Whether one position may stay; ``decision`` closes it, or is None where it stays or the kill switch forbids."""

    position_id: str
    stays: bool
    reason: str
    decision: ExitDecision | None
    alerts: tuple[ExitAlert, ...] = ()


def obey_kill_switch(
    position: OpenPosition, due: list[ExitDecision], kill_mode: KillMode
) -> tuple[ExitDecision | None, list[ExitAlert]]:
    """The first of ``due`` (in order of precedence) that may be ordered, and an alert for what may not.

    In mode ``all`` nothing is ordered but expiry exits, and every evaluation with another exit due alerts again.
    """
    if not due:
        return None, []
    if kill_mode is not KillMode.ALL:
        return due[0], []
    allowed = next((decision for decision in due if decision.rule == EXPIRY), None)
    if allowed is not None:
        return allowed, []
    first = due[0]
    alert = ExitAlert(
        position.position_id,
        first.rule,
        first.priority,
        f"The kill switch forbids orders, and this exit is due: {first.reason}",
        first.numbers,
        "Close the position at the broker, or set the kill switch to flatten or off.",
        AlertKind.FORBIDDEN,
    )
    return None, [alert]


def ordered(position: OpenPosition, decision: ExitDecision) -> ExitAlert:
    """The alert that tells of an exit which the system acts on by itself."""
    way = "at market" if decision.market_at_once else "by limit orders"
    action = f"None: {decision.quantity} of {position.quantity} are being sold {way}."
    return ExitAlert(
        position.position_id,
        decision.rule,
        decision.priority,
        decision.reason,
        decision.numbers,
        action,
        AlertKind.ORDERED,
    )
