"""Fills that the broker takes back (``trade_bust``) or corrects (``trade_correct``).

What was booked stays as it was written; the change stands beside it, and order and position are computed anew from what
is left, in one transaction with an event and an alert that tell a person. A change may come twice, and before its fill.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine

from trading_assets.broker import booking
from trading_assets.domain.values import Priority
from trading_assets.ledger import alerts, execution_changes, executions, orders, positions
from trading_assets.ledger.execution_changes import BUST, ExecutionChange
from trading_assets.ledger.executions import Execution
from trading_assets.ledger.positions import Position

log = logging.getLogger(__name__)


def book_change(engine: Engine, change: ExecutionChange, *, at: datetime, ahead: bool = False) -> bool:
    """Apply one change. Returns whether its fill is booked; ``ahead`` writes it without, and it counts once it is.

    Raises ``sqlalchemy.exc.IntegrityError``, and books nothing, if what a busted sale leaves cannot be held: another
    live position is in the way.
    """
    with engine.begin() as connection:
        fill = execution_changes.changed_fill(connection, change.account, change.fill_id)
        if fill is None:
            if ahead:
                execution_changes.insert_change(connection, change)
            return False
        # Position first, then the order: as every booking does.
        position = positions.get_position(connection, fill.position_id, lock=True)
        assert position is not None, "a fill has a position"
        change = replace(change, fill_id=executions.fill_id(fill.execution_id))
        if not execution_changes.insert_change(connection, change):
            return True
        if fill.client_order_id is not None:
            intent = orders.get_intent(connection, fill.client_order_id, lock=True)
            assert intent is not None, "a fill of ours has an order"
            left = executions.of_broker_order(connection, fill.broker_order_id)
            orders.set_filled(
                connection,
                fill.client_order_id,
                sum(row.quantity for row in left),
                executions.average_price(left),
                at,
                taken_back=True,
            )
            booking.refigure_whole(connection, intent, at, taken_back=True)
        if _half_not_taken(connection, position, fill):
            positions.update_position(connection, position.position_id, stage=0)
            position = replace(position, stage=0)
        now = booking.refigure(connection, position, at=at, run_id=change.run_id, reason=change.kind, settled=True)
        _tell(connection, change, fill, position, now, at)
    return True


def _half_not_taken(connection: Connection, position: Position, fill: Execution) -> bool:
    """Whether the sale that took half at the target is gone: then it may be sold again."""
    standing = executions.of_position(connection, position.position_id)
    return fill.reason == booking.HALF_TAKEN and all(row.reason != booking.HALF_TAKEN for row in standing)


def _tell(
    connection: Connection, change: ExecutionChange, fill: Execution, before: Position, now: Position, at: datetime
) -> None:
    taken_back = change.kind == BUST
    quantity = fill.quantity if change.quantity is None else change.quantity
    price = fill.price if change.price is None else change.price
    figures: dict[str, Any] = {
        "execution_id": fill.execution_id,
        "client_order_id": fill.client_order_id,
        "side": fill.side.value,
        "booked": f"{fill.quantity} at {_plain(fill.price)}",
        "right": "nothing" if taken_back else f"{quantity} at {_plain(price)}",
        "quantity": f"{before.quantity} -> {now.quantity}",
        "entry_price": f"{_plain(before.entry_price)} -> {_plain(now.entry_price)}",
        "realized_pnl": f"{_plain(before.realized_pnl)} -> {_plain(now.realized_pnl)}",
    }
    positions.add_event(connection, now.position_id, at, change.kind, change.run_id, figures)
    was = f"{fill.side.value} of {fill.quantity} {fill.symbol} at {_plain(fill.price)}"
    reason = (
        f"The broker took back the {was}." if taken_back else f"The broker corrected the {was}: {figures['right']}."
    )
    details = {
        "rule": change.kind,
        "priority": Priority.HIGH.value,
        "kind": "FILL_CHANGED",
        "reason": reason,
        "numbers": figures,
        "recommended_action": "Look at the position: quantity, average price and result were computed anew.",
    }
    condition = f"{change.kind} {change.change_id}"
    alerts.raise_alert(connection, now.position_id, at, change.run_id, condition, details, quiet=timedelta(0))
    log.warning("account %s, position %s: %s", change.account, now.position_id, reason)


def _plain(amount: Decimal | None) -> str:
    return "unknown" if amount is None else format(amount.normalize(), "f")
