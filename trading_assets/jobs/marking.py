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
from trading_assets.jobs.facts import contract_row, latest_features, regime_at
from trading_assets.ledger import positions
from trading_assets.market.sessions import Session, shift
from trading_assets.resources.desk import Desk
from trading_assets.strategy.exit_values import ExitMarket
from trading_assets.strategy.exits import fresh_bid
from trading_assets.strategy.option_model import model_price, usable_delta, usable_iv, with_greeks

_log = logging.getLogger(__name__)

#: What a fault in numbers or rows raises. It must cost the one value that it concerns, and nothing else.
ODD = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)


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


class Marking:
    """The market as one cycle over one account's positions sees it, asked for piece by piece: the most needed first.

    Quotes are asked for twice at most, anything else once; what did not answer is not asked again in this cycle: an
    exit must not wait for numbers that it can do without. Where quotes did not answer a chain is still asked for once,
    because a stop can do with the model value that rests on it.
    """

    def __init__(self, desk: Desk, account: str, session: Session, earnings: Earnings | None) -> None:
        self._desk, self._account, self._session, self._earnings = desk, account, session, earnings
        self._broker, self._hasty = desk.broker(account).impatient(2), desk.broker(account).impatient()
        self.quotes_silent, self.chains_silent = False, False

    def blind(self, position: OpenPosition) -> ExitMarket:
        """What is known without asking anybody: enough for the exits that need no price."""
        reported = earnings_next_session(self._earnings, position.underlying, self._session)
        return ExitMarket(None, None, None, earnings_next_session=reported)

    def quoted(self, held: Sequence[OpenPosition]) -> dict[str, ExitMarket]:
        """By position: quotes of what is held and of the underlyings, and a stock's range; the rest stays unknown."""
        options = sorted({position.symbol for position in held if position.right is not None})
        stocks = sorted({position.underlying for position in held})
        quotes: dict[str, Quote] = {}
        for ask, symbols in ((self._broker.option_quotes, options), (self._broker.quotes, stocks)):
            # Options and stocks are served from different places: the one may answer where the other does not.
            quotes |= self._quotes(ask, symbols)
        features = _features(self._desk, self._session)
        with self._desk.ledger.connect() as connection:
            brackets = positions.protective_prices(connection, self._account) if held else {}
        result = {}
        for position in held:
            underlying = quotes.get(position.underlying)
            atr = features.get(position.underlying, {}).get("atr14_5m")
            result[position.position_id] = replace(
                self.blind(position),
                quote=quotes.get(position.symbol),
                underlying_price=None if underlying is None else underlying.mid,
                underlying_at=None if underlying is None else underlying.at,
                atr=None if atr is None or position.right is not None else Decimal(str(atr)),
                stop=brackets[position.position_id][0] if position.position_id in brackets else None,
            )
        return result

    def requoted(self, position: OpenPosition, market: ExitMarket) -> ExitMarket:
        """``market`` with a new quote where its own has become too old to sell by; unchanged where it is fresh."""
        exits = self._desk.strategy(self._account).exits
        if self.quotes_silent or fresh_bid(market, position.symbol, self._desk.clock.now(), exits) is not None:
            return market
        found = self._quotes(
            self._hasty.quotes if position.right is None else self._hasty.option_quotes, [position.symbol]
        )
        return replace(market, quote=found.get(position.symbol, market.quote))

    def with_contract_facts(
        self, held: Sequence[OpenPosition], markets: Mapping[str, ExitMarket]
    ) -> dict[str, ExitMarket]:
        """``markets`` with delta, theta and a model value of each option, as far as the feed tells them.

        Positions without an executable quote come first: their stop needs the model value, which needs a price of the
        underlying.
        """
        result, now, exits = dict(markets), self._desk.clock.now(), self._desk.strategy(self._account).exits
        quoted = {
            position.position_id: fresh_bid(markets[position.position_id], position.symbol, now, exits) is not None
            for position in held
        }
        for position in sorted(held, key=lambda position: quoted[position.position_id]):
            market = markets[position.position_id]
            if self.chains_silent or position.right is None or market.underlying_price is None:
                continue
            try:
                result[position.position_id] = self._of_contract(position, market, market.underlying_price)
            except TradingAssetsError as error:
                _log.error("account %s: the Greeks of %s: %s", self._account, position.symbol, error)
                self.chains_silent = not isinstance(error, Rejected)
            except ODD:
                # Whatever is odd about a chain, it must not keep a stop from being judged.
                _log.exception("account %s: the Greeks of %s", self._account, position.symbol)
        return result

    def _of_contract(self, position: OpenPosition, market: ExitMarket, spot: Decimal) -> ExitMarket:
        """Greeks from the feed, else computed from its volatility or price; the model value from its volatility only.

        A volatility that is itself derived from the quote's price would agree with that quote always.
        """
        row = contract_row(self._hasty, position)
        if row is None:
            return market
        now, config = self._desk.clock.now(), self._desk.strategy(self._account).contracts
        whole = with_greeks([row], spot=spot, as_of=now, config=config)[0]
        value = model_price(position, underlying_price=spot, iv=usable_iv(row), as_of=now, config=config)
        return replace(market, model_price=value, delta=usable_delta(whole), theta=whole.theta)

    def _quotes(self, ask: Callable[[list[str]], dict[str, Quote]], symbols: list[str]) -> dict[str, Quote]:
        """The quotes of ``symbols``. One that the broker refuses to name must not hide those of the others."""
        if not symbols:
            return {}
        try:
            return ask(symbols)
        except Rejected as error:
            _log.error("account %s: quotes of %s: %s", self._account, ", ".join(symbols), error)
            if len(symbols) == 1:
                return {}
            return {name: quote for symbol in symbols for name, quote in self._quotes(ask, [symbol]).items()}
        except TradingAssetsError as error:
            _log.error("account %s: quotes of %s: %s", self._account, ", ".join(symbols), error)
            self.quotes_silent = True
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
