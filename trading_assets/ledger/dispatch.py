"""The way of a signal through the ledger: published once, claimed by one run, settled by that run.

What belongs here: claiming and settling; publishing (``ledger.publications``), decisions and the account lock
lie beside it and are handed through. What does not: judging a signal. Every function takes an open connection and the
caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import Signal, SignalStatus
from trading_assets.ledger.account_lock import AccountBusy, AccountLock, AccountLockLost, account_lock
from trading_assets.ledger.decisions import record_decision, store_input
from trading_assets.ledger.publications import Follower, publish, published_signal, signal_of, unpublished_ids
from trading_assets.ledger.tables import dispatch_recommendations, dispatch_status

__all__ = [
    "AccountBusy",
    "AccountLock",
    "AccountLockLost",
    "ClaimLost",
    "ClaimedSignal",
    "Follower",
    "PendingWork",
    "account_lock",
    "claim",
    "expire_stale",
    "pending_work",
    "publish",
    "published_signal",
    "record_decision",
    "release",
    "renew",
    "settle",
    "signal_of",
    "status_of",
    "store_input",
    "unpublished_ids",
]

FINAL = frozenset({SignalStatus.EXECUTED, SignalStatus.SKIPPED, SignalStatus.FAILED, SignalStatus.EXPIRED})
_ID_COLUMNS = (dispatch_status.c.signal_id, dispatch_status.c.account)


class ClaimLost(TradingAssetsError):
    """The run no longer holds (or never held) the claim that it tried to settle."""


@dataclass(frozen=True, slots=True)
class PendingWork:
    """What waits for one account: ids of its claimable signals (sorted) and the oldest instant among them."""

    account: str
    signal_ids: tuple[str, ...]
    oldest_known_at: datetime


@dataclass(frozen=True, slots=True)
class ClaimedSignal:
    """A signal that this run now holds. ``previous_run`` names the run whose lease ran out before: its order may
    exist, so the broker is asked before anything else; None for a first claim."""

    signal: Signal
    account: str
    lease_until: datetime
    previous_run: str | None


# --- claiming ---------------------------------------------------------------------------------------------------------


def _claimable(now: datetime, max_age: timedelta | None) -> Any:
    """PENDING and young enough, or PROCESSING with a lease that ran out: that one at any age, its order may exist."""
    pending = dispatch_status.c.status == SignalStatus.PENDING.value
    if max_age is not None:
        pending = and_(pending, dispatch_recommendations.c.known_at >= now - max_age)
    abandoned = and_(dispatch_status.c.status == SignalStatus.PROCESSING.value, dispatch_status.c.lease_until <= now)
    return or_(pending, abandoned)


_JOINED = dispatch_status.join(
    dispatch_recommendations, dispatch_recommendations.c.signal_id == dispatch_status.c.signal_id
)


def pending_work(connection: Connection, now: datetime, max_age: timedelta) -> list[PendingWork]:
    """What a dispatcher could claim at ``now``, per account in order of name."""
    identity = dispatch_status.c.signal_id
    query = (
        select(
            dispatch_status.c.account,
            func.array_agg(aggregate_order_by(identity, identity)),
            func.min(dispatch_recommendations.c.known_at),
        )
        .select_from(_JOINED)
        .where(_claimable(now, max_age))
        .group_by(dispatch_status.c.account)
        .order_by(dispatch_status.c.account)
    )
    return [PendingWork(account, tuple(ids), oldest) for account, ids, oldest in connection.execute(query)]


def expire_stale(connection: Connection, account: str, now: datetime, max_age: timedelta) -> list[tuple[str, str]]:
    """Turn PENDING statuses of ``account`` older than ``max_age`` into EXPIRED; returns their (signal id, account).

    A row that a dispatcher is claiming at this moment is left to it.
    """
    stale = (
        select(*_ID_COLUMNS)
        .select_from(_JOINED)
        .where(
            dispatch_status.c.status == SignalStatus.PENDING.value,
            dispatch_status.c.account == account,
            dispatch_recommendations.c.known_at < now - max_age,
        )
        .order_by(*_ID_COLUMNS)
        .with_for_update(of=dispatch_status, skip_locked=True)
    )
    expired = [(row.signal_id, row.account) for row in connection.execute(stale)]
    for signal_id, account in expired:
        connection.execute(
            update(dispatch_status)
            .where(dispatch_status.c.signal_id == signal_id, dispatch_status.c.account == account)
            .values(
                status=SignalStatus.EXPIRED.value,
                reason=f"not taken within {max_age.total_seconds():.0f} s",
                updated_at=now,
            )
        )
    return expired


def claim(
    connection: Connection,
    account: str,
    run_id: str,
    now: datetime,
    lease: timedelta,
    *,
    max_age: timedelta | None = None,
    limit: int | None = None,
) -> list[ClaimedSignal]:
    """Claim the account's open signals for ``run_id`` until ``now + lease``, best first: by confidence, then watchlist
    score (both descending), then ticker. Rows that another transaction holds are passed over, never waited for.

    With ``max_age`` older PENDING signals are not claimed (see :func:`expire_stale`).
    """
    query = (
        select(dispatch_recommendations, dispatch_status.c.run_id)
        .select_from(_JOINED)
        .where(dispatch_status.c.account == account, _claimable(now, max_age))
        .order_by(
            dispatch_recommendations.c.confidence.desc(),
            dispatch_recommendations.c.watchlist_score.desc(),
            dispatch_recommendations.c.ticker,
            dispatch_recommendations.c.signal_id,
        )
        .limit(limit)
        .with_for_update(of=dispatch_status, skip_locked=True)
    )
    until = now + lease
    claimed = []
    for row in connection.execute(query).mappings().all():
        claimed.append(ClaimedSignal(signal_of(row), account, until, row["run_id"]))
        connection.execute(
            update(dispatch_status)
            .where(dispatch_status.c.signal_id == row["signal_id"], dispatch_status.c.account == account)
            .values(status=SignalStatus.PROCESSING.value, run_id=run_id, lease_until=until, updated_at=now)
        )
    return claimed


def renew(connection: Connection, signal_id: str, account: str, run_id: str, now: datetime, lease: timedelta) -> None:
    """Extend the claim of ``run_id`` to ``now + lease``; raises :class:`ClaimLost` if it is no longer its own."""
    _as_claimant(connection, signal_id, account, run_id, lease_until=now + lease, updated_at=now)


def release(connection: Connection, run_ids: Collection[str], now: datetime) -> list[tuple[str, str]]:
    """End the leases of runs that are gone; returns the (signal id, account) that can be claimed again.

    They stay PROCESSING: whoever claims them next learns the run that held them, whose order may exist.
    """
    if not run_ids:
        return []
    statement = (
        update(dispatch_status)
        .where(dispatch_status.c.run_id.in_(list(run_ids)), dispatch_status.c.status == SignalStatus.PROCESSING.value)
        .values(lease_until=now, updated_at=now)
        .returning(*_ID_COLUMNS)
    )
    return [(row.signal_id, row.account) for row in connection.execute(statement)]


def settle(
    connection: Connection,
    signal_id: str,
    account: str,
    run_id: str,
    status: SignalStatus,
    reason: str | None,
    at: datetime,
) -> None:
    """Give a claimed signal its final status. Only the claimant may: anybody else raises :class:`ClaimLost`.

    SKIPPED and FAILED need a reason (the table refuses them without one).
    """
    if status not in FINAL:
        raise ValueError(f"{status} is not final; a claim ends in one of {', '.join(sorted(FINAL))}")
    _as_claimant(
        connection, signal_id, account, run_id, status=status.value, reason=reason, lease_until=None, updated_at=at
    )


def _as_claimant(connection: Connection, signal_id: str, account: str, run_id: str, **values: Any) -> None:
    result = connection.execute(
        update(dispatch_status)
        .where(
            dispatch_status.c.signal_id == signal_id,
            dispatch_status.c.account == account,
            dispatch_status.c.run_id == run_id,
            dispatch_status.c.status == SignalStatus.PROCESSING.value,
        )
        .values(**values)
    )
    if result.rowcount != 1:
        row = connection.execute(
            select(dispatch_status.c.status, dispatch_status.c.run_id).where(
                dispatch_status.c.signal_id == signal_id, dispatch_status.c.account == account
            )
        ).one_or_none()
        seen = "there is no such signal for it" if row is None else f"it is {row.status}, held by run {row.run_id}"
        raise ClaimLost(
            f"run {run_id} does not hold signal {signal_id} of account {account}: {seen}",
            where="dispatch_status",
            mend="Nothing was changed; the run that holds the claim decides.",
        )


def status_of(connection: Connection, signal_id: str, account: str) -> tuple[SignalStatus, str | None] | None:
    """Status and reason of a signal in an account, or None if it was never published there."""
    row = connection.execute(
        select(dispatch_status.c.status, dispatch_status.c.reason).where(
            dispatch_status.c.signal_id == signal_id, dispatch_status.c.account == account
        )
    ).one_or_none()
    return None if row is None else (SignalStatus(row.status), row.reason)
