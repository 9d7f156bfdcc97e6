"""Deltas, vega and theta of what stays overnight, against the tier's limits.

Day trades are flat by the close and do not count. Of the tiers that have no limit the numbers are only recorded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from trading_assets.domain.values import AccountSnapshot, ContractSnapshot, Strategy
from trading_assets.market.portfolio_greeks import PortfolioGreeks, PositionGreeks, portfolio_greeks, stock_position
from trading_assets.risk.config import TierConfig
from trading_assets.risk.exposure import finite, live_entries, live_positions
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.open_risk import position_of

#: Totals in dollars by name, None where unknown.
Totals = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class GreekLine:
    """One total before a trade, what one more contract adds, and the most it may be; dollars, None: unknown."""

    name: str
    before: float | None
    unit: float | None
    limit: float | None


def overnight_quantities(account: AccountSnapshot) -> dict[str, int]:
    """Contracts or shares held or ordered, by symbol, without day trades."""
    found: dict[str, int] = {}
    rows = [(position.symbol, position.quantity, position.strategy) for position in live_positions(account)]
    for order in live_entries(account):
        position = position_of(account, order)
        # An order that no position explains may stay overnight.
        strategy = Strategy.SWING_TRADE if position is None else position.strategy
        rows.append((order.symbol, order.quantity - order.filled_quantity, strategy))
    for symbol, quantity, strategy in rows:
        if quantity > 0 and strategy is not Strategy.DAY_TRADE:
            found[symbol] = found.get(symbol, 0) + quantity
    return found


def _unknown(symbol: str, quantity: int) -> PositionGreeks:
    return PositionGreeks(symbol, symbol, quantity, 1, None, None, None, None, None)


def overnight_greeks(account: AccountSnapshot, facts: RiskFacts | None) -> PortfolioGreeks:
    """Totals of what may stay overnight; a symbol without known Greeks makes them unknown and is named."""
    known: Mapping[str, PositionGreeks] = (facts.greeks if facts is not None else None) or {}
    return portfolio_greeks(
        [
            replace(known[symbol], quantity=quantity) if symbol in known else _unknown(symbol, quantity)
            for symbol, quantity in overnight_quantities(account).items()
        ]
    )


def one_more(strategy: Strategy, ticker: str, contract: ContractSnapshot | None, facts: RiskFacts | None) -> Totals:
    """What one contract (or share, for a stock) of the trade adds. ``contract`` carries its Greeks per share."""
    spot = facts.spot if facts is not None else None
    if strategy is Strategy.STOCK:
        return limited_totals(portfolio_greeks([stock_position(ticker, quantity=1, spot=spot)]))
    if contract is None:
        return limited_totals(portfolio_greeks([_unknown(ticker, 1)]))
    listed = contract.contract
    row = PositionGreeks(
        listed.symbol,
        listed.underlying,
        1,
        listed.multiplier,
        spot,
        contract.delta,
        contract.gamma,
        contract.theta,
        contract.vega,
    )
    return limited_totals(portfolio_greeks([row]))


def limited_totals(totals: PortfolioGreeks) -> Totals:
    """The three totals that a tier may limit, by name."""
    return {
        "dollar_delta": totals.dollar_delta,
        "vega_per_point": totals.vega_per_point,
        "theta_per_day": totals.theta_per_day,
    }


def greek_lines(equity: Decimal | None, tier: TierConfig, before: Totals, unit: Totals) -> tuple[GreekLine, ...]:
    """The limited totals in order: dollar delta, vega per volatility point, theta per calendar day."""
    known = finite(equity)

    def limit(part: Decimal | None) -> float | None:
        return None if part is None or known is None else max(0.0, float(part * known))

    parts = {"dollar_delta": tier.max_dollar_delta, "vega_per_point": tier.max_vega, "theta_per_day": tier.max_theta}
    return tuple(
        GreekLine(name, before[name], unit[name], limit(part)) for name, part in parts.items() if part is not None
    )


def line_room(line: GreekLine) -> int | None:
    """Most contracts with which the total stays within its limit in the direction of the trade; None: unknown.

    A contract that changes nothing leaves the room to the other limits: a very large number.
    """
    if line.before is None or line.unit is None or line.limit is None:
        return None
    if line.unit == 0:
        return 1_000_000_000 if abs(line.before) <= line.limit else 0
    signed = line.before if line.unit > 0 else -line.before
    return max(0, math.floor((line.limit - signed) / abs(line.unit) + 1e-9))
