"""Limit ladders of entries and exits."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_assets.domain.money import CENT, option_tick
from trading_assets.domain.values import Priority
from trading_assets.strategy.config_trading import OrderConfig
from trading_assets.strategy.orders import (
    Bracket,
    Rung,
    entry_bracket,
    entry_ladder,
    exit_ladder,
    highest_permitted_price,
)
from trading_assets_tests.strategy.trading_builders import quote

CONFIG = OrderConfig()
SPY, NVDA = partial(option_tick, "SPY"), partial(option_tick, "NVDA")


def limits(rungs: tuple[Rung, ...]) -> list[str | None]:
    return [None if rung.limit is None else str(rung.limit) for rung in rungs]


def test_an_entry_climbs_from_a_quarter_of_the_spread_above_mid_to_the_ask() -> None:
    ladder = entry_ladder(quote("2.00", "2.40"), SPY, CONFIG)
    assert limits(ladder) == ["2.30", "2.36", "2.40"]
    assert [rung.seconds for rung in ladder] == [10, 10, 10]
    assert highest_permitted_price(quote("2.00", "2.40"), SPY, CONFIG) == Decimal("2.40")


def bracket(distance: str | None, *, bid: str = "99.90", ask: str = "100.10") -> Bracket | None:
    market, away = quote(bid, ask), None if distance is None else Decimal(distance)
    ladder = entry_ladder(market, lambda _: CENT, CONFIG)
    return entry_bracket(ladder, market, away, lambda _: CENT, CONFIG.stock_target)


def test_a_bracket_stops_below_the_highest_price_and_takes_its_profit_twice_as_far_above_it() -> None:
    assert bracket("1.50") == Bracket(stop_loss=Decimal("98.60"), take_profit=Decimal("103.10"))
    # Off the tick both are rounded up: the loss at the stop is never more than the size was made for.
    assert bracket("1.504") == Bracket(stop_loss=Decimal("98.60"), take_profit=Decimal("103.11"))


@pytest.mark.parametrize("distance", [None, "0", "-1", "NaN", "0.04", "100.10", "500"])
def test_no_bracket_where_the_stop_would_not_lie_between_nothing_and_the_lowest_rung(distance: str | None) -> None:
    assert bracket(distance) is None
    assert entry_bracket((), quote("99.90", "100.10"), Decimal(1), lambda _: CENT, CONFIG.stock_target) is None


@pytest.mark.parametrize(("bid", "ask"), [("9.40", "10.00"), ("0", "10.00"), ("9.80", "10.00")])
def test_F34_no_bracket_where_the_bid_is_at_its_stop_already(bid: str, ask: str) -> None:
    """Bought at 10.00 with 0.20 at risk, it would be sold at once at 9.40: three times what the size was made for."""
    assert bracket("0.20", bid=bid, ask=ask) is None
    assert bracket("0.20", bid="9.81", ask=ask) == Bracket(stop_loss=Decimal("9.80"), take_profit=Decimal("10.40"))


def test_equal_neighbours_become_one_rung_that_works_as_long() -> None:
    assert entry_ladder(quote("2.39", "2.40"), SPY, CONFIG) == (Rung(Decimal("2.40"), 30),)


def test_prices_above_three_dollars_are_rounded_to_nickels() -> None:
    assert limits(entry_ladder(quote("4.00", "4.40"), NVDA, CONFIG)) == ["4.30", "4.35", "4.40"]


@pytest.mark.parametrize(
    ("bid", "ask"), [(None, "2.4"), ("2.0", None), ("2.5", "2.4"), ("0", "0"), ("NaN", "2.4"), ("-1", "2.4")]
)
def test_F41_no_entry_without_a_two_sided_uncrossed_quote(bid: str | None, ask: str | None) -> None:
    assert entry_ladder(quote(bid, ask), SPY, CONFIG) == ()
    assert highest_permitted_price(quote(bid, ask), SPY, CONFIG) is None
    assert entry_ladder(None, SPY, CONFIG) == ()


def test_a_critical_exit_ends_in_a_market_order_and_a_high_one_does_not() -> None:
    market = quote("2.00", "2.40")
    assert limits(exit_ladder(market, SPY, Priority.CRITICAL, False, CONFIG)) == ["2.00", "1.99", None]
    assert limits(exit_ladder(market, SPY, Priority.HIGH, False, CONFIG)) == ["2.00", "1.99"]


def test_flatten_and_expiry_go_to_market_at_once_without_any_quote() -> None:
    assert limits(exit_ladder(None, SPY, Priority.CRITICAL, True, CONFIG)) == [None]


def test_without_an_executable_bid_a_critical_exit_goes_to_market_and_a_high_one_waits() -> None:
    for market in (None, quote(None, "2.4"), quote("2.5", "2.4"), quote("NaN", "2.4")):
        assert limits(exit_ladder(market, SPY, Priority.CRITICAL, False, CONFIG)) == [None]
        assert exit_ladder(market, SPY, Priority.HIGH, False, CONFIG) == ()


def test_a_bid_of_zero_is_offered_at_one_tick() -> None:
    assert exit_ladder(quote("0", "0.05"), SPY, Priority.HIGH, False, CONFIG) == (Rung(Decimal("0.01"), 20),)


@given(st.decimals("0", "400", places=2), st.decimals("0", "40", places=2), st.sampled_from([SPY, NVDA]))
def test_ladders_rise_to_the_ask_and_fall_from_the_bid_on_the_grid(bid: Decimal, spread: Decimal, tick: object) -> None:
    assert callable(tick)
    ask = bid + spread
    if ask <= 0:
        return
    entries = [rung.limit for rung in entry_ladder(quote(str(bid), str(ask)), tick, CONFIG)]
    known = [limit for limit in entries if limit is not None]
    assert known == sorted(set(known)) and len(known) == len(entries)
    assert ask <= known[-1] < ask + tick(ask)
    assert all(limit > 0 and limit % tick(limit) == 0 for limit in known)
    leaving = [rung.limit for rung in exit_ladder(quote(str(bid), str(ask)), tick, Priority.HIGH, False, CONFIG)]
    sold = [limit for limit in leaving if limit is not None]
    assert sold == sorted(set(sold), reverse=True)
    assert all(limit > 0 and limit <= max(bid, tick(bid)) for limit in sold)
    total = sum(rung.seconds for rung in entry_ladder(quote(str(bid), str(ask)), tick, CONFIG))
    assert total == 30


def test_steps_beyond_the_ask_or_falling_are_refused() -> None:
    for bad in ({"entry_steps": ["0.6"]}, {"entry_steps": ["0.4", "0.2"]}, {"exit_ticks": [1, 0]}, {"rung_seconds": 0}):
        with pytest.raises(ValidationError):
            OrderConfig.model_validate(bad)
