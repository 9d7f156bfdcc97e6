"""Publishing signals: each is written once, with one status per account that is to consider it.

What belongs here: ``dispatch_recommendations``, and the first row of each ``dispatch_status``. What does not: who takes
a signal and what comes of it (``ledger.dispatch``). The caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, Connection, RowMapping, Text, any_, literal, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.values import Action, Direction, Signal, SignalStatus, Strategy
from trading_assets.ledger.canonical import plain
from trading_assets.ledger.tables import dispatch_recommendations, dispatch_status


@dataclass(frozen=True, slots=True)
class Follower:
    """The signals that one account follows: its strategies, the versions of its rule sets, its preset."""

    strategies: frozenset[Strategy]
    rule_sets: frozenset[str]
    preset: str

    def follows(self, signal: Signal) -> bool:
        """Whether the account is to consider ``signal``."""
        return signal.strategy in self.strategies and signal.rule_set in self.rule_sets and signal.preset == self.preset


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
    stored = select(dispatch_status.c.signal_id, dispatch_status.c.account).where(
        dispatch_status.c.signal_id == any_(ids)
    )
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
