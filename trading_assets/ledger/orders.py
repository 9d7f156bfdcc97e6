"""Order intents: the rows that exist before the broker is asked, and what became of them.

What belongs here: queries over ``order_intents``. What does not: deciding what an answer of the broker means (that is
``broker.submission``) or moving positions (``ledger.positions``). Every function takes an open connection, so that the
caller owns the transaction.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, func, insert, select, true, update
from sqlalchemy.dialects.postgresql import insert as upsert

from trading_assets.domain.values import LIVE_STATES, LiveOrder, OrderState, PositionState, Purpose, Side
from trading_assets.ledger.tables import accounts, order_intents

#: Reasons of entry orders: the first purchase, and more of what is held.
FIRST, ADD = "entry", "add"
#: Reasons of protective orders, which rest over a position.
TAKE_PROFIT, STOP_LOSS = "take_profit", "stop_loss"
STEPS = {TAKE_PROFIT: 0, STOP_LOSS: 1}
#: Reason of a roll and of both its legs.
ROLL = "roll"
#: Classes of orders: alone, an entry with its protective orders, a protective pair, and a leg of one of the two.
SIMPLE, BRACKET, OCO, LEG = "simple", "bracket", "oco", "leg"
#: Several contracts that trade together at one net price, and one of them.
COMBO, COMBO_LEG = "mleg", "mleg_leg"
_LIVE = tuple(state.value for state in LIVE_STATES)
_HELD = (PositionState.OPENING.value, PositionState.OPEN.value, PositionState.CLOSING.value)
UNRESOLVED = (OrderState.INTENT.value, OrderState.UNKNOWN.value)


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """One row of ``order_intents``. ``limit_price`` is None for a market order; ``error`` holds the broker's words.

    ``leg_of`` is the client order id of the order that a leg belongs to. The ids of a bracket's or a pair's leg are the
    broker's; a leg of a multi-leg order is written before the broker is asked and has a name of our own. Of a multi-leg
    order quantities are units and prices net: paid positive, received negative.
    """

    client_order_id: str
    account: str
    purpose: Purpose
    position_id: str
    signal_id: str | None
    symbol: str
    underlying: str
    side: Side
    quantity: int
    multiplier: int
    order_type: str
    limit_price: Decimal | None
    attempt: int
    step: int
    reason: str
    run_id: str
    created_at: datetime
    updated_at: datetime
    state: OrderState = OrderState.INTENT
    broker_order_id: str | None = None
    filled_quantity: int = 0
    filled_avg_price: Decimal | None = None
    error: str | None = None
    submitted_at: datetime | None = None
    order_class: str = SIMPLE
    stop_price: Decimal | None = None
    leg_of: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether this order may still fill."""
        return self.state in LIVE_STATES

    @property
    def is_protective(self) -> bool:
        """Whether this order rests over a position."""
        return self.purpose is Purpose.PROTECT

    @property
    def has_legs(self) -> bool:
        """Whether other orders at the broker belong to this one."""
        return self.order_class in (BRACKET, OCO, COMBO)

    @property
    def names(self) -> str:
        """What a log line or an alert about this order names: account, signal, position, its id here and there."""
        known = (
            ("account", self.account),
            ("signal", self.signal_id),
            ("position", self.position_id),
            ("order", self.client_order_id),
            ("broker order", self.broker_order_id),
        )
        return ", ".join(f"{name} {value}" for name, value in known if value is not None)


@dataclass(frozen=True, slots=True)
class LastChange:
    """How many orders an account has, when one changed last, how many may still fill, when it was compared last.

    As long as this is the same, nothing was ordered, nothing came of an order, and no run compared the account.
    """

    orders: int
    changed_at: datetime | None
    live: int
    reconciled_at: datetime | None


def _record(row: RowMapping) -> OrderIntent:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(OrderIntent)}
    values["purpose"] = Purpose(values["purpose"])
    values["side"] = Side(values["side"])
    values["state"] = OrderState(values["state"])
    return OrderIntent(**values)


def records(connection: Connection, query: Select[Any]) -> tuple[OrderIntent, ...]:
    """The intents that ``query`` finds, in its order."""
    return tuple(_record(row) for row in connection.execute(query).mappings())


def insert_intent(connection: Connection, intent: OrderIntent) -> None:
    """Write a new intent. A second one under the same id, or a second live one for the same signal or position,
    violates a constraint and raises ``sqlalchemy.exc.IntegrityError``."""
    connection.execute(insert(order_intents).values(**asdict(intent)))


def insert_leg(connection: Connection, leg: OrderIntent) -> bool:
    """Write an order that the broker made by itself for one of ours. False if it is known already, or if a live
    order of the position is in its place."""
    statement = upsert(order_intents).values(**asdict(leg)).on_conflict_do_nothing()
    return connection.execute(statement.returning(order_intents.c.client_order_id)).one_or_none() is not None


def get_intent(connection: Connection, client_order_id: str, *, lock: bool = False) -> OrderIntent | None:
    """The intent of that id or None; ``lock`` holds the row until the transaction ends."""
    query = select(order_intents).where(order_intents.c.client_order_id == client_order_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else _record(row)


def by_broker_order_id(connection: Connection, broker_order_id: str) -> OrderIntent | None:
    """The intent the broker knows under ``broker_order_id``, or None if the order is not ours."""
    query = select(order_intents).where(order_intents.c.broker_order_id == broker_order_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _record(row)


def mark(
    connection: Connection,
    client_order_id: str,
    state: OrderState,
    at: datetime,
    *,
    broker_order_id: str | None = None,
    error: str | None = None,
    submitted_at: datetime | None = None,
) -> None:
    """Set the state of an intent. Arguments left None keep what is stored."""
    values: dict[str, Any] = {"state": state.value, "updated_at": at}
    for name, value in (("broker_order_id", broker_order_id), ("error", error), ("submitted_at", submitted_at)):
        if value is not None:
            values[name] = value
    connection.execute(update(order_intents).where(order_intents.c.client_order_id == client_order_id).values(**values))


def set_filled(
    connection: Connection,
    client_order_id: str,
    quantity: int,
    average: Decimal | None,
    at: datetime,
    *,
    taken_back: bool = False,
) -> None:
    """Store the booked quantity and its average price. The quantity goes back only where a fill was ``taken_back``."""
    forward = order_intents.c.filled_quantity <= quantity
    connection.execute(
        update(order_intents)
        .where(order_intents.c.client_order_id == client_order_id, true() if taken_back else forward)
        .values(filled_quantity=quantity, filled_avg_price=average, updated_at=at)
    )


def set_quantity(connection: Connection, client_order_id: str, quantity: int, at: datetime) -> None:
    """Store what a protective order stands for now: the broker makes it follow its entry and its sibling."""
    connection.execute(
        update(order_intents)
        .where(order_intents.c.client_order_id == client_order_id, order_intents.c.filled_quantity <= quantity)
        .values(quantity=quantity, updated_at=at)
    )


def live_intents(connection: Connection, account: str) -> tuple[OrderIntent, ...]:
    """Intents of the account that may still fill, oldest first."""
    return records(
        connection,
        select(order_intents)
        .where(order_intents.c.account == account, order_intents.c.state.in_(_LIVE))
        .order_by(order_intents.c.created_at, order_intents.c.client_order_id),
    )


def unresolved_intents(connection: Connection, account: str) -> tuple[OrderIntent, ...]:
    """Intents whose fate at the broker is not known: INTENT (never answered) and UNKNOWN (ambiguous answer).

    The legs of a multi-leg order share its fate and are not among them.
    """
    live = (intent for intent in live_intents(connection, account) if intent.order_class != COMBO_LEG)
    return tuple(intent for intent in live if intent.state.value in UNRESOLVED)


def unknown_intents(connection: Connection, account: str | None = None) -> tuple[OrderIntent, ...]:
    """Orders whose fate is UNKNOWN, of one account or (None) of all, oldest first."""
    query = select(order_intents).where(
        order_intents.c.state == OrderState.UNKNOWN.value, order_intents.c.order_class != COMBO_LEG
    )
    if account is not None:
        query = query.where(order_intents.c.account == account)
    return records(connection, query.order_by(order_intents.c.created_at, order_intents.c.client_order_id))


def unknown_symbols(connection: Connection, account: str) -> frozenset[str]:
    """Symbols and underlyings blocked because an order's fate is UNKNOWN."""
    rows = connection.execute(
        select(order_intents.c.symbol, order_intents.c.underlying).where(
            order_intents.c.account == account, order_intents.c.state == OrderState.UNKNOWN.value
        )
    )
    return frozenset(name for row in rows for name in row)


def of_position(connection: Connection, position_id: str) -> tuple[OrderIntent, ...]:
    """All intents of a position in the order they were made."""
    return records(
        connection,
        select(order_intents)
        .where(order_intents.c.position_id == position_id)
        .order_by(order_intents.c.created_at, order_intents.c.attempt, order_intents.c.step),
    )


def unresolved_in(connection: Connection, account: str, symbol: str, side: Side) -> OrderIntent | None:
    """An order of the account, or a leg of one, that may be at the broker already, and so may have traded this."""
    row = order_intents.c
    found = records(
        connection,
        select(order_intents)
        .where(row.account == account, row.symbol == symbol, row.side == side.value)
        .where(row.order_class != COMBO, row.state.in_(UNRESOLVED))
        .order_by(row.created_at.desc(), row.client_order_id)
        .limit(1),
    )
    return found[0] if found else None


def of_account(connection: Connection, account: str) -> tuple[OrderIntent, ...]:
    """All intents of an account, oldest first."""
    return records(
        connection,
        select(order_intents)
        .where(order_intents.c.account == account)
        .order_by(order_intents.c.created_at, order_intents.c.client_order_id),
    )


def of_signal(connection: Connection, account: str, signal_id: str) -> tuple[OrderIntent, ...]:
    """All intents that a signal led to in an account, in the order they were made: its entry, or its add."""
    return records(
        connection,
        select(order_intents)
        .where(order_intents.c.account == account, order_intents.c.signal_id == signal_id)
        .order_by(order_intents.c.created_at, order_intents.c.attempt, order_intents.c.step),
    )


def last_change(connection: Connection, account: str) -> LastChange:
    """The account's orders and comparisons so far, in figures that change with every one of them."""
    reconciled_at = select(accounts.c.reconciled_at).where(accounts.c.account == account).scalar_subquery()
    return LastChange(
        *connection.execute(
            select(
                func.count(),
                func.max(order_intents.c.updated_at),
                func.count().filter(order_intents.c.state.in_(_LIVE)),
                reconciled_at,
            ).where(order_intents.c.account == account)
        ).one()
    )


def next_attempt(connection: Connection, position_id: str, purpose: Purpose) -> int:
    """Number of the next attempt: one more than the highest so far, 0 for the first."""
    highest = connection.execute(
        select(func.max(order_intents.c.attempt)).where(
            order_intents.c.position_id == position_id, order_intents.c.purpose == purpose.value
        )
    ).scalar_one()
    return 0 if highest is None else int(highest) + 1


def adds_done(connection: Connection, position_id: str) -> int | None:
    """How often more was bought after the first entry: filled signals of the position less one.

    All orders of one signal are one purchase. None where none of ours was filled (an adopted position): how it was
    built up is not known.
    """
    signals = connection.execute(
        select(func.count(func.distinct(order_intents.c.signal_id))).where(
            order_intents.c.position_id == position_id,
            order_intents.c.purpose == Purpose.ENTRY.value,
            order_intents.c.filled_quantity > 0,
        )
    ).scalar_one()
    return None if signals == 0 else int(signals) - 1


def live_orders(connection: Connection, account: str) -> tuple[LiveOrder, ...]:
    """The account's live intents as the gates see them."""
    return tuple(
        LiveOrder(
            client_order_id=intent.client_order_id,
            account=intent.account,
            purpose=intent.purpose,
            symbol=intent.symbol,
            underlying=intent.underlying,
            side=intent.side,
            quantity=intent.quantity,
            filled_quantity=intent.filled_quantity,
            multiplier=intent.multiplier,
            limit_price=intent.limit_price,
            state=intent.state,
        )
        for intent in live_intents(connection, account)
    )
