"""What the day came to: one summary from the ledger, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Connection, func, select

from trading_assets.domain.values import Purpose
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.ledger.orders import ADD
from trading_assets.ledger.tables import (
    accounts,
    active_positions,
    booked_executions,
    decisions,
    dispatch_recommendations,
    dispatch_status,
    order_intents,
)
from trading_assets.market.sessions import require_session


def account_summary(
    connection: Connection, account: str, first: date, last: date, equity: Decimal | None
) -> dict[str, Any]:
    """Entries, adds, exits by reason, denials by gate, orders, fills and P&L of one account over some sessions.

    ``equity`` is the broker's (open positions at its mark), ``pnl`` is equity less opening cash; null if not known.
    """
    position = active_positions.c
    begin, end = require_session(first).open, require_session(last).close
    entries = connection.execute(
        select(func.count()).where(
            position.account == account, position.quantity_opened > 0, position.opened_at.between(begin, end)
        )
    ).scalar_one()
    adds = connection.execute(
        select(func.count(func.distinct(order_intents.c.signal_id))).where(
            order_intents.c.account == account,
            order_intents.c.reason == ADD,
            order_intents.c.filled_quantity > 0,
            order_intents.c.created_at.between(begin, end),
        )
    ).scalar_one()
    exits = connection.execute(
        select(order_intents.c.reason, func.count(func.distinct(order_intents.c.position_id)))
        .where(
            order_intents.c.account == account,
            order_intents.c.purpose != Purpose.ENTRY.value,
            order_intents.c.filled_quantity > 0,
            order_intents.c.created_at.between(begin, end),
        )
        .group_by(order_intents.c.reason)
    )
    opening = connection.execute(select(accounts.c.opening_cash).where(accounts.c.account == account)).scalar_one()
    realized = connection.execute(
        select(func.coalesce(func.sum(position.realized_pnl), 0)).where(position.account == account)
    ).scalar_one()
    return {
        "entries": entries,
        "adds": adds,
        "exits": dict(sorted((reason, count) for reason, count in exits)),
        "denials": _denials(connection, account, first, last),
        "statuses": _statuses(connection, account, first, last),
        "orders": _count(connection, order_intents.c.created_at, account, begin, end),
        "fills": _count(connection, booked_executions.c.executed_at, account, begin, end),
        "open_positions": connection.execute(
            select(func.count()).where(
                position.account == account, position.state.in_(("OPENING", "OPEN", "CLOSING")), position.quantity > 0
            )
        ).scalar_one(),
        "realized_pnl": _amount(realized),
        "equity": None if equity is None else _amount(equity),
        "pnl": None if equity is None or opening is None else _amount(equity - opening),
    }


def day_summary(connection: Connection, first: date, last: date) -> dict[str, Any]:
    """Articles up to the last session, and signals from the first to the last."""
    return {
        "articles": connection.execute(select(func.count()).select_from(inbound_events_raw)).scalar_one(),
        "signals": connection.execute(
            select(func.count()).where(dispatch_recommendations.c.session.between(first, last))
        ).scalar_one(),
    }


def _denials(connection: Connection, account: str, first: date, last: date) -> dict[str, int]:
    rows = connection.execute(
        select(decisions.c.gates)
        .join(dispatch_recommendations, dispatch_recommendations.c.signal_id == decisions.c.signal_id)
        .where(decisions.c.account == account, dispatch_recommendations.c.session.between(first, last))
    ).scalars()
    counts = Counter(gate["gate"] for gates in rows for gate in gates if not gate["passed"])
    return dict(sorted(counts.items()))


def _statuses(connection: Connection, account: str, first: date, last: date) -> dict[str, int]:
    rows = connection.execute(
        select(dispatch_status.c.status, func.count())
        .join(dispatch_recommendations, dispatch_recommendations.c.signal_id == dispatch_status.c.signal_id)
        .where(dispatch_status.c.account == account, dispatch_recommendations.c.session.between(first, last))
        .group_by(dispatch_status.c.status)
    )
    return dict(sorted((status, count) for status, count in rows))


def _count(connection: Connection, instant: Column[Any], account: str, begin: datetime, end: datetime) -> int:
    rows = select(func.count()).where(instant.table.c.account == account, instant.between(begin, end))
    return int(connection.execute(rows).scalar_one())


def _amount(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.01")))
