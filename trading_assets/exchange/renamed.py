"""A market whose stocks have other names now: the same prices, paths and history under the names in force."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import polars as pl

from trading_assets.domain.values import OptionContract, Quote
from trading_assets.exchange.market_port import Asset, Execution, Headline, MarketPort, OptionMarket, Resting
from trading_assets.exchange.names import TAIL, Names


@dataclass(frozen=True, slots=True)
class _Line:
    """A contract's market under another name."""

    contract: OptionContract
    _line: OptionMarket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)


class RenamedPort:
    """``MarketPort`` over another one. A name that is given up has no market and no history any more."""

    def __init__(self, market: MarketPort, names: Names) -> None:
        self._market = market
        self._names = names

    def assets(self) -> Sequence[Asset]:
        """Every listed stock, in symbol order."""
        found = (replace(asset, symbol=self._names.now(asset.symbol)) for asset in self._market.assets())
        return sorted(found, key=lambda asset: asset.symbol)

    def contracts(self, underlying: str) -> Sequence[OptionContract]:
        """Every contract listed on ``underlying``."""
        known = self._names.drawn(underlying)
        return [] if known is None else [self._contract(contract) for contract in self._market.contracts(known)]

    def quote(self, symbol: str, instant: datetime) -> Quote | None:
        """The quote of a stock or a contract."""
        known = self._names.drawn(symbol)
        if known == symbol and len(symbol) > TAIL:
            known = self._names.contract_drawn(symbol)
        found = None if known is None else self._market.quote(known, instant)
        return found if found is None or known == symbol else replace(found, symbol=symbol)

    def price_at(self, symbol: str, instant: datetime) -> Decimal:
        """The last traded price; raises ``ValueError`` where there is none."""
        return self._market.price_at(self._stock(symbol), instant)

    def minute_days(self) -> Sequence[date]:
        """Sessions with minute bars."""
        return self._market.minute_days()

    def minute_bars(self, symbol: str, day: date) -> pl.DataFrame:
        """Minute bars of a whole session, also from before the name."""
        return self._market.minute_bars(self._stock(symbol), day)

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """Daily bars, also from before the name."""
        return self._market.daily_bars(self._stock(symbol))

    def chain(self, underlying: str, instant: datetime) -> Sequence[OptionMarket]:
        """Every contract of ``underlying`` with its market."""
        known = self._names.drawn(underlying)
        return [] if known is None else self._lines(known, underlying, self._market.chain(known, instant))

    def lines(self, underlying: str, symbols: Sequence[str], instant: datetime) -> Sequence[OptionMarket]:
        """The named contracts of ``underlying`` with their market."""
        known = self._names.drawn(underlying)
        named = [name for name in map(self._names.contract_drawn, symbols) if name is not None]
        return [] if known is None else self._lines(known, underlying, self._market.lines(known, named, instant))

    def halts(self, symbol: str, day: date) -> Sequence[tuple[datetime, datetime]]:
        """When trading in a stock was halted."""
        return self._market.halts(self._stock(symbol), day)

    def headlines(self) -> Sequence[Headline]:
        """Every headline, about the stocks under their names now; what it says stays as it was written."""
        return [
            replace(headline, symbols=tuple(map(self._names.now, headline.symbols)))
            for headline in self._market.headlines()
        ]

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        """What ``order`` gets from ``quote``."""
        return self._market.execute(order, quote, instant)

    def _stock(self, symbol: str) -> str:
        known = self._names.drawn(symbol)
        if known is None:
            raise ValueError(f"{symbol} is a name that was given up")
        return known

    def _lines(self, known: str, underlying: str, lines: Sequence[OptionMarket]) -> Sequence[OptionMarket]:
        if known == underlying:
            return lines
        return [cast(OptionMarket, _Line(self._contract(line.contract), line)) for line in lines]

    def _contract(self, contract: OptionContract) -> OptionContract:
        symbol = self._names.contract_now(contract.symbol)
        return replace(contract, symbol=symbol, underlying=self._names.now(contract.underlying), root=symbol[:-TAIL])
