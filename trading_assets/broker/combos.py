"""Multi-leg orders ("mleg") as the broker takes and shows them: several contracts that trade together at one net price.

What belongs here: the order as a value, as the SDK's request, as rows of the ledger, and whether an order found at the
broker is that one. What does not: what its fills do (``broker.combo_booking``) and rolls (``broker.rolling``). Prices
of the whole are net dollars per share of one unit: paid positive, received negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from typing import Any

from trading_assets.broker.values import BrokerOrder
from trading_assets.domain.money import CENT
from trading_assets.domain.values import Side
from trading_assets.ledger.orders import OrderIntent

#: An account needs this options level to trade several legs in one order.
COMBO_LEVEL = 3
_FEWEST, _MOST = 2, 4


@dataclass(frozen=True, slots=True)
class ComboLeg:
    """One leg: ``ratio`` contracts of ``symbol`` a unit. ``opens``: it opens what it trades, else it closes it."""

    symbol: str
    side: Side
    opens: bool
    ratio: int = 1

    @property
    def intent(self) -> str:
        """What the leg means, in the broker's word; a sale that closes can never open a short position."""
        return f"{self.side.value}_to_{'open' if self.opens else 'close'}"


@dataclass(frozen=True, slots=True)
class ComboRequest:
    """A multi-leg order of ``quantity`` units, good for the day. ``limit_price`` None is a market order."""

    client_order_id: str
    quantity: int
    limit_price: Decimal | None
    legs: tuple[ComboLeg, ...]

    def __post_init__(self) -> None:
        if not _FEWEST <= len(self.legs) <= _MOST or len({leg.symbol for leg in self.legs}) != len(self.legs):
            raise ValueError(f"expected {_FEWEST} to {_MOST} legs of different symbols, saw {self.legs}")
        if self.quantity < 1 or any(leg.ratio < 1 for leg in self.legs) or gcd(*(leg.ratio for leg in self.legs)) != 1:
            raise ValueError("quantity and ratios must be positive, and the ratios without a common divisor")
        if self.limit_price is not None and self.limit_price % CENT != 0:
            raise ValueError(f"a net limit is in whole cents, saw {self.limit_price}")


def body(request: ComboRequest) -> Any:
    """The SDK's request."""
    from alpaca.trading.enums import OrderClass, OrderSide, PositionIntent, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, OptionLegRequest

    values: dict[str, Any] = {
        "qty": request.quantity,
        "time_in_force": TimeInForce.DAY,
        "order_class": OrderClass.MLEG,
        "client_order_id": request.client_order_id,
        "legs": [
            OptionLegRequest(
                symbol=leg.symbol,
                ratio_qty=leg.ratio,
                side=OrderSide(leg.side.value),
                position_intent=PositionIntent(leg.intent),
            )
            for leg in request.legs
        ],
    }
    if request.limit_price is None:
        return MarketOrderRequest(**values)
    return LimitOrderRequest(**values, limit_price=float(request.limit_price))


def differences(intent: OrderIntent, legs: Sequence[OrderIntent], order: BrokerOrder) -> tuple[str, ...]:
    """What makes ``order`` another order than the one intended, in sentences; empty if it is the same.

    What an answer does not tell is not compared: its legs may be read later, and a leg may lack a side or a quantity.
    """
    pairs: list[tuple[str, object, object]] = [
        ("quantity", intent.quantity, order.quantity),
        ("limit price", intent.limit_price, order.limit_price),
    ]
    if order.legs:
        shown = {leg.symbol: leg for leg in order.legs}
        pairs.append(("legs", sorted(leg.symbol for leg in legs), sorted(shown)))
        for leg in legs:
            one = shown.get(leg.symbol)
            if one is not None and one.side is not None:
                pairs.append((f"side of {leg.symbol}", leg.side.value, one.side.value))
            if one is not None and one.quantity is not None:
                pairs.append((f"quantity of {leg.symbol}", Decimal(leg.quantity), one.quantity))
    return tuple(f"{name}: meant {meant}, found {found}" for name, meant, found in pairs if meant != found)


def net_price(legs: Sequence[OrderIntent], units: int) -> Decimal | None:
    """What a unit cost per share by the booked fills of its legs, received negative; None while a leg has none."""
    total = Decimal(0)
    for leg in legs:
        if leg.filled_avg_price is None or units < 1:
            return None
        ratio = Decimal(leg.quantity) / units
        total += ratio * (leg.filled_avg_price if leg.side is Side.BUY else -leg.filled_avg_price)
    return total


def units_filled(quantity: int, legs: Sequence[OrderIntent]) -> int:
    """Whole units of an order of ``quantity`` units that the booked fills of all its legs make up."""
    return min((leg.filled_quantity * quantity // leg.quantity for leg in legs), default=0)
