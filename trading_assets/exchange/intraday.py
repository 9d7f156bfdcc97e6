"""What a position gained today: measured from the last close for what was held then, from its price for what was bought
since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading_assets.exchange.positions import FILL, ZERO, Activity, Position


def todays_cost(
    position: Position, lines: Iterable[Activity], opened: datetime, last_close: Decimal | None
) -> Decimal | None:
    """What ``position`` would have cost had it been bought at ``last_close`` as far as it was held when the session
    ``opened``; ``lines`` are the history of its symbol. None where that price would be needed and is not known."""
    today = [line for line in lines if line.kind == FILL and line.at >= opened]
    signed = [line.quantity if line.side == "buy" else -line.quantity for line in today]
    held = position.quantity - sum(signed)
    if held and last_close is None:
        return None
    course = replace(position, quantity=held, cost=held * (last_close or ZERO) * position.multiplier)
    for line, quantity in zip(today, signed, strict=True):
        course.move(quantity, line.price)
    return course.cost
