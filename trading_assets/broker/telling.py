"""Telling people what was done to a position without a decision of ours: one alert in its story, with every name.

What belongs here: the shape of such an alert. What does not: alerts of exit rules (``jobs.alerting``) and the one about
an order of unknown fate (``ledger.alerts``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from trading_assets.domain.values import Priority
from trading_assets.ledger import alerts


def tell(
    connection: Connection,
    position_id: str,
    rule: str,
    reason: str,
    action: str,
    *,
    at: datetime,
    run_id: str,
    subject: str = "",
    numbers: Mapping[str, Any] | None = None,
    client_order_id: str | None = None,
    broker_order_id: str | None = None,
) -> None:
    """Write the alert ``rule`` once: each call is an event of its own. ``subject`` tells two of one position apart."""
    details = {
        "rule": rule,
        "priority": Priority.HIGH.value,
        "kind": rule.upper(),
        "reason": reason,
        "numbers": dict(numbers or {}),
        "recommended_action": action,
        "client_order_id": client_order_id,
        "broker_order_id": broker_order_id,
    }
    condition = f"{rule} {subject}".rstrip()
    alerts.raise_alert(connection, position_id, at, run_id, condition, details, quiet=timedelta(0))
