"""The simulated market behind the exchange's port: types at the border, quotes that grow old outside the session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

import polars as pl

from trading_assets.domain.clock import require_utc
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import OptionContract, Quote, Side
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.market_port import Asset, Execution, Headline, OptionMarket, Resting
from trading_assets.market.sessions import Session, shift
from trading_assets.simulation.fills import FillRequest, decide_fill
from trading_assets.simulation.market import SimulatedMarket

_CENT_PLACES = 2
#: Sessions of minute bars before the one that is played.
HISTORY_SESSIONS = 31
_CHAINS = 64
_QUOTES = 4096


def last_traded_instant(session: Session, now: datetime) -> datetime:
    """``now`` while the session is open; its close afterwards; the previous session's close before it."""
    if now >= session.close:
        return session.close
    return now if now >= session.open else shift(session.day, -1).close


class SimulatedPort:
    """``MarketPort`` over a ``SimulatedMarket``."""

    def __init__(self, market: SimulatedMarket) -> None:
        self._market = market
        self.chain = lru_cache(maxsize=_CHAINS)(self._chain)
        self.quote = lru_cache(maxsize=_QUOTES)(self._quote)

    def assets(self) -> Sequence[Asset]:
        """Every listed stock, in symbol order."""
        found = (Asset(a.symbol, a.name, a.exchange, str(a.id), a.has_options) for a in self._market.assets())
        return sorted(found, key=lambda asset: asset.symbol)

    def contracts(self, underlying: str) -> Sequence[OptionContract]:
        """Every contract listed on ``underlying``."""
        return self._market.contracts(underlying)

    def _quote(self, symbol: str, instant: datetime) -> Quote | None:
        if symbol in self._symbols():
            stock = self._market.quote_at(symbol, instant)
            if stock is None:
                return None
            sides = (stock.bid, stock.ask, stock.bid_size, stock.ask_size)
        else:
            option = self._market.option_quote(symbol, instant)
            if option is None:
                return None
            sides = (option.bid, option.ask, option.bid_size, option.ask_size)
        bid, ask, bid_size, ask_size = sides
        at = last_traded_instant(self._market.session, require_utc(instant))
        return Quote(symbol=symbol, bid=bid, ask=ask, at=at, bid_size=bid_size, ask_size=ask_size)

    @lru_cache(maxsize=1)  # noqa: B019 - one port lives as long as its process
    def _symbols(self) -> frozenset[str]:
        return frozenset(self._market.symbols)

    def price_at(self, symbol: str, instant: datetime) -> Decimal:
        """The last traded price of a stock, in cents; raises ``ValueError`` before the first known session."""
        price = self._market.price_at(symbol, instant)
        if price is None:
            raise ValueError(f"{symbol} has no price at {instant.isoformat()}")
        return Decimal(str(round(price, _CENT_PLACES)))

    def minute_days(self) -> Sequence[date]:
        """Sessions with minute bars."""
        return [session.day for session in self._market.sessions]

    def minute_bars(self, symbol: str, day: date) -> pl.DataFrame:
        """Minute bars of a whole session."""
        return self._market.minute_bars(symbol, day)

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """Daily bars, today included."""
        return self._market.daily_bars(symbol)

    def _chain(self, underlying: str, instant: datetime) -> Sequence[OptionMarket]:
        return sorted(self._market.chain_at(underlying, instant), key=lambda line: line.contract.symbol)

    def headlines(self) -> Sequence[Headline]:
        """Headlines of today and of the session before, in order of publication."""
        return [
            Headline(item.id, item.published_at, item.feed, item.title, item.summary, item.link, tuple(item.symbols))
            for day in self.minute_days()[-2:]
            for item in self._market.headlines(day)
        ]

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        """The simulator's fill rule, seeded by the market's seed and the order's id."""
        fill = decide_fill(
            FillRequest(
                side=Side(order.side),
                order_type="market" if order.limit_price is None else "limit",
                limit_price=order.limit_price,
                remaining=order.quantity,
                order_key=order.order_id,
                submitted_at=order.submitted_at,
            ),
            quote.bid,
            quote.ask,
            quote.bid_size or 0,
            quote.ask_size or 0,
            instant,
            self._market.seed,
        )
        return Execution(fill.price, fill.quantity) if fill is not None else None


def simulated_port(config: ExchangeConfig) -> SimulatedPort:
    """The market of a configuration; raises ``ConfigurationError`` if the simulator refuses session or scenario."""
    try:
        return SimulatedPort(
            SimulatedMarket(config.seed, config.session, config.scenario, history_sessions=HISTORY_SESSIONS)
        )
    except ValueError as error:
        raise ConfigurationError(f"the simulated market refuses the configuration: {error}") from error
