"""The exchange's answers are those that the broker's published documents describe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from trading_assets_tests.exchange.openapi import Document
from trading_assets_tests.exchange.stream_clients import listening
from trading_assets_tests.exchange.test_trading import call_near_the_money, limit
from trading_assets_tests.exchange.venue_process import OPEN, SESSION, Exchange, prepare


@pytest.fixture(scope="module")
def trading(recorded_data: Path) -> Document:
    return Document(recorded_data / "alpaca" / "A5_openapi" / "trading-api.json")


@pytest.fixture(scope="module")
def data(recorded_data: Path) -> Document:
    return Document(recorded_data / "alpaca" / "A5_openapi" / "market-data-api.json")


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """An account that holds a stock and an option, has orders of many kinds and a little history."""
    running = prepare(tmp_path_factory.mktemp("openapi"), OPEN + timedelta(hours=2)).start()
    symbol, _ = call_near_the_money(running)
    market = {"side": "buy", "type": "market", "time_in_force": "day"}
    running.post({**market, "symbol": "KO", "qty": 5})
    running.post({**market, "symbol": symbol, "qty": 1})
    running.step(30)
    legs = {"take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 1}}
    running.post({**market, "symbol": "PFE", "qty": 1, "order_class": "bracket", **legs})
    running.post(limit("MSFT", "buy", 1, 5))
    trail = {"symbol": "KO", "side": "sell", "qty": 1, "type": "trailing_stop", "time_in_force": "gtc"}
    running.post({**trail, "trail_percent": 5})
    running.step(30)
    yield running
    running.stop()


#: The daily history of this market counts no trades: the two keys are null there, as the SDK takes them. What an option
#: closed at before it was listed in the present session is not known.
_KNOWN = re.compile(
    r"(bars\.[A-Z]+\[\d+\]|prevDailyBar|dailyBar)\.(n|vw): None is not of type"
    r"|'(lastday_price|change_today)' is a required property"
)


def checked(document: Document, exchange: Exchange, method: str, path: str, **sent: Any) -> Any:
    """Ask, and compare with the document; the answer."""
    answer = httpx.request(method, exchange.url + path, headers=dict(exchange.headers), **sent)
    body = answer.json() if answer.content else None
    troubles = [line for line in document.troubles(method, path, answer.status_code, body) if not _KNOWN.search(line)]
    assert troubles == [], f"{method} {path} {answer.status_code}"
    return body


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v2/account", {}),
        ("/v2/account/configurations", {}),
        ("/v2/account/activities", {}),
        ("/v2/account/activities/FILL", {}),
        ("/v2/account/portfolio/history", {"timeframe": "1D"}),
        ("/v2/clock", {}),
        ("/v2/calendar", {"start": "2026-03-02", "end": "2026-03-20"}),
        ("/v2/assets", {}),
        ("/v2/assets/KO", {}),
        ("/v2/orders", {"status": "all"}),
        ("/v2/orders", {"status": "all", "nested": "true"}),
        ("/v2/positions", {}),
        ("/v2/positions/KO", {}),
        ("/v2/options/contracts", {"underlying_symbols": "NVDA"}),
    ],
)
def test_what_is_read_of_an_account_is_as_documented(
    trading: Document, exchange: Exchange, path: str, params: dict[str, str]
) -> None:
    assert checked(trading, exchange, "GET", path, params=params)


def test_orders_of_every_kind_and_their_ends_are_as_documented(trading: Document, exchange: Exchange) -> None:
    order = checked(trading, exchange, "POST", "/v2/orders", json=limit("MSFT", "buy", 2, 5))
    path = f"/v2/orders/{order['id']}"
    assert checked(trading, exchange, "GET", path)["id"] == order["id"]
    by_client = {"client_order_id": order["client_order_id"]}
    assert checked(trading, exchange, "GET", "/v2/orders:by_client_order_id", params=by_client)["id"] == order["id"]
    changed = checked(trading, exchange, "PATCH", path, json={"limit_price": "6"})
    checked(trading, exchange, "DELETE", f"/v2/orders/{changed['id']}")
    assert checked(trading, exchange, "DELETE", "/v2/orders")
    sold = checked(trading, exchange, "DELETE", "/v2/positions/KO", params={"qty": "1"})
    assert sold["side"] == "sell"
    assert checked(trading, exchange, "DELETE", "/v2/positions", params={"cancel_orders": "true"})


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v2/stocks/bars", {"symbols": "KO,PFE", "timeframe": "1Min", "limit": "50"}),
        ("/v2/stocks/bars", {"symbols": "KO", "timeframe": "1Day", "start": "2026-01-05"}),
        ("/v2/stocks/bars/latest", {"symbols": "KO"}),
        ("/v2/stocks/quotes/latest", {"symbols": "KO"}),
        ("/v2/stocks/trades/latest", {"symbols": "KO"}),
        ("/v2/stocks/snapshots", {"symbols": "KO,PFE"}),
        ("/v2/stocks/quotes", {"symbols": "KO,PFE", "limit": "50"}),
        ("/v2/stocks/trades", {"symbols": "KO,PFE", "limit": "50"}),
        ("/v2/stocks/KO/bars", {"timeframe": "1Min", "limit": "50"}),
        ("/v2/stocks/KO/quotes", {"limit": "50"}),
        ("/v2/stocks/KO/trades", {"limit": "50"}),
        ("/v2/stocks/KO/bars/latest", {}),
        ("/v2/stocks/KO/quotes/latest", {}),
        ("/v2/stocks/KO/trades/latest", {}),
        ("/v2/stocks/KO/snapshot", {}),
        ("/v1beta1/options/snapshots/NVDA", {"expiration_date_gte": SESSION.isoformat(), "limit": "20"}),
        ("/v1beta1/news", {"limit": "5", "include_content": "true"}),
        ("/v1/corporate-actions", {"symbols": "KO"}),
    ],
)
def test_market_data_are_as_documented(data: Document, exchange: Exchange, path: str, params: dict[str, str]) -> None:
    assert checked(data, exchange, "GET", path, params=params)


@pytest.mark.parametrize("path", ["bars", "trades", "trades/latest", "quotes/latest", "snapshots"])
def test_data_of_named_contracts_are_as_documented(data: Document, exchange: Exchange, path: str) -> None:
    symbol, _ = call_near_the_money(exchange)
    since = (exchange.now() - timedelta(minutes=10)).isoformat()
    found = checked(data, exchange, "GET", f"/v1beta1/options/{path}", params={"symbols": symbol, "start": since})
    assert found[path.partition("/")[0]][symbol]


#: The frames of the sockets are not in the documents, but what they carry is: its schema, and what the frame adds.
_CARRIED = {
    ("iex", "b"): "stock_bar",
    ("iex", "d"): "stock_bar",
    ("iex", "q"): "stock_quote",
    ("iex", "t"): "stock_trade",
    ("indicative", "q"): "option_quote",
    ("indicative", "t"): "option_trade",
    ("news", "n"): "news",
}


@pytest.mark.parametrize("feed", ["iex", "indicative", "news"])
def test_what_the_sockets_tell_has_the_documented_shapes(data: Document, exchange: Exchange, feed: str) -> None:
    symbol, _ = call_near_the_money(exchange)
    channels = {
        "iex": {"bars": ["*"], "dailyBars": ["*"], "quotes": ["KO"], "trades": ["KO"]},
        "indicative": {"quotes": [symbol], "trades": [symbol]},
        "news": {"news": ["*"]},
    }[feed]
    with listening(exchange, feed, packed=feed == "indicative") as client:
        client.subscribe(**channels)
        exchange.step(20 * 60)
        told = client.until_answer({"action": "subscribe", next(iter(channels)): []})
    assert {(feed, message["T"]) for message in told} == {kind for kind in _CARRIED if kind[0] == feed}
    for message in told:
        plain = orjson.loads(orjson.dumps(message))
        del plain["T"]
        # An article in a frame has no images, as the SDK's model says.
        carried = {**plain, "images": []} if feed == "news" else {k: v for k, v in plain.items() if k != "S"}
        assert data.troubles_of(_CARRIED[feed, message["T"]], carried) == []


def test_the_comparison_finds_what_is_wrong(trading: Document, exchange: Exchange) -> None:
    order = exchange.post(limit("MSFT", "buy", 1, 5)).json()
    wrong = {**order, "status": "dreaming", "qty": 1}
    found = trading.troubles("POST", "/v2/orders", 200, wrong)
    assert any("status" in line for line in found) and any("qty" in line for line in found)
    assert trading.troubles("GET", "/v2/clock", 200, {"is_open": "yes"})
    assert trading.find("GET", "/v2/orders/123") == ("/v2/orders/{order_id}", "get")
