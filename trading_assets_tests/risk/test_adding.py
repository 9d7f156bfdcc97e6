"""Adding to a position: in profit only, twice at most, and never on what is not known."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.domain.values import Direction, PositionState, Strategy
from trading_assets.risk.adding import may_add
from trading_assets.risk.config import AddingConfig
from trading_assets_tests.risk.builders import held, signal

CONFIG = AddingConfig()
MORE = signal(strategy=Strategy.SWING_TRADE)


@pytest.mark.parametrize(("price", "adds"), [("2.30", 0), ("2.30", 1), ("9", 1)])
def test_an_add_needs_a_profit_of_fifteen_percent(price: str, adds: int) -> None:
    decision = may_add(held("NVDA", "2.00"), MORE, Decimal(price), adds, CONFIG)
    assert decision.allowed and decision.profit == (Decimal(price) - 2) / 2


@pytest.mark.parametrize(
    ("changes", "price", "adds", "words"),
    [
        ({}, "2.29", 0, "below 15%"),
        ({}, "1.00", 0, "below 15%"),
        ({}, "3.00", 2, "2 are the most"),
        ({}, "3.00", None, "unknown number"),
        ({}, None, 0, "unknown profit"),
        ({}, "NaN", 0, "unknown profit"),
        ({"entry_price": None}, "3.00", 0, "unknown profit"),
        ({"entry_price": Decimal(0)}, "3.00", 0, "unknown profit"),
        ({"quantity": 0}, "3.00", 0, "0 held"),
        ({"state": PositionState.CLOSING}, "3.00", 0, "CLOSING"),
        ({"state": PositionState.OPENING}, "3.00", 0, "OPENING"),
        ({"stage": 1}, "3.00", 0, "was sold"),
        ({"quantity_opened": 2}, "3.00", 0, "was sold"),
        ({"quantity_opened": None}, "3.00", 0, "unknown whether"),
        ({"direction": Direction.BEARISH}, "3.00", 0, "is bearish"),
        ({"strategy": Strategy.DAY_TRADE}, "3.00", 0, "is a day_trade"),
    ],
)
def test_an_add_is_refused_with_the_reason(
    changes: dict[str, object], price: str | None, adds: int | None, words: str
) -> None:
    position = held("NVDA", "2.00", **changes)
    decision = may_add(position, MORE, None if price is None else Decimal(price), adds, CONFIG)
    assert not decision.allowed and words in decision.reason


@given(cents=st.integers(1, 1000), less=st.integers(0, 1000), adds=st.integers(0, 3), more=st.integers(0, 3))
def test_a_lower_price_or_more_adds_never_allow_what_was_refused(cents: int, less: int, adds: int, more: int) -> None:
    better = may_add(held("NVDA", "2.00"), MORE, Decimal(cents) / 100, adds, CONFIG)
    worse = may_add(held("NVDA", "2.00"), MORE, Decimal(max(0, cents - less)) / 100, adds + more, CONFIG)
    assert better.allowed or not worse.allowed
