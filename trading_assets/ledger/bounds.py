"""What the ledger's columns can hold: who books what others say asks here first, so that no write fails on it."""

from __future__ import annotations

from decimal import Decimal

#: The greatest value of an ``Integer`` column, and what every value of an ``Amount`` column is below, rounded or not.
_INTEGER = Decimal(2**31 - 1)
_AMOUNT = Decimal(10**14 - 1)


def holds_quantity(quantity: Decimal) -> bool:
    """Whether so many units fit."""
    return quantity.copy_abs() <= _INTEGER


def holds_trade(quantity: Decimal, price: Decimal, multiplier: int = 1) -> bool:
    """Whether units, their price and what they are worth together fit."""
    # In this order: a product of absurd numbers is an error of its own.
    fits = holds_quantity(quantity) and price.copy_abs() < _AMOUNT
    return fits and abs(quantity * price * multiplier) < _AMOUNT
