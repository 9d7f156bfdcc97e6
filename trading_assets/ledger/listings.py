"""Lists for people and programs: what was published, done and held in a session. JSON-ready rows, oldest first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Float, Numeric, RowMapping, Select, func, or_, select, true
from sqlalchemy.dialects.postgresql import aggregate_order_by

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import Priority, Purpose
from trading_assets.ledger.alerts import ALERT
from trading_assets.ledger.tables import (
    active_positions,
    booked_executions,
    dispatch_recommendations,
    dispatch_status,
    dispatcher_runs,
    order_intents,
    position_events,
    trade_stream_oddities,
)

Rows = list[dict[str, Any]]


def executions(connection: Connection, session: date) -> Rows:
    """Fills of the session's New York day: ``executed_at`` (UTC, ISO 8601), account, symbol, side, quantity, price
    per share, reason, and the identities that lead to the order and the signal."""
    table = booked_executions.c
    first, last = _day(session)
    query = (
        select(
            table.executed_at,
            table.account,
            table.symbol,
            table.side,
            table.quantity,
            table.price,
            table.reason,
            table.client_order_id,
            table.position_id,
        )
        .where(table.executed_at >= first, table.executed_at < last)
        .order_by(table.executed_at, table.execution_id)
    )
    return _rows(connection, query)


def positions(connection: Connection, session: date) -> Rows:
    """Positions opened or closed on the session's day, or still held; prices per share, P&L in dollars."""
    table = active_positions.c
    first, last = _day(session)
    query = (
        select(
            table.opened_at,
            table.closed_at,
            table.account,
            table.symbol,
            table.strategy,
            table.state,
            table.quantity_opened,
            table.quantity,
            table.entry_price,
            table.exit_reason,
            table.realized_pnl,
            table.signal_id,
            table.position_id,
        )
        .where(
            table.quantity_opened > 0,
            table.opened_at < last,
            or_(table.closed_at.is_(None), table.closed_at >= first),
        )
        .order_by(table.opened_at, table.position_id)
    )
    return _rows(connection, query)


def signals(connection: Connection, session: date) -> Rows:
    """Published signals with their status and reason in each account."""
    recommendation, status = dispatch_recommendations.c, dispatch_status.c
    query = (
        select(
            recommendation.known_at,
            recommendation.ticker,
            recommendation.action,
            recommendation.strategy,
            recommendation.confidence,
            status.account,
            status.status,
            status.reason,
            recommendation.signal_id,
        )
        .join(dispatch_status, status.signal_id == recommendation.signal_id)
        .where(recommendation.session == session)
        .order_by(recommendation.known_at, recommendation.ticker, status.account)
    )
    return _rows(connection, query)


def latency(connection: Connection, session: date) -> Rows:
    """How long entries of the session took, per account, in seconds of the world's clock: median and 95th percentile.

    ``decided``: from the instant at which the signal was decided, ``published``: from its row in the ledger, each to
    the instant at which the broker took the signal's first order, by the broker's clock. Accounts without an entry that
    was taken are absent.
    """
    intent, recommendation = order_intents.c, dispatch_recommendations.c
    first = (
        select(intent.account, intent.signal_id, func.min(intent.submitted_at).label("acknowledged"))
        .where(intent.purpose == Purpose.ENTRY.value, intent.submitted_at.is_not(None))
        .group_by(intent.account, intent.signal_id)
        .subquery()
    )

    def seconds(since: Column[Any], fraction: float) -> ColumnElement[float]:
        passed = func.extract("epoch", first.c.acknowledged - since)
        return func.round(func.percentile_cont(fraction).within_group(passed).cast(Numeric), 3).cast(Float)

    query = (
        select(
            first.c.account,
            func.count().label("entries"),
            seconds(recommendation.known_at, 0.5).label("decided_median_s"),
            seconds(recommendation.known_at, 0.95).label("decided_p95_s"),
            seconds(recommendation.published_at, 0.5).label("published_median_s"),
            seconds(recommendation.published_at, 0.95).label("published_p95_s"),
        )
        .join(dispatch_recommendations, recommendation.signal_id == first.c.signal_id)
        .where(recommendation.session == session)
        .group_by(first.c.account)
        .order_by(first.c.account)
    )
    return _rows(connection, query)


def alerts(connection: Connection, session: date) -> Rows:
    """What people were told on the session's day: priority, rule, why, what to do, the numbers, and the signal and
    (where it is about one) the order. About positions; frames of the trade stream that could not be used and what else
    acting runs told name no position."""
    event, position = position_events.c, active_positions.c
    first, last = _day(session)
    words = ("priority", "rule", "kind", "reason", "recommended_action")
    query = (
        select(
            event.at,
            position.account,
            position.symbol,
            *(event.details[word].astext.label(word) for word in words),
            event.details["numbers"].label("numbers"),
            func.coalesce(event.details["signal_id"].astext, position.signal_id).label("signal_id"),
            event.details["client_order_id"].astext.label("client_order_id"),
            event.position_id,
        )
        .join(active_positions, position.position_id == event.position_id)
        .where(event.kind == ALERT, event.at >= first, event.at < last)
        .order_by(event.event_id)
    )
    found = _rows(connection, query) + _odd_frames(connection, first, last)
    known = [str(row["reason"]) for row in found]
    found += [row for row in _of_runs(connection, first, last) if not any(reason in row["reason"] for reason in known)]
    return sorted(found, key=lambda row: str(row["at"]))


def _odd_frames(connection: Connection, first: datetime, last: datetime) -> Rows:
    odd = trade_stream_oddities.c
    query = (
        select(odd.seen_at, odd.account, odd.reason, odd.digest, odd.times)
        .where(odd.seen_at >= first, odd.seen_at < last)
        .order_by(odd.seen_at, odd.digest)
    )
    return [
        {
            "at": row["seen_at"],
            "account": row["account"],
            "symbol": None,
            "priority": Priority.MEDIUM.value,
            "rule": "trade_stream",
            "kind": "ODD_FRAME",
            "reason": f"A frame of the trade stream was kept and not used: {row['reason']}.",
            "recommended_action": "Nothing at once: the broker's lists were read instead.",
            "numbers": {"digest": row["digest"], "times": row["times"]},
            "position_id": None,
        }
        for row in _rows(connection, query)
    ]


def _of_runs(connection: Connection, first: datetime, last: datetime) -> Rows:
    """Each sentence once, however many runs told it."""
    run = dispatcher_runs.c
    sentences = func.jsonb_array_elements_text(run.outcome["alerts"]).table_valued("value")
    query = (
        select(
            func.min(run.finished_at).label("at"),
            run.account,
            sentences.c.value.label("reason"),
            func.count().label("times"),
            func.array_agg(aggregate_order_by(run.run_id, run.finished_at))[1].label("run_id"),
        )
        .select_from(dispatcher_runs.join(sentences, true()))
        .where(run.as_of >= first, run.as_of < last, run.account.is_not(None))
        .group_by(run.account, sentences.c.value)
    )
    return [
        {
            "at": row["at"],
            "account": row["account"],
            "symbol": None,
            "priority": Priority.MEDIUM.value,
            "rule": "run",
            "kind": "TOLD",
            "reason": row["reason"],
            "recommended_action": "Read the run's log in the Dagster UI.",
            "numbers": {"times": row["times"], "first_run": row["run_id"]},
            "position_id": None,
        }
        for row in _rows(connection, query)
    ]


LISTINGS: dict[str, Callable[[Connection, date], Rows]] = {
    "alerts": alerts,
    "executions": executions,
    "latency": latency,
    "positions": positions,
    "signals": signals,
}


def _day(session: date) -> tuple[datetime, datetime]:
    first = datetime.combine(session, time(), NEW_YORK)
    return first.astimezone(UTC), datetime.combine(session + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)


def _rows(connection: Connection, query: Select[Any]) -> Rows:
    return [_plain(row) for row in connection.execute(query).mappings()]


def _plain(row: RowMapping) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, datetime):
            plain[key] = value.astimezone(UTC).isoformat()
        elif isinstance(value, Decimal):
            plain[key] = format(value.normalize(), "f")
        else:
            plain[key] = value
    return plain
