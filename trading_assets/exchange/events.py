"""Events: the only way in which the exchange's state changes, and the lines of its journal.

An event carries every number it needs, so that a replay asks neither the market nor a clock. A ``Transaction`` is what
happened at one instant; it is written and applied as a whole.
"""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from trading_assets.exchange.actions import CorporateAction


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountOpened(_Event):
    """An account as the world began with it (no credentials)."""

    name: str
    id: str
    cash: Decimal
    options_level: int
    shorting: bool = False


class WorldOpened(_Event):
    """The first line of every journal: what this world was begun with.

    ``in_force`` marks the corporate actions that its first market was drawn with, here and of each later session.
    """

    kind: Literal["world"] = "world"
    seed: int
    session: date
    scenario: str
    accounts: tuple[AccountOpened, ...]
    in_force: str = ""


class SessionOpened(_Event):
    """The next session's market took over. ``equities`` are the accounts' values at the close before, dollars."""

    kind: Literal["session"] = "session"
    session: date
    equities: dict[str, Decimal]
    in_force: str = ""


class ActionAnnounced(_Event):
    """A corporate action of a session to come was announced, beside those that the world was configured with."""

    kind: Literal["action"] = "action"
    action: CorporateAction


class OrderAccepted(_Event):
    """An order entered the book. ``hold_price`` is what an open buy reserves per share.

    Orders of one bracket, OCO or OTO share a ``group``; ``role`` is ``entry``, ``take_profit`` or ``stop_loss`` there.
    ``waits``: a leg that does nothing before its entry is filled. ``high_water`` is where a trail begins; ``replaces``
    the order that this one took the place of, ``triggered`` whether that one's stop was reached already. A multi-leg
    order has no symbol and no side; its legs share its ``group`` and trade ``ratio`` contracts for each of its units.
    """

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
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    order_class: str = "simple"
    group: str | None = None
    role: str | None = None
    waits: bool = False
    high_water: Decimal | None = None
    replaces: str | None = None
    triggered: bool = False
    ratio: int | None = None


class OrderEvent(_Event):
    """Something that happened to an open order."""

    account: str
    order_id: str


class OrderFilled(OrderEvent):
    """A part or all of an order was executed."""

    kind: Literal["fill"] = "fill"
    execution_id: str
    price: Decimal
    quantity: int


class LegFill(_Event):
    """What one leg of a multi-leg order got of a fill: ``price`` per share, ``quantity`` contracts."""

    order_id: str
    execution_id: str
    price: Decimal
    quantity: int


class ComboFilled(OrderEvent):
    """``quantity`` units of a multi-leg order were executed, all legs together, for ``price`` net dollars per share."""

    kind: Literal["combo"] = "combo"
    execution_id: str
    price: Decimal
    quantity: int
    legs: tuple[LegFill, ...]


class OrderCanceled(OrderEvent):
    """The rest of an order was canceled."""

    kind: Literal["cancel"] = "cancel"


class OrderExpired(OrderEvent):
    """The rest of a DAY order expired at the close."""

    kind: Literal["expire"] = "expire"


class AccountConfigured(_Event):
    """What the account's owner has set, as a whole."""

    kind: Literal["configure"] = "configure"
    account: str
    suspended: bool
    confirm_email: str
    options_limit: int | None
    no_shorting: bool | None = None


class OrderTriggered(OrderEvent):
    """The stop of an order was reached: from the next instant on it is a market or limit order."""

    kind: Literal["trigger"] = "trigger"


class TrailMoved(OrderEvent):
    """The best price since a trailing stop was placed: its stop follows it."""

    kind: Literal["trail"] = "trail"
    high_water: Decimal


class LegResized(OrderEvent):
    """A leg now stands for ``quantity`` in all, and works: its entry was filled, or its sibling in part."""

    kind: Literal["leg"] = "leg"
    quantity: int


class OrderReplaced(OrderEvent):
    """The rest of an order was taken over by another one."""

    kind: Literal["replace"] = "replace"
    replaced_by: str


class ExecutionRevised(_Event):
    """An execution was corrected, or busted (``quantity`` 0). Ids are those of the account's history."""

    kind: Literal["revise"] = "revise"
    account: str
    order_id: str
    execution_id: str
    new_execution_id: str
    price: Decimal
    quantity: int
    was_price: Decimal
    was_quantity: int


class PositionExpired(_Event):
    """A worthless option position was removed at expiry: ``quantity`` contracts of it, None for all."""

    kind: Literal["worthless"] = "worthless"
    account: str
    symbol: str
    activity_id: str
    quantity: int | None = None


class OptionSettling(_Event):
    """``quantity`` contracts were exercised or assigned (``reason``) on ``day``: the next morning settles them."""

    kind: Literal["settling"] = "settling"
    account: str
    symbol: str
    quantity: int
    reason: str
    day: date


class ExerciseDeclined(_Event):
    """The holder (or the broker for an account that cannot pay) wants no exercise of a contract.

    A request that was not settled yet is gone with it.
    """

    kind: Literal["declined"] = "declined"
    account: str
    symbol: str


class OptionSettled(_Event):
    """Exercised or assigned contracts left the account and the stock moved at the strike.

    ``stock_quantity`` is what came in, negative for what went out. The two activities share a ``group``.
    """

    kind: Literal["settled"] = "settled"
    account: str
    symbol: str
    quantity: int
    reason: str
    day: date
    activity_id: str
    stock: str
    stock_id: str
    stock_quantity: int
    price: Decimal
    trade_id: str
    group: str


class HoldingChanged(_Event):
    """A corporate action made another position of one: ``quantity`` of ``symbol`` became ``new_quantity`` of
    ``new_symbol``, and ``cash`` dollars for a part of a share that nobody can hold.

    ``activity`` and ``kind_of`` are type and subtype of the two lines of the history (out, in), which share a
    ``group``.
    """

    kind: Literal["holding"] = "holding"
    account: str
    symbol: str
    quantity: int
    new_symbol: str
    new_asset_id: str
    new_quantity: int
    exact_quantity: Decimal
    cash: Decimal
    activity: str
    kind_of: str
    day: date
    out_id: str
    in_id: str
    group: str


class DividendPaid(_Event):
    """``amount`` dollars for ``quantity`` shares; who is short pays, and both are negative."""

    kind: Literal["dividend"] = "dividend"
    account: str
    symbol: str
    quantity: int
    rate: Decimal
    amount: Decimal
    day: date
    activity_id: str


Event = Annotated[
    WorldOpened
    | SessionOpened
    | ActionAnnounced
    | OrderAccepted
    | OrderFilled
    | OrderCanceled
    | OrderExpired
    | AccountConfigured
    | OrderTriggered
    | TrailMoved
    | LegResized
    | OrderReplaced
    | ExecutionRevised
    | PositionExpired
    | ComboFilled
    | OptionSettling
    | ExerciseDeclined
    | OptionSettled
    | HoldingChanged
    | DividendPaid,
    Field(discriminator="kind"),
]


class Transaction(_Event):
    """Everything that happened at ``at``; the clock stands at ``at`` afterwards. No events: the clock moved."""

    sequence: int
    at: datetime
    events: tuple[Event, ...] = ()
