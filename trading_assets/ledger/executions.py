"""Fills as booked: immutable rows, each at most once.

What belongs here: queries over fills. Three constraints make doubling impossible: the execution id, the fill's identity
however it was heard of, and the pair of broker order and cumulative quantity. Written are ``dispatch_executions``; read
is the view ``booked_executions``, which leaves out what the broker took back (``ledger.execution_changes``). Rows with
reason ``adopted`` stand for quantity found at the broker without a fill of ours; rows with reason ``expired``,
``exercised`` or ``assigned`` for contracts that ended at 0, and for the stock that came or went for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Text, func, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.money import money
from trading_assets.domain.values import Purpose, RecentFill, Side
from trading_assets.ledger.tables import (
    active_positions,
    booked_executions,
    dispatch_executions,
    execution_changes,
    order_intents,
)

#: Reasons of rows that no fill activity of the broker stands behind.
ADOPTED = "adopted"
CONTRACT_ENDED = frozenset({"expired", "exercised", "assigned"})
FOREIGN = "foreign"
#: To how many decimals average prices are stored.
STORED = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Execution:
    """One row of ``dispatch_executions``. ``client_order_id`` is None for a fill of an order that is not ours."""

    execution_id: str
    client_order_id: str | None
    position_id: str
    account: str
    broker_order_id: str
    cumulative_quantity: int
    symbol: str
    side: Side
    quantity: int
    price: Decimal
    multiplier: int
    executed_at: datetime
    reason: str
    booked_at: datetime
    run_id: str


def _record(row: RowMapping) -> Execution:
    values: dict[str, Any] = {field.name: row[field.name] for field in fields(Execution)}
    values["side"] = Side(values["side"])
    return Execution(**values)


def _records(connection: Connection, query: Select[Any]) -> tuple[Execution, ...]:
    ordered = query.order_by(booked_executions.c.executed_at, booked_executions.c.cumulative_quantity)
    return tuple(_record(row) for row in connection.execute(ordered).mappings())


def fill_id(execution_id: str) -> str:
    """The identity of a fill: what its activity's ``instant::uuid`` and the stream's ``uuid`` have in common."""
    return execution_id.rpartition("::")[2]


def insert_execution(connection: Connection, execution: Execution) -> bool:
    """Book one fill. False if this execution, or this cumulative quantity of the order, was booked before."""
    if booked_ids(connection, execution.account, (execution.execution_id,)):
        return False
    statement = (
        insert(dispatch_executions)
        .values(**asdict(execution))
        .on_conflict_do_nothing()
        .returning(dispatch_executions.c.execution_id)
    )
    return connection.execute(statement).one_or_none() is not None


def of_position(connection: Connection, position_id: str) -> tuple[Execution, ...]:
    """All fills of a position, oldest first."""
    return _records(connection, select(booked_executions).where(booked_executions.c.position_id == position_id))


def of_broker_order(connection: Connection, broker_order_id: str) -> tuple[Execution, ...]:
    """All fills of one broker order, oldest first."""
    return _records(connection, select(booked_executions).where(booked_executions.c.broker_order_id == broker_order_id))


def of_account(connection: Connection, account: str) -> tuple[Execution, ...]:
    """All fills of an account, oldest first."""
    return _records(connection, select(booked_executions).where(booked_executions.c.account == account))


def adopted_at(connection: Connection, position_id: str) -> datetime | None:
    """When the position was found at the broker and taken over with a quantity; None if it was not."""
    found: datetime | None = connection.execute(
        select(func.max(booked_executions.c.executed_at)).where(
            booked_executions.c.position_id == position_id, booked_executions.c.reason == ADOPTED
        )
    ).scalar_one()
    return found


def standing(connection: Connection, account: str) -> Mapping[str, tuple[int, int]]:
    """How many fills of each symbol stand, and their quantity in all: the same as before if none came or changed."""
    row = booked_executions.c
    query = select(row.symbol, func.count(), func.sum(row.quantity)).where(row.account == account).group_by(row.symbol)
    return {symbol: (int(fills), int(quantity)) for symbol, fills, quantity in connection.execute(query)}


def last_sold_at(connection: Connection, account: str, symbol: str) -> datetime | None:
    """When the symbol was sold last, None if never."""
    row = booked_executions.c
    query = select(func.max(row.executed_at)).where(
        row.account == account, row.symbol == symbol, row.side == Side.SELL.value
    )
    found: datetime | None = connection.execute(query).scalar_one()
    return found


def count(connection: Connection, account: str) -> int:
    """How many fills of the account are booked."""
    statement = select(func.count()).where(booked_executions.c.account == account)
    return int(connection.execute(statement).scalar_one())


def booked_ids(connection: Connection, account: str, execution_ids: Iterable[str]) -> frozenset[str]:
    """Which of these execution ids, activity's or stream's, name fills of the account that are booked already.

    A fill that the broker took back was booked, and so was one that a correction gave another identity.
    """
    wanted: dict[str, set[str]] = {}
    for execution_id in execution_ids:
        wanted.setdefault(fill_id(execution_id), set()).add(execution_id)
    if not wanted:
        return frozenset()
    row, change = dispatch_executions.c, execution_changes.c
    known = connection.execute(
        select(row.fill_id)
        .where(row.account == account, row.fill_id.in_(wanted))
        .union(
            select(change.new_fill_id)
            .join(dispatch_executions, (row.account == change.account) & (row.fill_id == change.fill_id))
            .where(change.account == account, change.new_fill_id.in_(wanted))
        )
    ).scalars()
    return frozenset(execution_id for found in known for execution_id in wanted[found])


def highest_cumulative(connection: Connection, broker_order_id: str) -> int:
    """The largest cumulative quantity booked of a broker order, also of fills that were taken back; 0 without one."""
    row = dispatch_executions.c
    query = select(func.max(row.cumulative_quantity)).where(row.broker_order_id == broker_order_id)
    return int(connection.execute(query).scalar_one() or 0)


def first_booked_under(connection: Connection, broker_order_id: str, cumulative_quantity: int) -> Execution | None:
    """The fill booked under this cumulative quantity of the order, as it was before any change; None without one."""
    row = dispatch_executions.c
    query = select(dispatch_executions).where(
        row.broker_order_id == broker_order_id, row.cumulative_quantity == cumulative_quantity
    )
    found = connection.execute(query).mappings().one_or_none()
    return None if found is None else _record(found)


def average_price(executions: Iterable[Execution]) -> Decimal | None:
    """Quantity-weighted mean price per share, rounded to the six decimals the ledger stores; None without a fill."""
    rows = list(executions)
    quantity = sum(row.quantity for row in rows)
    if quantity == 0:
        return None
    return (sum((row.price * row.quantity for row in rows), Decimal(0)) / quantity).quantize(STORED)


def signed_cash(fills: Iterable[Execution]) -> Decimal:
    """Effect of booked fills on cash in dollars: sales plus, purchases minus, times the multiplier.

    Quantity adopted from the broker was not bought through this ledger and does not count.
    """
    total = Decimal(0)
    for fill in fills:
        if fill.reason != ADOPTED:
            amount = fill.price * fill.quantity * fill.multiplier
            total += amount if fill.side is Side.SELL else -amount
    return total


def recent_fills(connection: Connection, account: str, since: datetime) -> tuple[RecentFill, ...]:
    """Entries and exits with a fill at or after ``since``: one value per order ladder, at its latest fill.

    Buying is an entry and selling an exit; quantity that was only adopted from the broker counts as neither. An add is
    an entry of its own: it carries the signal that asked for it.
    """
    position, execution, intent = active_positions.c, booked_executions.c, order_intents.c
    ladder = func.coalesce(intent.attempt.cast(Text), execution.broker_order_id)
    signal_id = func.coalesce(intent.signal_id, position.signal_id)
    rows = connection.execute(
        select(position.underlying, execution.side, func.max(execution.executed_at), signal_id)
        .select_from(
            booked_executions.join(active_positions, execution.position_id == position.position_id).outerjoin(
                order_intents, execution.client_order_id == intent.client_order_id
            )
        )
        .where(execution.account == account, execution.executed_at >= since, execution.reason != ADOPTED)
        .group_by(position.position_id, position.underlying, execution.side, signal_id, ladder)
        .order_by(func.max(execution.executed_at))
    )
    return tuple(
        RecentFill(
            underlying=underlying,
            purpose=Purpose.ENTRY if side == Side.BUY.value else Purpose.EXIT,
            at=at,
            signal_id=signal,
        )
        for underlying, side, at, signal in rows
    )


def realized_since(connection: Connection, account: str, since: datetime) -> Decimal | None:
    """P&L of all sales at or after ``since``, in dollars; 0 without a sale, None if a sale's entry price is unknown."""
    rows = connection.execute(
        select(
            booked_executions.c.quantity,
            booked_executions.c.price,
            booked_executions.c.multiplier,
            active_positions.c.entry_price,
        )
        .join(active_positions, booked_executions.c.position_id == active_positions.c.position_id)
        .where(
            booked_executions.c.account == account,
            booked_executions.c.side == Side.SELL.value,
            booked_executions.c.executed_at >= since,
        )
    ).all()
    total = Decimal(0)
    for quantity, price, multiplier, entry_price in rows:
        if entry_price is None:
            return None
        total += (price - entry_price) * quantity * multiplier
    return money(total)
