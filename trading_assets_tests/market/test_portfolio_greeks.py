"""Sums of positions' Greeks by hand, by repricing, and with gaps in what is known."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest

from trading_assets.market.greeks import black_scholes_price, greeks
from trading_assets.market.portfolio_greeks import PortfolioGreeks, PositionGreeks, portfolio_greeks, stock_position

CALL = PositionGreeks("NVDA260313C00180000", "NVDA", 2, 100, Decimal("180"), 0.5, 0.02, -0.10, 0.15, 1.8)
PUT = PositionGreeks("SPY260313P00700000", "SPY", 1, 100, 700.0, -0.4, 0.01, -0.20, 0.60, 1.0)


def test_totals_are_the_sums_worked_by_hand() -> None:
    total = portfolio_greeks([CALL, PUT, stock_position("AAPL", quantity=10, spot=250.0, beta=1.2)])
    # 200 x 0.5 x 180 - 100 x 0.4 x 700 + 10 x 250
    assert total.dollar_delta == pytest.approx(18_000 - 28_000 + 2_500)
    assert total.beta_weighted_dollar_delta == pytest.approx(18_000 * 1.8 - 28_000 + 2_500 * 1.2)
    # 200 x 0.02 x 180 x 1.80 + 100 x 0.01 x 700 x 7.00
    assert total.gamma_dollars_per_1pct == pytest.approx(1_296 + 4_900)
    assert total.vega_per_point == pytest.approx(200 * 0.15 + 100 * 0.60)
    assert total.theta_per_day == pytest.approx(-20 - 20)
    assert total.unknown == ()


def test_no_positions_stand_to_gain_and_lose_nothing() -> None:
    assert portfolio_greeks([]) == PortfolioGreeks(0.0, 0.0, 0.0, 0.0, 0.0, ())


def test_the_gamma_total_is_how_much_the_delta_changes_when_everything_rises_by_one_per_cent() -> None:
    spot, arguments = 100.0, (0.25, 0.3, 0.04, 0.0, True)
    g = greeks(spot, 100.0, *arguments)
    numbers = [float(column) for column in (g.delta, g.gamma, g.theta, g.vega)]
    total = portfolio_greeks([PositionGreeks("X", "X", 3, 100, spot, *numbers, beta=1.0)])
    up, down = (greeks(spot * (1 + move), 100.0, *arguments).delta for move in (0.001, -0.001))
    assert total.gamma_dollars_per_1pct == pytest.approx(300 * spot * (up - down) / 0.2, rel=1e-3)
    gain = 300 * (black_scholes_price(spot * 1.0001, 100.0, *arguments) - black_scholes_price(spot, 100.0, *arguments))
    assert total.dollar_delta == pytest.approx(gain / 0.0001, rel=1e-3)


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        ({"delta": None}, {"dollar_delta", "beta_weighted_dollar_delta"}),
        ({"delta": math.nan}, {"dollar_delta", "beta_weighted_dollar_delta"}),
        ({"gamma": None}, {"gamma_dollars_per_1pct"}),
        ({"vega": None}, {"vega_per_point"}),
        ({"theta": None}, {"theta_per_day"}),
        ({"beta": None}, {"beta_weighted_dollar_delta"}),
        ({"spot": None}, {"dollar_delta", "beta_weighted_dollar_delta", "gamma_dollars_per_1pct"}),
        ({"spot": Decimal(0)}, {"dollar_delta", "beta_weighted_dollar_delta", "gamma_dollars_per_1pct"}),
    ],
)
def test_an_unknown_number_takes_away_the_totals_that_need_it_and_no_other(
    missing: dict[str, float | None], lost: set[str]
) -> None:
    total = portfolio_greeks([PUT, replace(CALL, **missing)])
    names = [name for name in PortfolioGreeks.__slots__ if name != "unknown"]
    assert {name for name in names if getattr(total, name) is None} == lost
    assert total.unknown == (CALL.symbol,)


def test_a_position_of_nothing_needs_no_numbers() -> None:
    gone = PositionGreeks("NVDA260313C00180000", "NVDA", 0, 100, None, None, None, None, None)
    assert portfolio_greeks([PUT, gone]) == portfolio_greeks([PUT])


def test_each_symbol_is_named_once_and_in_order() -> None:
    blind = replace(PUT, delta=None, vega=None)
    assert portfolio_greeks([blind, replace(CALL, beta=None), blind]).unknown == (CALL.symbol, PUT.symbol)


def test_shares_have_no_gamma_even_where_their_price_is_unknown() -> None:
    total = portfolio_greeks([stock_position("AAPL", quantity=5, spot=None)])
    assert total == PortfolioGreeks(None, None, 0.0, 0.0, 0.0, ("AAPL",))
