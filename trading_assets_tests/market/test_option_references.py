"""Prices, Greeks, implied volatilities and symbols against recorded tables of other implementations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trading_assets.domain.values import Right
from trading_assets.market.american import american_price
from trading_assets.market.greeks import black_scholes_price, greeks, implied_volatility
from trading_assets.market.options import format_occ, parse_occ

pytestmark = pytest.mark.recorded


def _cases(data: Path, api: str) -> Iterator[dict[str, Any]]:
    for path in sorted((data / "reference" / "R6_option_math_fixtures").rglob("*.json")):
        if path.name in ("catalog.json", "manifest.json"):
            continue
        for case in json.loads(path.read_text()).get("cases", []):
            if case["api"] == api:
                yield case


def _market(given: dict[str, Any]) -> tuple[float, float, float, float, float, float]:
    """Spot, strike, years, volatility, rate and dividend yield, as the functions take them."""
    return (
        given["spot"], given["strike"], given["years"], given["volatility"], given["rate"], given["dividend_yield"],
    )  # fmt: skip


def test_european_prices_equal_the_fixtures_to_their_tolerance(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "pricing.price_black_scholes"))
    assert len(cases) >= 48
    for case in cases:
        value = black_scholes_price(*_market(case["input"]), case["input"]["option_right"] == "call")
        assert float(value) == pytest.approx(case["expected"]["value"], abs=case["tolerance"]), case["id"]


def test_call_less_put_equals_the_fixtures_to_their_tolerance(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "pricing.black_scholes_put_call_parity"))
    assert len(cases) >= 10
    for case in cases:
        call, put = (black_scholes_price(*_market(case["input"]), is_call) for is_call in (True, False))
        # A difference of two values of some hundred dollars keeps 13 digits.
        tolerance = max(case["tolerance"], 1e-11)
        assert float(call - put) == pytest.approx(case["expected"]["call_minus_put"], abs=tolerance), case["id"]


def test_greeks_equal_the_fixtures_to_their_tolerance(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "pricing.greeks_black_scholes"))
    assert len(cases) >= 40
    for case in cases:
        g = greeks(*_market(case["input"]), case["input"]["option_right"] == "call")
        ours = {"delta": g.delta, "gamma": g.gamma, "theta": g.theta, "vega": g.vega, "rho": g.rho * 100}
        for name, expected in case["expected"].items():
            tolerance = case.get("field_tolerances", {}).get(name, case["tolerance"])
            assert float(ours[name]) == pytest.approx(expected, abs=tolerance), (case["id"], name)


def test_implied_volatilities_equal_the_fixtures_to_their_tolerance(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "pricing.implied_volatility_from_price"))
    assert len(cases) >= 33
    for case in cases:
        given = case["input"]
        arguments = (given["spot"], given["strike"], given["years"], given["rate"], given["dividend_yield"])
        is_call = given["option_right"] == "call"
        found = float(implied_volatility(given["target_price"], *arguments, is_call))
        expected = case["expected"]["value"]
        if abs(found - expected) > case["tolerance"]:
            # In double precision such a price belongs to more than one volatility: it must be met, all the same.
            met = float(black_scholes_price(*arguments[:3], found, *arguments[3:], is_call))
            assert met == pytest.approx(given["target_price"], rel=1e-14), case["id"]
            assert found == pytest.approx(expected, abs=1e-6), case["id"]


def test_american_values_equal_the_fixtures_of_the_same_approximation(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "math.american_barone_adesi_whaley_price"))
    assert len(cases) >= 30
    for case in cases:
        value = float(american_price(*_market(case["input"]), case["input"]["option_right"] == "call"))
        assert value == pytest.approx(case["expected"]["value"], abs=case["tolerance"]), case["id"]


def test_american_values_lie_near_the_fixtures_of_fine_trees(recorded_data: Path) -> None:
    cases = list(_cases(recorded_data, "math.american_tree_price"))
    assert len(cases) >= 20
    errors = []
    for case in cases:
        given = case["input"]
        value = float(american_price(*_market(given), given["option_right"] == "call"))
        errors.append(abs(value - case["expected"]["value"]) / given["strike"])
    assert np.median(errors) < 5e-4
    assert max(errors) < 1e-2


def test_symbols_are_built_and_read_as_in_the_fixtures_and_adjusted_ones_refused(recorded_data: Path) -> None:
    built = [c for c in _cases(recorded_data, "contract.build_occ_symbol") if c["expected"]["value"] is not None]
    assert len(built) >= 3
    for case in built:
        given = case["input"]
        right = Right.CALL if given["option_right"].startswith("c") else Right.PUT
        symbol = format_occ(
            given["underlying_symbol"],
            date.fromisoformat(given["expiration_date"]),
            right,
            Decimal(str(given["strike"])),
        )
        assert symbol == case["expected"]["value"], case["id"]
    read = list(_cases(recorded_data, "contract.parse_occ_symbol"))
    assert len(read) >= 3
    for case in read:
        symbol, expected = case["input"]["occ_symbol"], case["expected"]
        if "value" in expected or expected["underlying_symbol"][-1].isdigit():
            with pytest.raises(ValueError, match=r"adjusted root|expected an OCC symbol"):
                parse_occ(symbol)
            continue
        contract = parse_occ(symbol)
        assert (contract.root, contract.right.value, float(contract.strike), contract.expiry.isoformat()) == (
            expected["underlying_symbol"], expected["option_right"], expected["strike"], expected["expiration_date"]
        )  # fmt: skip
