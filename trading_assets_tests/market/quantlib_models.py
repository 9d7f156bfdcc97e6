"""American options priced by QuantLib, one by one, as an independent reference for the vectorised values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Contracts = dict[str, NDArray[Any]]


def random_contracts(count: int, seed: int) -> Contracts:
    """Spots of 20 to 500 dollars, strikes within 30 %, up to two years, volatilities of 5 % to 120 %."""
    random = np.random.default_rng(seed)
    spot = random.uniform(20, 500, count)
    return {
        "spot": spot,
        "strike": spot * random.uniform(0.7, 1.3, count),
        "years": random.integers(1, 730, count) / 365.0,
        "iv": random.uniform(0.05, 1.2, count),
        "rate": random.uniform(0.001, 0.1, count),
        "dividend": np.where(random.random(count) < 0.3, 0.0, random.uniform(0, 0.1, count)),
        "is_call": random.random(count) < 0.5,
    }


def quantlib_prices(contracts: Contracts, engine: Callable[[Any, Any], Any]) -> Array:
    """QuantLib's value of each contract; ``engine`` makes a pricing engine from the module and a process."""
    import QuantLib as ql

    today = ql.Date(2, 1, 2026)
    ql.Settings.instance().evaluationDate = today
    count = ql.Actual365Fixed()
    spot, rate, dividend, iv = (ql.SimpleQuote(1.0) for _ in range(4))
    process = ql.BlackScholesMertonProcess(
        ql.QuoteHandle(spot),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(dividend), count)),
        ql.YieldTermStructureHandle(ql.FlatForward(today, ql.QuoteHandle(rate), count)),
        ql.BlackVolTermStructureHandle(ql.BlackConstantVol(today, ql.NullCalendar(), ql.QuoteHandle(iv), count)),
    )
    priced_by = engine(ql, process)
    values = []
    for row in range(len(contracts["spot"])):
        for quote, name in ((spot, "spot"), (rate, "rate"), (dividend, "dividend"), (iv, "iv")):
            quote.setValue(float(contracts[name][row]))
        right = ql.Option.Call if contracts["is_call"][row] else ql.Option.Put
        days = round(contracts["years"][row] * 365)
        option = ql.VanillaOption(
            ql.PlainVanillaPayoff(right, float(contracts["strike"][row])), ql.AmericanExercise(today, today + days)
        )
        option.setPricingEngine(priced_by)
        values.append(option.NPV())
    return np.array(values)


def quadratic_approximation(ql: Any, process: Any) -> Any:
    """The same approximation as the project's."""
    return ql.BaroneAdesiWhaleyApproximationEngine(process)


def finite_differences(ql: Any, process: Any) -> Any:
    """A grid fine enough to stand for the true American value."""
    return ql.FdBlackScholesVanillaEngine(process, 400, 800)
