"""Pausing an account whose equity has fallen too far below its high-water mark; only a person releases it."""

from __future__ import annotations

import logging
from dataclasses import replace

from trading_assets.domain.values import AccountSnapshot
from trading_assets.ledger import equity_marks
from trading_assets.resources.desk import Desk
from trading_assets.risk.exposure import drawdown, drawdown_reached, high_water_tier

_log = logging.getLogger(__name__)


def watch_drawdown(desk: Desk, snapshot: AccountSnapshot) -> AccountSnapshot:
    """``snapshot``, with the pause that it brings about: written to the ledger, so that it outlives a restart."""
    sizing = desk.strategy(snapshot.account).sizing
    tier, loss = high_water_tier(snapshot, sizing), drawdown(snapshot)
    if snapshot.paused_at is not None or not drawdown_reached(snapshot, sizing) or tier is None or loss is None:
        return snapshot
    now = desk.clock.now()
    reason = f"equity {snapshot.equity:.2f} is {loss:.1%} below {snapshot.high_water:.2f}, {tier.drawdown:.0%} pauses"
    with desk.ledger.begin() as connection:
        equity_marks.pause(connection, snapshot.account, now, reason)
    _log.error("account %s is paused: %s", snapshot.account, reason)
    return replace(snapshot, paused_at=now, pause_reason=reason)
