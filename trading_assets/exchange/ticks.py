"""Quotes and trades second by second, as the wire has them: one source for REST and for the sockets.

The market's grid is whole seconds. A quote is one that was made at that second: in a minute without a recorded trade
the last one grows old and is not made again. A stock's trade is the traded price of that second, which is also what
reaches a stop, in one round lot: the market knows the volume of minutes and not the sizes of single trades. An option's
trades are what its volume grew by in a second, at the side of the quote that it traded on; they carry the second's
beginning and are known at its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_assets.domain.values import Quote
from trading_assets.exchange.market_port import MarketPort, OptionMarket
from trading_assets.market.sessions import Session

SECOND = timedelta(seconds=1)
_ROUND_LOT = 100
Tick = dict[str, Any]


def seconds(session: Session, start: datetime, until: datetime) -> Iterator[datetime]:
    """The whole seconds in (start, until] at which the session has a market: from its open to its close, both in."""
    at = max(start.replace(microsecond=0) + SECOND, session.open)
    last = min(until, session.close)
    while at <= last:
        yield at
        at += SECOND


def stock_quote(quote: Quote) -> Tick:
    """A stock's quote; it must have an instant."""
    return {**option_quote(quote), "bx": "V", "ax": "V", "c": ["R"], "z": "C"}


def option_quote(quote: Quote) -> Tick:
    """An option's quote; it must have an instant."""
    return {
        "t": quote.at,
        "bp": _price(quote.bid),
        "bs": quote.bid_size if quote.bid_size is not None else 0,
        "bx": "C",
        "ap": _price(quote.ask),
        "as": quote.ask_size if quote.ask_size is not None else 0,
        "ax": "C",
        "c": "A",
    }


def _price(value: Decimal | None) -> float:
    """The wire has no null price: a missing side is 0, as the broker sends it."""
    return 0.0 if value is None else float(value)


def stock_trade(price: Decimal, at: datetime) -> Tick:
    """The last traded price of a stock at ``at``."""
    number = int(at.timestamp())
    return {"t": at, "p": float(price), "s": _ROUND_LOT, "x": "V", "i": number, "c": ["@"], "z": "C"}


def option_trade(price: Decimal, size: int, at: datetime) -> Tick:
    """A trade of ``size`` contracts."""
    return {"t": at, "p": float(price), "s": size, "x": "C", "c": "a"}


def stock_quote_at(market: MarketPort, symbol: str, second: datetime) -> Tick | None:
    """The quote that was made at this very second, or None."""
    quote = market.quote(symbol, second)
    return stock_quote(quote) if quote is not None and quote.at == second else None


def option_quote_at(market: MarketPort, symbol: str, second: datetime) -> Tick | None:
    """The quote of a contract that was made at this very second, or None."""
    quote = market.quote(symbol, second)
    return option_quote(quote) if quote is not None and quote.at == second else None


def stock_trade_at(market: MarketPort, symbol: str, second: datetime) -> Tick | None:
    """The traded price of this very second, or None if nothing was traded."""
    quote = market.quote(symbol, second)
    return stock_trade(market.price_at(symbol, second), second) if quote is not None and quote.at == second else None


class OptionTape:
    """The trades of some contracts of one underlying, second by second from an instant on."""

    def __init__(self, market: MarketPort, underlying: str, symbols: Sequence[str], session: Session) -> None:
        self._market = market
        self._underlying = underlying
        self._symbols = symbols
        self._session = session
        self._last: tuple[datetime, dict[str, int]] | None = None

    def at(self, second: datetime) -> Iterator[tuple[str, Tick]]:
        """Symbol and trade of each contract whose volume grew in the second that ends now."""
        if second <= self._session.open:
            return
        before = second - SECOND
        known = self._last[1] if self._last is not None and self._last[0] == before else None
        if known is None:
            known = _volumes(self._lines(before))
        lines = self._lines(second)
        self._last = (second, _volumes(lines))
        for line in lines:
            symbol = line.contract.symbol
            grown = (line.volume or 0) - known.get(symbol, line.volume or 0)
            if grown > 0 and line.last is not None:
                yield symbol, option_trade(line.last, grown, before)

    def _lines(self, at: datetime) -> Sequence[OptionMarket]:
        return self._market.lines(self._underlying, self._symbols, at)


def _volumes(lines: Sequence[OptionMarket]) -> dict[str, int]:
    return {line.contract.symbol: line.volume or 0 for line in lines}
