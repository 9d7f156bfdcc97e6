"""What the exchange needs from a market: one protocol, so that engine and server do not depend on a simulator's build.

Every method is a pure function of the seed and its arguments. Prices at the border are ``Decimal``; ``None`` means that
no such market exists at that instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

import polars as pl

from trading_assets.domain.values import OptionContract, Quote


@dataclass(frozen=True, slots=True)
class Asset:
    """A listed stock or fund. ``id`` is a UUID in text form."""

    symbol: str
    name: str
    exchange: str
    id: str
    has_options: bool


@dataclass(frozen=True, slots=True)
class Headline:
    """A headline of one RSS feed; it exists for nobody before ``published_at``."""

    id: str
    published_at: datetime
    feed: str
    title: str
    summary: str
    link: str
    symbols: tuple[str, ...]


class OptionMarket(Protocol):
    """An option's market at one instant. Greeks are per share, theta per day, vega per volatility point."""

    @property
    def contract(self) -> OptionContract: ...
    @property
    def bid(self) -> Decimal: ...
    @property
    def ask(self) -> Decimal: ...
    @property
    def bid_size(self) -> int: ...
    @property
    def ask_size(self) -> int: ...
    @property
    def last(self) -> Decimal | None: ...
    @property
    def iv(self) -> float | None: ...
    @property
    def delta(self) -> float | None: ...
    @property
    def gamma(self) -> float | None: ...
    @property
    def theta(self) -> float | None: ...
    @property
    def vega(self) -> float | None: ...
    @property
    def rho(self) -> float | None: ...
    @property
    def volume(self) -> int | None: ...
    @property
    def open_interest(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Execution:
    """What one order gets at one instant: a price per share and a whole number of shares or contracts, at least 1."""

    price: Decimal
    quantity: int


@dataclass(frozen=True, slots=True)
class Resting:
    """The part of an order that the fill rule may see. ``limit_price`` None is a market order."""

    order_id: str
    symbol: str
    side: str
    limit_price: Decimal | None
    quantity: int
    submitted_at: datetime


class MarketPort(Protocol):
    """The simulated market as the exchange uses it."""

    def assets(self) -> Sequence[Asset]:
        """Every listed stock, in symbol order."""
        ...

    def contracts(self, underlying: str) -> Sequence[OptionContract]:
        """Every contract listed on ``underlying`` in this session, in symbol order; empty if it has no options."""
        ...

    def quote(self, symbol: str, instant: datetime) -> Quote | None:
        """The quote of a stock or a compact OCC symbol; None if there is none at ``instant``."""
        ...

    def price_at(self, symbol: str, instant: datetime) -> Decimal:
        """The last traded price of a stock."""
        ...

    def minute_days(self) -> Sequence[date]:
        """Sessions with minute bars, ascending, today included."""
        ...

    def minute_bars(self, symbol: str, day: date) -> pl.DataFrame:
        """ts, open, high, low, close, volume, trade_count, vwap of the whole session (the future too)."""
        ...

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """session, open, high, low, close, volume, today included."""
        ...

    def chain(self, underlying: str, instant: datetime) -> Sequence[OptionMarket]:
        """Every contract of ``underlying`` with its market, in symbol order."""
        ...

    def lines(self, underlying: str, symbols: Sequence[str], instant: datetime) -> Sequence[OptionMarket]:
        """The named contracts of ``underlying`` with their market, the same as in ``chain``; others are left out."""
        ...

    def halts(self, symbol: str, day: date) -> Sequence[tuple[datetime, datetime]]:
        """When trading in a stock was halted in a session: from, and until it traded again or the close (the future
        too)."""
        ...

    def headlines(self) -> Sequence[Headline]:
        """Every headline of the world, in order of publication."""
        ...

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        """What ``order`` gets from ``quote`` at ``instant``; None for nothing. Same arguments, same answer."""
        ...
