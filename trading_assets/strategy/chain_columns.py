"""A chain of contracts as numpy columns, and its missing Greeks: what makes a whole chain cheap to judge.

What belongs here: the step from values to columns, what of a feed's numbers is usable, and the computed Greeks. What
does not: points of quality (``strategy.contract_quality``), refusals and the choice. NaN means 'not known'.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.domain.values import ContractSnapshot, Right
from trading_assets.market.american import american_greeks, american_implied_volatility
from trading_assets.market.options import years_to_expiry
from trading_assets.strategy.config_trading import ContractConfig

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ChainColumns:
    """One element per contract, in the order of the chain.

    ``bid`` and ``ask`` are NaN unless the quote is two-sided and uncrossed; the Greeks and ``iv`` are NaN unless they
    are usable; ``expiry`` is the day's ordinal. ``computed`` marks contracts whose Greeks were computed here.
    """

    strike: Array
    expiry: NDArray[np.int64]
    years: Array
    is_call: Mask
    bid: Array
    ask: Array
    volume: Array
    open_interest: Array
    iv: Array
    delta: Array
    gamma: Array
    theta: Array
    vega: Array
    computed: Mask

    @property
    def mid(self) -> Array:
        """Dollars per share."""
        return 0.5 * (self.bid + self.ask)

    @property
    def spread(self) -> Array:
        """Spread over mid."""
        return (self.ask - self.bid) / self.mid


def _number(value: Decimal | None) -> float:
    return float(value) if value is not None and value.is_finite() else math.nan


def _column(values: Sequence[Any]) -> Array:
    """None becomes NaN."""
    return np.array(values, dtype=np.float64)


def usable_deltas(delta: Array, is_call: Mask) -> Array:
    """Deltas that are numbers in [-1, 1] with the sign of their right, else NaN (feeds send sentinels like -999)."""
    with np.errstate(invalid="ignore"):
        sound = (np.abs(delta) <= 1) & (np.where(is_call, delta, -delta) >= 0)
    return np.where(sound, delta, np.nan)


def chain_columns(chain: Sequence[ContractSnapshot], as_of: datetime) -> ChainColumns:
    """The usable numbers of ``chain``. ``as_of`` sets the time to expiry; ``ValueError`` if it is naive."""
    years: dict[date, float] = {}
    for row in chain:
        expiry = row.contract.expiry
        if expiry not in years:
            years[expiry] = years_to_expiry(expiry, as_of)
    is_call = np.array([row.contract.right is Right.CALL for row in chain], dtype=bool)
    bid, ask = (_column([_number(side) for side in sides]) for sides in (
        [row.quote.bid for row in chain], [row.quote.ask for row in chain]
    ))  # fmt: skip
    iv, gamma, theta, vega = (
        _finite(_column(values))
        for values in (
            [row.iv for row in chain],
            [row.gamma for row in chain],
            [row.theta for row in chain],
            [row.vega for row in chain],
        )
    )
    with np.errstate(invalid="ignore"):
        two_sided = (bid >= 0) & (ask > 0) & (bid <= ask)
        iv = np.where(iv > 0, iv, np.nan)
    return ChainColumns(
        strike=_column([_number(row.contract.strike) for row in chain]),
        expiry=np.array([row.contract.expiry.toordinal() for row in chain], dtype=np.int64),
        years=_column([years[row.contract.expiry] for row in chain]),
        is_call=is_call,
        bid=np.where(two_sided, bid, np.nan),
        ask=np.where(two_sided, ask, np.nan),
        volume=_column([row.volume for row in chain]),
        open_interest=_column([row.open_interest for row in chain]),
        iv=iv,
        delta=usable_deltas(_column([row.delta for row in chain]), is_call),
        gamma=gamma,
        theta=theta,
        vega=vega,
        computed=np.zeros(len(chain), dtype=bool),
    )


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, np.nan)


def with_computed_greeks(
    columns: ChainColumns, *, spot: float, underlying: str, config: ContractConfig
) -> ChainColumns:
    """``columns`` of contracts on ``underlying`` with missing Greeks computed from the American model.

    A contract that carries all four of delta, gamma, theta and vega is left as it is. For any other all four are
    computed from its implied volatility (the feed's, else the one of its mid price) and ``computed`` is set; where that
    is impossible what is there remains.
    """
    # Four zeros are how some feeds say nothing: a living contract has a vega.
    empty = (columns.delta == 0) & (columns.gamma == 0) & (columns.theta == 0) & (columns.vega == 0)
    lacking = np.isnan(columns.delta + columns.gamma + columns.theta + columns.vega) | (empty & (columns.years > 0))
    if not lacking.any() or not (math.isfinite(spot) and spot > 0):
        return columns
    dividend = config.dividend_of(underlying)
    strike, years, is_call = columns.strike[lacking], columns.years[lacking], columns.is_call[lacking]
    iv = columns.iv[lacking]
    unknown = np.isnan(iv)
    if unknown.any():
        iv[unknown] = american_implied_volatility(
            columns.mid[lacking][unknown],
            spot,
            strike[unknown],
            years[unknown],
            config.rate,
            dividend,
            is_call[unknown],
        )
    found = american_greeks(spot, strike, years, iv, config.rate, dividend, is_call)
    sound = (years > 0) & np.isfinite(found.delta + found.gamma + found.theta + found.vega)
    rows = np.flatnonzero(lacking)[sound]

    def filled(old: Array, new: Array) -> Array:
        column = old.copy()
        column[rows] = new[sound]
        return column

    computed = columns.computed.copy()
    computed[rows] = True
    return replace(
        columns,
        iv=filled(columns.iv, iv),
        delta=filled(columns.delta, found.delta),
        gamma=filled(columns.gamma, found.gamma),
        theta=filled(columns.theta, found.theta),
        vega=filled(columns.vega, found.vega),
        computed=computed,
    )


def described(snapshot: ContractSnapshot, columns: ChainColumns, row: int) -> ContractSnapshot:
    """``snapshot`` with the volatility and Greeks of element ``row``; ``greeks_source`` says where they come from."""
    iv, delta, gamma, theta, vega = (
        known(float(column[row])) for column in (columns.iv, columns.delta, columns.gamma, columns.theta, columns.vega)
    )
    if columns.computed[row]:
        source: str | None = "computed"
    else:
        source = None if delta is None else snapshot.greeks_source or "feed"
    return replace(snapshot, iv=iv, delta=delta, gamma=gamma, theta=theta, vega=vega, greeks_source=source)


def known(value: float) -> float | None:
    """``value``, None for NaN."""
    return None if math.isnan(value) else value
