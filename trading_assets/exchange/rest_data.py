"""Data routes of stocks: bars, quotes, trades and snapshots, of many symbols or of one. Nothing after 'now' is shown.

A bar appears once it has ended, today's daily bar after the close. Symbols that are not listed are absent from answers;
asked for alone, what they have now is not found.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange import adjustments, data_feeds, http, ticks
from trading_assets.exchange.actions import ordered
from trading_assets.exchange.bars import Bar, BarBook, day_so_far, midnight
from trading_assets.exchange.frames import framed, read_frame
from trading_assets.exchange.http import Door, answer
from trading_assets.exchange.market_port import MarketPort
from trading_assets.exchange.names import Names
from trading_assets.exchange.paging import MOST_POINTS, Steps, page_of_points
from trading_assets.exchange.refusal import MALFORMED, Refusal, not_found
from trading_assets.exchange.state import Account
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import require_session

#: Seconds looked at before others get a turn.
_TURN = 200
_INSTANT = timedelta(microseconds=1)
Handler = Callable[[Request, Account], Awaitable[Response]]
#: What a symbol has at an instant, or None.
Latest = Callable[[str, datetime], dict[str, Any] | None]
TickAt = Callable[[MarketPort, str, datetime], ticks.Tick | None]


class DataRoutes:
    """The routes of one venue's stock data."""

    def __init__(self, venue: Venue, bars: BarBook) -> None:
        self._venue = venue
        self._bars = bars

    def routes(self, door: Door) -> list[Route]:
        """Every route, behind ``door``: with ``symbols``, and with one symbol in the path as older clients ask."""
        table: list[tuple[str, Handler]] = []
        for one in ("", "{symbol}/"):
            table += [
                (f"{one}bars", self.bars),
                (f"{one}quotes", self._history("quotes", ticks.stock_quote_at)),
                (f"{one}trades", self._history("trades", ticks.stock_trade_at)),
                (f"{one}bars/latest", self._latest("bars", self._last_minute)),
                (f"{one}quotes/latest", self._latest("quotes", self._quote)),
                (f"{one}trades/latest", self._latest("trades", self._trade)),
            ]
        table += [("snapshots", self.snapshots), ("{symbol}/snapshot", self.snapshot)]
        return [Route(f"/v2/stocks/{path}", door(handler), methods=["GET"]) for path, handler in table]

    @property
    def _now(self) -> datetime:
        return self._venue.world.now

    @property
    def _feeds(self) -> tuple[str, ...]:
        return self._venue.config.streams.feeds

    def _stocks(self, request: Request) -> list[str]:
        one = request.path_params.get("symbol")
        symbols = http.required(request, "symbols") if one is None else [one]
        return [symbol for symbol in symbols if symbol in self._venue.engine.listing.assets]

    def _range(self, request: Request) -> tuple[datetime, datetime, bool]:
        """Start, end and whether the newest come first; without them today until now."""
        today = self._now.astimezone(NEW_YORK).date()
        start = http.moment(request, "start") or midnight(today)
        given = http.moment(request, "end", end_of_day=True)
        end = data_feeds.history_end(request, self._feeds, given, self._now)
        return start, end, http.word(request, "sort", "asc", "desc") == "desc"

    # --- history ----------------------------------------------------------------------------------------------------

    async def bars(self, request: Request, account: Account) -> Response:
        """Bars of minutes to months, ordered by symbol and time, paged over all points."""
        given = request.query_params.get("timeframe", "1Min")
        frame = read_frame(given)
        if frame is None:
            raise http.bad("timeframe", given)
        kinds = adjustments.asked(request)
        self._check_asof(request)
        start, end, descending = self._range(request)
        points: list[tuple[str, Bar]] = []
        for symbol in sorted(self._stocks(request)):
            market = self._venue.market
            found = self._bars.daily(market, symbol, self._now) if frame.daily else self._minute(symbol, start, end)
            told = adjustments.adjusted(found, self._changes(symbol, kinds)) if kinds else found
            within = [(symbol, bar) for bar in framed(told, frame, self._now) if start <= bar["t"] <= end]
            points += within[::-1] if descending else within
        limit = http.whole(request, "limit", 1000, 1, MOST_POINTS)
        chosen, token = http.page(
            points, request.query_params.get("page_token"), limit, lambda point: f"{point[0]}|{point[1]['t']}"
        )
        grouped: dict[str, list[Bar]] = {}
        for symbol, bar in chosen:
            grouped.setdefault(symbol, []).append(bar)
        return _history_answer(request, "bars", grouped, token)

    def _check_asof(self, request: Request) -> None:
        """Names are those of today; raises ``Refusal`` (400) for a request that means others."""
        given = request.query_params.get("asof")
        day = None if given == "-" else http.day(request, "asof")
        if given is None or not Names(self._venue.actions.all, self._venue.world.session).changed:
            return
        if day is None or Names(self._venue.actions.all, day) != Names(
            self._venue.actions.all, self._venue.world.session
        ):
            raise Refusal(400, MALFORMED, f"asof {given[:10]} is not offered by this exchange: names are today's")

    def _changes(self, symbol: str, kinds: frozenset[str]) -> list[adjustments.Step]:
        """What adjusts the bars of ``symbol`` by the actions that are in force in the session that is played."""

        def close_before(day: date) -> float | None:
            days = self._bars.daily(self._venue.market, symbol, self._now)
            return max(((bar["t"], bar["c"]) for bar in days if bar["t"] < midnight(day)), default=(None, None))[1]

        actions, today = self._venue.actions.all, self._venue.world.session
        known = Names(actions, today).drawn(symbol)
        # Also those from when it had another name.
        own = [action for action in ordered(actions) if Names(actions, action.ex_session).drawn(action.symbol) == known]
        return adjustments.steps(kinds, own, today, close_before)

    def _minute(self, symbol: str, start: datetime, end: datetime) -> Iterator[Bar]:
        """Finished minute bars of the sessions that touch the range."""
        market = self._venue.market
        for day in market.minute_days():
            session = require_session(day)
            if session.close > start and session.open <= end:
                yield from self._bars.finished(market, symbol, day, self._now)

    def _history(self, name: str, tick_at: TickAt) -> Handler:
        """Quotes or trades second by second, in the sessions whose minutes are known."""

        async def route(request: Request, account: Account) -> Response:
            start, end, descending = self._range(request)
            market = self._venue.market

            def instants(after: datetime | None) -> Iterable[datetime]:
                first, last = (start, end) if after is None else (start, after) if descending else (after, end)
                days = [require_session(day) for day in market.minute_days()]
                for session in reversed(days) if descending else days:
                    found = ticks.seconds(session, first - _INSTANT, last)
                    yield from reversed(list(found)) if descending else found

            def points_at(symbol: str, second: datetime) -> list[ticks.Tick]:
                tick = tick_at(market, symbol, second)
                return [] if tick is None else [tick]

            steps = Steps(instants, descending, _TURN)
            grouped, token = await page_of_points(request, sorted(self._stocks(request)), steps, points_at)
            return _history_answer(request, name, grouped, token)

        return route

    # --- now --------------------------------------------------------------------------------------------------------

    def _latest(self, name: str, latest: Latest) -> Handler:
        """What each symbol has now."""

        async def route(request: Request, account: Account) -> Response:
            at = data_feeds.instant(request, self._feeds, self._now)
            found = {symbol: latest(symbol, at) for symbol in self._stocks(request)}
            known = {symbol: value for symbol, value in found.items() if value is not None}
            one = request.path_params.get("symbol")
            if one is None:
                return answer({name: known})
            if one not in known:
                raise not_found(f"no {name[:-1]} found for {one}")
            return answer({"symbol": one, name[:-1]: known[one]})

        return route

    def _last_minute(self, symbol: str, at: datetime) -> Bar | None:
        return self._bars.last_minute(self._venue.market, symbol, at)

    def _quote(self, symbol: str, at: datetime) -> ticks.Tick | None:
        """The quote of that instant; outside the session the last one, with its own time."""
        quote = self._venue.market.quote(symbol, at)
        return None if quote is None else ticks.stock_quote(quote)

    def _trade(self, symbol: str, at: datetime) -> ticks.Tick | None:
        quote = self._venue.market.quote(symbol, at)
        if quote is None:
            return None
        traded_at = quote.at if quote.at is not None else at
        return ticks.stock_trade(self._venue.market.price_at(symbol, at), traded_at)

    async def snapshots(self, request: Request, account: Account) -> Response:
        """Trade, quote, minute bar and the two daily bars of each stock."""
        at = data_feeds.instant(request, self._feeds, self._now)
        return answer({symbol: self._snapshot(symbol, at) for symbol in self._stocks(request)})

    async def snapshot(self, request: Request, account: Account) -> Response:
        """The same of one stock."""
        at = data_feeds.instant(request, self._feeds, self._now)
        for symbol in self._stocks(request):
            return answer({"symbol": symbol, **self._snapshot(symbol, at)})
        raise not_found(f"no snapshot found for {request.path_params['symbol']}")

    def _snapshot(self, symbol: str, at: datetime) -> dict[str, Any]:
        market, day = self._venue.market, self._venue.world.session
        days = list(self._bars.daily(market, symbol, at))
        if at < require_session(day).close:
            ended = self._bars.finished(market, symbol, day, at)
            days += [day_so_far(ended, day)] if ended else []
        return {
            "latestTrade": self._trade(symbol, at),
            "latestQuote": self._quote(symbol, at),
            "minuteBar": self._last_minute(symbol, at),
            "dailyBar": days[-1] if days else None,
            "prevDailyBar": days[-2] if len(days) > 1 else None,
        }


def _history_answer(request: Request, name: str, grouped: dict[str, list[Any]], token: str | None) -> Response:
    one = request.path_params.get("symbol")
    if one is None:
        return answer({name: grouped, "next_page_token": token})
    return answer({name: grouped.get(one, []), "symbol": one, "next_page_token": token})
