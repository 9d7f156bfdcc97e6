"""Quotes and trades of the past, single-symbol forms, and what was traded of options: what is known, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.data.requests import (
    OptionBarsRequest,
    OptionLatestTradeRequest,
    OptionTradesRequest,
    StockQuotesRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame

from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.stream_clients import instant
from trading_assets_tests.exchange.test_trading import call_near_the_money
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, SESSION, Exchange, prepare

NOW = OPEN + 30 * MINUTE
SECOND = timedelta(seconds=1)
YESTERDAY = shift(SESSION, -1)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    started = prepare(tmp_path_factory.mktemp("history"), NOW).start()
    yield started
    started.stop()


def test_the_sdk_reads_quotes_of_each_second_up_to_now_and_of_earlier_sessions(exchange: Exchange) -> None:
    request = StockQuotesRequest(symbol_or_symbols=["KO", "NOPE"], start=OPEN, end=CLOSE)
    quotes = exchange.stocks().get_stock_quotes(request).data["KO"]
    assert [quote.timestamp for quote in quotes] == [OPEN + number * SECOND for number in range(30 * 60 + 1)]
    latest = exchange.get("/v2/stocks/KO/quotes/latest").json()["quote"]
    assert (quotes[-1].bid_price, quotes[-1].ask_price) == (latest["bp"], latest["ap"])
    end = StockQuotesRequest(symbol_or_symbols="KO", start=YESTERDAY.close - MINUTE, end=OPEN - SECOND)
    before = exchange.stocks().get_stock_quotes(end).data["KO"]
    assert [quote.timestamp for quote in before] == [YESTERDAY.close - n * SECOND for n in range(60, -1, -1)]
    assert all(quote.bid_price < quote.ask_price for quote in before)


def test_trades_lie_within_the_bars_of_their_minutes(exchange: Exchange) -> None:
    trades = exchange.stocks().get_stock_trades(StockTradesRequest(symbol_or_symbols="KO", start=OPEN)).data["KO"]
    bars = exchange.get("/v2/stocks/KO/bars", timeframe="1Min", start=OPEN.isoformat()).json()["bars"]
    assert len(bars) == 30
    for bar in bars:
        start = instant(bar["t"])
        within = [trade.price for trade in trades if start <= trade.timestamp < start + MINUTE]
        assert len(within) == 60 and within[0] == bar["o"] and within[-1] == bar["c"]
        assert bar["l"] <= min(within) and max(within) <= bar["h"]
    assert len({trade.id for trade in trades}) == len(trades)


@pytest.mark.parametrize("sort", ["asc", "desc"])
@pytest.mark.parametrize("kind", ["quotes", "trades"])
def test_pages_join_without_gap_or_double_while_time_moves(exchange: Exchange, kind: str, sort: str) -> None:
    start, token = exchange.now() - 90 * SECOND, None
    joined: dict[str, list[dict[str, Any]]] = {}
    until = exchange.now()
    while True:
        query = {"symbols": "PFE,KO", "start": start.isoformat(), "end": until.isoformat(), "limit": 40, "sort": sort}
        page = exchange.get(f"/v2/stocks/{kind}", **query, **({"page_token": token} if token else {})).json()
        for symbol, rows in page[kind].items():
            joined.setdefault(symbol, []).extend(rows)
        exchange.step(1)
        token = page["next_page_token"]
        if token is None:
            break
    expected = [start + number * SECOND for number in range(91)][:: 1 if sort == "asc" else -1]
    assert list(joined) == ["KO", "PFE"]
    for rows in joined.values():
        assert [instant(row["t"]) for row in rows] == expected


@pytest.mark.parametrize("token", ["bogus", "S098Ng==", "Tk9QRXwyMDI2LTAzLTEzVDEzOjMwOjAwKzAwOjAw"])
def test_a_token_that_names_nothing_is_refused(exchange: Exchange, token: str) -> None:
    said = exchange.get("/v2/stocks/quotes", symbols="KO", page_token=token)
    assert said.status_code == 400 and "page_token" in said.json()["message"]


def test_one_symbol_has_what_it_has_among_many(exchange: Exchange) -> None:
    for kind in ("bars", "quotes", "trades"):
        alone = exchange.get(f"/v2/stocks/KO/{kind}", limit=5).json()
        among = exchange.get(f"/v2/stocks/{kind}", symbols="KO", limit=5).json()
        assert alone == {"symbol": "KO", kind: among[kind]["KO"], "next_page_token": among["next_page_token"]}
        latest = exchange.get(f"/v2/stocks/{kind}/latest", symbols="KO,PFE").json()[kind]
        assert exchange.get(f"/v2/stocks/KO/{kind}/latest").json() == {"symbol": "KO", kind[:-1]: latest["KO"]}
        assert exchange.get(f"/v2/stocks/NOPE/{kind}/latest").status_code == 404
        assert exchange.get(f"/v2/stocks/NOPE/{kind}").json() == {"symbol": "NOPE", kind: [], "next_page_token": None}
    whole = exchange.get("/v2/stocks/snapshots", symbols="KO").json()["KO"]
    assert exchange.get("/v2/stocks/KO/snapshot").json() == {"symbol": "KO", **whole}
    assert exchange.get("/v2/stocks/NOPE/snapshot").status_code == 404


def test_the_bars_of_a_contract_are_made_of_its_trades_and_add_up_to_its_volume(exchange: Exchange) -> None:
    symbol, _ = call_near_the_money(exchange)
    client, until = exchange.options(), exchange.now()
    trades = client.get_option_trades(OptionTradesRequest(symbol_or_symbols=symbol, start=OPEN)).data[symbol]
    request = OptionBarsRequest(symbol_or_symbols=symbol, timeframe=TimeFrame.Minute, start=OPEN)
    bars = client.get_option_bars(request).data[symbol]
    snapshot = exchange.get("/v1beta1/options/snapshots", symbols=symbol).json()["snapshots"][symbol]
    assert sum(trade.size for trade in trades) == snapshot["dailyBar"]["v"]
    assert all(OPEN <= trade.timestamp < until for trade in trades)
    for bar in bars:
        within = [trade for trade in trades if bar.timestamp <= trade.timestamp < bar.timestamp + MINUTE]
        prices = [trade.price for trade in within]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert (bar.volume, bar.trade_count) == (sum(trade.size for trade in within), len(within))
        assert bar.low <= bar.vwap <= bar.high and bar.timestamp + MINUTE <= until
    backwards = exchange.get("/v1beta1/options/bars", symbols=symbol, timeframe="1Min", sort="desc", limit=3).json()
    assert [instant(row["t"]) for row in backwards["bars"][symbol]] == [bar.timestamp for bar in bars[::-1][:3]]
    few = {"symbols": symbol, "start": OPEN.isoformat(), "end": until.isoformat(), "limit": 7}
    for sort in ("asc", "desc"):
        joined: list[Any] = []
        token: str | None = None
        while len(joined) < 25:
            place = {"page_token": token} if token else {}
            page = exchange.get("/v1beta1/options/trades", **few, sort=sort, **place).json()
            joined += page["trades"][symbol]
            token = page["next_page_token"]
        expected = trades[: len(joined)] if sort == "asc" else trades[::-1][: len(joined)]
        assert [(instant(row["t"]), row["s"]) for row in joined] == [(t.timestamp, t.size) for t in expected]
    latest = client.get_option_latest_trade(OptionLatestTradeRequest(symbol_or_symbols=[symbol, "nonsense"]))
    assert {name: trade.price for name, trade in latest.items()} == {symbol: snapshot["latestTrade"]["p"]}


@pytest.mark.parametrize(
    ("path", "query", "status", "words"),
    [
        ("options/trades", {"start": YESTERDAY.key}, 422, "for the session of 2026-03-13 alone"),
        ("options/bars", {"start": YESTERDAY.key, "timeframe": "1Min"}, 422, "for the session of 2026-03-13 alone"),
        ("options/bars", {"timeframe": "1Day"}, 400, "invalid value for timeframe"),
    ],
)
def test_what_the_market_cannot_know_of_options_is_refused_by_name(
    exchange: Exchange, path: str, query: dict[str, str], status: int, words: str
) -> None:
    said = exchange.get(f"/v1beta1/{path}", symbols="AAPL260320C00200000", **query)
    assert said.status_code == status and words in said.json()["message"]


def test_a_range_in_the_future_is_empty(exchange: Exchange) -> None:
    later: datetime = exchange.now() + MINUTE
    for kind in ("quotes", "trades", "bars"):
        found = exchange.get(f"/v2/stocks/{kind}", symbols="KO", start=later.isoformat(), end=CLOSE.isoformat()).json()
        assert found == {kind: {}, "next_page_token": None}
