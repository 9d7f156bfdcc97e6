"""Alerts about positions: conditions that a person should know, kept in the position's story.

What belongs here: writing an alert at most once per condition and quiet time. What does not: what an alert says
(``strategy.exit_values``) and reading a session's alerts (``ledger.listings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, select

from trading_assets.ledger.positions import add_event
from trading_assets.ledger.tables import position_events

#: ``kind`` of an alert among the events of a position.
ALERT = "alert"


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
