"""Sessions, contracts and positions for the tests of contracts, ladders and exits."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_assets.domain.values import (
    ContractSnapshot,
    Direction,
    OpenPosition,
    OptionContract,
    PositionState,
    Quote,
    Right,
    Strategy,
)
from trading_assets.market.options import format_occ
from trading_assets.market.sessions import Session, require_session

#: A Wednesday with a regular session, and a half day.
FULL = require_session(date(2026, 2, 4))
HALF = require_session(date(2025, 11, 28))


def before_close(minutes: float, session: Session = FULL) -> datetime:
    """An instant so many minutes before the session's close."""
    return session.close - timedelta(minutes=minutes)


NOON = before_close(240)


def quote(bid: str | None, ask: str | None, *, at: datetime | None = NOON, symbol: str = "X") -> Quote:
    """A quote; None is an unknown side."""
    return Quote(symbol, None if bid is None else Decimal(bid), None if ask is None else Decimal(ask), at)


def snapshot(
    strike: str,
    *,
    bid: str | None = "2.45",
    ask: str | None = "2.55",
    dte: int = 0,
    right: Right = Right.CALL,
    delta: float | None = 0.35,
    volume: int | None = 1500,
    open_interest: int | None = 2000,
    at: datetime | None = NOON,
    session: Session = FULL,
    underlying: str = "NVDA",
    **contract: Any,
) -> ContractSnapshot:
    """One contract with its market; ``contract`` overrides fields of the listing."""
    expiry = session.day + timedelta(days=dte)
    symbol = format_occ(underlying, expiry, right, Decimal(strike))
    listed = OptionContract(symbol, underlying, right, Decimal(strike), expiry, underlying)
    market = quote(bid, ask, at=at, symbol=symbol)
    known = delta is not None
    return ContractSnapshot(
        replace(listed, **contract),
        market,
        volume=volume,
        open_interest=open_interest,
        iv=0.4 if known else None,
        delta=delta,
        gamma=0.02 if known else None,
        theta=-0.05 if known else None,
        vega=0.1 if known else None,
        greeks_source="feed" if known else None,
    )


def position(
    strategy: Strategy = Strategy.DAY_TRADE, *, dte: int = 3, session: Session = FULL, **changes: Any
) -> OpenPosition:
    """Four calls bought at 2.00 with the underlying at 100, opened one hour before noon."""
    base = OpenPosition(
        position_id="p1",
        account="a",
        symbol="X",
        underlying="NVDA",
        strategy=strategy,
        direction=Direction.BULLISH,
        state=PositionState.OPEN,
        quantity=4,
        multiplier=100,
        entry_price=Decimal(2),
        entry_underlying=Decimal(100),
        opened_at=session.open + timedelta(minutes=30),
        right=Right.CALL,
        strike=Decimal(100),
        expiry=session.day + timedelta(days=dte),
    )
    return replace(base, **changes)
