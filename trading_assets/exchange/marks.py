"""What a position is worth to its account: its price now, else the last one known, else what it cost.

A position without a price is still owned. An account that counted it as nothing would look poorer than it is, and a
pause or a limit would trip over it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.exchange.accounts import Account
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.positions import Position
from trading_assets.market.sessions import require_session

_SECOND = timedelta(seconds=1)
#: Sessions that are looked through for a last price, the newest first.
_SESSIONS = 2


def last_price(market: MarketPort, position: Position, now: datetime) -> Decimal | None:
    """What the position could be closed at, dollars per share: now, or at the end of the newest session that had a
    price for it (a contract that expired is still held until the next morning). None where none is known.
    """
    found = position.price(market.quote(position.symbol, now))
    if found is not None:
        return found
    for day in list(market.minute_days())[: -_SESSIONS - 1 : -1]:
        # A contract's quote ends with its session, so that the last one stands a second before.
        last = require_session(day).close - _SECOND
        found = position.price(market.quote(position.symbol, last)) if last < now else None
        if found is not None:
            return found
    return None


def mark_shorts(market: MarketPort, account: Account, now: datetime) -> None:
    """Look up what the account's short stock would cost to buy back: before its buying power is asked for."""
    prices = {
        position.symbol: last_price(market, position, now)
        for position in account.positions.values()
        if position.quantity < 0 and position.asset_class != "us_option"
    }
    account.short_prices = {symbol: price for symbol, price in prices.items() if price is not None}


def worth(market: MarketPort, position: Position, now: datetime) -> Decimal:
    """Market value, dollars, negative where it is short; at what it cost where no price is known."""
    price = last_price(market, position, now)
    return position.cost if price is None else price * position.quantity * position.multiplier
