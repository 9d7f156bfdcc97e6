"""Market data for everybody: asked through the accounts' connections, so that no single account's trouble ends it.

Bars and chains are the same whichever account asks, as long as the feed is the same. What belongs here: the choice of
the connection. What does not: an account's own quotes and orders, which always go through its own keys.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.market_data import MarketData
from trading_assets.broker.values import BrokerSplit
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import ContractSnapshot, Quote

if TYPE_CHECKING:
    from trading_assets.broker.alpaca import AlpacaBroker

log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class SharedMarketData:
    """Asks one connection, and the next one if it gives no answer; stays with the one that answered last.

    ``connections`` are (account, opener) pairs in order of preference, all of one feed. If none answers, not even the
    first that gave no answer when it is asked patiently, an error is raised. A definitive refusal (``Rejected``) is an
    answer and is passed on.
    """

    def __init__(self, connections: Sequence[tuple[str, Callable[[], AlpacaBroker]]]) -> None:
        if not connections:
            raise ValueError("market data needs at least one connection")
        self._connections = list(connections)

    def stock_bars(self, symbols: Iterable[str], start: datetime, end: datetime) -> pl.DataFrame:
        """As :meth:`MarketData.stock_bars`."""
        wanted = list(symbols)
        return self._ask(lambda data: data.stock_bars(wanted, start, end))

    def daily_bars(self, symbols: Iterable[str], start: date, end: date) -> pl.DataFrame:
        """As :meth:`MarketData.daily_bars`."""
        wanted = list(symbols)
        return self._ask(lambda data: data.daily_bars(wanted, start, end))

    def splits(self, symbols: Iterable[str], start: date, end: date) -> list[BrokerSplit]:
        """As :meth:`MarketData.splits`."""
        wanted = list(symbols)
        return self._ask(lambda data: data.splits(wanted, start, end))

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """As :meth:`MarketData.quotes`."""
        wanted = list(symbols)
        return self._ask(lambda data: data.quotes(wanted))

    def option_chain(
        self,
        underlying: str,
        first_expiry: date,
        last_expiry: date,
        *,
        low_strike: Decimal | None = None,
        high_strike: Decimal | None = None,
    ) -> list[ContractSnapshot]:
        """As :meth:`MarketData.option_chain`, both rights."""
        return self._ask(
            lambda data: data.option_chain(
                underlying, first_expiry, last_expiry, low_strike=low_strike, high_strike=high_strike
            )
        )

    def _ask(self, question: Callable[[MarketData], _Answer]) -> _Answer:
        """Ask each briefly: one that hangs costs one time-out. The first of those that gave no answer is asked again,
        with patience, if none did."""
        first: BrokerUnavailable | NotAuthorized | ConfigurationError | None = None
        again: Callable[[], AlpacaBroker] | None = None
        several = len(self._connections) > 1
        for account, connect in list(self._connections):
            try:
                answer = question(connect().impatient() if several else connect())
            except (BrokerUnavailable, NotAuthorized, ConfigurationError) as error:
                log.warning("market data through account %s: %s", account, error)
                first = first or error
                if again is None and isinstance(error, BrokerUnavailable):
                    again = connect
                continue
            if first is not None:
                log.warning("market data comes through account %s from now on", account)
                while self._connections[0][0] != account:
                    self._connections.append(self._connections.pop(0))
            return answer
        assert first is not None  # there is at least one connection
        if several and again is not None:
            return question(again())
        raise first
