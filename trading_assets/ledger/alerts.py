"""Alerts about positions: conditions that a person should know, kept in the position's story.

What belongs here: writing an alert at most once per condition and quiet time. What does not: what an alert says
(``strategy.exit_values``) and reading a session's alerts (``ledger.listings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from trading_assets.domain.values import Priority
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import add_event
from trading_assets.ledger.tables import position_events

#: ``kind`` of an alert among the events of a position.
ALERT = "alert"
#: ``rule`` and ``kind`` of the alert about an order whose fate is not known, and how often it is written.
UNKNOWN_ORDER, UNKNOWN_KIND = "unknown_order", "unknown"
_UNKNOWN_QUIET = timedelta(hours=1)


def raise_alert(
    connection: Connection,
    position_id: str,
    at: datetime,
    run_id: str,
    condition: str,
    details: Mapping[str, Any],
    *,
    quiet: timedelta,
) -> bool:
    """Write the alert unless the same condition of the position was written less than ``quiet`` before ``at``.

    Returns whether it was written. ``details`` must be JSON-ready. A condition that lasts is written again each time
    the quiet time is over. The caller holds the account's lock, so nobody else writes meanwhile.
    """
    last = connection.execute(
        select(func.max(position_events.c.at)).where(
            position_events.c.position_id == position_id,
            position_events.c.kind == ALERT,
            position_events.c.details["condition"].astext == condition,
        )
    ).scalar_one()
    if last is not None and at - last < quiet:
        return False
    add_event(connection, position_id, at, ALERT, run_id, {**details, "condition": condition})
    return True


def raise_unknown(connection: Connection, intent: OrderIntent, at: datetime) -> bool:
    """Write that the fate of the order is UNKNOWN into the story of its position, at most once an hour."""
    details: dict[str, Any] = {
        "rule": UNKNOWN_ORDER,
        "priority": Priority.CRITICAL.value,
        "kind": UNKNOWN_KIND,
        "reason": f"the fate of the order is UNKNOWN: {intent.error}",
        "numbers": {},
        "recommended_action": "Nothing more is sent in this symbol. Every minute asks the broker again; look there for "
        f"the order id {intent.client_order_id} if this does not end.",
        "client_order_id": intent.client_order_id,
        "broker_order_id": intent.broker_order_id,
        "signal_id": intent.signal_id,
    }
    condition = f"{UNKNOWN_ORDER} {intent.client_order_id}"
    return raise_alert(connection, intent.position_id, at, intent.run_id, condition, details, quiet=_UNKNOWN_QUIET)
