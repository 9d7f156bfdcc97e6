"""Data routes of options: chains and snapshots, latest quotes and trades, and the trades and minute bars of today.

The market knows the contracts of its own session: what was traded in an earlier one is refused, not made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange import data_feeds, http, ticks
from trading_assets.exchange.bars import MINUTE, midnight
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.listing import Listing
from trading_assets.exchange.market_port import OptionMarket
from trading_assets.exchange.option_trades import OptionTrades
from trading_assets.exchange.paging import Steps, page_of_points
from trading_assets.exchange.refusal import unprocessable
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import open_session, require_session

_MOST_SNAPSHOTS, _MOST_SYMBOLS = 1000, 100
_MINUTE_FRAMES = ("1Min", "1T")
#: Minutes looked at before others get a turn: each may be a valuation a second.
_TURN = 5


class OptionDataRoutes:
    """The routes of one venue's option data."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._today: OptionTrades | None = None

    @property
    def _listing(self) -> Listing:
        return self._venue.engine.listing

    @property
    def _now(self) -> datetime:
        return self._venue.world.now

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``."""
        table: list[tuple[str, Callable[[Request, Account], Any]]] = [
            ("snapshots", self.snapshots),
            ("snapshots/{underlying}", self.chain),
            ("quotes/latest", self.latest_quotes),
            ("trades/latest", self.latest_trades),
            ("trades", self.trades),
            ("bars", self.bars),
        ]
        return [Route(f"/v1beta1/options/{path}", door(handler), methods=["GET"]) for path, handler in table]

    # --- now --------------------------------------------------------------------------------------------------------

    async def chain(self, request: Request, account: Account) -> Response:
        """The chain of one underlying with quotes, Greeks, implied volatility and today's volume."""
        data_feeds.check_options(request, self._venue.config.streams.feeds)
        underlying = request.path_params["underlying"]
        exact = http.day(request, "expiration_date")
        first = exact or http.day(request, "expiration_date_gte")
        last = exact or http.day(request, "expiration_date_lte")
        low, high = http.number(request, "strike_price_gte"), http.number(request, "strike_price_lte")
        kind, root = http.word(request, "type", "", "call", "put"), request.query_params.get("root_symbol")
        lines = self._venue.market.chain(underlying, self._now) if underlying in self._listing.assets else []
        rows = [
            line
            for line in lines
            if (first is None or line.contract.expiry >= first)
            and (last is None or line.contract.expiry <= last)
            and (low is None or line.contract.strike >= low)
            and (high is None or line.contract.strike <= high)
            and (not kind or line.contract.right.value == kind)
            and (root is None or line.contract.root == root)
        ]
        return self._snapshots(request, rows)

    async def snapshots(self, request: Request, account: Account) -> Response:
        """Snapshots of up to a hundred named contracts."""
        data_feeds.check_options(request, self._venue.config.streams.feeds)
        return self._snapshots(request, self._lines(request))

    def _snapshots(self, request: Request, rows: list[OptionMarket]) -> Response:
        """One page of ``rows``, of those that are new enough for the request."""
        since = http.moment(request, "updated_since")
        if since is not None:
            rows = [line for line in rows if self._at(line) >= since]
        limit = http.whole(request, "limit", 100, 1, _MOST_SNAPSHOTS)
        chosen, token = http.page(
            rows, request.query_params.get("page_token"), limit, lambda line: line.contract.symbol
        )
        return answer(
            {"snapshots": {line.contract.symbol: self._snapshot(line) for line in chosen}, "next_page_token": token}
        )

    async def latest_quotes(self, request: Request, account: Account) -> Response:
        """The quote of each named contract now."""
        data_feeds.check_options(request, self._venue.config.streams.feeds)
        quotes: dict[str, Any] = {}
        for symbol in self._named(request):
            quote = self._venue.market.quote(symbol, self._now)
            if quote is not None:
                quotes[symbol] = ticks.option_quote(quote)
        return answer({"quotes": quotes})

    async def latest_trades(self, request: Request, account: Account) -> Response:
        """The last trade of each named contract; absent where nothing was traded in this session."""
        data_feeds.check_options(request, self._venue.config.streams.feeds)
        found = {line.contract.symbol: self._trade(line) for line in self._lines(request)}
        return answer({"trades": {symbol: trade for symbol, trade in found.items() if trade is not None}})

    # --- today ------------------------------------------------------------------------------------------------------

    async def trades(self, request: Request, account: Account) -> Response:
        """The trades of today's session second by second, by symbol and time, paged."""
        start, end, descending = self._range(request)
        book, now = self._book(), self._now

        def points_at(symbol: str, minute: datetime) -> list[ticks.Tick]:
            return [tick for tick in book.trades(symbol, minute, now) if start <= tick["t"] <= end]

        steps = Steps(lambda after: _minutes(book, start, end, after, descending), descending, _TURN)
        grouped, token = await page_of_points(request, sorted(self._named(request)), steps, points_at)
        return answer({"trades": grouped, "next_page_token": token})

    async def bars(self, request: Request, account: Account) -> Response:
        """Minute bars of today's session, made of its trades; a minute without a trade has none."""
        given = request.query_params.get("timeframe", "1Min")
        if given not in _MINUTE_FRAMES:
            raise http.bad("timeframe", given)
        start, end, descending = self._range(request)
        book, now = self._book(), self._now

        def points_at(symbol: str, minute: datetime) -> list[dict[str, Any]]:
            return book.bars(symbol, minute) if start <= minute and minute + MINUTE <= now else []

        steps = Steps(lambda after: _minutes(book, start, end, after, descending), descending, _TURN)
        grouped, token = await page_of_points(request, sorted(self._named(request)), steps, points_at)
        return answer({"bars": grouped, "next_page_token": token})

    def _range(self, request: Request) -> tuple[datetime, datetime, bool]:
        """Start, end and whether the newest come first; refuses what began before today's session."""
        day = self._venue.world.session
        start = http.moment(request, "start") or midnight(day)
        if start < midnight(day):
            raise unprocessable(f"option trades and bars are known here for the session of {day} alone: start later")
        end = http.moment(request, "end", end_of_day=True) or self._now
        return start, min(end, self._now), http.word(request, "sort", "asc", "desc") == "desc"

    def _book(self) -> OptionTrades:
        if self._today is None or self._today.engine is not self._venue.engine:
            self._today = OptionTrades(self._venue.engine)
        return self._today

    # --- inside -----------------------------------------------------------------------------------------------------

    def _named(self, request: Request) -> list[str]:
        """The listed contracts that are asked for."""
        symbols = http.required(request, "symbols", _MOST_SYMBOLS)
        return [symbol for symbol in symbols if self._listing.contract(symbol) is not None]

    def _lines(self, request: Request) -> list[OptionMarket]:
        """Their markets now."""
        wanted: dict[str, list[str]] = {}
        for symbol in self._named(request):
            contract = self._listing.contract(symbol)
            assert contract is not None
            wanted.setdefault(contract.underlying, []).append(symbol)
        market = self._venue.market
        return [line for underlying, names in wanted.items() for line in market.lines(underlying, names, self._now)]

    def _snapshot(self, line: OptionMarket) -> dict[str, Any]:
        at = self._at(line)
        result: dict[str, Any] = {
            "latestQuote": {
                "t": at,
                "bp": float(line.bid),
                "bs": line.bid_size,
                "bx": "C",
                "ap": float(line.ask),
                "as": line.ask_size,
                "ax": "C",
                "c": "A",
            }
        }
        trade = self._trade(line)
        if trade is not None:
            result["latestTrade"] = trade
        greeks = {name: getattr(line, name) for name in ("delta", "gamma", "theta", "vega", "rho")}
        # All five or none: a partial set of Greeks is not a shape of the protocol.
        if all(value is not None for value in greeks.values()):
            result["greeks"] = greeks
            if line.iv is not None:
                result["impliedVolatility"] = line.iv
        if line.volume is not None:
            price = float(line.last if line.last is not None else (line.bid + line.ask) / 2)
            result["dailyBar"] = {
                **dict.fromkeys(("o", "h", "l", "c"), price),
                "t": midnight(at.astimezone(NEW_YORK).date()),
                "v": line.volume,
                "n": line.volume,
                "vw": price,
            }
        return result

    def _trade(self, line: OptionMarket) -> dict[str, Any] | None:
        return None if line.last is None else ticks.option_trade(line.last, 1, self._at(line))

    def _at(self, line: OptionMarket) -> datetime:
        """The time of a contract's market: that of its quote; else now in a session, or the last close."""
        quote = self._venue.market.quote(line.contract.symbol, self._now)
        if quote is not None and quote.at is not None:
            return quote.at
        if open_session(self._now) is not None:
            return self._now
        closes = [require_session(day).close for day in self._venue.market.minute_days()]
        return max(close for close in closes if close <= self._now)


def _minutes(
    book: OptionTrades, start: datetime, end: datetime, after: datetime | None, descending: bool
) -> Iterable[datetime]:
    """The minutes of the session that touch what is left of [start, end] after (or, backwards, before) an instant."""
    if after is not None:
        start, end = (start, after) if descending else (after, end)
    minutes = [book.session.open + number * MINUTE for number in range(book.session.minutes)]
    left = [minute for minute in minutes if minute + MINUTE > start and minute <= end]
    return reversed(left) if descending else left
