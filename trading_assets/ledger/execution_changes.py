"""Fills that the broker took back or corrected: immutable rows beside the fills, which stay as they were written.

What belongs here: writing and reading ``execution_changes``. What does not: what a change does to order and position
(``broker.changes``). The last change of a fill counts; the view ``booked_executions`` applies it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.values import Side
from trading_assets.ledger.executions import Execution, fill_id
from trading_assets.ledger.tables import dispatch_executions, execution_changes

BUST, CORRECT = "trade_bust", "trade_correct"


@dataclass(frozen=True, slots=True)
class ExecutionChange:
    """One row of ``execution_changes``. ``quantity`` and ``price`` are None where they stay, and of a bust;
    ``new_fill_id`` is None where the fill keeps its identity."""

    account: str
    change_id: str
    fill_id: str
    new_fill_id: str | None
    broker_order_id: str
    kind: str
    quantity: int | None
    price: Decimal | None
    changed_at: datetime
    booked_at: datetime
    run_id: str


def insert_change(connection: Connection, change: ExecutionChange) -> bool:
    """Write a change. False if it was written before."""
    statement = (
        insert(execution_changes)
        .values(**asdict(change))
        .on_conflict_do_nothing(index_elements=["account", "change_id"])
        .returning(execution_changes.c.change_number)
    )
    return connection.execute(statement).one_or_none() is not None


def changed_fill(connection: Connection, account: str, execution_id: str) -> Execution | None:
    """The fill as it was first booked, by any identity it ever had; None if it was never booked."""
    row, change = dispatch_executions.c, execution_changes.c
    wanted = fill_id(execution_id)
    older = select(change.fill_id).where(change.account == account, change.new_fill_id == wanted)
    query = select(dispatch_executions).where(row.account == account, (row.fill_id == wanted) | row.fill_id.in_(older))
    found = connection.execute(query).mappings().first()
    if found is None:
        return None
    values = {field.name: found[field.name] for field in fields(Execution)}
    return Execution(**values | {"side": Side(values["side"])})


def of_order(connection: Connection, account: str, broker_order_id: str) -> bool:
    """Whether any fill of the order was taken back or corrected: then its cumulative quantities count from anew."""
    change = execution_changes.c
    query = select(change.change_number).where(change.account == account, change.broker_order_id == broker_order_id)
    return connection.execute(query.limit(1)).one_or_none() is not None


def renamed(connection: Connection, account: str) -> Mapping[str, frozenset[str]]:
    """The further identities of each fill of the account that a correction gave one; none for any other fill."""
    change, found = execution_changes.c, defaultdict[str, frozenset[str]](frozenset)
    query = select(change.fill_id, change.new_fill_id).where(change.account == account, change.new_fill_id.is_not(None))
    for fill, name in connection.execute(query):
        found[fill] |= {name}
    return found


def changed_ids(connection: Connection, account: str) -> frozenset[str]:
    """Every identity, old or new, of fills of the account that were taken back or corrected."""
    change = execution_changes.c
    query = select(change.fill_id, change.new_fill_id).where(change.account == account)
    return frozenset(name for row in connection.execute(query) for name in row if name is not None)
