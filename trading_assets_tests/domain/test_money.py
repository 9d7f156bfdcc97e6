"""How prices are told to people."""

from __future__ import annotations

from decimal import Decimal

import pytest

from trading_assets.domain.money import told


@pytest.mark.parametrize(
    ("price", "text"),
    [
        (Decimal("4.000000"), "4.00"),
        (Decimal("1.244444"), "1.244444"),
        (Decimal("0.5"), "0.50"),
        (Decimal("1200"), "1200.00"),
        (Decimal("1E+2"), "100.00"),
        (Decimal("-0.0250"), "-0.025"),
        (None, "unknown"),
    ],
)
def test_a_price_has_at_least_two_decimals_and_no_further_zeros(price: Decimal | None, text: str) -> None:
    assert told(price) == text
