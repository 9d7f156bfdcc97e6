"""Events: the only way in which the exchange's state changes, and the lines of its journal.

An event carries every number it needs, so that a replay asks neither the market nor a clock. A ``Transaction`` is what
happened at one instant; it is written and applied as a whole.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountOpened(_Event):
    """An account as the world began with it (no credentials)."""

    name: str
    id: str
    cash: Decimal
    options_level: int


class WorldOpened(_Event):
    """The first line of every journal: what this world was begun with."""

    kind: Literal["world"] = "world"
    seed: int
    session: date
    scenario: str
    accounts: tuple[AccountOpened, ...]


class SessionOpened(_Event):
    """The next session's market took over. ``equities`` are the accounts' values at the close before, dollars."""

    kind: Literal["session"] = "session"
    session: date
    equities: dict[str, Decimal]


class OrderAccepted(_Event):
    """An order entered the book. ``hold_price`` is what an open buy reserves per share."""

    kind: Literal["order"] = "order"
    account: str
    id: str
    client_order_id: str
    symbol: str
    asset_class: str
    asset_id: str
    side: str
    type: str
    time_in_force: str
    quantity: int
    multiplier: int
    limit_price: Decimal | None
    hold_price: Decimal
    position_intent: str | None
    source: str
    expires_at: datetime | None


class OrderFilled(_Event):
    """A part or all of an order was executed."""

    kind: Literal["fill"] = "fill"
    account: str
    order_id: str
    execution_id: str
    price: Decimal
    quantity: int


class OrderCanceled(_Event):
    """The rest of an order was canceled."""

    kind: Literal["cancel"] = "cancel"
    account: str
    order_id: str


class OrderExpired(_Event):
    """The rest of a DAY order expired at the close."""

    kind: Literal["expire"] = "expire"
    account: str
    order_id: str


class PositionExpired(_Event):
    """A worthless option position was removed at expiry."""

    kind: Literal["worthless"] = "worthless"
    account: str
    symbol: str
    activity_id: str


Event = Annotated[
    WorldOpened | SessionOpened | OrderAccepted | OrderFilled | OrderCanceled | OrderExpired | PositionExpired,
    Field(discriminator="kind"),
]


class Transaction(_Event):
    """Everything that happened at ``at``; the clock stands at ``at`` afterwards. No events: the clock moved."""

    sequence: int
    at: datetime
    events: tuple[Event, ...] = ()
