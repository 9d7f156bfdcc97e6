"""One account's day in numbers, and the fills and positions of a session: what the UI shows of the acting jobs.

What belongs here: reading and counting. Instants bound the day, ``begin`` included and ``end`` not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from trading_assets.domain.money import money
from trading_assets.domain.values import LIVE_STATES, OrderState, PositionState, Side
from trading_assets.ledger.executions import ADOPTED
from trading_assets.ledger.tables import (
    active_positions,
    booked_executions,
    dispatch_recommendations,
    dispatch_status,
    order_intents,
)

_HELD = (PositionState.OPENING.value, PositionState.OPEN.value, PositionState.CLOSING.value)


@dataclass(frozen=True, slots=True)
class AccountDay:
    """What one account did in a day.

    ``statuses`` counts the signals offered to it by what became of them; ``entries`` and ``exits`` count
    positions of which something was bought or sold.
    Quantity that was only adopted from the broker counts as no fill. ``realized_pnl`` is in dollars, None if the entry
    price of a sale is unknown.
    """

    account: str
    statuses: Mapping[str, int]
    orders: int
    orders_live: int
    orders_rejected: int
    fills: int
    entries: int
    exits: int
    open_positions: int
    realized_pnl: Decimal | None


def account_day(connection: Connection, account: str, session: date, begin: datetime, end: datetime) -> AccountDay:
    """The account's day in ``session``, as the ledger knows it now."""
    execution, position, intent = booked_executions.c, active_positions.c, order_intents.c
    statuses = _counts(
        connection,
        select(dispatch_status.c.status, func.count())
        .join(dispatch_recommendations, dispatch_recommendations.c.signal_id == dispatch_status.c.signal_id)
        .where(dispatch_status.c.account == account, dispatch_recommendations.c.session == session)
        .group_by(dispatch_status.c.status)
        .order_by(dispatch_status.c.status),
    )
    states = _counts(
        connection,
        select(intent.state, func.count())
        .where(intent.account == account, intent.created_at >= begin, intent.created_at < end)
        .group_by(intent.state),
    )
    sold = execution.side == Side.SELL.value
    fills = connection.execute(
        select(
            func.count(),
            func.count(func.distinct(execution.position_id)).filter(~sold),
            func.count(func.distinct(execution.position_id)).filter(sold),
            func.count().filter(sold & position.entry_price.is_(None)),
            func.sum((execution.price - position.entry_price) * execution.quantity * execution.multiplier).filter(sold),
        )
        .join(active_positions, position.position_id == execution.position_id)
        .where(
            execution.account == account,
            execution.executed_at >= begin,
            execution.executed_at < end,
            execution.reason != ADOPTED,
        )
    ).one()
    held = select(func.count()).where(position.account == account, position.state.in_(_HELD), position.quantity > 0)
    return AccountDay(
        account=account,
        statuses=statuses,
        orders=sum(states.values()),
        orders_live=sum(states.get(state.value, 0) for state in LIVE_STATES),
        orders_rejected=states.get(OrderState.REJECTED.value, 0),
        fills=fills[0],
        entries=fills[1],
        exits=fills[2],
        open_positions=int(connection.execute(held).scalar_one()),
        realized_pnl=None if fills[3] else money(fills[4] or Decimal(0)),
    )


def orders_of_run(connection: Connection, run_id: str) -> int:
    """How many orders a run wrote."""
    return int(connection.execute(select(func.count()).where(order_intents.c.run_id == run_id)).scalar_one())


def fills_between(connection: Connection, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """Every fill of every account, oldest first, with the underlying of its position."""
    rows = connection.execute(
        select(booked_executions, active_positions.c.underlying)
        .join(active_positions, active_positions.c.position_id == booked_executions.c.position_id)
        .where(booked_executions.c.executed_at >= begin, booked_executions.c.executed_at < end)
        .order_by(booked_executions.c.executed_at, booked_executions.c.execution_id)
    )
    return [_plain(row) for row in rows]


def positions_between(connection: Connection, begin: datetime, end: datetime) -> list[dict[str, Any]]:
    """Positions that were held at any time of the day, oldest first: opened before its end and not closed before it."""
    position = active_positions.c
    rows = connection.execute(
        select(active_positions)
        .where(
            position.quantity_opened > 0,
            position.opened_at < end,
            position.closed_at.is_(None) | (position.closed_at >= begin),
        )
        .order_by(position.opened_at, position.position_id)
    )
    return [_plain(row) for row in rows]


def _plain(row: Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)


def _counts(connection: Connection, query: Select[str, int]) -> dict[str, int]:
    return {key: count for key, count in connection.execute(query)}  # noqa: C416 - a row is no pair to the type checker
