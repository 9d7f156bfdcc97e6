"""The trades of options in one session and the bars they make, computed once for each minute that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from trading_assets.exchange.bars import MINUTE
from trading_assets.exchange.engine import Engine
from trading_assets.exchange.market_port import OptionMarket
from trading_assets.exchange.ticks import SECOND, Tick, option_trade


class OptionTrades:
    """What was traded in the session of one engine: the same trades as ``ticks.OptionTape`` tells.

    Volume never falls, so a stretch of time in which it stands still is looked at twice, at its two ends.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.session = engine.session
        self._ended: dict[tuple[str, datetime], list[Tick]] = {}

    def trades(self, symbol: str, minute: datetime, now: datetime) -> list[Tick]:
        """The trades of the minute that begins at ``minute``, as far as they are known at ``now``."""
        if minute + MINUTE > now:
            return self._made(symbol, minute, now.replace(microsecond=0))
        if (symbol, minute) not in self._ended:
            self._ended[symbol, minute] = self._made(symbol, minute, minute + MINUTE)
        return self._ended[symbol, minute]

    def _made(self, symbol: str, start: datetime, end: datetime) -> list[Tick]:
        contract = self.engine.listing.contract(symbol)
        if contract is None or end <= start:
            return []

        def line(at: datetime) -> OptionMarket | None:
            found = self.engine.market.lines(contract.underlying, [symbol], at) if contract is not None else []
            return found[0] if found else None

        return list(_between(start, line(start), end, line(end), line))

    def bars(self, symbol: str, minute: datetime) -> list[dict[str, Any]]:
        """The bar of a minute that has ended, or none if nothing was traded in it."""
        trades = self.trades(symbol, minute, minute + MINUTE)
        if not trades:
            return []
        prices, volume = [tick["p"] for tick in trades], sum(tick["s"] for tick in trades)
        turnover = sum(tick["p"] * tick["s"] for tick in trades)
        return [
            {
                "t": minute,
                "o": prices[0],
                "h": max(prices),
                "l": min(prices),
                "c": prices[-1],
                "v": volume,
                "n": len(trades),
                "vw": turnover / volume,
            }
        ]


def _between(
    start: datetime,
    first: OptionMarket | None,
    end: datetime,
    last: OptionMarket | None,
    line: Callable[[datetime], OptionMarket | None],
) -> Iterator[Tick]:
    """The trades of [start, end), in whole seconds, between the contract's markets at both."""
    grown = (last.volume or 0) - (first.volume or 0) if first is not None and last is not None else None
    if grown == 0:
        return
    if end - start > SECOND:
        middle = start + (end - start) // SECOND // 2 * SECOND
        between = line(middle)
        yield from _between(start, first, middle, between, line)
        yield from _between(middle, between, end, last, line)
    elif grown is not None and grown > 0 and last is not None and last.last is not None:
        yield option_trade(last.last, grown, start)
