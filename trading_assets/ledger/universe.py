"""Who was followed when, in the ledger: each discovery, what it named, and each change of the configured tickers.

Runs and members are written once and never changed. A run that failed is kept with its error and counts for nothing,
like one that was made while the configured tickers were followed: the universe before it stays. Functions take an open
connection, so that a caller decides what belongs into one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, or_, select

from trading_assets.domain.clock import require_utc
from trading_assets.domain.values import LIVE_STATES
from trading_assets.ledger.news_tables import universe_members, universe_runs
from trading_assets.ledger.positions import LIVE_POSITION_STATES
from trading_assets.ledger.tables import active_positions, order_intents

#: Key of the advisory lock that makes discoveries one at a time ("univ" in ASCII).
_LOCK = 0x756E6976
#: ``method`` of a run that asked nobody: the configured tickers came to be followed.
CONFIGURED = "configured"
_NEXT = timedelta(microseconds=1)


class Status(StrEnum):
    """What became of a name of the answer. ``KEPT``: followed because something is open in it."""

    ACTIVE = "active"
    RESERVE = "reserve"
    KEPT = "kept"
    REJECTED = "rejected"


FOLLOWED = (Status.ACTIVE, Status.KEPT)


@dataclass(frozen=True, slots=True)
class UniverseRun:
    """One discovery. ``error`` is None for one that counts, if it is ``followed``; ``answer`` None if none came;
    ``cost`` in dollars."""

    universe_id: str
    as_of: datetime
    known_at: datetime
    method: str
    model: str
    revision: str
    context: Mapping[str, Any]
    elapsed_ms: int
    run_id: str
    answer: Any = None
    error: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    followed: bool = True


@dataclass(frozen=True, slots=True)
class Member:
    """A name of the answer, or one that is kept; ``position`` counts from 1. ``expected_volume``: times its usual."""

    position: int
    symbol: str
    status: Status
    reason: str | None = None
    sector: str | None = None
    catalyst: str | None = None
    confidence: float | None = None
    expected_volume: float | None = None
    sources: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Following:
    """Whom a run that counts made followed, without the index, from ``known_at`` until the next one. ``active``: those
    of them that may be entered, and are not followed only because something was open in them."""

    universe_id: str
    known_at: datetime
    method: str
    symbols: frozenset[str]
    active: frozenset[str]


def lock_discovery(connection: Connection) -> None:
    """Wait until no other transaction stores a universe, and keep others out until this one ends."""
    connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def add_run(connection: Connection, run: UniverseRun, members: Sequence[Member]) -> None:
    """Store a run with its members."""
    connection.execute(insert(universe_runs).values({each.name: getattr(run, each.name) for each in fields(run)}))
    if members:
        rows = [
            {"universe_id": run.universe_id, **{each.name: getattr(member, each.name) for each in fields(member)}}
            for member in members
        ]
        connection.execute(insert(universe_members), rows)


def after_newest(connection: Connection, now: datetime) -> datetime:
    """``now``, or the instant after the newest run: a clock that stands still must not leave open which of two counts.

    Call it under :func:`lock_discovery`.
    """
    newest = connection.scalar(select(func.max(universe_runs.c.known_at)))
    return now if newest is None else max(require_utc(now), require_utc(newest) + _NEXT)


def newest_run(connection: Connection, *, counting: bool) -> UniverseRun | None:
    """The newest run that was made to be followed, or (``counting``) the newest that counts."""
    runs = universe_runs.c
    query = select(universe_runs).where(runs.followed).order_by(runs.known_at.desc(), runs.universe_id.desc()).limit(1)
    if counting:
        query = query.where(runs.error.is_(None))
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = {each.name: row[each.name] for each in fields(UniverseRun)}
    return UniverseRun(**values | {"as_of": require_utc(row["as_of"]), "known_at": require_utc(row["known_at"])})


def members_of(connection: Connection, universe_id: str) -> tuple[Member, ...]:
    """What a run named, in order."""
    table = universe_members.c
    rows = connection.execute(
        select(*(table[each.name] for each in fields(Member)))
        .where(table.universe_id == universe_id)
        .order_by(table.position)
    ).mappings()
    return tuple(Member(**{**row, "status": Status(row["status"])}) for row in rows)


def newest_following(connection: Connection) -> Following | None:
    """The universe in force now; None before a first run succeeded."""
    return next(iter(_followings(connection, [_in_force(connection, None)])), None)


def followings_between(connection: Connection, start: datetime, end: datetime | None = None) -> tuple[Following, ...]:
    """The universe in force at ``start`` and those that became known from then until ``end`` (None: now), oldest first.
    Where none was in force at ``start``, the first one's ``known_at`` is later."""
    later = _counting().where(universe_runs.c.known_at > start)
    if end is not None:
        later = later.where(universe_runs.c.known_at <= end)
    rows = connection.execute(later.order_by(universe_runs.c.known_at, universe_runs.c.universe_id)).all()
    return _followings(connection, [_in_force(connection, start), *rows])


def _counting() -> Select[Any]:
    runs = universe_runs.c
    return select(runs.universe_id, runs.known_at, runs.method).where(runs.error.is_(None), runs.followed)


def _in_force(connection: Connection, instant: datetime | None) -> Row[Any] | None:
    runs, query = universe_runs.c, _counting()
    if instant is not None:
        query = query.where(runs.known_at <= instant)
    return connection.execute(query.order_by(runs.known_at.desc(), runs.universe_id.desc()).limit(1)).one_or_none()


def _followings(connection: Connection, named: Sequence[Row[Any] | None]) -> tuple[Following, ...]:
    found = [each for each in named if each is not None]
    if not found:
        return ()
    table = universe_members.c
    rows = connection.execute(
        select(table.universe_id, table.symbol, table.status).where(
            table.universe_id.in_([run.universe_id for run in found]), table.status.in_(FOLLOWED)
        )
    )
    members: dict[str, dict[str, str]] = {}
    for identity, symbol, status in rows:
        members.setdefault(identity, {})[symbol] = status
    return tuple(_following(run, members.get(run.universe_id, {})) for run in found)


def _following(run: Row[Any], members: Mapping[str, str]) -> Following:
    active = frozenset(symbol for symbol, status in members.items() if status == Status.ACTIVE)
    return Following(run.universe_id, require_utc(run.known_at), run.method, frozenset(members), active)


def runs_known_between(connection: Connection, start: datetime, end: datetime) -> list[str]:
    """Identities of all discoveries that became known in [start, end), also failed ones, oldest first."""
    runs = universe_runs.c
    query = select(runs.universe_id).where(runs.known_at >= start, runs.known_at < end, runs.method != CONFIGURED)
    return list(connection.scalars(query.order_by(runs.known_at, runs.universe_id)))


def at_stake(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Tickers in which any account holds something or has an order that may still fill or whose fate is not known, each
    with those accounts. They are never dropped."""
    position, order = active_positions.c, order_intents.c
    held = select(position.underlying, position.account).where(
        position.state.in_([state.value for state in LIVE_POSITION_STATES])
    )
    working = select(order.underlying, order.account).where(order.state.in_([state.value for state in LIVE_STATES]))
    found: dict[str, set[str]] = {}
    for ticker, account in connection.execute(held.union(working)):
        found.setdefault(ticker, set()).add(account)
    return {ticker: tuple(sorted(found[ticker])) for ticker in sorted(found)}


def at_stake_since(connection: Connection) -> dict[str, datetime]:
    """The tickers of :func:`at_stake`, each with the instant of the oldest position or order that is live in it."""
    position, order = active_positions.c, order_intents.c
    held = select(position.underlying, position.created_at).where(
        position.state.in_([state.value for state in LIVE_POSITION_STATES])
    )
    working = select(order.underlying, order.created_at).where(order.state.in_([state.value for state in LIVE_STATES]))
    found: dict[str, datetime] = {}
    for ticker, created_at in connection.execute(held.union(working)):
        since = require_utc(created_at)
        found[ticker] = min(since, found.get(ticker, since))
    return found


def at_stake_between(connection: Connection, start: datetime, end: datetime) -> frozenset[str]:
    """Tickers in which a position was open at any time from ``start`` to ``end``."""
    position = active_positions.c
    query = select(position.underlying).where(
        position.created_at <= end, or_(position.closed_at.is_(None), position.closed_at >= start)
    )
    return frozenset(connection.scalars(query))
