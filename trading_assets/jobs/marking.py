"""What a position is judged by: its quote, its underlying's, and what stands in where the market gives none.

Nothing here raises because something cannot be read: what is not known stays None, and the exits that do not need it
are judged all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from trading_assets.broker.errors import Rejected
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import OpenPosition, Quote, Regime
from trading_assets.jobs.facts import latest_features, regime_at
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.strategy.exit_values import ExitMarket
from trading_assets.strategy.exits import fresh_bid
from trading_assets.strategy.option_model import model_price, usable_iv

_log = logging.getLogger(__name__)


def exit_markets(desk: Desk, account: str, held: list[OpenPosition], session: Session) -> dict[str, ExitMarket]:
    """Fresh quotes of what is held and of the underlyings; what the broker does not answer stays unknown."""
    broker = desk.broker(account)
    options = sorted({position.symbol for position in held if position.right is not None})
    stocks = sorted({position.underlying for position in held})
    quotes: dict[str, Quote] = {}
    for ask, symbols in ((broker.option_quotes, options), (broker.quotes, stocks)):
        if not symbols:
            continue
        quotes |= _quotes(ask, symbols, account)
    features = _features(desk, session)
    result = {}
    for position in held:
        underlying = quotes.get(position.underlying)
        atr = features.get(position.underlying, {}).get("atr14_5m")
        market = ExitMarket(
            quote=quotes.get(position.symbol),
            underlying_price=None if underlying is None else underlying.mid,
            underlying_at=None if underlying is None else underlying.at,
            atr=None if atr is None or position.right is not None else Decimal(str(atr)),
        )
        result[position.position_id] = _with_model(desk, account, position, market)
    return result


def _quotes(ask: Callable[[list[str]], dict[str, Quote]], symbols: list[str], account: str) -> dict[str, Quote]:
    """The quotes of ``symbols``. One that the broker refuses to name must not hide those of the others."""
    try:
        return ask(symbols)
    except Rejected as error:
        _log.error("account %s: quotes of %s: %s", account, ", ".join(symbols), error)
        if len(symbols) == 1:
            return {}
        return {name: quote for symbol in symbols for name, quote in _quotes(ask, [symbol], account).items()}
    except TradingAssetsError as error:
        _log.error("account %s: quotes of %s: %s", account, ", ".join(symbols), error)
        return {}


def _features(desk: Desk, session: Session) -> dict[str, dict[str, Any]]:
    """The newest features; none if they cannot be read: exits that need no feature must not wait for them."""
    try:
        return latest_features(desk, session)
    except TradingAssetsError as error:
        _log.error("session %s: features cannot be read: %s", session.key, error)
        return {}


def regime_or_none(desk: Desk, session: Session) -> Regime | None:
    try:
        return regime_at(desk, session)
    except TradingAssetsError as error:
        _log.error("session %s: the market context cannot be read: %s", session.key, error)
        return None


def _with_model(desk: Desk, account: str, position: OpenPosition, market: ExitMarket) -> ExitMarket:
    """``market`` with a model value where an option has no executable quote but a price of its underlying.

    The volatility is the feed's last one for the contract.
    """
    now, config = desk.clock.now(), desk.strategy(account)
    if position.right is None or market.underlying_price is None:
        return market
    if fresh_bid(market, position.symbol, now, config.exits) is not None:
        return market
    if position.expiry is None or position.strike is None:
        return market
    try:
        chain = desk.broker(account).option_chain(
            position.underlying,
            position.expiry,
            position.expiry,
            low_strike=position.strike,
            high_strike=position.strike,
            right=position.right,
        )
    except TradingAssetsError as error:
        _log.error("account %s: the volatility of %s: %s", account, position.symbol, error)
        return market
    iv = next((usable_iv(row) for row in chain if row.contract.symbol == position.symbol), None)
    value = model_price(position, underlying_price=market.underlying_price, iv=iv, as_of=now, config=config.contracts)
    return replace(market, model_price=value)
