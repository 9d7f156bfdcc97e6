"""What acting jobs look up: newest features and regime of the session's frames, the market of one held contract."""

from __future__ import annotations

from typing import Any

import polars as pl

from trading_assets.broker.adoption import is_not_standard
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import ContractSnapshot, OpenPosition, Regime
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk


def latest_features(desk: Desk, session: Session) -> dict[str, dict[str, Any]]:
    """The newest feature row of each ticker in the session so far; a ticker without one is absent."""
    rows = desk.frames.read("features", [session.key]).sort("as_of")
    return {row["ticker"]: row for row in rows.unique("ticker", keep="last", maintain_order=True).to_dicts()}


def regime_at(desk: Desk, session: Session) -> Regime | None:
    """The volatility regime of the newest decision, or None if none was made in this session."""
    rows = desk.frames.read("market_context", [session.key]).sort("as_of").filter(pl.col("regime").is_not_null())
    return Regime(rows["regime"][-1]) if rows.height else None


def contract_row(broker: AlpacaBroker, position: OpenPosition) -> ContractSnapshot | None:
    """The chain's row of the option that ``position`` holds; None for a stock or a contract that the chain lacks.

    None also for one with an adjusted root: what it delivers is not known here, and neither is what its volatility
    would make of its strike and a share's price. Raises what the broker's chain raises.
    """
    if position.right is None or position.expiry is None or position.strike is None:
        return None
    if is_not_standard(position.symbol):
        return None
    chain = broker.option_chain(
        position.underlying,
        position.expiry,
        position.expiry,
        low_strike=position.strike,
        high_strike=position.strike,
        right=position.right,
    )
    return next((row for row in chain if row.contract.symbol == position.symbol), None)
