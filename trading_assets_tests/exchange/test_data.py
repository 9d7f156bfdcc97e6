"""Market data and news through the unmodified SDK and feedparser: nothing of the future, every page, honest caching."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import feedparser
import httpx
import pytest
from alpaca.data.requests import (
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionSnapshotRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame

from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, SESSION, Exchange, prepare

START = OPEN - timedelta(minutes=5)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """Its time only moves forward, in the order of the tests below."""
    running = prepare(tmp_path_factory.mktemp("data"), START).start()
    yield running
    running.stop()


def minute_bars(
    exchange: Exchange, symbols: list[str], start: datetime, **more: Any
) -> dict[str, list[dict[str, Any]]]:
    request = StockBarsRequest(symbol_or_symbols=symbols, timeframe=TimeFrame.Minute, start=start, **more)
    found: dict[str, list[dict[str, Any]]] = exchange.stocks(raw=True).get_stock_bars(request)
    return found


def starts(bars: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(bar["t"].replace("Z", "+00:00")) for bar in bars]


def test_before_the_open_there_is_history_and_nothing_of_today(exchange: Exchange) -> None:
    assert minute_bars(exchange, ["KO"], OPEN) == {}
    yesterday = shift(SESSION, -1)
    bars = minute_bars(exchange, ["KO"], yesterday.open)["KO"]
    assert len(bars) == 390 and starts(bars)[-1] == yesterday.close - MINUTE
    quote = exchange.stocks().get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="KO"))["KO"]
    assert quote.timestamp == yesterday.close and quote.bid_price < quote.ask_price
    snapshot = exchange.stocks(raw=True).get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="KO"))["KO"]
    assert snapshot["dailyBar"]["c"] == bars[-1]["c"] == snapshot["minuteBar"]["c"]


def test_a_minute_bar_appears_when_its_minute_has_ended_and_never_changes(exchange: Exchange) -> None:
    exchange.advance(OPEN + timedelta(seconds=59.5))
    assert minute_bars(exchange, ["KO"], OPEN) == {}
    exchange.advance(OPEN + MINUTE)
    first = minute_bars(exchange, ["KO"], OPEN)["KO"]
    assert starts(first) == [OPEN]
    exchange.advance(OPEN + 30 * MINUTE + timedelta(seconds=30))
    later = minute_bars(exchange, ["KO"], OPEN)["KO"]
    assert starts(later) == [OPEN + MINUTE * number for number in range(30)] and later[0] == first[0]
    asked = minute_bars(exchange, ["KO"], OPEN, end=CLOSE)["KO"]
    assert asked == later


def test_bars_of_many_symbols_come_in_pages_that_join_without_gap_or_double(exchange: Exchange) -> None:
    symbols = ["NVDA", "AAPL", "MSFT"]
    whole = minute_bars(exchange, symbols, OPEN)
    assert {symbol: len(bars) for symbol, bars in whole.items()} == dict.fromkeys(symbols, 30)
    joined: dict[str, list[dict[str, Any]]] = {}
    token = None
    while True:
        query = {"symbols": ",".join(symbols), "timeframe": "1Min", "start": OPEN.isoformat(), "limit": 7}
        page = exchange.get("/v2/stocks/bars", **query, **({"page_token": token} if token else {})).json()
        assert 1 <= sum(len(bars) for bars in page["bars"].values()) <= 7
        for symbol, bars in page["bars"].items():
            joined.setdefault(symbol, []).extend(bars)
        token = page["next_page_token"]
        if token is None:
            break
    assert joined == whole and list(joined) == sorted(symbols)
    newest = minute_bars(exchange, ["NVDA"], OPEN, sort="desc", limit=3)["NVDA"]
    assert newest == whole["NVDA"][::-1][:3]


def test_time_that_moves_between_two_pages_doubles_and_loses_no_bar(exchange: Exchange) -> None:
    query = {"symbols": "AAPL,MSFT", "timeframe": "1Min", "start": OPEN.isoformat(), "limit": 40}
    page = exchange.get("/v2/stocks/bars", **query).json()
    exchange.advance(exchange.now() + 5 * MINUTE)
    rest = exchange.get("/v2/stocks/bars", **query, page_token=page["next_page_token"]).json()
    joined = page["bars"]["MSFT"] + rest["bars"]["MSFT"]
    assert starts(joined) == [OPEN + MINUTE * number for number in range(35)]


def test_the_sdk_builds_its_models_from_bars_trades_and_snapshots(exchange: Exchange) -> None:
    client = exchange.stocks()
    request = StockBarsRequest(symbol_or_symbols="SPY", timeframe=TimeFrame.Minute, start=OPEN)
    bar = client.get_stock_bars(request)["SPY"][-1]
    assert bar.low <= bar.vwap <= bar.high and bar.volume > 0 and bar.trade_count > 0
    latest = client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="SPY"))["SPY"]
    assert latest.timestamp == bar.timestamp and latest.close == bar.close
    trade = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="SPY"))["SPY"]
    assert trade.timestamp == exchange.now()
    snapshot = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=["SPY", "NOPE"]))
    assert set(snapshot) == {"SPY"}
    bars = client.get_stock_bars(request)["SPY"]
    today = snapshot["SPY"].daily_bar
    assert (today.open, today.close) == (bars[0].open, bars[-1].close)
    assert today.high == max(bar.high for bar in bars) and today.volume == sum(bar.volume for bar in bars)


def test_the_chain_has_quotes_greeks_and_volume_and_its_filters_and_pages_hold(exchange: Exchange) -> None:
    request = {"underlying_symbol": "SPY", "expiration_date_lte": SESSION + timedelta(days=10)}
    chain = exchange.options().get_option_chain(OptionChainRequest(**request))
    now = exchange.now()
    assert len(chain) > 100
    for symbol, line in chain.items():
        assert symbol.startswith("SPY") and line.latest_quote.timestamp == now
        assert 0 <= line.latest_quote.bid_price < line.latest_quote.ask_price
        assert line.implied_volatility > 0 and (line.greeks.delta >= 0 if symbol[9] == "C" else line.greeks.delta <= 0)
    raw = exchange.options(raw=True).get_option_chain(OptionChainRequest(**request))
    assert all(line["dailyBar"]["v"] >= 0 for line in raw.values())
    joined, token = list[str](), None
    while True:
        query = {"limit": 50, "expiration_date_lte": str(SESSION + timedelta(days=10))}
        page = exchange.get(
            "/v1beta1/options/snapshots/SPY", **query, **({"page_token": token} if token else {})
        ).json()
        joined += page["snapshots"]
        token = page["next_page_token"]
        if token is None:
            break
    assert joined == sorted(chain)
    spot = exchange.stocks().get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="SPY"))["SPY"].price
    calls = exchange.options().get_option_chain(
        OptionChainRequest(**request, type="call", strike_price_gte=spot - 5, strike_price_lte=spot + 5)
    )
    assert calls and all(symbol[9] == "C" and abs(int(symbol[-8:]) / 1000 - spot) <= 5 for symbol in calls)


def test_named_contracts_have_the_same_market_everywhere(exchange: Exchange) -> None:
    chain = exchange.options(raw=True).get_option_chain(OptionChainRequest(underlying_symbol="AAPL"))
    names = sorted(chain)[:3]
    asked = [*names, "AAPL260313C99999000", "nonsense"]
    snapshots = exchange.options(raw=True).get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=asked))
    assert snapshots == {name: chain[name] for name in names}
    quotes = exchange.options(raw=True).get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=asked))
    assert quotes == {name: chain[name]["latestQuote"] for name in names}


@pytest.mark.parametrize(
    "query",
    [
        {"timeframe": "70Min"},
        {"timeframe": "1Min", "start": "yesterday"},
        {"timeframe": "1Min", "limit": "many"},
        {"timeframe": "1Min", "page_token": "bogus"},
        {"timeframe": "1Min", "page_token": "S098Ng=="},
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(exchange: Exchange, query: dict[str, str]) -> None:
    response = exchange.get("/v2/stocks/bars", symbols="KO", **query)
    assert response.status_code == 400 and "invalid value" in response.json()["message"]


def test_feeds_show_only_what_was_published_newest_first(exchange: Exchange) -> None:
    feeds = httpx.get(exchange.url + "/rss/").json()["feeds"]
    assert len(feeds) == 3
    total = 0
    for feed in feeds:
        parsed = feedparser.parse(httpx.get(exchange.url + feed["path"]).content)
        assert parsed.version == "rss20" and not parsed.bozo and 0 < len(parsed.entries) <= 50
        times = [parsedate_to_datetime(entry.published) for entry in parsed.entries]
        assert times == sorted(times, reverse=True) and times[0] <= exchange.now()
        assert len({entry.id for entry in parsed.entries}) == len(parsed.entries)
        total += len(parsed.entries)
    assert 0 < total <= exchange.status()["headlines_published"]
    assert httpx.get(exchange.url + "/rss/none.xml").status_code == 404


def test_a_client_with_a_current_copy_gets_304_until_something_new_is_published(exchange: Exchange) -> None:
    path = exchange.url + httpx.get(exchange.url + "/rss/").json()["feeds"][0]["path"]
    first = httpx.get(path)
    validators = {"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}
    for headers in validators:
        unchanged = httpx.get(path, headers=headers)
        assert unchanged.status_code == 304 and unchanged.content == b""
    seen = {entry.id for entry in feedparser.parse(first.content).entries}
    for _ in range(12):
        exchange.advance(exchange.now() + 30 * MINUTE)
        if httpx.get(path).content != first.content:
            break
    for headers in validators:
        changed = httpx.get(path, headers=headers)
        assert changed.status_code == 200
        assert {entry.id for entry in feedparser.parse(changed.content).entries} - seen


def test_the_daily_bar_of_today_appears_after_the_close_and_is_made_of_its_minutes(exchange: Exchange) -> None:
    request = StockBarsRequest(
        symbol_or_symbols="KO", timeframe=TimeFrame.Day, start=OPEN - timedelta(days=500), end=CLOSE
    )
    exchange.advance(CLOSE - timedelta(seconds=1))
    before = exchange.stocks(raw=True).get_stock_bars(request)["KO"]
    exchange.advance(CLOSE)
    after = exchange.stocks(raw=True).get_stock_bars(request)["KO"]
    assert len(before) >= 300 and after[:-1] == before
    minutes = minute_bars(exchange, ["KO"], OPEN)["KO"]
    assert len(minutes) == 390
    today = after[-1]
    assert (today["o"], today["c"]) == (minutes[0]["o"], minutes[-1]["c"])
    assert today["h"] == max(bar["h"] for bar in minutes) and today["v"] == sum(bar["v"] for bar in minutes)
    assert today["t"].startswith("2026-03-13T04:00:00") and "vw" in today and "n" in today
