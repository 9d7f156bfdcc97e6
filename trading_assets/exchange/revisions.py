"""What an execution that is busted or corrected changes: order, cash, position and history. Called by ``state``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from trading_assets.exchange.accounts import Account
from trading_assets.exchange.events import ExecutionRevised
from trading_assets.exchange.positions import FILL, ZERO, Activity, Position


def holding(account: Account, symbol: str, revised: ExecutionRevised | None = None) -> Position | None:
    """The position that the history of ``symbol`` leaves, one execution in it ``revised``; quantity 0 for none.

    None if what was held would have been sold without being there.
    """
    lines = account.lines_of(symbol)
    course, least = _course(lines, revised)
    if least < 0 and revised is not None and _course(lines, None)[1] >= 0:
        return None
    return course


def _course(lines: Sequence[Activity], revised: ExecutionRevised | None) -> tuple[Position, int]:
    """The position after all lines and the least quantity on the way."""
    position = Position("", "", "", lines[0].multiplier if lines else 1)
    least = 0
    for line in lines:
        price, quantity = line.price, line.quantity
        if revised is not None and line.id == revised.execution_id:
            price, quantity = revised.price, revised.quantity
        position.move(-quantity if line.side == "sell" else quantity, price)
        least = min(least, position.quantity)
        if position.quantity == 0:
            position.cost = ZERO
    return position, least


def revise(account: Account, event: ExecutionRevised, at: datetime) -> None:
    """Order, cash, position and history as if the execution had been what it is now said to have been."""
    order = account.orders[event.order_id]
    terms = order.terms
    before = event.was_price * event.was_quantity
    after = event.price * event.quantity
    order.filled += event.quantity - event.was_quantity
    order.filled_value += after - before
    order.updated_at = at
    if terms.id in account.open_orders:
        order.status = "partially_filled" if order.filled else "new"
    elif order.status == "filled" and order.remaining:
        # It is not taken up again: what is missing was canceled.
        order.status, order.canceled_at = "canceled", at
    if not order.filled:
        order.filled_at = None
    paid = (after - before) * terms.multiplier
    account.cash -= paid if terms.side == "buy" else -paid
    left = holding(account, terms.symbol, event)
    if left is None:
        raise ValueError(f"execution {event.execution_id} cannot be revised: what it bought was sold")
    account.positions.pop(terms.symbol, None)
    if left.quantity:
        account.positions[terms.symbol] = Position(
            terms.symbol, terms.asset_class, terms.asset_id, terms.multiplier, left.quantity, left.cost
        )
    account.activities = list(_rewritten(account.activities, event))


def _rewritten(lines: Sequence[Activity], event: ExecutionRevised) -> Iterator[Activity]:
    """The history with the execution as it is now said to have been: gone if busted, and counted so ever since."""
    met = False
    for line in lines:
        if line.id == event.execution_id:
            met = True
            if not event.quantity:
                continue
            line = replace(line, id=event.new_execution_id, price=event.price, quantity=event.quantity)
        if met and line.kind == FILL and line.order_id == event.order_id:
            line = replace(line, cumulative=line.cumulative + event.quantity - event.was_quantity)
        yield line
