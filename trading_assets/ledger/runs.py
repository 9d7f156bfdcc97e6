"""Runs that act: each uses up one ticket, and a ticket works once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.canonical import plain
from trading_assets.ledger.tables import dispatcher_runs

_RECENT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ActingRun:
    """One row of ``dispatcher_runs``. ``finished_at`` is None while it runs, or if it was killed."""

    run_id: str
    job: str
    account: str | None
    ticket: str
    as_of: datetime
    finished_at: datetime | None
    outcome: Mapping[str, Any] | None


def claim_ticket(
    connection: Connection, *, run_id: str, job: str, account: str | None, ticket: str, as_of: datetime
) -> bool:
    """Use ``ticket`` up for the run ``run_id``. False if the ticket was used before, or the run already holds one."""
    statement = (
        insert(dispatcher_runs)
        .values(run_id=run_id, job=job, account=account, ticket=ticket, as_of=as_of)
        .on_conflict_do_nothing()
        .returning(dispatcher_runs.c.run_id)
    )
    return connection.execute(statement).first() is not None


def ticket_of(connection: Connection, run_id: str) -> str | None:
    """The ticket that ``run_id`` claimed, or None."""
    return connection.execute(
        select(dispatcher_runs.c.ticket).where(dispatcher_runs.c.run_id == run_id)
    ).scalar_one_or_none()


def get(connection: Connection, run_id: str) -> ActingRun | None:
    """The acting run of that id, or None if it never claimed a ticket."""
    row = connection.execute(select(dispatcher_runs).where(dispatcher_runs.c.run_id == run_id)).mappings().one_or_none()
    return None if row is None else ActingRun(**dict(row))


def finish(connection: Connection, run_id: str, at: datetime, outcome: Mapping[str, Any]) -> None:
    """Store what the run did. A run that never claimed a ticket raises ``LookupError``."""
    result = connection.execute(
        update(dispatcher_runs).where(dispatcher_runs.c.run_id == run_id).values(finished_at=at, outcome=plain(outcome))
    )
    if result.rowcount != 1:
        raise LookupError(f"run {run_id} holds no ticket, so it cannot have acted")


def unfinished(connection: Connection) -> tuple[ActingRun, ...]:
    """Runs that claimed a ticket and did not finish, oldest first: running now, or killed."""
    rows = connection.execute(
        select(dispatcher_runs)
        .where(dispatcher_runs.c.finished_at.is_(None))
        .order_by(dispatcher_runs.c.as_of, dispatcher_runs.c.run_id)
    ).mappings()
    return tuple(ActingRun(**dict(row)) for row in rows)


def last_ticket(connection: Connection, job: str, account: str | None = None) -> str | None:
    """The ticket of the newest run of ``job`` (for ``account``, if given) that began, or None."""
    query = select(dispatcher_runs.c.ticket).where(dispatcher_runs.c.job == job)
    if account is not None:
        query = query.where(dispatcher_runs.c.account == account)
    return connection.execute(query.order_by(dispatcher_runs.c.as_of.desc()).limit(1)).scalar_one_or_none()


def last_finished(connection: Connection, job: str, account: str | None = None) -> ActingRun | None:
    """The newest finished run of ``job`` (for ``account``, if given), or None."""
    query = select(dispatcher_runs).where(dispatcher_runs.c.job == job, dispatcher_runs.c.finished_at.is_not(None))
    if account is not None:
        query = query.where(dispatcher_runs.c.account == account)
    row = connection.execute(query.order_by(dispatcher_runs.c.finished_at.desc()).limit(1)).mappings().one_or_none()
    return None if row is None else ActingRun(**dict(row))


def recent(connection: Connection, account: str | None = None) -> tuple[ActingRun, ...]:
    """Finished runs for accounts that began within an hour of the newest of them, newest first."""
    newest = select(func.max(dispatcher_runs.c.as_of)).scalar_subquery()
    query = select(dispatcher_runs).where(
        dispatcher_runs.c.account.is_not(None),
        dispatcher_runs.c.finished_at.is_not(None),
        dispatcher_runs.c.as_of > newest - _RECENT,
    )
    if account is not None:
        query = query.where(dispatcher_runs.c.account == account)
    rows = connection.execute(query.order_by(dispatcher_runs.c.finished_at.desc(), dispatcher_runs.c.run_id)).mappings()
    return tuple(ActingRun(**dict(row)) for row in rows)
