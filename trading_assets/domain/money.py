"""Money and prices at the borders of the system: ``Decimal``, never binary floats.

Inside vectorised code prices are floats; a price that reaches an order, the ledger or a person passes through here.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

CENT = Decimal("0.01")
NICKEL = Decimal("0.05")
#: Underlyings whose options trade in cents at every price (penny interval programme, index trackers).
PENNY_EVERYWHERE = frozenset({"SPY", "QQQ", "IWM"})


def money(value: Decimal | float | int | str) -> Decimal:
    """A ``Decimal`` from a wire or float value without binary noise; raises ``ValueError`` on NaN and infinity."""
    result = value if isinstance(value, Decimal) else Decimal(str(value))
    if not result.is_finite():
        raise ValueError(f"expected a finite amount of money, saw {value!r}")
    return result


def option_tick(underlying: str, price: Decimal) -> Decimal:
    """The minimum price increment of an option quote: 0.01 below $3 (everywhere for SPY, QQQ, IWM), else 0.05."""
    if underlying in PENNY_EVERYWHERE or price < 3:
        return CENT
    return NICKEL


def round_to_tick(price: Decimal, tick: Decimal, *, direction: str = "nearest") -> Decimal:
    """``price`` on the grid of ``tick``; ``direction`` is ``nearest``, ``up`` or ``down``."""
    rounding = {"nearest": ROUND_HALF_EVEN, "up": ROUND_CEILING, "down": ROUND_FLOOR}[direction]
    return (price / tick).to_integral_value(rounding=rounding) * tick


def told(price: Decimal | None) -> str:
    """``price`` for a person: at least two decimals and no further zeros; ``unknown`` for None."""
    if price is None:
        return "unknown"
    whole, _, part = f"{price:f}".partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"
