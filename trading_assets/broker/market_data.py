"""Bars, quotes and option chains through the SDK's data clients, all pages or an error.

What belongs here: the half of the adapter that reads markets. What does not: orders and accounts (``alpaca``), judging
a chain (``strategy``), knowledge time (the assets add it). Raw answers are parsed here because the models of the SDK
are slow and reject a whole answer for one odd field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from trading_assets.broker import parsing
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.broker.transport import Transport
from trading_assets.broker.values import BrokerSplit, ListedContract
from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.domain.values import ContractSnapshot, Quote, Right
from trading_assets.market.frames import BARS, DAILY_BARS, Schema, conform
from trading_assets.market.options import parse_occ

_PAGE_OF_BARS = 10_000
_PAGE_OF_SNAPSHOTS = 1000
_PAGE_OF_CONTRACTS = 10_000
_PAGE_OF_ACTIONS = 1000
_SPLITS = ("forward_split", "reverse_split")
#: Bars as the broker gives them: when and how they became known is added by whoever received them.
BARS_AS_READ: Schema = {name: kind for name, kind in BARS.items() if not name.startswith("known_")}
DAILY_BARS_AS_READ: Schema = {name: kind for name, kind in DAILY_BARS.items() if not name.startswith("known_")}
_WIRE_BARS = {
    "t": "ts",
    "o": "open",
    "h": "high",
    "l": "low",
    "c": "close",
    "v": "volume",
    "n": "trade_count",
    "vw": "vwap",
}


class MarketData:
    """Reading markets. Every method raises ``BrokerUnavailable`` rather than return part of an answer."""

    def __init__(
        self,
        stocks: Any,
        options: Any,
        trading: Any,
        actions: Any,
        transport: Transport,
        config: BrokerConfig,
        *,
        stock_feed: str,
        option_feed: str,
    ) -> None:
        self._stocks = stocks
        self._options = options
        self._trading = trading
        self._actions = actions
        self._transport = transport
        self._config = config
        self._stock_feed = stock_feed
        self._option_feed = option_feed

    def stock_bars(self, symbols: Iterable[str], start: datetime, end: datetime) -> pl.DataFrame:
        """Raw minute bars with ``start <= ts < end``, ordered by ticker and time, columns ``BARS_AS_READ``.

        A symbol without bars is absent; numbers that are missing or not finite are null.
        """
        first, last = require_utc(start), require_utc(end)
        table = self._bars(symbols, "1Min", first.isoformat(), last.isoformat())
        frame = table.with_columns(feed=pl.lit(self._stock_feed)).filter(pl.col("ts") >= first, pl.col("ts") < last)
        return conform(frame.sort("ticker", "ts"), BARS_AS_READ, "bars")

    def daily_bars(self, symbols: Iterable[str], start: date, end: date) -> pl.DataFrame:
        """Raw daily bars of the sessions from ``start`` to ``end``, both included, columns ``DAILY_BARS_AS_READ``."""
        table = self._bars(symbols, "1Day", start.isoformat(), end.isoformat())
        session = pl.col("ts").dt.convert_time_zone(NEW_YORK.key).dt.date()
        frame = table.with_columns(session=session).filter(pl.col("session").is_between(start, end))
        rows = frame.select(list(DAILY_BARS_AS_READ)).sort("ticker", "session")
        return conform(rows, DAILY_BARS_AS_READ, "daily bars")

    def splits(self, symbols: Iterable[str], start: date, end: date) -> list[BrokerSplit]:
        """Forward and reverse splits with an ex-date from ``start`` to ``end``, both included, oldest first."""
        wanted = sorted(set(symbols))
        size = self._config.symbols_per_request
        found: dict[str, BrokerSplit] = {}
        for offset in range(0, len(wanted), size):
            params = {
                "symbols": ",".join(wanted[offset : offset + size]),
                "types": ",".join(_SPLITS),
                "start": start.isoformat(),
                "end": end.isoformat(),
                "limit": _PAGE_OF_ACTIONS,
            }
            for page in self._pages("GET /corporate-actions", self._actions, "/corporate-actions", params):
                kinds = parsing.record(page.get("corporate_actions") or {}, "map of corporate actions")
                for kind in _SPLITS:
                    for raw in parsing.rows(kinds.get(f"{kind}s") or [], "splits"):
                        read = parsing.split(raw)
                        found[read.action_id] = read
        # The broker's days are those on which it works on an action; here the day counts on which prices change.
        within = (split for split in found.values() if start <= split.ex_date <= end)
        return sorted(within, key=lambda split: (split.ex_date, split.symbol, split.action_id))

    def quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Latest stock quotes by symbol; a symbol the broker does not know is absent."""
        return self._quotes(self._stocks, "/stocks/quotes/latest", symbols, self._stock_feed)

    def option_quotes(self, symbols: Iterable[str]) -> dict[str, Quote]:
        """Latest option quotes by OCC symbol; a contract without a quote is absent."""
        return self._quotes(self._options, "/options/quotes/latest", symbols, self._option_feed)

    def contracts(
        self,
        underlying: str,
        first_expiry: date,
        last_expiry: date,
        *,
        low_strike: Decimal | None = None,
        high_strike: Decimal | None = None,
        right: Right | None = None,
    ) -> list[ListedContract]:
        """Active listed contracts, all pages, ordered by symbol, with the open interest of the last count."""
        params = self._chain_params(first_expiry, last_expiry, low_strike, high_strike, right)
        params |= {"underlying_symbols": underlying, "status": "active", "limit": _PAGE_OF_CONTRACTS}
        found: dict[str, ListedContract] = {}
        for page in self._pages("GET /options/contracts", self._trading, "/options/contracts", params):
            for raw in parsing.rows(page.get("option_contracts"), "contracts"):
                listed = parsing.contract(raw)
                found[listed.contract.symbol] = listed
        return [found[symbol] for symbol in sorted(found)]

    def option_chain(
        self,
        underlying: str,
        first_expiry: date,
        last_expiry: date,
        *,
        low_strike: Decimal | None = None,
        high_strike: Decimal | None = None,
        right: Right | None = None,
    ) -> list[ContractSnapshot]:
        """Every listed contract in the window with its market, ordered by symbol.

        A contract without a market has a quote without sides. A snapshot of a contract that is not listed carries
        ``tradable=False``; one with an adjusted root that is not listed is left out, for its deliverable is not known.
        ``volume`` is today's from the snapshot's daily bar, None where the feed has none.
        """
        listed = self.contracts(
            underlying, first_expiry, last_expiry, low_strike=low_strike, high_strike=high_strike, right=right
        )
        params = self._chain_params(first_expiry, last_expiry, low_strike, high_strike, right)
        params |= {"feed": self._option_feed, "limit": _PAGE_OF_SNAPSHOTS}
        path = f"/options/snapshots/{underlying}"
        markets: dict[str, Any] = {}
        for page in self._pages(f"GET {path}", self._options, path, params):
            markets.update(parsing.record(page.get("snapshots"), "map of snapshots"))
        known = {entry.contract.symbol for entry in listed}
        unlisted = [entry for symbol in markets if symbol not in known for entry in _unlisted(symbol)]
        chain = [parsing.snapshot(entry, markets.get(entry.contract.symbol)) for entry in (*listed, *unlisted)]
        return sorted(chain, key=lambda entry: entry.contract.symbol)

    def _chain_params(
        self, first: date, last: date, low: Decimal | None, high: Decimal | None, right: Right | None
    ) -> dict[str, Any]:
        params: dict[str, Any] = {"expiration_date_gte": first.isoformat(), "expiration_date_lte": last.isoformat()}
        if low is not None:
            params["strike_price_gte"] = str(low)
        if high is not None:
            params["strike_price_lte"] = str(high)
        if right is not None:
            params["type"] = right.value
        return params

    def _bars(self, symbols: Iterable[str], timeframe: str, start: str, end: str) -> pl.DataFrame:
        columns: dict[str, list[Any]] = {name: [] for name in ("ticker", *_WIRE_BARS.values())}
        wanted = sorted(set(symbols))
        if wanted:
            params = {
                "symbols": ",".join(wanted),
                "timeframe": timeframe,
                "start": start,
                "end": end,
                "limit": _PAGE_OF_BARS,
                "adjustment": "raw",
                "feed": self._stock_feed,
                "sort": "asc",
            }
            for page in self._pages("GET /stocks/bars", self._stocks, "/stocks/bars", params):
                for ticker, bars in parsing.record(page.get("bars") or {}, "map of bars").items():
                    for bar in parsing.rows(bars, "bars"):
                        columns["ticker"].append(ticker)
                        for wire, name in _WIRE_BARS.items():
                            columns[name].append(bar.get(wire))
        return _bar_frame(columns)

    def _quotes(self, client: Any, path: str, symbols: Iterable[str], feed: str) -> dict[str, Quote]:
        wanted = sorted(set(symbols))
        size = self._config.symbols_per_request
        found: dict[str, Quote] = {}
        for offset in range(0, len(wanted), size):
            params = {"symbols": ",".join(wanted[offset : offset + size]), "feed": feed}
            answer = self._read(f"GET {path}", lambda params=params: client.get(path, params))  # type: ignore[misc]
            quotes = parsing.record(parsing.record(answer, "map of quotes").get("quotes"), "map of quotes")
            found |= {symbol: parsing.quote(symbol, raw) for symbol, raw in quotes.items() if raw is not None}
        return found

    def _read(self, where: str, call: Callable[[], Any]) -> Any:
        return self._transport.repeated(where, call)

    def _pages(self, where: str, client: Any, path: str, params: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        """All pages. A token that repeats, or more pages than are plausible, is no answer."""
        token: str | None = None
        seen: set[str] = set()
        for _ in range(self._config.max_pages):
            query = dict(params) if token is None else {**params, "page_token": token}
            page = parsing.record(self._read(where, lambda query=query: client.get(path, query)), "page")  # type: ignore[misc]
            yield page
            token = page.get("next_page_token") or None
            if token is None:
                return
            if token in seen:
                raise BrokerUnavailable("the broker repeats a page", where=where)
            seen.add(token)
        raise BrokerUnavailable(f"more than {self._config.max_pages} pages", where=where)


def _unlisted(symbol: str) -> list[ListedContract]:
    try:
        contract = parse_occ(symbol)
    except ValueError:
        return []
    return [ListedContract(replace(contract, tradable=False), None, None)]


def _bar_frame(columns: dict[str, list[Any]]) -> pl.DataFrame:
    """Wire columns as a typed frame. A bar without a usable start is an unreadable answer."""
    prices = ("open", "high", "low", "close", "vwap")
    numbers = {name: [parsing.float_or_none(value) for value in columns[name]] for name in prices}
    counts = {name: [_whole(value) for value in columns[name]] for name in ("volume", "trade_count")}
    starts = [parsing.instant_or_none(value) for value in columns["ts"]]
    if any(start is None for start in starts):
        raise BrokerUnavailable("a bar came without a usable time", where="GET /stocks/bars")
    data: dict[str, list[Any]] = {"ticker": columns["ticker"], "ts": starts, **numbers, **counts}
    schema = {name: kind for name, kind in BARS_AS_READ.items() if name in data}
    return pl.DataFrame(data, schema=schema)


def _whole(value: object) -> int | None:
    number = parsing.float_or_none(value)
    return None if number is None else int(number)
