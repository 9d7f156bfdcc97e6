"""The way of a signal through the ledger: published once, claimed by one run, settled by that run.

What belongs here: queries over ``dispatch_recommendations`` and ``dispatch_status``; decisions and the account lock
lie beside it and are handed through. What does not: judging a signal. Every function takes an open connection and the
caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Connection, RowMapping, Text, and_, any_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import Action, Direction, Signal, SignalStatus, Strategy
from trading_assets.ledger.account_lock import AccountBusy, AccountLock, AccountLockLost, account_lock
from trading_assets.ledger.canonical import plain
from trading_assets.ledger.decisions import record_decision, store_input
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
    "record_decision",
    "release",
    "renew",
    "settle",
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


@dataclass(frozen=True, slots=True)
class Follower:
    """The signals that one account follows: its strategies, the versions of its rule sets, its preset."""

    strategies: frozenset[Strategy]
    rule_sets: frozenset[str]
    preset: str

    def follows(self, signal: Signal) -> bool:
        """Whether the account is to consider ``signal``."""
        return signal.strategy in self.strategies and signal.rule_set in self.rule_sets and signal.preset == self.preset


# --- publishing -------------------------------------------------------------------------------------------------------


def publish(
    connection: Connection,
    signals: Sequence[Signal],
    accounts: Sequence[str] | Mapping[str, Collection[Strategy] | Follower],
    run_id: str,
    at: datetime,
) -> int:
    """Write signals that are not in the ledger yet, and one PENDING status per account that is to consider them.

    ``accounts`` are account names, or names with what each follows (strategies, or more of a signal): then an account
    gets only those.
    Repeated publishing changes nothing: a stored recommendation keeps its bytes, a stored status its state. Returns the
    number of new statuses.
    """
    ids = literal([signal.signal_id for signal in signals], ARRAY(Text))
    stored = select(*_ID_COLUMNS).where(dispatch_status.c.signal_id == any_(ids))
    # Each account's run publishes the same signals: all but the first have nothing to write.
    known = {(signal_id, account) for signal_id, account in connection.execute(stored)}
    wanted = [
        {"signal_id": signal.signal_id, "account": account, "status": SignalStatus.PENDING.value, "updated_at": at}
        for signal in signals
        for account in accounts
        if (signal.signal_id, account) not in known
        and (not isinstance(accounts, Mapping) or _follows(accounts[account], signal))
    ]
    published = {signal_id for signal_id, _ in known}
    rows = [_columns(signal, run_id, at) for signal in signals if signal.signal_id not in published]
    if rows:
        connection.execute(insert(dispatch_recommendations).on_conflict_do_nothing(), rows)
    if not wanted:
        return 0
    # Rows beside the statement, not in it: they are sent in blocks, and one statement takes 65,535 values at most.
    statement = insert(dispatch_status).on_conflict_do_nothing().returning(dispatch_status.c.signal_id)
    return len(connection.execute(statement, wanted).all())


def _follows(wanted: Collection[Strategy] | Follower, signal: Signal) -> bool:
    return wanted.follows(signal) if isinstance(wanted, Follower) else signal.strategy in wanted


def _columns(signal: Signal, run_id: str, at: datetime) -> dict[str, Any]:
    return {
        "signal_id": signal.signal_id,
        "session": signal.session,
        "ticker": signal.ticker,
        "action": signal.action.value,
        "strategy": signal.strategy.value,
        "direction": signal.direction.value,
        "bar_start": signal.bar_start,
        "known_at": signal.known_at,
        "confidence": signal.confidence,
        "watchlist_score": signal.watchlist_score,
        "urgent": signal.urgent,
        "rule_set": signal.rule_set,
        "config_hash": signal.config_hash,
        "factors": plain(signal.factors),
        "features": plain(signal.features),
        "sentiment": plain(signal.sentiment),
        "preset": signal.preset,
        "published_at": at,
        "published_by": run_id,
    }


def unpublished_ids(connection: Connection, ids: Collection[str]) -> tuple[str, ...]:
    """Those of ``ids`` that the ledger does not hold yet, in the given order."""
    if not ids:
        return ()
    known = connection.execute(
        select(dispatch_recommendations.c.signal_id).where(dispatch_recommendations.c.signal_id.in_(list(ids)))
    ).scalars()
    stored = set(known)
    return tuple(identity for identity in ids if identity not in stored)


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


def signal_of(row: RowMapping) -> Signal:
    """The signal that a row of ``dispatch_recommendations`` holds."""
    return Signal(
        signal_id=row["signal_id"],
        session=row["session"],
        ticker=row["ticker"],
        action=Action(row["action"]),
        strategy=Strategy(row["strategy"]),
        direction=Direction(row["direction"]),
        bar_start=row["bar_start"],
        known_at=row["known_at"],
        confidence=row["confidence"],
        watchlist_score=row["watchlist_score"],
        urgent=row["urgent"],
        rule_set=row["rule_set"],
        config_hash=row["config_hash"],
        factors=row["factors"],
        features=row["features"],
        sentiment=row["sentiment"],
        preset=row["preset"],
    )


def published_signal(connection: Connection, signal_id: str) -> Signal | None:
    """The published signal of that id as it was decided, or None."""
    query = select(dispatch_recommendations).where(dispatch_recommendations.c.signal_id == signal_id)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else signal_of(row)


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
