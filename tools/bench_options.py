"""How long a chain takes and how exact the American values are: ``python tools/bench_options.py``.

Prints one line per figure. Times are the best and the median of repeated runs in this process; the error of the
American approximation is measured against a fine finite-difference grid of QuantLib, in dollars per 100 of strike.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from trading_assets.domain.values import ContractSnapshot, Direction, OptionContract, Quote, Right, Strategy
from trading_assets.market.american import american_greeks, american_implied_volatility, american_price
from trading_assets.market.options import format_occ
from trading_assets.market.sessions import require_session
from trading_assets.strategy.chain_columns import ChainColumns, chain_columns, with_computed_greeks
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.contract_quality import quality_columns
from trading_assets.strategy.contracts import select_contract
from trading_assets.strategy.volatility_rank import VolatilityRank

CONTRACTS = 5000
SPOT = 180.0
SESSION = require_session(date(2026, 2, 4))
AS_OF = SESSION.close - timedelta(minutes=240)


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure; ``typical`` is the median, ``best`` the least (of times) or the largest (of errors)."""

    name: str
    best: float
    typical: float
    unit: str


def chain(count: int = CONTRACTS, seed: int = 1) -> list[ContractSnapshot]:
    """Two-sided quotes without Greeks, within 10 % of the spot and 45 days, as a feed without a model sends them."""
    random = np.random.default_rng(seed)
    strikes = np.round(SPOT * random.uniform(0.9, 1.1, count), 1)
    days, calls = random.integers(0, 45, count), random.random(count) < 0.5
    years = (days + 4 / 24) / 365
    mids = american_price(SPOT, strikes, years, random.uniform(0.15, 0.9, count), 0.04, 0.0, calls)
    rows = []
    for strike, dte, is_call, mid in zip(strikes.tolist(), days.tolist(), calls.tolist(), mids.tolist(), strict=True):
        right, expiry = Right.CALL if is_call else Right.PUT, SESSION.day + timedelta(days=dte)
        symbol = format_occ("NVDA", expiry, right, Decimal(str(strike)))
        contract = OptionContract(symbol, "NVDA", right, Decimal(str(strike)), expiry, "NVDA")
        bid, ask = Decimal(str(math.floor(mid * 99) / 100)), Decimal(str(math.ceil(mid * 101) / 100))
        rows.append(ContractSnapshot(contract, Quote(symbol, bid, ask, AS_OF), volume=850, open_interest=2000))
    return rows


def _times(name: str, work: Callable[[], object], repeats: int = 15) -> Row:
    work()
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begin) * 1000)
    return Row(name, min(taken), statistics.median(taken), "ms")


def time_rows(count: int = CONTRACTS) -> list[Row]:
    """Milliseconds of a whole chain: its parts on columns, all of them together, and the choice among values."""
    config, snapshots = ContractConfig(), chain(count)
    columns = chain_columns(snapshots, AS_OF)
    strike, years, call = columns.strike, columns.years, columns.is_call
    iv = american_implied_volatility(columns.mid, SPOT, strike, years, config.rate, config.dividend, call)

    def judged() -> object:
        known: ChainColumns = with_computed_greeks(columns, spot=SPOT, underlying="NVDA", config=config)
        return quality_columns(known, target=SPOT, band=config.swing_delta, config=config)

    def chosen() -> object:
        return select_contract(
            snapshots,
            spot=Decimal(str(SPOT)),
            direction=Direction.BULLISH,
            strategy=Strategy.SWING_TRADE,
            session=SESSION,
            as_of=AS_OF,
            iv_rank=VolatilityRank(0.4, "iv", 200),
            config=config,
        )

    said = f"{count} contracts"
    return [
        _times(
            f"implied volatility, {said}",
            lambda: american_implied_volatility(columns.mid, SPOT, strike, years, config.rate, config.dividend, call),
        ),
        _times(
            f"Greeks, {said}",
            lambda: american_greeks(SPOT, strike, years, iv, config.rate, config.dividend, call),
        ),
        _times(f"implied volatility, Greeks and quality, {said}", judged),
        _times(f"columns of values, {said}", lambda: chain_columns(snapshots, AS_OF)),
        _times(f"the choice with every refusal, {said}", chosen),
    ]


def error_rows(count: int = 300, seed: int = 11) -> list[Row]:
    """Error of the approximation per 100 dollars of strike, by time to expiry; needs QuantLib."""
    from trading_assets_tests.market.quantlib_models import finite_differences, quantlib_prices, random_contracts

    found = []
    for label, least, most in (("up to 60 days", 1, 60), ("60 days to 2 years", 60, 730)):
        contracts = random_contracts(count, seed)
        contracts["years"] = np.random.default_rng(seed).integers(least, most, count) / 365.0
        reference = quantlib_prices(contracts, finite_differences)
        error = np.abs(american_price(**contracts) - reference) / contracts["strike"] * 100
        found.append(
            Row(f"American value, {label}", float(error.max()), float(np.median(error)), "$ per 100 of strike")
        )
    return found


def rows() -> list[Row]:
    """Every figure of this page."""
    return [*time_rows(), *error_rows()]


def main() -> None:
    """Print the figures."""
    for row in rows():
        ends = "best" if row.unit == "ms" else "largest"
        print(f"{row.name}: median {row.typical:.4g}, {ends} {row.best:.4g} {row.unit}")


if __name__ == "__main__":
    main()
