"""What an account holds, what waits to be settled, and its history: values and their arithmetic, no decision."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from trading_assets.domain.values import Quote

ZERO = Decimal(0)
EXERCISE, ASSIGNMENT = "OPEXC", "OPASN"
#: The kind of a line of the history that is an execution.
FILL = "FILL"


@dataclass(slots=True)
class Position:
    """A position; a short one has a negative ``quantity`` and a negative ``cost``.

    ``cost`` is what the held quantity cost, dollars, by average price (of a short one: less what it brought in).
    """

    symbol: str
    asset_class: str
    asset_id: str
    multiplier: int
    quantity: int = 0
    cost: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Average entry price per share, positive for either side."""
        return self.cost / (self.quantity * self.multiplier)

    def price(self, quote: Quote | None) -> Decimal | None:
        """What it could be closed at per share: the bid, or the ask of what is short. None where there is none."""
        if quote is None:
            return None
        return quote.bid if self.quantity > 0 else quote.ask

    def move(self, signed: int, price: Decimal) -> None:
        """Take in ``signed`` more (negative: less) at ``price`` per share; crossing zero begins the other side."""
        away = min(abs(signed), abs(self.quantity)) if signed * self.quantity < 0 else 0
        if away:
            closing = away if signed > 0 else -away
            self.cost -= self.cost * away / abs(self.quantity)
            self.quantity += closing
            signed -= closing
        self.quantity += signed
        self.cost += price * signed * self.multiplier


@dataclass(frozen=True, slots=True)
class Settlement:
    """Contracts that were exercised or assigned on ``day`` and are settled on the next session's morning."""

    symbol: str
    quantity: int
    reason: str
    day: date


@dataclass(frozen=True, slots=True)
class Activity:
    """A line of the account's history: a FILL, or what happened without a trade.

    ``day`` is the day that a line without a trade is about, None for the New York day of ``at``; ``amount`` the cash
    that it moved, dollars; ``per_share`` what a dividend paid per share; ``group`` joins the lines of one settlement;
    ``kind_of`` is a finer kind.
    """

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
    day: date | None = None
    amount: Decimal = ZERO
    per_share: Decimal | None = None
    group: str = ""
    kind_of: str = ""
