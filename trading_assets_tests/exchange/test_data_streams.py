"""The market-data sockets through the unmodified SDK and bare clients: what REST has, when it becomes known, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alpaca.data.historical.news import NewsClient
from alpaca.data.live import NewsDataStream, OptionDataStream, StockDataStream
from alpaca.data.requests import NewsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame

from trading_assets.exchange.bars import BarBook
from trading_assets.exchange.data_streams import DataStreams
from trading_assets.exchange.journal import Journal
from trading_assets.exchange.markets import market_source
from trading_assets.exchange.newsroom import Newsroom
from trading_assets.exchange.stream_messages import Reporter
from trading_assets.exchange.venue import Venue
from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.stream_clients import address, connected, instant, listening, running
from trading_assets_tests.exchange.test_trading import call_near_the_money
from trading_assets_tests.exchange.test_venue import config
from trading_assets_tests.exchange.venue_process import CLOSE, KEY, MINUTE, OPEN, SECRET, SESSION, Exchange, prepare

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
WATCHLIST = ["AAPL", "KO", "MSFT", "NVDA", "PFE"]
ANYTHING = {"action": "subscribe", "bars": []}
EMPTY = {"T": "subscription", "trades": [], "quotes": [], "bars": [], "updatedBars": [], "dailyBars": []} | {
    name: [] for name in ("statuses", "lulds", "corrections", "cancelErrors")
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Its time only moves forward; each test begins where the last one ended."""
    started = prepare(tmp_path_factory.mktemp("streams"), OPEN - MINUTE).start()
    yield started
    started.stop()


def rest_bars(exchange: Exchange, symbols: list[str], start: datetime, end: datetime) -> dict[str, list[Any]]:
    request = StockBarsRequest(symbol_or_symbols=symbols, timeframe=TimeFrame.Minute, start=start, end=end)
    return exchange.stocks().get_stock_bars(request).data


def rest_ticks(exchange: Exchange, kind: str, symbol: str, start: datetime, end: datetime) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = None
    while True:
        more: dict[str, Any] = {"page_token": token} if token else {}
        page = exchange.get(
            f"/v2/stocks/{kind}", symbols=symbol, start=start.isoformat(), end=end.isoformat(), limit=37, **more
        ).json()
        found += page[kind].get(symbol, [])
        token = page["next_page_token"]
        if token is None:
            return found


def test_the_sdk_hears_the_bars_of_an_hour_that_passes_at_once_as_rest_has_them(exchange: Exchange) -> None:
    stream = StockDataStream(KEY, SECRET, url_override=address(exchange, "iex"))
    with running(stream, lambda hear: stream.subscribe_bars(hear, *WATCHLIST)) as heard:
        exchange.advance(OPEN + HOUR)
        told = [heard.get(timeout=20) for _ in range(60 * len(WATCHLIST))]
        assert [bar.timestamp for bar in told] == sorted(bar.timestamp for bar in told)
        by_symbol = {symbol: [bar for bar in told if bar.symbol == symbol] for symbol in WATCHLIST}
        assert by_symbol == rest_bars(exchange, WATCHLIST, OPEN, OPEN + HOUR)
        exchange.step(59)
        exchange.step(1)
        assert heard.get(timeout=20).timestamp == OPEN + HOUR
        assert heard.qsize() < len(WATCHLIST)


@pytest.mark.patient
def test_the_bars_of_an_accelerated_hour_are_those_of_rest(tmp_path: Path) -> None:
    started = prepare(tmp_path / "fast", OPEN - MINUTE, speed=900).start()
    try:
        stream = StockDataStream(KEY, SECRET, url_override=address(started, "sip"))
        with running(stream, lambda hear: stream.subscribe_bars(hear, "*")) as heard:
            told = [heard.get(timeout=20)]
            while told[-1].timestamp < told[0].timestamp + HOUR:
                told.append(heard.get(timeout=20))
        # The last minute may be told in part.
        first, last = told[0].timestamp, told[0].timestamp + HOUR - MINUTE
        symbols = sorted({bar.symbol for bar in told})
        assert len(symbols) > 20
        by_symbol = {s: [bar for bar in told if bar.symbol == s and bar.timestamp <= last] for s in symbols}
        assert by_symbol == rest_bars(started, symbols, first, last)
        assert {len(bars) for bars in by_symbol.values()} == {60}
    finally:
        started.stop()


@pytest.mark.parametrize("packed", [False, True], ids=["JSON", "MessagePack"])
def test_quotes_and_trades_of_each_second_are_those_of_rest_in_order_and_once(exchange: Exchange, packed: bool) -> None:
    start = exchange.now()
    with listening(exchange, "iex", packed) as client:
        client.subscribe(quotes=["KO"], trades=["KO", "NOPE"])
        for seconds in (1, 0.5, 0.5, 95, 1, 2):
            exchange.step(seconds)
        told = client.until_answer(ANYTHING)
    end = exchange.now()
    for kind, letter in (("quotes", "q"), ("trades", "t")):
        found = [message for message in told if message["T"] == letter]
        stamps = [instant(m["t"]) if not packed else m["t"] for m in found]
        assert stamps == [start + number * SECOND for number in range(1, 101)]
        plain = [{key: value for key, value in m.items() if key not in ("T", "S", "t")} for m in found]
        known = rest_ticks(exchange, kind, "KO", start + SECOND, end)
        assert [instant(row.pop("t")) for row in known] == stamps and known == plain
    assert [message["t"] for message in told] == sorted(message["t"] for message in told)
    latest = exchange.get("/v2/stocks/quotes/latest", symbols="KO").json()["quotes"]["KO"]
    last = [message for message in told if message["T"] == "q"][-1]
    assert (latest["bp"], latest["ap"]) == (last["bp"], last["ap"])


def test_the_sdk_builds_quotes_trades_daily_bars_and_statuses(tmp_path: Path) -> None:
    started = prepare(tmp_path / "day", OPEN - MINUTE).start()
    try:
        stream = StockDataStream(KEY, SECRET, url_override=address(started, "iex"))

        def subscribe(hear: Any) -> None:
            stream.subscribe_quotes(hear, "SPY")
            stream.subscribe_trades(hear, "SPY")
            stream.subscribe_daily_bars(hear, "SPY")
            stream.subscribe_updated_bars(hear, "SPY")
            stream.subscribe_trading_statuses(hear, "*")

        with running(stream, subscribe) as heard:
            started.advance(OPEN + MINUTE)
            told = [heard.get(timeout=20)]
            while type(told[-1]).__name__ != "Bar":
                told.append(heard.get(timeout=20))
            kinds = [type(item).__name__ for item in told]
            assert (kinds.count("Quote"), kinds.count("Trade"), kinds.count("Bar")) == (61, 61, 1)
            opened = [item for item in told if type(item).__name__ == "TradingStatus"]
            assert {item.status_code for item in opened} == {"T"} and {item.timestamp for item in opened} == {OPEN}
            assert len(opened) == len(started.get("/v2/assets").json())
            snapshot = started.get("/v2/stocks/SPY/snapshot").json()
            assert (told[-1].high, told[-1].volume) == (snapshot["dailyBar"]["h"], snapshot["dailyBar"]["v"])
    finally:
        started.stop()


def test_the_daily_bar_grows_each_minute_to_that_of_the_day_and_the_session_is_closed(tmp_path: Path) -> None:
    started = prepare(tmp_path / "close", CLOSE - 3 * MINUTE).start()
    try:
        with listening(started, "iex") as client:
            client.subscribe(dailyBars=["KO"], statuses=["KO"], bars=["KO"])
            started.advance(CLOSE + HOUR)
            told = client.until_answer(ANYTHING)
        days = [message for message in told if message["T"] == "d"]
        assert [bar["v"] for bar in days] == sorted(bar["v"] for bar in days) and len(days) == 3
        final = started.get("/v2/stocks/bars", symbols="KO", timeframe="1Day", start=SESSION).json()["bars"]["KO"][-1]
        assert {key: days[-1][key] for key in "tohlcv"} == {key: final[key] for key in "tohlcv"}
        closed = [message for message in told if message["T"] == "s"]
        assert [(message["sc"], instant(message["t"])) for message in closed] == [("H", CLOSE)]
        assert [instant(m["t"]) for m in told if m["T"] == "b"] == [CLOSE - n * MINUTE for n in (3, 2, 1)]
    finally:
        started.stop()


def test_the_sdk_hears_the_quotes_and_trades_of_a_contract(exchange: Exchange) -> None:
    symbol, _ = call_near_the_money(exchange)
    start = exchange.now()
    stream = OptionDataStream(KEY, SECRET, url_override=address(exchange, "indicative"))

    def subscribe(hear: Any) -> None:
        stream.subscribe_quotes(hear, symbol)
        stream.subscribe_trades(hear, symbol)

    with running(stream, subscribe) as heard:
        exchange.advance(start + 5 * MINUTE)
        told = [heard.get(timeout=20)]
        while told[-1].timestamp < start + 5 * MINUTE:
            told.append(heard.get(timeout=20))
    quotes = [item for item in told if type(item).__name__ == "Quote"]
    assert [quote.timestamp for quote in quotes] == [start + number * SECOND for number in range(1, 301)]
    latest = exchange.get("/v1beta1/options/quotes/latest", symbols=symbol).json()["quotes"][symbol]
    assert (quotes[-1].bid_price, quotes[-1].ask_price) == (latest["bp"], latest["ap"])
    trades = [item for item in told if type(item).__name__ == "Trade"]
    known = exchange.get("/v1beta1/options/trades", symbols=symbol, start=start.isoformat()).json()["trades"][symbol]
    assert trades and [(t.timestamp, t.price, t.size) for t in trades] == [
        (instant(row["t"]), row["p"], row["s"]) for row in known
    ]


def headlines(exchange: Exchange, start: datetime, end: datetime) -> list[Any]:
    client = NewsClient(KEY, SECRET, url_override=exchange.url)
    found = client.get_news(NewsRequest(start=start, end=end, sort="asc", limit=1000, include_content=True)).data[
        "news"
    ]
    return [article for article in found if article.created_at > start]


def test_the_sdk_hears_the_news_of_rest_when_they_are_published(exchange: Exchange) -> None:
    start = exchange.now()
    stream = NewsDataStream(KEY, SECRET, url_override=address(exchange, "news"))
    with running(stream, lambda hear: stream.subscribe_news(hear, "*")) as heard:
        exchange.advance(start + HOUR)
        known = headlines(exchange, start, start + HOUR)
        assert known
        told = [heard.get(timeout=20) for _ in known]
    assert [article.created_at for article in told] == [article.created_at for article in known]
    plain = [article.model_dump(exclude={"images"}) for article in told]
    expected = [article.model_dump(exclude={"images"}) for article in known]
    assert sorted(plain, key=lambda row: row["id"]) == sorted(expected, key=lambda row: row["id"])


def test_news_are_told_to_who_follows_one_of_their_stocks(exchange: Exchange) -> None:
    start = exchange.now()
    some = [row["symbol"] for row in exchange.get("/v2/assets").json()][:15]
    with listening(exchange, "news") as client:
        assert client.subscribe(news=some) == {"T": "subscription", "news": some}
        exchange.advance(start + 2 * HOUR)
        told = client.until_answer({"action": "subscribe", "news": []})
    published = headlines(exchange, start, start + 2 * HOUR)
    known = [article for article in published if set(some) & set(article.symbols)]
    assert 0 < len(known) < len(published)
    assert sorted(message["id"] for message in told) == sorted(article.id for article in known)


def test_the_full_set_is_told_after_each_change_and_holds_from_then_on(exchange: Exchange) -> None:
    with listening(exchange, "iex") as client:
        first = client.subscribe(bars=["KO", "PFE"], trades=["KO"], lulds=["*"])
        assert first == {
            **EMPTY,
            "corrections": ["KO"],
            "cancelErrors": ["KO"],
            "bars": ["KO", "PFE"],
            "trades": ["KO"],
            "lulds": ["*"],
        }
        (second,) = client.ask({"action": "unsubscribe", "trades": ["KO"], "bars": ["KO"], "quotes": ["NOPE"]})
        assert second == {**EMPTY, "bars": ["PFE"], "lulds": ["*"]}
        exchange.step(120)
        assert [message["S"] for message in client.until_answer({"action": "subscribe", "bars": ["KO"]})] == ["PFE"] * 2
        exchange.step(60)
        assert {message["S"] for message in client.until_answer(ANYTHING)} == {"KO", "PFE"}


def test_a_subscription_in_fragments_is_one_message(exchange: Exchange) -> None:
    with listening(exchange, "iex") as client:
        client.socket.send(['{"action":"subs', 'cribe","bars":["K', 'O"]}'])
        assert client.said()[0]["bars"] == ["KO"]


def test_nothing_of_the_past_is_told_and_nothing_after_the_clock(exchange: Exchange) -> None:
    exchange.step(0.5)
    start = exchange.now()
    with listening(exchange, "iex") as client:
        client.subscribe(quotes=["*"], bars=["*"], trades=["*"])
        assert client.until_answer(ANYTHING) == []
        exchange.step(61)
        told = client.until_answer(ANYTHING)
    assert {message["S"] for message in told} == {row["symbol"] for row in exchange.get("/v2/assets").json()}
    for message in told:
        known = instant(message["t"]) + (MINUTE if message["T"] == "b" else timedelta(0))
        assert start < known <= exchange.now()


def test_the_delayed_feed_tells_of_a_quarter_of_an_hour_ago(exchange: Exchange) -> None:
    start = exchange.now()
    with listening(exchange, "delayed_sip") as client:
        client.subscribe(bars=["KO"])
        exchange.step(5 * 60)
        told = client.until_answer(ANYTHING)
    ended = [instant(message["t"]) + 16 * MINUTE for message in told]
    assert len(ended) == 5 and all(start < at <= start + 5 * MINUTE for at in ended)


@pytest.mark.patient
def test_a_jump_over_two_sessions_tells_both_with_the_contracts_and_news_of_each(tmp_path: Path) -> None:
    following = shift(SESSION, 1)
    started = prepare(tmp_path / "two", CLOSE - 10 * MINUTE, last_session=following.key).start()
    try:
        symbol, _ = call_near_the_money(started)
        begin = started.now()
        with (
            listening(started, "iex") as stocks,
            listening(started, "news") as news,
            listening(started, "opra", packed=True) as options,
        ):
            stocks.subscribe(bars=["KO"], statuses=["KO"])
            news.subscribe(news=["*"])
            options.subscribe(quotes=[symbol])
            started.advance(following.open + 2 * MINUTE)
            told = stocks.until_answer(ANYTHING)
            bars = rest_bars(started, ["KO"], begin, following.open + 2 * MINUTE)["KO"]
            assert [instant(m["t"]) for m in told if m["T"] == "b"] == [bar.timestamp for bar in bars]
            assert [m["sc"] for m in told if m["T"] == "s"] == ["H", "T"]
            articles = news.until_answer({"action": "subscribe", "news": []})
            known = headlines(started, begin, started.now())
            assert any(article.created_at < following.open for article in known), "the morning's are among them"
            assert sorted(m["id"] for m in articles) == sorted(article.id for article in known)
            quotes = options.until_answer({"action": "subscribe", "quotes": []})
            before = [quote for quote in quotes if quote["t"] <= CLOSE]
            assert [quote["t"] for quote in before] == [begin + n * SECOND for n in range(1, 601)]
            assert all(quote["bp"] > 0 for quote in before[:-1])
    finally:
        started.stop()


def test_an_exchange_with_listeners_ends_when_it_is_told_to(tmp_path: Path) -> None:
    started = prepare(tmp_path / "ending", OPEN).start()
    with listening(started, "iex") as client, connected(started, "news"):
        client.subscribe(quotes=["*"])
        started.stop()
        assert started.process is not None and started.process.returncode is not None


def test_timestamps_in_messagepack_are_its_own_type(exchange: Exchange) -> None:
    with listening(exchange, "iex", packed=True) as client:
        client.subscribe(bars=["KO"])
        exchange.step(60)
        (bar,) = client.told(1)
    assert isinstance(bar["t"], datetime) and bar["t"].tzinfo is UTC


class Idle(Reporter):
    """One that may not be asked for anything."""

    def between(self, *asked: Any) -> Any:
        raise AssertionError("something was computed for nobody")

    brought = between


def test_nothing_is_computed_where_nobody_listens(tmp_path: Path) -> None:
    async def play() -> None:
        settings = config()
        journal = Journal(tmp_path / "journal.jsonl")
        venue = Venue(settings, market_source(settings, tmp_path), journal)
        streams = DataStreams(venue, lambda key, secret: None, Idle(BarBook(), Newsroom(None)))
        venue.on_event, venue.on_durable = streams.applied, streams.durable
        await venue.advance_to(OPEN + 3 * HOUR)
        await asyncio.sleep(0)
        assert venue.world.now == OPEN + 3 * HOUR
        journal.close()

    asyncio.run(play())
