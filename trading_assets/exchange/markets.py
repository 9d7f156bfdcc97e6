"""Which market a world plays: drawn from its seed, or recorded. Types at the border of the exchange."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from uuid import NAMESPACE_DNS, uuid5

import polars as pl

from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import OptionContract, Quote, Side
from trading_assets.exchange.actions import ActionBook, AnyAction, NameChange, ordered
from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.market_port import Asset, Execution, Headline, MarketPort, OptionMarket, Resting
from trading_assets.exchange.names import TAIL, Names
from trading_assets.exchange.renamed import RenamedPort
from trading_assets.exchange.venue import Markets
from trading_assets.market.sessions import Session, open_session, require_session, session_on, shift
from trading_assets.simulation.fills import FillRequest, decide_fill
from trading_assets.simulation.market import SimulatedMarket
from trading_assets.simulation.quoted import QuotedMarket
from trading_assets.simulation.recorded import RecordedMarket
from trading_assets.simulation.shares import ShareChange

RECORDING_FILE = "recording.parquet"
#: Sessions of minute bars before the one that is played.
HISTORY_SESSIONS = 31
_CENT_PLACES = 2
#: A name of a recording that has not traded for this long counts as halted.
_HALTED = timedelta(minutes=5)
_GRID, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)
_CHAINS = 64
_QUOTES = 4096


class _WithBars(Protocol):
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def sessions(self) -> tuple[Session, ...]: ...
    def minute_bars(self, symbol: str, session_day: date) -> pl.DataFrame: ...
    def daily_bars(self, symbol: str) -> pl.DataFrame: ...


def last_traded_instant(session: Session, now: datetime) -> datetime:
    """``now`` while a session is open; else the close before it. ``session`` is the last that is known."""
    if now >= session.open:
        return min(now, session.close)
    if open_session(now) is not None:
        return now
    day = now.astimezone(NEW_YORK).date()
    today = session_on(day)
    return today.close if today is not None and now >= today.close else shift(day, -1).close


class QuotedPort:
    """``MarketPort`` over a quoted market; what differs between drawn and recorded ones is in the two subclasses."""

    def __init__(self, market: QuotedMarket, bars: _WithBars) -> None:
        self._market = market
        self._bars = bars
        self._symbols = frozenset(bars.symbols)
        self.chain = lru_cache(maxsize=_CHAINS)(self._chain)
        self.quote = lru_cache(maxsize=_QUOTES)(self._quote)

    def contracts(self, underlying: str) -> Sequence[OptionContract]:
        """Every contract listed on ``underlying``."""
        return self._market.contracts(underlying)

    def _quote(self, symbol: str, instant: datetime) -> Quote | None:
        at = require_utc(instant)
        if symbol in self._symbols:
            stock = self._market.quote_at(symbol, at)
            if stock is None:
                return None
            return Quote(symbol, stock.bid, stock.ask, self._quoted_at(symbol, at), stock.bid_size, stock.ask_size)
        try:
            option = self._market.option_quote(symbol, at)
        except ValueError:
            # Neither a listed stock nor a contract's symbol: nobody quotes it.
            return None
        if option is None:
            return None
        quoted = self._quoted_at(symbol[:-15], at)
        return Quote(symbol, option.bid, option.ask, quoted, option.bid_size, option.ask_size)

    def _quoted_at(self, symbol: str, at: datetime) -> datetime:
        return last_traded_instant(self._market.session, at)

    def price_at(self, symbol: str, instant: datetime) -> Decimal:
        """The last traded price of a stock, in cents; raises ``ValueError`` before the first known session."""
        price = self._market.price_at(symbol, instant)
        if price is None:
            raise ValueError(f"{symbol} has no price at {instant.isoformat()}")
        return Decimal(str(round(price, _CENT_PLACES)))

    def minute_days(self) -> Sequence[date]:
        """Sessions with minute bars."""
        return [session.day for session in self._bars.sessions]

    def minute_bars(self, symbol: str, day: date) -> pl.DataFrame:
        """Minute bars of a whole session."""
        return self._bars.minute_bars(symbol, day)

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """Daily bars, today included."""
        return self._bars.daily_bars(symbol)

    def _chain(self, underlying: str, instant: datetime) -> Sequence[OptionMarket]:
        return sorted(self._market.chain_at(underlying, instant), key=lambda line: line.contract.symbol)

    def lines(self, underlying: str, symbols: Sequence[str], instant: datetime) -> Sequence[OptionMarket]:
        """The markets of the named contracts."""
        return self._market.chain_at(underlying, instant, symbols)

    def halts(self, symbol: str, day: date) -> Sequence[tuple[datetime, datetime]]:
        """None: a drawn market trades in every minute."""
        return []

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


class SimulatedPort(QuotedPort):
    """A market drawn from a seed."""

    def __init__(self, market: SimulatedMarket) -> None:
        super().__init__(market, market)
        self._drawn = market

    def assets(self) -> Sequence[Asset]:
        """Every listed stock, in symbol order."""
        found = (Asset(a.symbol, a.name, a.exchange, str(a.id), a.has_options) for a in self._drawn.assets())
        return sorted(found, key=lambda asset: asset.symbol)

    def headlines(self) -> Sequence[Headline]:
        """Headlines of today and of the session before, in order of publication."""
        return [
            Headline(item.id, item.published_at, item.feed, item.title, item.summary, item.link, tuple(item.symbols))
            for day in self.minute_days()[-2:]
            for item in self._drawn.headlines(day)
        ]


class RecordedPort(QuotedPort):
    """Recorded bars with modelled options. It makes up no news."""

    def __init__(self, market: RecordedMarket, composite: str | None) -> None:
        super().__init__(market, market)
        self._recorded = market
        self._composite = composite

    def assets(self) -> Sequence[Asset]:
        """Every name that trades in the session, in symbol order."""
        found = (self._recorded.listing(symbol) for symbol in self._recorded.symbols)
        return [
            Asset(
                listing.symbol,
                listing.name,
                listing.exchange,
                str(uuid5(NAMESPACE_DNS, listing.symbol)),
                has_options=self._has_options(listing.symbol),
            )
            for listing in found
        ]

    def contracts(self, underlying: str) -> Sequence[OptionContract]:
        """Every contract listed on ``underlying``; the composite index and share classes (BRK.B) have none."""
        return super().contracts(underlying) if self._has_options(underlying) else []

    def _chain(self, underlying: str, instant: datetime) -> Sequence[OptionMarket]:
        return super()._chain(underlying, instant) if self._has_options(underlying) else []

    def lines(self, underlying: str, symbols: Sequence[str], instant: datetime) -> Sequence[OptionMarket]:
        """The markets of the named contracts; none where the name has no options."""
        return super().lines(underlying, symbols, instant) if self._has_options(underlying) else []

    def halts(self, symbol: str, day: date) -> Sequence[tuple[datetime, datetime]]:
        """The gaps of a session in which nothing is filled: from the second after five minutes without a trade until
        the next one. A name that has not traded yet is halted from the open."""
        session = require_session(day)
        found: list[tuple[datetime, datetime]] = []
        since = session.open - _HALTED - _GRID
        for start in [*self.minute_bars(symbol, day)["ts"].to_list(), session.close]:
            halted = max(since + _HALTED + _GRID, session.open)
            if start > halted:
                found.append((halted, start))
            since = start + _MINUTE
        return found

    def _has_options(self, symbol: str) -> bool:
        return symbol != self._composite and symbol.isalpha()

    def execute(self, order: Resting, quote: Quote, instant: datetime) -> Execution | None:
        """The simulator's fill rule, but nothing is filled in a name that has not traded for minutes: it is halted."""
        if quote.at is None or instant - quote.at > _HALTED:
            return None
        return super().execute(order, quote, instant)

    def headlines(self) -> Sequence[Headline]:
        """None."""
        return []

    def _quoted_at(self, symbol: str, at: datetime) -> datetime:
        traded = self._recorded.traded_at(symbol, at)
        return super()._quoted_at(symbol, at) if traded is None else traded


def market_source(config: ExchangeConfig, directory: Path, book: ActionBook | None = None) -> Markets:
    """The markets of a world by session, as its corporate actions leave them (without ``book`` those it is configured
    with); raises ``ConfigurationError`` if one cannot be made of the configuration."""
    actions = ActionBook(config.actions) if book is None else book
    if config.recorded:
        bars = _recording(directory / RECORDING_FILE)
        return lambda day, held: _named(actions, day, held, lambda known: _recorded_port(config, bars, day, known))
    return lambda day, held: _named(actions, day, held, lambda known: simulated_port(config, day, known, actions.all))


def _named(
    actions: ActionBook, day: date, held: frozenset[str], market_of: Callable[[frozenset[str]], MarketPort]
) -> MarketPort:
    """The market of a session under the names that are in force in it; ``market_of`` takes what is held as it calls
    it."""
    names = Names(actions.all, day)
    known = (names.contract_drawn(symbol) if len(symbol) > TAIL else names.drawn(symbol) for symbol in held)
    market = market_of(frozenset(symbol for symbol in known if symbol is not None))
    listed = {asset.symbol for asset in market.assets()}
    for change in ordered(actions.all):
        if not isinstance(change, NameChange):
            continue
        if change.symbol not in listed or change.new_symbol in listed:
            raise ConfigurationError(
                f"{change.symbol} cannot be called {change.new_symbol}: the one is not listed, or the other is",
                where="actions",
            )
        listed = listed - {change.symbol} | {change.new_symbol}
    return RenamedPort(market, names) if names.changed else market


def simulated_port(
    config: ExchangeConfig, day: date, held: frozenset[str] = frozenset(), actions: Sequence[AnyAction] | None = None
) -> SimulatedPort:
    """The drawn market of one session, under the names of the beginning. Without ``actions`` those of ``config``."""
    try:
        return SimulatedPort(
            SimulatedMarket(
                config.seed,
                day,
                config.scenario,
                history_sessions=HISTORY_SESSIONS,
                held=held,
                changes=_changes(config.actions if actions is None else actions),
            )
        )
    except ValueError as error:
        raise ConfigurationError(f"the simulated market refuses the configuration: {error}") from error


def _changes(actions: Sequence[AnyAction]) -> list[ShareChange]:
    """What the actions do to shares, under the names that the market knows."""
    found = []
    for action in actions:
        if isinstance(action, NameChange):
            continue
        known = Names(actions, action.ex_session).drawn(action.symbol)
        if known is None:
            raise ConfigurationError(f"{action.symbol} has another name on {action.ex_session}", where="actions")
        found.append(replace(action.change(), symbol=known))
    return found


def _recorded_port(config: ExchangeConfig, bars: pl.DataFrame, day: date, held: frozenset[str]) -> MarketPort:
    try:
        market = RecordedMarket(
            bars, day, config.seed, history_sessions=HISTORY_SESSIONS, held=held, began=config.session
        )
        return RecordedPort(market, config.composite)
    except ValueError as error:
        raise ConfigurationError(f"the recording cannot be played: {error}") from error


def _recording(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(
            f"the recording cannot be read: {type(error).__name__}",
            where=str(path),
            mend="Begin the world anew with the recording.",
        ) from error
