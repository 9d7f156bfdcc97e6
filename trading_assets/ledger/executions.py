"""Fills as booked: immutable rows, each at most once.

What belongs here: queries over ``dispatch_executions``. Two constraints make doubling impossible: the execution id, and
the pair of broker order and cumulative quantity. Rows with reason ``adopted`` stand for quantity found at the broker
without a fill of ours; rows with reason ``expired``, ``exercised`` or ``assigned`` for contracts that ended at 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, Text, func, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.money import money
from trading_assets.domain.values import Purpose, RecentFill, Side
from trading_assets.ledger.tables import active_positions, dispatch_executions, order_intents

#: Reasons of rows that no fill activity of the broker stands behind.
ADOPTED = "adopted"
CONTRACT_ENDED = frozenset({"expired", "exercised", "assigned"})
FOREIGN = "foreign"


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
    ordered = query.order_by(dispatch_executions.c.executed_at, dispatch_executions.c.cumulative_quantity)
    return tuple(_record(row) for row in connection.execute(ordered).mappings())


def insert_execution(connection: Connection, execution: Execution) -> bool:
    """Book one fill. False if this execution, or this cumulative quantity of the order, was booked before."""
    statement = (
        insert(dispatch_executions)
        .values(**asdict(execution))
        .on_conflict_do_nothing()
        .returning(dispatch_executions.c.execution_id)
    )
    return connection.execute(statement).one_or_none() is not None


def of_position(connection: Connection, position_id: str) -> tuple[Execution, ...]:
    """All fills of a position, oldest first."""
    return _records(connection, select(dispatch_executions).where(dispatch_executions.c.position_id == position_id))


def of_broker_order(connection: Connection, broker_order_id: str) -> tuple[Execution, ...]:
    """All fills of one broker order, oldest first."""
    return _records(
        connection, select(dispatch_executions).where(dispatch_executions.c.broker_order_id == broker_order_id)
    )


def of_account(connection: Connection, account: str) -> tuple[Execution, ...]:
    """All fills of an account, oldest first."""
    return _records(connection, select(dispatch_executions).where(dispatch_executions.c.account == account))


def adopted_at(connection: Connection, position_id: str) -> datetime | None:
    """When the position was found at the broker and taken over with a quantity; None if it was not."""
    found: datetime | None = connection.execute(
        select(func.max(dispatch_executions.c.executed_at)).where(
            dispatch_executions.c.position_id == position_id, dispatch_executions.c.reason == ADOPTED
        )
    ).scalar_one()
    return found


def count(connection: Connection, account: str) -> int:
    """How many fills of the account are booked."""
    statement = select(func.count()).where(dispatch_executions.c.account == account)
    return int(connection.execute(statement).scalar_one())


def booked_ids(connection: Connection, execution_ids: Iterable[str]) -> frozenset[str]:
    """Which of these execution ids are booked already."""
    wanted = list(execution_ids)
    if not wanted:
        return frozenset()
    return frozenset(
        connection.execute(
            select(dispatch_executions.c.execution_id).where(dispatch_executions.c.execution_id.in_(wanted))
        ).scalars()
    )


def last_executed_at(connection: Connection, account: str) -> datetime | None:
    """When the account's latest booked fill happened, or None before the first."""
    result: datetime | None = connection.execute(
        select(func.max(dispatch_executions.c.executed_at)).where(dispatch_executions.c.account == account)
    ).scalar_one()
    return result


def average_price(executions: Iterable[Execution]) -> Decimal | None:
    """Quantity-weighted mean price per share, rounded to the six decimals the ledger stores; None without a fill."""
    rows = list(executions)
    quantity = sum(row.quantity for row in rows)
    if quantity == 0:
        return None
    return (sum((row.price * row.quantity for row in rows), Decimal(0)) / quantity).quantize(Decimal("0.000001"))


def recent_fills(connection: Connection, account: str, since: datetime) -> tuple[RecentFill, ...]:
    """Entries and exits with a fill at or after ``since``: one value per order ladder, at its latest fill.

    Buying is an entry and selling an exit; quantity that was only adopted from the broker counts as neither. An add is
    an entry of its own: it carries the signal that asked for it.
    """
    position, execution, intent = active_positions.c, dispatch_executions.c, order_intents.c
    ladder = func.coalesce(intent.attempt.cast(Text), execution.broker_order_id)
    signal_id = func.coalesce(intent.signal_id, position.signal_id)
    rows = connection.execute(
        select(position.underlying, execution.side, func.max(execution.executed_at), signal_id)
        .select_from(
            dispatch_executions.join(active_positions, execution.position_id == position.position_id).outerjoin(
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
            dispatch_executions.c.quantity,
            dispatch_executions.c.price,
            dispatch_executions.c.multiplier,
            active_positions.c.entry_price,
        )
        .join(active_positions, dispatch_executions.c.position_id == active_positions.c.position_id)
        .where(
            dispatch_executions.c.account == account,
            dispatch_executions.c.side == Side.SELL.value,
            dispatch_executions.c.executed_at >= since,
        )
    ).all()
    total = Decimal(0)
    for quantity, price, multiplier, entry_price in rows:
        if entry_price is None:
            return None
        total += (price - entry_price) * quantity * multiplier
    return money(total)
