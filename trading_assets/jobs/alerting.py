"""Telling people about positions: every alert in the run's report, new ones in its log and in the ledger."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from trading_assets.domain.values import OpenPosition, Priority
from trading_assets.ledger import alerts as stored
from trading_assets.resources.desk import Desk
from trading_assets.strategy.exit_values import AlertKind, ExitAlert, ExitDecision

Log = logging.Logger | Any


def tell(
    desk: Desk, run_id: str, log: Log, said: list[str], position: OpenPosition, alerts: Iterable[ExitAlert]
) -> None:
    """Store and log what was not told within the quiet time; ``said`` gets every alert that still stands.

    An exit that the system works by itself stands in the ledger and among the run's exits, not in ``said``.
    """
    usual = timedelta(minutes=desk.strategy(position.account).exits.alert_quiet_minutes)
    for alert in alerts:
        # An exit that is due and is not being worked is told in every cycle.
        urgent = alert.kind is AlertKind.FORBIDDEN or (
            alert.kind is AlertKind.STUCK and alert.priority is Priority.CRITICAL
        )
        quiet = timedelta(0) if urgent else usual
        whose = "" if position.signal_id is None else f"signal {position.signal_id}, "
        text = (
            f"{position.symbol} {alert.priority.value} {alert.rule}: {alert.reason} {alert.recommended_action} "
            f"({whose}position {position.position_id})"
        )
        details = {
            "rule": alert.rule,
            "priority": alert.priority.value,
            "kind": alert.kind.value,
            "reason": alert.reason,
            "numbers": dict(alert.numbers),
            "recommended_action": alert.recommended_action,
        }
        with desk.ledger.begin() as connection:
            now = desk.clock.now()
            new = stored.raise_alert(connection, alert.position_id, now, run_id, alert.condition, details, quiet=quiet)
        if alert.kind is AlertKind.ORDERED:
            continue
        said.append(text)
        if new:
            log.warning(f"account {position.account}: {text}")


def stuck(position: OpenPosition, decision: ExitDecision, seen: str) -> ExitAlert:
    """The alert for an exit that is due and was not sold, or not wholly: ``seen`` says what happened."""
    action = (
        "The next cycle tries again; close by hand if it must not wait."
        if decision.priority is not Priority.CRITICAL
        else "Close the position by hand if the next cycle does not."
    )
    return ExitAlert(
        position.position_id, decision.rule, decision.priority, seen, decision.numbers, action, AlertKind.STUCK
    )
