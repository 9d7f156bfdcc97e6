"""The fill rules of the practice exchange, as one pure function.

1. A buy at or above the ask, a sell at or below the bid, and every market order is marketable: it fills at the quote,
   at once. A limit is never bettered by more than the quote gives and never exceeded.
2. A limit strictly inside the spread may fill at its own limit. The chance of a fill within one second grows with
   the square of how far it reaches across the spread: nothing at the near side, ``HAZARD_MOST`` at the far side. A
   limit at or behind the near side rests.
3. An opposite side that is missing or zero fills nothing.
4. At most the displayed size of the opposite side fills at once (inside the spread: of either side, the smaller).
5. About one fill in ten, where more than one is left to fill, is partial: a share between a quarter and three quarters,
   at least one. The rest stays and is decided again.
All draws come from the seed, the order's key, the second and the quantity left: the same order in the same market
always fills the same way, however often it is asked within a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading_assets.domain.clock import require_utc
from trading_assets.domain.values import Side
from trading_assets.simulation.randomness import uniform

#: Chance per second of a fill for a limit that all but reaches the far side.
HAZARD_MOST = 0.25
PARTIAL_SHARE = 0.10


@dataclass(frozen=True, slots=True)
class FillRequest:
    """What the exchange asks about one resting order.

    ``order_type`` is ``market`` or ``limit``; a limit order carries ``limit_price`` in dollars; ``remaining`` is the
    quantity not yet filled; ``order_key`` names the order for the seeded draws (the client order id will do).
    """

    side: Side
    order_type: str
    limit_price: Decimal | None
    remaining: int
    order_key: str
    submitted_at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution: ``quantity`` at ``price`` dollars per share; ``partial`` if some of the order is left."""

    price: Decimal
    quantity: int
    partial: bool


def decide_fill(
    order: FillRequest,
    bid: Decimal | None,
    ask: Decimal | None,
    bid_size: int,
    ask_size: int,
    instant: datetime,
    seed: int,
) -> Fill | None:
    """The fill of ``order`` against this quote at ``instant``, or None if it rests.

    Raises ``ValueError`` for an order that makes no sense (unknown type, limit without a price, nothing remaining).
    """
    if order.order_type not in ("market", "limit"):
        raise ValueError(f"expected an order of type market or limit, saw {order.order_type!r}")
    if order.remaining <= 0:
        raise ValueError(f"order {order.order_key} has nothing left to fill ({order.remaining})")
    limit = order.limit_price if order.order_type == "limit" else None
    if order.order_type == "limit" and (limit is None or not limit.is_finite() or limit <= 0):
        raise ValueError(f"limit order {order.order_key} needs a positive limit price, saw {limit}")
    if require_utc(instant) < require_utc(order.submitted_at):
        return None

    buying = order.side is Side.BUY
    far, far_size = (ask, ask_size) if buying else (bid, bid_size)
    near, near_size = (bid, bid_size) if buying else (ask, ask_size)
    if far is None or far <= 0 or far_size <= 0:
        return None
    second = int(require_utc(instant).timestamp())
    if limit is None or (limit >= far if buying else limit <= far):
        return _fill(order, far, far_size, second, seed)
    if near is None or near_size <= 0:
        return None
    reach = (limit - near) / (far - near) if far != near else Decimal(0)
    if reach <= 0:
        return None
    chance = HAZARD_MOST * float(reach) ** 2
    if uniform(seed, "hazard", order.order_key, second) >= chance:
        return None
    return _fill(order, limit, min(far_size, near_size), second, seed)


def _fill(order: FillRequest, price: Decimal, displayed: int, second: int, seed: int) -> Fill:
    quantity = min(order.remaining, displayed)
    if quantity > 1 and uniform(seed, "partial", order.order_key, second, order.remaining) < PARTIAL_SHARE:
        share = 0.25 + 0.5 * uniform(seed, "share", order.order_key, second, order.remaining)
        quantity = min(quantity - 1, max(1, int(quantity * share)))
    return Fill(price=price, quantity=quantity, partial=quantity < order.remaining)
