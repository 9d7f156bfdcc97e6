"""American values, Greeks and implied volatility against QuantLib, against slopes of the value, and at their edges."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.market.american import american_greeks, american_implied_volatility, american_price
from trading_assets.market.greeks import black_scholes_price, greeks, implied_volatility
from trading_assets_tests.market.quantlib_models import (
    finite_differences,
    quadratic_approximation,
    quantlib_prices,
    random_contracts,
)

_GREEKS = ("delta", "gamma", "theta", "vega", "rho")


def _exercise(c: dict[str, np.ndarray]) -> np.ndarray:
    return np.where(c["is_call"], c["spot"] - c["strike"], c["strike"] - c["spot"])


def test_ten_thousand_random_contracts_are_worth_what_quantlib_says() -> None:
    contracts = random_contracts(10_000, seed=7)
    theirs = quantlib_prices(contracts, quadratic_approximation)
    ours = american_price(**contracts)
    # Within a thousandth of the exercise value the two may disagree on which side of the critical price they are.
    away = theirs > _exercise(contracts) + 1e-3 * contracts["strike"]
    # QuantLib's search ends at a gap of a millionth of the strike, which shows in values below a cent.
    told = theirs > 0.01
    assert (away & told).sum() > 7000
    np.testing.assert_allclose(ours[away & told], theirs[away & told], rtol=1e-4)
    # And at the boundary itself the difference is below a tenth of a cent per 100 dollars.
    assert np.max(np.abs(ours - theirs) / contracts["strike"]) < 1e-5


def test_the_approximation_lies_near_the_finite_difference_value() -> None:
    contracts = random_contracts(150, seed=11)
    contracts["years"] = np.ceil(np.clip(contracts["years"] * 365 / 8, 7, 90)) / 365
    theirs = quantlib_prices(contracts, finite_differences)
    error = np.abs(american_price(**contracts) - theirs) / contracts["strike"]
    assert np.median(error) < 1e-4
    assert np.max(error) < 2e-3


@pytest.mark.recorded
def test_the_published_values_of_the_approximation_are_met(recorded_data: Path) -> None:
    with (recorded_data / "reference" / "R7_quantlib_tables" / "americanoption.csv").open() as lines:
        rows = [row for row in csv.DictReader(lines) if row["test_case"] == "testBaroneAdesiWhaleyValues"]
    assert len(rows) > 30
    columns = {
        name: np.array([float(row[name]) for row in rows]) for name in rows[0] if name not in ("type", "test_case")
    }
    value = american_price(
        columns["spot"], columns["strike"], columns["t_years"], columns["vol"], columns["r"], columns["q"],
        [row["type"] == "Call" for row in rows],
    )  # fmt: skip
    # The book stops its search for the critical price early: QuantLib compares with it at 3e-3 for the same reason.
    np.testing.assert_allclose(value, columns["result"], atol=3e-3)


def test_each_greek_is_the_slope_of_the_american_value() -> None:
    c = random_contracts(2000, seed=3)
    found = american_greeks(**c)

    def value(name: str = "spot", step: float | np.ndarray = 0.0) -> np.ndarray:
        return american_price(**{**c, name: c[name] + step})

    def slope(name: str, step: float | np.ndarray) -> np.ndarray:
        return (value(name, step) - value(name, -step)) / (2 * step)

    tiny = 1e-4 * c["spot"]
    # A difference that reaches over the critical price tells no slope.
    smooth = american_price(**{**c, "spot": c["spot"] * 1.01}) > _exercise({**c, "spot": c["spot"] * 1.01}) + 1e-6
    smooth &= american_price(**{**c, "spot": c["spot"] * 0.99}) > _exercise({**c, "spot": c["spot"] * 0.99}) + 1e-6
    assert smooth.sum() > 1500
    scale = c["spot"][smooth]
    np.testing.assert_allclose(found.delta[smooth], slope("spot", tiny)[smooth], atol=2e-5)
    bend = (value("spot", 10 * tiny) - 2 * value() + value("spot", -10 * tiny)) / (10 * tiny) ** 2
    np.testing.assert_allclose(found.gamma[smooth] * scale, bend[smooth] * scale, atol=2e-2)
    np.testing.assert_allclose(found.vega[smooth] / scale, slope("iv", 1e-4)[smooth] / 100 / scale, atol=1e-7)
    np.testing.assert_allclose(found.rho[smooth] / scale, slope("rate", 1e-5)[smooth] / 100 / scale, atol=1e-7)
    np.testing.assert_allclose(found.theta[smooth] / scale, -slope("years", 1e-5)[smooth] / 365 / scale, atol=1e-7)


def test_calls_without_dividends_and_puts_without_interest_are_worth_the_european_value() -> None:
    c = random_contracts(500, seed=5)
    for changes in (
        {"dividend": np.zeros(500), "is_call": np.full(500, True)},
        {"rate": np.zeros(500), "is_call": np.full(500, False)},
    ):
        case = {**c, **changes}
        np.testing.assert_allclose(american_price(**case), black_scholes_price(**case), rtol=1e-12, atol=1e-12)
        ours, theirs = american_greeks(**case), greeks(**case)
        for name in _GREEKS:
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@given(
    spot=st.floats(50, 200),
    years=st.floats(1 / 365, 2),
    iv=st.floats(0.03, 2.0),
    rate=st.floats(0.0, 0.15),
    dividend=st.floats(0.0, 0.15),
    is_call=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_an_american_option_is_worth_at_least_its_exercise_and_the_european_one_and_at_most_what_it_delivers(
    spot: float, years: float, iv: float, rate: float, dividend: float, is_call: bool
) -> None:
    value = float(american_price(spot, 100.0, years, iv, rate, dividend, is_call))
    european = float(black_scholes_price(spot, 100.0, years, iv, rate, dividend, is_call))
    assert value >= max(spot - 100.0 if is_call else 100.0 - spot, european) - 1e-9
    assert value <= (spot if is_call else 100.0) + 1e-9
    longer = float(american_price(spot, 100.0, years * 1.1, iv, rate, dividend, is_call))
    # The approximation is not exactly monotone in time; the true value is.
    assert longer >= value - 2e-3 * 100


def test_a_put_beyond_its_critical_price_is_exercised() -> None:
    assert american_price(50.0, 100.0, 0.5, 0.2, 0.05, 0.0, False) == 50.0
    due = american_greeks(50.0, 100.0, 0.5, 0.2, 0.05, 0.0, False)
    assert due.delta == -1.0
    assert [float(getattr(due, name)) for name in _GREEKS[1:]] == [0.0, 0.0, 0.0, 0.0]


def test_implied_volatility_finds_the_volatility_behind_an_american_price() -> None:
    c = random_contracts(5000, seed=13)
    price = american_price(**c)
    sought = c.pop("iv")
    found = american_implied_volatility(price, **c)
    # Where the value is the exercise value, or hardly moves with volatility, the price names none.
    telling = (price > _exercise(c) + 1e-6) & (american_greeks(iv=sought, **c).vega > 1e-4)
    assert telling.sum() > 4000
    np.testing.assert_allclose(found[telling], sought[telling], atol=1e-6)


def test_a_price_without_an_american_volatility_gives_nan_and_leaves_its_neighbours_alone() -> None:
    good = float(american_price(95.0, 100.0, 0.5, 0.3, 0.05, 0.0, False))
    price = np.array([5.0, 4.99, 100.0, np.nan, good, good, 0.0, -1.0, good])
    spot = np.array([95.0, 95.0, 95.0, 95.0, 95.0, np.nan, 95.0, 95.0, 95.0])
    years = np.array([0.5, 0.5, 0.5, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5])
    found = american_implied_volatility(price, spot, 100.0, years, 0.05, 0.0, False)
    assert np.isnan(found[:-1]).all()
    assert found[-1] == pytest.approx(0.3, abs=1e-8)
    assert american_implied_volatility(4.2, 100.0, 100.0, 0.25, 0.04, 0.0, True) == pytest.approx(
        float(implied_volatility(4.2, 100.0, 100.0, 0.25, 0.04, 0.0, True))
    )


@pytest.mark.parametrize("missing", ["spot", "strike", "years", "iv", "rate", "dividend"])
@pytest.mark.parametrize("is_call", [True, False])
def test_a_missing_input_stays_missing(missing: str, is_call: bool) -> None:
    inputs = {"spot": 100.0, "strike": 100.0, "years": 0.25, "iv": 0.3, "rate": 0.04, "dividend": 0.02}
    inputs[missing] = np.nan
    assert np.isnan(american_price(**inputs, is_call=is_call))
    found = american_greeks(**inputs, is_call=is_call)
    assert all(np.isnan(getattr(found, name)) for name in ("delta", "theta", "vega"))
    del inputs["iv"]
    volatility = american_implied_volatility(4.0, **inputs, is_call=is_call)
    assert np.isnan(volatility) == (missing != "iv")


def test_inputs_broadcast_and_keep_their_shape() -> None:
    strikes, rights = np.array([[90.0], [100.0], [110.0]]), np.array([True, False])
    value = american_price(100.0, strikes, 0.25, 0.3, 0.05, 0.03, rights)
    assert value.shape == (3, 2)
    assert value[2, 1] == american_price(100.0, 110.0, 0.25, 0.3, 0.05, 0.03, False)
    assert american_greeks(100.0, strikes, 0.25, 0.3, 0.05, 0.03, rights).theta.shape == (3, 2)
    assert american_price(100.0, 100.0, 0.0, 0.3, 0.05, 0.03, True) == 0.0
