"""What an add does to a position, and so to its exits.

What belongs here: the position as the exit rules see it after more of it was bought. What does not: whether an add is
allowed (``risk.adding``), and ordering one (the dispatcher).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from trading_assets.domain.values import OpenPosition, PositionState
from trading_assets.strategy.quoting import finite


def average_price(quantity: int, price: Decimal, added: int, added_price: Decimal) -> Decimal:
    """Average price per share of two purchases, weighted by quantity; exact, as the ledger books fills."""
    return (quantity * price + added * added_price) / (quantity + added)


def after_add(position: OpenPosition, quantity: int, price: Decimal) -> OpenPosition:
    """``position`` after ``quantity`` more were bought at ``price`` per share.

    The entry becomes the average of all purchases, so stop, target and trail move with it: each stop is higher than
    before an add in profit. The high-water mark stays, for it is a price that was seen and not a gain; a trail that
    was armed may therefore have to be armed anew. Time of the entry, underlying's price at the entry and delta stay
    those of the first purchase: the longest hold is not begun again.

    Raises ``ValueError`` for a position that holds nothing, whose entry is unknown, or that is being left (half sold,
    or an exit at work), and for a quantity or price that is none.
    """
    entry, paid = finite(position.entry_price), finite(price)
    if quantity < 1 or paid is None or paid <= 0:
        raise ValueError(f"an add needs a quantity of at least 1 and a price, saw {quantity} at {price}")
    if position.quantity < 1 or entry is None or entry <= 0:
        raise ValueError(f"position {position.position_id} holds nothing whose entry is known")
    if position.state is not PositionState.OPEN or position.stage > 0:
        raise ValueError(f"position {position.position_id} is being left")
    return replace(
        position,
        quantity=position.quantity + quantity,
        entry_price=average_price(position.quantity, entry, quantity, paid),
        quantity_opened=None if position.quantity_opened is None else position.quantity_opened + quantity,
    )
