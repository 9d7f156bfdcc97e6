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
    """``snapshot``, with the pause that it brings about: written to the ledger, so that it outlives a restart.

    A drawdown pauses once it was seen twice, the configured time apart: one odd quote must not stop an account until a
    person comes. The gate denies from the first sight on.
    """
    strategy = desk.strategy(snapshot.account)
    tier, loss = high_water_tier(snapshot, strategy.sizing), drawdown(snapshot)
    reached = drawdown_reached(snapshot, strategy.sizing)
    if snapshot.paused_at is not None or reached is None:
        return snapshot
    now = desk.clock.now()
    with desk.ledger.begin() as connection:
        if not reached or tier is None or loss is None:
            equity_marks.not_low(connection, snapshot.account)
            return snapshot
        since = equity_marks.low_since(connection, snapshot.account, now)
        if since is None or (now - since).total_seconds() < strategy.gates.drawdown_confirm_s:
            return snapshot
        reason = (
            f"equity {snapshot.equity:.2f} is {loss:.1%} below {snapshot.high_water:.2f}, {tier.drawdown:.0%} pauses"
        )
        equity_marks.pause(connection, snapshot.account, now, reason)
    _log.error("account %s is paused: %s", snapshot.account, reason)
    return replace(snapshot, paused_at=now, pause_reason=reason)
