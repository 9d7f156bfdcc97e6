"""Model values where the market gives none: missing Greeks of a chain, and a stand-in price of a held option.

Black-Scholes-Merton (``market.greeks``) with the configured rate and dividend yield. A computed value is always marked
as such; where an input is missing the answer is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import numpy as np

from trading_assets.domain.values import ContractSnapshot, OpenPosition, Right
from trading_assets.market.greeks import black_scholes_price, greeks, implied_volatility
from trading_assets.market.options import years_to_expiry
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.quoting import finite, two_sided


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def usable_delta(snapshot: ContractSnapshot) -> float | None:
    """The delta if it is a number in [-1, 1] with the sign of its right, else None (feeds send sentinels like -999)."""
    delta = _known(snapshot.delta)
    if delta is None or abs(delta) > 1:
        return None
    signed = delta if snapshot.contract.right is Right.CALL else -delta
    return delta if signed >= 0 else None


def usable_iv(snapshot: ContractSnapshot) -> float | None:
    """The implied volatility if it is a positive number, else None."""
    iv = _known(snapshot.iv)
    return iv if iv is not None and iv > 0 else None


def _complete(snapshot: ContractSnapshot) -> bool:
    others = (_known(snapshot.gamma), _known(snapshot.theta), _known(snapshot.vega))
    return usable_delta(snapshot) is not None and all(value is not None for value in others)


def _cleaned(snapshot: ContractSnapshot) -> ContractSnapshot:
    delta = usable_delta(snapshot)
    return replace(
        snapshot,
        iv=usable_iv(snapshot),
        delta=delta,
        gamma=_known(snapshot.gamma),
        theta=_known(snapshot.theta),
        vega=_known(snapshot.vega),
        greeks_source=(snapshot.greeks_source or "feed") if delta is not None else None,
    )


def with_greeks(
    chain: Sequence[ContractSnapshot], *, spot: Decimal, as_of: datetime, config: ContractConfig
) -> tuple[ContractSnapshot, ...]:
    """``chain`` with missing Greeks computed, in the same order.

    A contract that carries all four of delta, gamma, theta and vega is left as the feed sent it. For any other all four
    are computed from its implied volatility (the feed's, else the one of its mid price) and marked ``computed``; where
    that is impossible whatever usable value the feed sent remains and the rest is None.
    """
    rows = [_cleaned(snapshot) for snapshot in chain]
    missing = [index for index, row in enumerate(rows) if not _complete(row)]
    if not missing or finite(spot) is None or spot <= 0:
        return tuple(rows)
    subset = [rows[index] for index in missing]
    strikes = np.array([float(row.contract.strike) for row in subset])
    years = np.array([years_to_expiry(row.contract.expiry, as_of) for row in subset])
    calls = np.array([row.contract.right is Right.CALL for row in subset])
    sides = [two_sided(row.quote) for row in subset]
    mids = np.array([float(side[0] + side[1]) / 2 if side is not None else math.nan for side in sides])
    sent = np.array([row.iv if row.iv is not None else math.nan for row in subset])
    price, rate, dividend = float(spot), config.rate, config.dividend
    solved = implied_volatility(mids, price, strikes, years, rate, dividend, calls)
    iv = np.where(np.isnan(sent), solved, sent)
    values = greeks(price, strikes, years, iv, rate, dividend, calls)
    for place, index in enumerate(missing):
        numbers = [float(column[place]) for column in (values.delta, values.gamma, values.theta, values.vega)]
        if years[place] > 0 and all(math.isfinite(number) for number in numbers):
            delta, gamma, theta, vega = numbers
            rows[index] = replace(
                rows[index],
                iv=float(iv[place]),
                delta=delta,
                gamma=gamma,
                theta=theta,
                vega=vega,
                greeks_source="computed",
            )
    return tuple(rows)


def model_price(
    position: OpenPosition,
    *,
    underlying_price: Decimal | None,
    iv: float | None,
    as_of: datetime,
    config: ContractConfig,
) -> Decimal | None:
    """Black-Scholes value per share of a held option from the underlying and the last known volatility, in dollars.

    None for a stock, or where the underlying's price or the volatility is missing. At and after expiry it is the
    intrinsic value.
    """
    spot, volatility = finite(underlying_price), _known(iv)
    if position.right is None or position.strike is None or position.expiry is None:
        return None
    if spot is None or spot <= 0 or volatility is None or volatility <= 0:
        return None
    value = float(
        black_scholes_price(
            float(spot),
            float(position.strike),
            years_to_expiry(position.expiry, as_of),
            volatility,
            config.rate,
            config.dividend,
            position.right is Right.CALL,
        )
    )
    return Decimal(str(round(value, 4))) if math.isfinite(value) else None
