"""What a position is judged by: its quote, its underlying's, and what stands in where the market gives none.

Nothing here raises because something cannot be read: what is not known stays None, and the exits that do not need it
are judged all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from trading_assets.broker.errors import Rejected
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import OpenPosition, Quote, Regime
from trading_assets.jobs.facts import latest_features, regime_at
from trading_assets.market.sessions import Session, shift
from trading_assets.resources.desk import Desk
from trading_assets.strategy.exit_values import ExitMarket
from trading_assets.strategy.exits import fresh_bid
from trading_assets.strategy.option_model import model_price, usable_delta, usable_iv, with_greeks

_log = logging.getLogger(__name__)


#: The days on which each underlying reports earnings.
Earnings = Mapping[str, Sequence[date]]


def earnings_next_session(earnings: Earnings | None, underlying: str, session: Session) -> bool | None:
    """Whether ``underlying`` reports after this session's day, up to the next one's; None without a calendar.

    A day between the two counts: what is reported on a holiday moves the next session's open.
    """
    if earnings is None:
        return None
    following = shift(session.day, 1).day
    return any(session.day < day <= following for day in earnings.get(underlying, ()))


def exit_markets(
    desk: Desk, account: str, held: list[OpenPosition], session: Session, earnings: Earnings | None = None
) -> dict[str, ExitMarket]:
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
            earnings_next_session=earnings_next_session(earnings, position.underlying, session),
        )
        result[position.position_id] = market
    return _with_contract_facts(desk, account, held, result)


def requoted(desk: Desk, account: str, position: OpenPosition, market: ExitMarket) -> ExitMarket:
    """``market`` with a new quote where its own has become too old to sell by; unchanged where it is fresh."""
    if fresh_bid(market, position.symbol, desk.clock.now(), desk.strategy(account).exits) is not None:
        return market
    broker = desk.broker(account)
    found = _quotes(broker.quotes if position.right is None else broker.option_quotes, [position.symbol], account)
    return replace(market, quote=found.get(position.symbol, market.quote))


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


def _with_contract_facts(
    desk: Desk, account: str, held: list[OpenPosition], markets: dict[str, ExitMarket]
) -> dict[str, ExitMarket]:
    """``markets`` with delta, theta and a model value of each option, as far as the feed tells them.

    Positions without an executable quote come first: their stop needs the model value. Once the broker did not answer
    the others do without, so that no exit waits for numbers that only serve alerts.
    """
    now, config = desk.clock.now(), desk.strategy(account).exits
    quoted = {
        position.position_id: fresh_bid(markets[position.position_id], position.symbol, now, config) is not None
        for position in held
    }
    answered = True
    for position in sorted(held, key=lambda position: quoted[position.position_id]):
        if position.right is None or (quoted[position.position_id] and not answered):
            continue
        try:
            markets[position.position_id] = _of_contract(desk, account, position, markets[position.position_id])
        except TradingAssetsError as error:
            _log.error("account %s: the Greeks of %s: %s", account, position.symbol, error)
            answered = answered and isinstance(error, Rejected)
    return markets


def _of_contract(desk: Desk, account: str, position: OpenPosition, market: ExitMarket) -> ExitMarket:
    """Greeks from the feed, else computed from its volatility or price; the model value from its volatility only.

    A volatility that is itself derived from the quote's price would agree with that quote always.
    """
    if position.expiry is None or position.strike is None:
        return market
    chain = desk.broker(account).option_chain(
        position.underlying,
        position.expiry,
        position.expiry,
        low_strike=position.strike,
        high_strike=position.strike,
        right=position.right,
    )
    row = next((row for row in chain if row.contract.symbol == position.symbol), None)
    if row is None:
        return market
    now, config, spot = desk.clock.now(), desk.strategy(account).contracts, market.underlying_price
    whole = row if spot is None else with_greeks([row], spot=spot, as_of=now, config=config)[0]
    value = model_price(position, underlying_price=spot, iv=usable_iv(row), as_of=now, config=config)
    return replace(market, model_price=value, delta=usable_delta(whole), theta=whole.theta)
