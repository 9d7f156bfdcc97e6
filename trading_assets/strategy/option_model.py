"""Model values where the market gives none: missing Greeks of a chain, and a stand-in price of a held option.

Listed options on stocks and funds are American: the values come from ``market.american`` with the configured rate and
dividend yield. A computed value is always marked as such; where an input is missing the answer is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from trading_assets.domain.values import ContractSnapshot, OpenPosition, Right
from trading_assets.market.american import american_price
from trading_assets.market.options import years_to_expiry
from trading_assets.strategy.chain_columns import chain_columns, described, with_computed_greeks
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.quoting import finite


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


def with_greeks(
    chain: Sequence[ContractSnapshot], *, spot: Decimal, as_of: datetime, config: ContractConfig
) -> tuple[ContractSnapshot, ...]:
    """``chain`` (contracts of one underlying) with missing Greeks computed, in the same order.

    A contract that carries all four of delta, gamma, theta and vega is left as the feed sent it. For any other all four
    are computed from its implied volatility (the feed's, else the one of its mid price) and marked ``computed``; where
    that is impossible whatever usable value the feed sent remains and the rest is None.
    """
    price = float(spot) if finite(spot) is not None else math.nan
    underlying = chain[0].contract.underlying if chain else ""
    columns = with_computed_greeks(chain_columns(chain, as_of), spot=price, underlying=underlying, config=config)
    return tuple(described(snapshot, columns, row) for row, snapshot in enumerate(chain))


def model_price(
    position: OpenPosition,
    *,
    underlying_price: Decimal | None,
    iv: float | None,
    as_of: datetime,
    config: ContractConfig,
) -> Decimal | None:
    """American value per share of a held option from the underlying and the last known volatility, in dollars.

    None for a stock, or where the underlying's price or the volatility is missing. At and after expiry it is the
    intrinsic value.
    """
    spot, volatility = finite(underlying_price), _known(iv)
    if position.right is None or position.strike is None or position.expiry is None:
        return None
    if spot is None or spot <= 0 or volatility is None or volatility <= 0:
        return None
    value = float(
        american_price(
            float(spot),
            float(position.strike),
            years_to_expiry(position.expiry, as_of),
            volatility,
            config.rate,
            config.dividend_of(position.underlying),
            position.right is Right.CALL,
        )
    )
    return Decimal(str(round(value, 4))) if math.isfinite(value) else None
