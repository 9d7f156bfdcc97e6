"""What a set of positions stands to gain or lose: deltas in dollars, gamma, vega and theta of options and stocks.

What belongs here: the sums over positions, each in one unit a person can compare with the equity of an account. What
does not: the Greeks of one contract (``market.greeks``, ``market.american``) and the limits on the sums, which are
gates. An unknown number makes the totals that need it unknown, never smaller, and its symbol is named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_PER_CENT = 0.01


@dataclass(frozen=True, slots=True)
class PositionGreeks:
    """One position and its sensitivities per share; None where unknown.

    ``quantity`` counts contracts or shares, negative if short; ``multiplier`` is the number of shares per contract (1
    for a stock); ``spot`` is the price of the underlying in dollars. ``delta`` per $1 of the underlying, ``gamma``
    change of delta per $1, ``theta`` dollars per calendar day, ``vega`` dollars per volatility point. ``beta`` is the
    underlying's against the index. A stock has delta 1 and no other sensitivity (``stock_position``).
    """

    symbol: str
    underlying: str
    quantity: int
    multiplier: int
    spot: float | Decimal | None
    delta: float | None
    gamma: float | None
    theta: float | None
    vega: float | None
    beta: float | None = None


@dataclass(frozen=True, slots=True)
class PortfolioGreeks:
    """Totals in dollars; None where a position's input is missing.

    ``dollar_delta`` is the value of the shares that would gain and lose as much; ``beta_weighted_dollar_delta`` the
    same in dollars of the index; ``gamma_dollars_per_1pct`` how much ``dollar_delta`` changes when every underlying
    rises by 1 %, as far as delta moves; ``vega_per_point`` gain per volatility point; ``theta_per_day`` gain per
    calendar day, negative for bought options. ``unknown`` names, sorted, the symbols that made a total None.
    """

    dollar_delta: float | None
    beta_weighted_dollar_delta: float | None
    gamma_dollars_per_1pct: float | None
    vega_per_point: float | None
    theta_per_day: float | None
    unknown: tuple[str, ...]


def stock_position(
    symbol: str, *, quantity: int, spot: float | Decimal | None, beta: float | None = None
) -> PositionGreeks:
    """Shares as a position: delta 1, and neither gamma, theta nor vega."""
    return PositionGreeks(symbol, symbol, quantity, 1, spot, 1.0, 0.0, 0.0, 0.0, beta)


def _product(*factors: float | Decimal | None) -> float | None:
    """The product, 0 as soon as one factor is 0 whatever the others are, None if a factor that counts is unknown."""
    known = [float(factor) for factor in factors if factor is not None and math.isfinite(factor)]
    if any(factor == 0 for factor in known):
        return 0.0
    return math.prod(known) if len(known) == len(factors) else None


def _contributions(position: PositionGreeks) -> tuple[float | None, ...]:
    """Dollar delta, beta-weighted dollar delta, gamma, vega and theta of one position, in the order of the totals."""
    shares = position.quantity * position.multiplier
    spot = position.spot if position.spot is not None and position.spot > 0 else None
    delta = _product(shares, position.delta, spot)
    return (
        delta,
        _product(delta, position.beta),
        _product(shares, position.gamma, spot, spot, _PER_CENT),
        _product(shares, position.vega),
        _product(shares, position.theta),
    )


def portfolio_greeks(positions: Sequence[PositionGreeks]) -> PortfolioGreeks:
    """The totals of ``positions``; all zero without any.

    Per position with n = quantity x multiplier and spot S: dollar delta n·delta·S, beta-weighted times beta, gamma
    n·gamma·S²/100, vega n·vega, theta n·theta. NaN and a spot that is not positive count as unknown. A position of
    quantity 0 contributes nothing, and nothing of it needs to be known.
    """
    rows = [_contributions(position) for position in positions]
    unknown = sorted({position.symbol for position, row in zip(positions, rows, strict=True) if None in row})
    totals = [_sum(column) for column in zip(*rows, strict=True)] if rows else [0.0] * 5
    delta, weighted, gamma, vega, theta = totals
    return PortfolioGreeks(delta, weighted, gamma, vega, theta, tuple(unknown))


def _sum(column: Sequence[float | None]) -> float | None:
    known = [value for value in column if value is not None]
    return math.fsum(known) if len(known) == len(column) else None
