"""What the ledger holds about one signal, position or order: whole rows, for a person who asks why.

What belongs here: reading. Rows are plain mappings with every column, so that what is stored can be told in full;
nothing is judged and nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, or_, select

from trading_assets.ledger import positions
from trading_assets.ledger.tables import (
    accounts,
    active_positions,
    booked_executions,
    decision_inputs,
    decisions,
    dispatch_recommendations,
    dispatch_status,
    order_intents,
    position_events,
)

Record = dict[str, Any]


def recommendation(connection: Connection, signal_id: str) -> Record | None:
    """The published signal of that id, or None."""
    return _one(connection, select(dispatch_recommendations).where(dispatch_recommendations.c.signal_id == signal_id))


def signal_ids_from(connection: Connection, prefix: str, limit: int = 20) -> list[str]:
    """Ids of published signals that begin with ``prefix``, at most ``limit``, sorted."""
    column = dispatch_recommendations.c.signal_id
    query = select(column).where(column.startswith(prefix, autoescape=True)).order_by(column).limit(limit)
    return list(connection.execute(query).scalars())


def signal_ids_of(connection: Connection, session: date) -> list[str]:
    """Ids of all signals published in a session, in the order in which they were decided."""
    row = dispatch_recommendations.c
    query = select(row.signal_id).where(row.session == session).order_by(row.known_at, row.ticker, row.signal_id)
    return list(connection.execute(query).scalars())


def account_names(connection: Connection) -> list[str]:
    """Names of the accounts that the ledger knows, sorted."""
    return list(connection.execute(select(accounts.c.account).order_by(accounts.c.account)).scalars())


def statuses(connection: Connection, signal_id: str) -> list[Record]:
    """What became of a signal in each account that was to consider it, by account."""
    row = dispatch_status.c
    return _all(connection, select(dispatch_status).where(row.signal_id == signal_id).order_by(row.account))


def decisions_of(connection: Connection, signal_id: str) -> list[Record]:
    """Every decision about a signal, first to last."""
    row = decisions.c
    return _all(connection, select(decisions).where(row.signal_id == signal_id).order_by(row.decision_id))


def inputs(connection: Connection, hashes: Iterable[str]) -> dict[str, Any]:
    """The stored payloads by hash; one that is not stored is absent."""
    wanted = sorted(set(hashes))
    if not wanted:
        return {}
    rows = connection.execute(select(decision_inputs).where(decision_inputs.c.input_hash.in_(wanted))).mappings()
    return {row["input_hash"]: row["payload"] for row in rows}


def order(connection: Connection, identity: str) -> Record | None:
    """The order with that client order id or that id at the broker, or None."""
    row = order_intents.c
    query = select(order_intents).where(or_(row.client_order_id == identity, row.broker_order_id == identity))
    return _one(connection, query)


def position(connection: Connection, position_id: str) -> Record | None:
    """The position of that id, or None."""
    return _one(connection, select(active_positions).where(active_positions.c.position_id == position_id))


def positions_of(connection: Connection, signal_id: str) -> list[Record]:
    """Positions that were opened from a signal, added to by it, or rolled from such ones, by account and age."""
    row = active_positions.c
    ordered = select(order_intents.c.position_id).where(order_intents.c.signal_id == signal_id)
    own = select(row.position_id).where(or_(row.signal_id == signal_id, row.position_id.in_(ordered)))
    family = own.cte("family", recursive=True)
    family = family.union(select(row.position_id).where(row.rolled_from == family.c.position_id))
    query = select(active_positions).where(row.position_id.in_(select(family.c.position_id)))
    return _all(connection, query.order_by(row.account, row.created_at, row.position_id))


def root_signal(connection: Connection, position_id: str) -> str | None:
    """The signal behind a position: its own, or of the position from which it was rolled; None if there is none."""
    return positions.root_signal(connection, position_id)


def orders_of(connection: Connection, position_id: str) -> list[Record]:
    """Every order of a position in the order in which they were made."""
    row = order_intents.c
    query = select(order_intents).where(row.position_id == position_id)
    return _all(connection, query.order_by(row.created_at, row.attempt, row.step))


def fills_of(connection: Connection, position_id: str) -> list[Record]:
    """Every booked fill of a position, oldest first."""
    row = booked_executions.c
    query = select(booked_executions).where(row.position_id == position_id)
    return _all(connection, query.order_by(row.executed_at, row.cumulative_quantity, row.execution_id))


def events_of(connection: Connection, position_id: str) -> list[Record]:
    """A position's story, first to last."""
    row = position_events.c
    return _all(connection, select(position_events).where(row.position_id == position_id).order_by(row.event_id))


def _one(connection: Connection, query: Select[Any]) -> Record | None:
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else dict(row)


def _all(connection: Connection, query: Select[Any]) -> list[Record]:
    return [dict(row) for row in connection.execute(query).mappings()]
