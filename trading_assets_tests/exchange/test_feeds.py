"""What an account without the feed of all exchanges may see, in REST: refused where the broker refuses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.enums import DataFeed, OptionsFeed
from alpaca.data.requests import (
    OptionChainRequest,
    OptionLatestQuoteRequest,
    StockBarsRequest,
    StockLatestQuoteRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame

from trading_assets_tests.exchange.test_trading import call_near_the_money
from trading_assets_tests.exchange.venue_process import MINUTE, OPEN, Exchange, prepare

NOW = OPEN + 60 * MINUTE
RECENT = (403, 42210000, "subscription does not permit querying recent SIP data")


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    plan = {"feeds": ["iex", "indicative", "news"]}
    running = prepare(tmp_path_factory.mktemp("free"), NOW, streams=plan).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("paid"), NOW).start()
    yield running
    running.stop()


def bars(exchange: Exchange, **asked: Any) -> list[Any]:
    request = StockBarsRequest(symbol_or_symbols="KO", timeframe=TimeFrame.Minute, start=OPEN, **asked)
    found: list[Any] = exchange.stocks().get_stock_bars(request).data["KO"]
    return found


def refused(error: APIError) -> tuple[int, int, str]:
    return error.status_code, error.code, error.message


def test_the_free_plan_has_all_exchanges_a_quarter_of_an_hour_late_and_one_of_them_now(free: Exchange) -> None:
    assert [bar.timestamp for bar in bars(free)][-1] == NOW - 15 * MINUTE
    assert [bar.timestamp for bar in bars(free, feed=DataFeed.IEX)][-1] == NOW - MINUTE
    assert len(bars(free, feed=DataFeed.SIP, end=NOW - 15 * MINUTE)) == len(bars(free))
    for end in (NOW, NOW + timedelta(days=1), NOW - 14 * MINUTE):
        with pytest.raises(APIError) as error:
            bars(free, feed=DataFeed.SIP, end=end)
        assert refused(error.value) == RECENT


def test_what_all_exchanges_quote_now_is_not_in_the_free_plan(free: Exchange) -> None:
    client = free.stocks()
    for ask, request in (
        (client.get_stock_latest_quote, StockLatestQuoteRequest),
        (client.get_stock_snapshot, StockSnapshotRequest),
    ):
        with pytest.raises(APIError) as error:
            ask(request(symbol_or_symbols="KO", feed=DataFeed.SIP))
        assert refused(error.value) == RECENT
        assert "KO" in ask(request(symbol_or_symbols="KO", feed=DataFeed.IEX)) and ask(request(symbol_or_symbols="KO"))
    late = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="KO", feed=DataFeed.DELAYED_SIP))
    assert late["KO"].timestamp == NOW - 15 * MINUTE


def test_options_of_the_free_plan_are_indicative(free: Exchange) -> None:
    symbol, _ = call_near_the_money(free)
    client = free.options()
    for feed in (None, OptionsFeed.INDICATIVE):
        assert client.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=symbol, feed=feed))
    with pytest.raises(APIError) as error:
        client.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=symbol, feed=OptionsFeed.OPRA))
    assert refused(error.value) == (403, 40310000, "OPRA agreement is not signed")
    with pytest.raises(APIError):
        client.get_option_chain(OptionChainRequest(underlying_symbol="NVDA", feed=OptionsFeed.OPRA))


def test_who_is_subscribed_sees_everything_now(paid: Exchange) -> None:
    assert (
        [bar.timestamp for bar in bars(paid, feed=DataFeed.SIP, end=NOW)][-1]
        == NOW - MINUTE
        == bars(paid)[-1].timestamp
    )
    request = StockLatestQuoteRequest(symbol_or_symbols="KO", feed=DataFeed.SIP)
    assert paid.stocks().get_stock_latest_quote(request)["KO"].timestamp == NOW
    late = StockSnapshotRequest(symbol_or_symbols="KO", feed=DataFeed.DELAYED_SIP)
    snapshot = paid.stocks().get_stock_snapshot(late)["KO"]
    assert snapshot.latest_trade.timestamp == NOW - 15 * MINUTE
    assert snapshot.minute_bar.timestamp == NOW - 16 * MINUTE and snapshot.daily_bar.volume > 0


@pytest.mark.parametrize(
    "query",
    [{"feed": "otc"}, {"feed": "overnight"}, {"feed": "siip"}, {"currency": "EUR"}],
    ids=["another market", "another time", "no feed", "another currency"],
)
@pytest.mark.parametrize("path", ["bars", "quotes/latest", "snapshots"])
def test_a_feed_or_a_currency_that_is_not_here_is_refused(paid: Exchange, path: str, query: dict[str, str]) -> None:
    said = paid.get(f"/v2/stocks/{path}", symbols="KO", timeframe="1Min", **query)
    assert said.status_code == 400 and next(iter(query)) in said.json()["message"]
