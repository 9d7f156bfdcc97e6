"""Data routes: stock bars, quotes, trades and snapshots; option snapshots and quotes. Nothing after 'now' is shown.

A bar appears once it has ended, today's daily bar after the close. Symbols that are not listed are absent from answers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import Quote
from trading_assets.exchange import http
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.listing import Listing
from trading_assets.exchange.market_port import OptionMarket
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import open_session, require_session, session_on

_MINUTE = timedelta(minutes=1)
_TIMEFRAMES = {"1Min": "minute", "1T": "minute", "1Day": "day", "1D": "day"}
_MOST_POINTS, _MOST_SNAPSHOTS = 10_000, 1000
Bar = dict[str, Any]


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


class DataRoutes:
    """The routes of one venue's market data."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._minutes: dict[tuple[str, date], list[tuple[datetime, Bar]]] = {}
        self._days: dict[tuple[str, date], list[tuple[date, Bar]]] = {}

    @property
    def _listing(self) -> Listing:
        return self._venue.engine.listing

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``."""
        table: list[tuple[str, Callable[[Request, Account], Any]]] = [
            ("/v2/stocks/bars", self.bars),
            ("/v2/stocks/bars/latest", self.latest_bars),
            ("/v2/stocks/quotes/latest", self.latest_quotes),
            ("/v2/stocks/trades/latest", self.latest_trades),
            ("/v2/stocks/snapshots", self.snapshots),
            ("/v1beta1/options/snapshots", self.option_snapshots),
            ("/v1beta1/options/snapshots/{underlying}", self.chain),
            ("/v1beta1/options/quotes/latest", self.option_quotes),
        ]
        return [Route(path, door(handler), methods=["GET"]) for path, handler in table]

    @property
    def _now(self) -> datetime:
        return self._venue.world.now

    def _stocks(self, request: Request) -> list[str]:
        return [symbol for symbol in http.listed(request, "symbols") if symbol in self._listing.assets]

    # --- bars -------------------------------------------------------------------------------------------------------

    async def bars(self, request: Request, account: Account) -> Response:
        """Minute or daily bars, ordered by symbol and time, paged over all points."""
        given = request.query_params.get("timeframe", "1Min")
        if given not in _TIMEFRAMES:
            raise http.bad("timeframe", given)
        today = self._now.astimezone(NEW_YORK).date()
        start = http.moment(request, "start") or datetime.combine(today, datetime.min.time(), NEW_YORK)
        end = http.moment(request, "end", end_of_day=True) or self._now
        descending = request.query_params.get("sort", "asc") == "desc"
        points: list[tuple[str, Bar]] = []
        for symbol in sorted(self._stocks(request)):
            found = self._daily(symbol) if _TIMEFRAMES[given] == "day" else self._minute(symbol, start, end)
            within = [(symbol, bar) for at, bar in found if start <= at <= end]
            points += within[::-1] if descending else within
        limit = http.whole(request, "limit", 1000, 1, _MOST_POINTS)
        chosen, token = http.page(
            points, request.query_params.get("page_token"), limit, lambda point: f"{point[0]}|{point[1]['t']}"
        )
        grouped: dict[str, list[Bar]] = {}
        for symbol, bar in chosen:
            grouped.setdefault(symbol, []).append(bar)
        return answer({"bars": grouped, "next_page_token": token})

    async def latest_bars(self, request: Request, account: Account) -> Response:
        """The last finished minute bar."""
        found = {symbol: self._last_minute(symbol) for symbol in self._stocks(request)}
        return answer({"bars": {symbol: bar for symbol, bar in found.items() if bar is not None}})

    def _minute(self, symbol: str, start: datetime, end: datetime) -> Iterator[tuple[datetime, Bar]]:
        """Finished minute bars of the sessions that touch the range, with their starts."""
        for day in self._venue.market.minute_days():
            session = require_session(day)
            if session.close <= start or session.open > end or session.open >= self._now:
                continue
            yield from self._finished(symbol, day)

    def _session_bars(self, symbol: str, day: date) -> list[tuple[datetime, Bar]]:
        """The whole session's bars with their starts, in order. A recorded minute without a trade has none."""
        if (symbol, day) not in self._minutes:
            rows = self._venue.market.minute_bars(symbol, day)
            self._minutes[symbol, day] = [(row["ts"], _bar(row, row["ts"])) for row in rows.iter_rows(named=True)]
        return self._minutes[symbol, day]

    def _last_minute(self, symbol: str) -> Bar | None:
        for day in reversed(self._venue.market.minute_days()):
            finished = self._finished(symbol, day)
            if finished:
                return finished[-1][1]
        return None

    def _finished(self, symbol: str, day: date) -> list[tuple[datetime, Bar]]:
        """The session's bars whose minutes have ended by now."""
        if require_session(day).open >= self._now:
            return []
        bars = self._session_bars(symbol, day)
        return bars[: bisect_right(bars, self._now - _MINUTE, key=lambda bar: bar[0])]

    def _day_so_far(self, symbol: str) -> Bar | None:
        """Today's daily bar of the minutes that have ended, None before the first and after the close."""
        day = self._venue.world.session
        bars = [bar for _, bar in self._finished(symbol, day)]
        if not bars or self._now >= require_session(day).close:
            return None
        volume = sum(bar["v"] for bar in bars)
        return {
            "t": stamp(_midnight(day)),
            "o": bars[0]["o"],
            "h": max(bar["h"] for bar in bars),
            "l": min(bar["l"] for bar in bars),
            "c": bars[-1]["c"],
            "v": volume,
            "n": _total([bar["n"] for bar in bars]),
            "vw": _average([(bar["vw"], bar["v"]) for bar in bars]),
        }

    def _daily(self, symbol: str) -> Iterator[tuple[datetime, Bar]]:
        """Daily bars of finished sessions, labelled by their New York midnight."""
        key = (symbol, self._venue.world.session)
        if key not in self._days:
            rows = self._venue.market.daily_bars(symbol).with_columns(
                trade_count=pl.lit(None, dtype=pl.Int64), vwap=pl.lit(None, dtype=pl.Float64)
            )
            self._days[key] = [
                (row["session"], _bar(row, _midnight(row["session"]))) for row in rows.iter_rows(named=True)
            ]
        for day, bar in self._days[key]:
            session = session_on(day)
            if session is not None and session.close <= self._now:
                yield _midnight(day), bar

    # --- quotes and snapshots ---------------------------------------------------------------------------------------

    async def latest_quotes(self, request: Request, account: Account) -> Response:
        """The quote of each stock now; outside the session the last one, with its own time."""
        found = {symbol: self._venue.market.quote(symbol, self._now) for symbol in self._stocks(request)}
        return answer({"quotes": {symbol: _stock_quote(quote) for symbol, quote in found.items() if quote is not None}})

    async def latest_trades(self, request: Request, account: Account) -> Response:
        """The last price of each stock."""
        return answer({"trades": {symbol: self._trade(symbol) for symbol in self._stocks(request)}})

    async def snapshots(self, request: Request, account: Account) -> Response:
        """Trade, quote, minute bar and the two daily bars of each stock."""
        result: dict[str, Any] = {}
        for symbol in self._stocks(request):
            today = self._day_so_far(symbol)
            days = [bar for _, bar in self._daily(symbol)] + ([today] if today is not None else [])
            quote = self._venue.market.quote(symbol, self._now)
            result[symbol] = {
                "latestTrade": self._trade(symbol),
                "latestQuote": None if quote is None else _stock_quote(quote),
                "minuteBar": self._last_minute(symbol),
                "dailyBar": days[-1] if days else None,
                "prevDailyBar": days[-2] if len(days) > 1 else None,
            }
        return answer(result)

    def _trade(self, symbol: str) -> dict[str, Any]:
        quote = self._venue.market.quote(symbol, self._now)
        at = quote.at if quote is not None and quote.at is not None else self._now
        price = self._venue.market.price_at(symbol, self._now)
        return {"t": stamp(at), "p": float(price), "s": 100, "x": "V", "i": int(at.timestamp()), "c": ["@"], "z": "C"}

    # --- options ----------------------------------------------------------------------------------------------------

    async def chain(self, request: Request, account: Account) -> Response:
        """The chain of one underlying with quotes, Greeks, implied volatility and today's volume."""
        underlying = request.path_params["underlying"]
        exact = http.day(request, "expiration_date")
        first = exact or http.day(request, "expiration_date_gte")
        last = exact or http.day(request, "expiration_date_lte")
        low, high = http.number(request, "strike_price_gte"), http.number(request, "strike_price_lte")
        kind, root = request.query_params.get("type"), request.query_params.get("root_symbol")
        lines = self._venue.market.chain(underlying, self._now) if underlying in self._listing.assets else []
        rows = [
            line
            for line in lines
            if (first is None or line.contract.expiry >= first)
            and (last is None or line.contract.expiry <= last)
            and (low is None or line.contract.strike >= low)
            and (high is None or line.contract.strike <= high)
            and (kind is None or line.contract.right.value == kind)
            and (root is None or line.contract.root == root)
        ]
        limit = http.whole(request, "limit", 100, 1, _MOST_SNAPSHOTS)
        chosen, token = http.page(
            rows, request.query_params.get("page_token"), limit, lambda line: line.contract.symbol
        )
        return answer(
            {"snapshots": {line.contract.symbol: self._snapshot(line) for line in chosen}, "next_page_token": token}
        )

    async def option_snapshots(self, request: Request, account: Account) -> Response:
        """Snapshots of up to a hundred named contracts."""
        lines = self._lines(http.listed(request, "symbols")[:100])
        return answer({"snapshots": {s: self._snapshot(line) for s, line in lines.items()}, "next_page_token": None})

    async def option_quotes(self, request: Request, account: Account) -> Response:
        """The quote of each named contract now."""
        quotes: dict[str, Any] = {}
        for symbol in http.listed(request, "symbols")[:100]:
            quote = self._venue.market.quote(symbol, self._now) if self._listing.contract(symbol) else None
            if quote is not None:
                quotes[symbol] = _option_quote(quote)
        return answer({"quotes": quotes})

    def _lines(self, symbols: list[str]) -> dict[str, OptionMarket]:
        wanted: dict[str, set[str]] = {}
        for symbol in symbols:
            contract = self._listing.contract(symbol)
            if contract is not None:
                wanted.setdefault(contract.underlying, set()).add(symbol)
        return {
            line.contract.symbol: line
            for underlying, names in wanted.items()
            for line in self._venue.market.chain(underlying, self._now)
            if line.contract.symbol in names
        }

    def _snapshot(self, line: OptionMarket) -> dict[str, Any]:
        quote = self._venue.market.quote(line.contract.symbol, self._now)
        at = self._quoted_at() if quote is None or quote.at is None else quote.at
        result: dict[str, Any] = {
            "latestQuote": {
                "t": stamp(at),
                "bp": float(line.bid),
                "bs": line.bid_size,
                "bx": "C",
                "ap": float(line.ask),
                "as": line.ask_size,
                "ax": "C",
                "c": "A",
            }
        }
        if line.last is not None:
            result["latestTrade"] = {"t": stamp(at), "p": float(line.last), "s": 1, "x": "C", "c": "a"}
        greeks = {name: getattr(line, name) for name in ("delta", "gamma", "theta", "vega", "rho")}
        # All five or none: a partial set of Greeks is not a shape of the protocol.
        if all(value is not None for value in greeks.values()):
            result["greeks"] = greeks
            if line.iv is not None:
                result["impliedVolatility"] = line.iv
        if line.volume is not None:
            price = float(line.last if line.last is not None else (line.bid + line.ask) / 2)
            session_day = at.astimezone(NEW_YORK).date()
            result["dailyBar"] = {
                **dict.fromkeys(("o", "h", "l", "c"), price),
                "t": stamp(_midnight(session_day)),
                "v": line.volume,
                "n": line.volume,
                "vw": price,
            }
        return result

    def _quoted_at(self) -> datetime:
        """The time of option quotes: now in a session, else the last close."""
        session = open_session(self._now)
        if session is not None:
            return self._now
        closes = [require_session(day).close for day in self._venue.market.minute_days()]
        return max(close for close in closes if close <= self._now)


def _total(counts: list[int | None]) -> int | None:
    """The sum, or None where one is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _average(weighted: list[tuple[float | None, int]]) -> float | None:
    """The mean weighted by volume, or None where a value is not known or nothing was traded."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    weight = sum(volume for _, volume in known)
    return sum(value * volume for value, volume in known) / weight if weight and len(known) == len(weighted) else None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), NEW_YORK).astimezone(UTC)


def _bar(row: dict[str, Any], at: datetime) -> Bar:
    return {
        "t": stamp(at),
        "o": row["open"],
        "h": row["high"],
        "l": row["low"],
        "c": row["close"],
        "v": row["volume"],
        "n": row["trade_count"],
        "vw": row["vwap"],
    }


def _price(value: Decimal | None) -> float:
    """The wire has no null price: a missing side is 0, as the broker sends it."""
    return 0.0 if value is None else float(value)


def _stock_quote(quote: Quote) -> dict[str, Any]:
    return {**_option_quote(quote), "bx": "V", "ax": "V", "c": ["R"], "z": "C"}


def _option_quote(quote: Quote) -> dict[str, Any]:
    at = quote.at
    return {
        "t": stamp(at) if at is not None else None,
        "bp": _price(quote.bid),
        "bs": quote.bid_size if quote.bid_size is not None else 0,
        "bx": "C",
        "ap": _price(quote.ask),
        "as": quote.ask_size if quote.ask_size is not None else 0,
        "ax": "C",
        "c": "A",
    }
