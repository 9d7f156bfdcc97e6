"""Many open signals of one account at once: reading them, and skipping those that its gates deny in one go.

What belongs here: the queries of that. What does not: the way of a single signal, which is claimed (``dispatch``), and
what denies (``jobs.screening``). The caller holds the account's lock, so that nobody claims the same signals meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, String, column, select, update, values

from trading_assets.domain.values import Signal, SignalStatus
from trading_assets.ledger.decisions import Denial, record_denials
from trading_assets.ledger.dispatch import signal_of
from trading_assets.ledger.tables import dispatch_recommendations, dispatch_status


def pending_ids(connection: Connection, account: str, now: datetime, max_age: timedelta) -> tuple[str, ...]:
    """Ids of the account's PENDING signals that are young enough, best first as they are claimed.

    One that an earlier run had claimed is not among them: its order may exist, and it goes its own way.
    """
    published, status = dispatch_recommendations.c, dispatch_status.c
    query = (
        select(status.signal_id)
        .join(dispatch_recommendations, published.signal_id == status.signal_id)
        .where(
            status.account == account,
            status.status == SignalStatus.PENDING.value,
            published.known_at >= now - max_age,
        )
        .order_by(published.confidence.desc(), published.watchlist_score.desc(), published.ticker, status.signal_id)
    )
    return tuple(connection.execute(query).scalars())


def signals(connection: Connection, ids: Iterable[str]) -> dict[str, Signal]:
    """The published signals of these ids."""
    wanted = list(ids)
    if not wanted:
        return {}
    query = select(dispatch_recommendations).where(dispatch_recommendations.c.signal_id.in_(wanted))
    return {row["signal_id"]: signal_of(row) for row in connection.execute(query).mappings()}


def skip(
    connection: Connection, account: str, run_id: str, denied: Mapping[str, Denial], at: datetime
) -> frozenset[str]:
    """Record a decision for each signal of ``denied`` that is still PENDING, and make it SKIPPED; their ids.

    Decision and status are of one transaction: nothing is claimed in between that a killed run could leave behind.
    """
    if not denied:
        return frozenset()
    mine = (dispatch_status.c.account == account, dispatch_status.c.status == SignalStatus.PENDING.value)
    held = connection.execute(
        select(dispatch_status.c.signal_id)
        .where(*mine, dispatch_status.c.signal_id.in_(list(denied)))
        .order_by(dispatch_status.c.signal_id)
        .with_for_update(skip_locked=True)
    )
    free = frozenset(held.scalars())
    chosen = {signal_id: one for signal_id, one in denied.items() if signal_id in free}
    record_denials(connection, account=account, run_id=run_id, decided_at=at, denied=chosen)
    if chosen:
        said = values(column("signal_id", String), column("reason", String), name="said").data(
            [(signal_id, one.reason) for signal_id, one in chosen.items()]
        )
        connection.execute(
            update(dispatch_status)
            .where(*mine, dispatch_status.c.signal_id == said.c.signal_id)
            .values(status=SignalStatus.SKIPPED.value, reason=said.c.reason, run_id=run_id, updated_at=at)
        )
    return frozenset(chosen)
