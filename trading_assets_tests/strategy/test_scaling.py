"""What an add does to a position and its exits."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.domain.values import PositionState, Strategy
from trading_assets.strategy.scaling import after_add
from trading_assets_tests.strategy.test_exits import judge, rule
from trading_assets_tests.strategy.trading_builders import position

SWING = Strategy.SWING_TRADE


def held(**changes: Any) -> Any:
    """Four calls bought at 2.00, seen at 2.50."""
    return position(SWING, dte=10, high_water=Decimal("2.50"), entry_delta=0.5, **changes)


def test_an_add_averages_the_entry_and_keeps_what_belongs_to_the_first_purchase() -> None:
    before = held()
    after = after_add(before, 2, Decimal("2.45"))
    assert (after.quantity, after.entry_price) == (6, Decimal("2.15"))
    assert after == replace(before, quantity=6, entry_price=Decimal("2.15"))


def test_the_stop_moves_up_with_the_average() -> None:
    after = after_add(held(), 2, Decimal("2.45"))
    assert rule(judge(held(), "1.39")) is None
    assert rule(judge(after, "1.40")) is None
    outcome = judge(after, "1.39")
    assert outcome.decision is not None and (outcome.decision.rule, outcome.decision.quantity) == ("stop", 6)


def test_the_target_is_counted_from_the_average() -> None:
    after = after_add(held(), 2, Decimal("2.45"))
    assert rule(judge(held(), "3.00")) == "target"
    assert rule(judge(after, "3.22")) is None
    outcome = judge(after, "3.23")
    assert outcome.decision is not None and (outcome.decision.rule, outcome.decision.quantity) == ("target", 3)


def test_an_armed_trail_stands_higher_and_one_that_is_armed_no_more_waits_for_a_new_high() -> None:
    armed = replace(held(), high_water=Decimal("2.90"))
    assert rule(judge(armed, "2.54")) == "trailing" and rule(judge(armed, "2.55")) is None
    small = after_add(armed, 1, Decimal("2.60"))
    assert small.entry_price == Decimal("2.12") and rule(judge(small, "2.58")) == "trailing"
    large = after_add(armed, 4, Decimal("2.60"))
    assert large.entry_price == Decimal("2.30") and rule(judge(large, "2.54")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": 0},
        {"entry_price": None},
        {"entry_price": Decimal("NaN")},
        {"stage": 1},
        {"state": PositionState.CLOSING},
        {"state": PositionState.CLOSED},
    ],
)
def test_a_position_that_is_being_left_or_not_known_is_not_added_to(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="p1"):
        after_add(held(**changes), 1, Decimal("2.40"))


@pytest.mark.parametrize(("quantity", "price"), [(0, "2.40"), (-1, "2.40"), (1, "0"), (1, "NaN")])
def test_an_add_of_nothing_is_none(quantity: int, price: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        after_add(held(), quantity, Decimal(price))


@given(bought=st.integers(1, 20), added=st.integers(1, 20), cents=st.integers(230, 900), bid=st.integers(0, 900))
def test_after_an_add_in_profit_a_stop_that_was_due_still_is(bought: int, added: int, cents: int, bid: int) -> None:
    before = replace(held(), quantity=bought)
    after = after_add(before, added, Decimal(cents) / 100)
    price = str(Decimal(bid) / 100)
    if rule(judge(before, price)) == "stop":
        assert rule(judge(after, price)) == "stop"
