"""Chains as columns: what a feed's numbers become, and the Greeks that are computed where it has none."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from trading_assets.domain.values import ContractSnapshot, Right
from trading_assets.market.american import american_greeks, american_implied_volatility, american_price
from trading_assets.market.greeks import greeks
from trading_assets.market.options import years_to_expiry
from trading_assets.strategy.chain_columns import chain_columns, with_computed_greeks
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.contract_quality import PARTS, quality_columns, quality_of, quality_parts
from trading_assets.strategy.option_model import model_price, with_greeks
from trading_assets_tests.strategy.trading_builders import NOON, position, snapshot

CONFIG = ContractConfig()
SPOT = Decimal(180)


def bare(strike: str, right: Right, *, dte: int = 30, bid: str = "9.90", ask: str = "10.10") -> ContractSnapshot:
    """A contract of a feed without a model."""
    return snapshot(strike, right=right, dte=dte, bid=bid, ask=ask, delta=None)


def test_computed_greeks_are_those_of_the_american_option_and_say_so() -> None:
    row = bare("188", Right.PUT)
    (found,) = with_greeks([row], spot=SPOT, as_of=NOON, config=CONFIG)
    years = years_to_expiry(row.contract.expiry, NOON)
    iv = float(american_implied_volatility(10.0, 180.0, 188.0, years, CONFIG.rate, 0.0, False))
    expected = american_greeks(180.0, 188.0, years, iv, CONFIG.rate, 0.0, False)
    assert found.greeks_source == "computed"
    assert found.iv == pytest.approx(iv)
    assert found.delta == pytest.approx(float(expected.delta))
    assert found.theta == pytest.approx(float(expected.theta))
    assert found.vega == pytest.approx(float(expected.vega))
    # The European put of that volatility has a smaller delta: the right to exercise counts.
    assert abs(found.delta or 0) > abs(float(greeks(180.0, 188.0, years, iv, CONFIG.rate, 0.0, False).delta))


def test_four_zeros_are_not_taken_for_greeks() -> None:
    row = replace(bare("180", Right.CALL), iv=0.35, delta=0.0, gamma=0.0, theta=0.0, vega=0.0)
    (found,) = with_greeks([row], spot=SPOT, as_of=NOON, config=CONFIG)
    assert found.greeks_source == "computed" and (found.delta or 0) > 0.4 and (found.vega or 0) > 0


def test_a_feed_volatility_is_kept_and_only_the_greeks_are_computed() -> None:
    row = replace(bare("180", Right.CALL), iv=0.35)
    (found,) = with_greeks([row], spot=SPOT, as_of=NOON, config=CONFIG)
    assert (found.iv, found.greeks_source) == (0.35, "computed")


def test_what_cannot_be_computed_stays_unknown_and_what_the_feed_sent_stays() -> None:
    chain = [
        snapshot("180", right=Right.CALL, dte=30, bid=None, ask=None, delta=None),
        bare("180", Right.CALL, dte=0, bid="25", ask="26"),
        bare("230", Right.PUT, bid="49.90", ask="50.00"),  # below the exercise value of 50
        replace(snapshot("180", bid=None), gamma=None, iv=None),
        replace(snapshot("180"), delta=-0.5),
    ]
    found = with_greeks(chain, spot=SPOT, as_of=NOON, config=CONFIG)
    assert [row.delta for row in found[:1]] == [None] and found[0].greeks_source is None
    assert found[2].delta is None and found[2].iv is None
    assert (found[3].delta, found[3].gamma, found[3].greeks_source) == (0.35, None, "feed")
    assert found[4].greeks_source == "computed" and (found[4].delta or 0) > 0, "a call's delta is not negative"
    unknown = with_greeks(chain, spot=Decimal("NaN"), as_of=NOON, config=CONFIG)
    assert [row.greeks_source for row in unknown] == [None, None, None, "feed", None]


def test_columns_of_a_chain_give_the_points_of_its_contracts() -> None:
    random = np.random.default_rng(4)
    chain = [
        snapshot(
            str(strike),
            dte=20,
            bid=None if place % 11 == 0 else f"{2.5 - 0.02 * (place % 9):.2f}",
            ask="2.60",
            volume=None if place % 7 == 0 else int(random.integers(0, 1500)),
            delta=None if place % 5 == 0 else float(random.uniform(0, 1)),
        )
        for place, strike in enumerate(range(150, 210))
    ]
    for config in (CONFIG, ContractConfig(feed_has_volume=False)):
        columns = chain_columns(chain, NOON)
        points = quality_columns(columns, target=180.0, band=config.swing_delta, config=config)
        for place, row in enumerate(chain):
            alone = quality_parts(row, target=SPOT, band=config.swing_delta, config=config)
            for name in PARTS:
                seen = float(getattr(points, name)[place])
                one = alone[name]
                assert math.isnan(seen) if one is None else seen == pytest.approx(one), (place, name)
            total = quality_of(alone, config)
            seen = float(points.total[place])
            assert math.isnan(seen) if total is None else seen == pytest.approx(total)


def test_an_empty_chain_has_empty_columns() -> None:
    columns = with_computed_greeks(chain_columns([], NOON), spot=180.0, underlying="NVDA", config=CONFIG)
    assert columns.strike.shape == columns.mid.shape == (0,)


def test_a_held_put_is_worth_the_american_value() -> None:
    held = position(right=Right.PUT, strike=Decimal(130), dte=60)
    assert held.expiry is not None
    value = model_price(held, underlying_price=Decimal(100), iv=0.2, as_of=NOON, config=CONFIG)
    assert value == Decimal(30), "deep in the money it is worth its exercise and not less"
    near = model_price(held, underlying_price=Decimal(128), iv=0.4, as_of=NOON, config=CONFIG)
    years = years_to_expiry(held.expiry, NOON)
    assert float(near or 0) == pytest.approx(
        float(american_price(128, 130, years, 0.4, CONFIG.rate, 0, False)), abs=1e-4
    )


def test_a_dividend_yield_that_is_known_by_name_counts_for_that_name_alone() -> None:
    own, other = ContractConfig(dividend_yields={"NVDA": 0.08}), ContractConfig(dividend_yields={"KO": 0.08})
    chain = [bare("180", Right.CALL, dte=60, bid="9", ask="9.2")]
    plain, with_own, with_other = (
        with_greeks(chain, spot=SPOT, as_of=NOON, config=config)[0] for config in (CONFIG, own, other)
    )
    assert plain == with_other
    assert with_own.delta is not None and plain.delta is not None and with_own.delta < plain.delta
    held = position(right=Right.CALL, strike=Decimal(130), dte=60)
    values = [
        model_price(held, underlying_price=Decimal(130), iv=0.3, as_of=NOON, config=config) for config in (CONFIG, own)
    ]
    assert values[0] is not None and values[1] is not None and values[1] < values[0]


def _tool() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "tools" / "bench_options.py"
    spec = importlib.util.spec_from_file_location("bench_options", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_tool_measures_a_whole_chain_and_the_error_of_the_values() -> None:
    tool = _tool()
    rows = [*tool.time_rows(60), *tool.error_rows(20)]
    assert {row.unit for row in rows} == {"ms", "$ per 100 of strike"}
    assert all(0 < row.best < math.inf and 0 <= row.typical < math.inf for row in rows)
