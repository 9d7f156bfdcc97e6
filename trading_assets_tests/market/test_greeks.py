"""Prices, Greeks and implied volatility against identities, finite differences and published tables."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.market.greeks import black_scholes_price, greeks, implied_volatility

_SPOT = np.array([80.0, 95.0, 100.0, 105.0, 130.0])
_GRID = [
    axis.ravel()
    for axis in np.meshgrid(_SPOT, [100.0], [2 / 365, 0.1, 0.75], [0.12, 0.35, 0.9], [0.0, 0.045], [0.0, 0.02])
]

_COLUMNS = ("spot", "strike", "t_years", "vol", "r", "q")


def _reference() -> Path:
    """Folder of the published tables; the ``recorded`` mark keeps these tests away where it is absent."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    return Path(os.environ.get("TRADING_ASSETS_DATA", default)) / "reference"


def _table(name: str) -> list[dict[str, str]]:
    with (_reference() / "R7_quantlib_tables" / name).open() as lines:
        return list(csv.DictReader(lines))


def test_calls_and_puts_obey_put_call_parity() -> None:
    s, k, t, v, r, q = _GRID
    call, put = black_scholes_price(s, k, t, v, r, q, True), black_scholes_price(s, k, t, v, r, q, False)
    np.testing.assert_allclose(call - put, s * np.exp(-q * t) - k * np.exp(-r * t), atol=1e-10)


@pytest.mark.parametrize("is_call", [True, False])
def test_each_greek_is_the_slope_of_the_price_in_its_own_unit(is_call: bool) -> None:
    s, k, t, v, r, q = _GRID
    g = greeks(s, k, t, v, r, q, is_call)

    def price(ds: float = 0.0, dt: float = 0.0, dv: float = 0.0, dr: float = 0.0) -> np.ndarray:
        return black_scholes_price(s + ds, k, t + dt, v + dv, r + dr, q, is_call)

    np.testing.assert_allclose(g.delta, (price(ds=1e-4) - price(ds=-1e-4)) / 2e-4, atol=1e-6)
    np.testing.assert_allclose(g.gamma, (price(ds=1e-2) - 2 * price() + price(ds=-1e-2)) / 1e-4, atol=1e-4)
    np.testing.assert_allclose(g.theta, -(price(dt=1e-7) - price(dt=-1e-7)) / 2e-7 / 365, atol=1e-5)
    np.testing.assert_allclose(g.vega, (price(dv=1e-5) - price(dv=-1e-5)) / 2e-5 / 100, atol=1e-6)
    np.testing.assert_allclose(g.rho, (price(dr=1e-5) - price(dr=-1e-5)) / 2e-5 / 100, atol=1e-6)


@given(
    moneyness=st.floats(0.8, 1.25),
    years=st.floats(1 / 365, 2.0),
    iv=st.floats(0.08, 2.0),
    rate=st.floats(0.0, 0.08),
    is_call=st.booleans(),
)
def test_implied_volatility_finds_the_volatility_behind_a_price(
    moneyness: float, years: float, iv: float, rate: float, is_call: bool
) -> None:
    price = black_scholes_price(100 * moneyness, 100.0, years, iv, rate, 0.01, is_call)
    found = implied_volatility(price, 100 * moneyness, 100.0, years, rate, 0.01, is_call)
    vega = greeks(100 * moneyness, 100.0, years, iv, rate, 0.01, is_call).vega
    # Where a whole volatility point is worth less than a hundredth of a cent, rounding hides the volatility.
    if vega > 1e-4:
        assert found == pytest.approx(iv, abs=1e-5)


def test_a_price_without_a_volatility_gives_nan_and_not_a_number() -> None:
    cases = [
        (4.99, 105.0, 0.5),  # below intrinsic
        (105.0, 105.0, 0.5),  # the upper bound of a call
        (np.nan, 105.0, 0.5),
        (8.0, 105.0, 0.0),  # expired
        (8.0, np.nan, 0.5),
        (0.0, 105.0, 0.5),
        (-1.0, 105.0, 0.5),
    ]
    price, spot, years = (np.array(column) for column in zip(*cases, strict=True))
    assert np.isnan(implied_volatility(price, spot, 100.0, years, 0.0, 0.0, True)).all()
    alone = implied_volatility(8.0, 105.0, 100.0, 0.5, 0.0, 0.0, True)
    beside = implied_volatility(np.append(price, 8.0), np.append(spot, 105.0), 100.0, np.append(years, 0.5), 0, 0, True)
    assert np.isfinite(alone) and beside[-1] == pytest.approx(float(alone), abs=1e-9)


def test_a_missing_input_stays_missing_in_price_and_greeks() -> None:
    g = greeks(np.array([100.0, np.nan]), 100.0, np.array([0.1, 0.1]), np.array([np.nan, 0.3]), 0.04, 0.0, True)
    for values in (g.delta, g.gamma, g.theta, g.vega, g.rho):
        assert np.isnan(values).all()
    assert np.isnan(black_scholes_price(100.0, 100.0, 0.1, np.nan, 0.04, 0.0, True))


def test_at_expiry_the_price_is_intrinsic_and_only_delta_is_left() -> None:
    spot = np.array([90.0, 100.0, 110.0])
    np.testing.assert_allclose(black_scholes_price(spot, 100.0, 0.0, 0.3, 0.04, 0.0, True), [0, 0, 10])
    np.testing.assert_allclose(black_scholes_price(spot, 100.0, 0.0, 0.3, 0.04, 0.0, False), [10, 0, 0])
    g = greeks(spot, 100.0, 0.0, 0.3, 0.04, 0.0, True)
    np.testing.assert_allclose(g.delta, [0, 0.5, 1])
    for values in (g.gamma, g.theta, g.vega, g.rho):
        np.testing.assert_allclose(values, 0.0)


@pytest.mark.recorded
def test_prices_and_greeks_equal_the_py_vollib_table() -> None:
    table = json.loads((_reference() / "R5_py_vollib" / "test_data.json").read_text())
    rows = np.array(table["data"], dtype=float)
    c = {name: rows[:, i] for i, name in enumerate(table["columns"])}
    assert len(rows) > 90
    arguments = (c["S"], c["K"], c["t"], c["v"], c["R"], 0.0)
    np.testing.assert_allclose(black_scholes_price(*arguments, True), c["bs_call"], atol=1e-5)
    np.testing.assert_allclose(black_scholes_price(*arguments, False), c["bs_put"], atol=1e-5)
    for is_call, prefix in ((True, "C"), (False, "P")):
        g = greeks(*arguments, is_call)
        np.testing.assert_allclose(g.delta, c[f"{prefix}D"], atol=1e-6)
        np.testing.assert_allclose(g.gamma, c[f"{prefix}G"], atol=1e-6)
        np.testing.assert_allclose(g.theta * 365, c[f"{prefix}T"], atol=1e-5)
        np.testing.assert_allclose(g.vega * 100, c[f"{prefix}V"], atol=1e-4)
        np.testing.assert_allclose(g.rho * 100, c[f"{prefix}R"], atol=1e-4)


@pytest.mark.recorded
def test_european_prices_equal_the_quantlib_table() -> None:
    rows = _table("europeanoption.csv")
    assert len(rows) > 20
    for row in rows:
        s, k, t, v, r, q = (float(row[name]) for name in _COLUMNS)
        value = black_scholes_price(s, k, t, v, r, q, row["type"] == "Call")
        assert float(value) == pytest.approx(float(row["result"]), abs=float(row["tol"])), row


@pytest.mark.recorded
def test_greeks_equal_the_published_examples_of_haug() -> None:
    checked = 0
    for row in _table("haug_greeks.csv"):
        s, k, t, v, r, q = (float(row[name]) for name in _COLUMNS)
        g = greeks(s, k, t, v, r, q, row["type"] == "call")
        ours = {
            "delta": g.delta,
            "gamma": g.gamma,
            "vega": g.vega * 100,
            "theta_per_year": g.theta * 365,
            "theta_per_day": g.theta,
            "rho": g.rho * 100,
        }
        if row["greek"] in ours:
            digits = len(row["value"].split(".")[1])
            assert float(ours[row["greek"]]) == pytest.approx(float(row["value"]), abs=0.51 * 10**-digits), row
            checked += 1
    assert checked >= 9
