"""Each refusal that clients of the broker know, asked for through the unmodified SDK: status, code, text and extras."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.client import TradingClient

from trading_assets_tests.exchange.test_trading import call_near_the_money, limit
from trading_assets_tests.exchange.venue_process import CLOSE, KEY, OPEN, SECRET, Exchange, prepare

MARKET = {"type": "market", "time_in_force": "day"}
BRACKET = {"order_class": "bracket", "take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 1}}
NOBODY = "5b9f0f5e-43f1-4b6a-9d54-6f4f0f1f0a11"


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One account holds ten shares of KO and a filled order; the other has little cash and may only cover."""
    rich = {"name": "one", "key": KEY, "secret": SECRET, "cash": "50000", "options_level": 2}
    poor = {"name": "two", "key": "PKTWO", "secret": "secret-of-two", "cash": "1000", "options_level": 1}
    running = prepare(tmp_path_factory.mktemp("refusals"), OPEN + timedelta(hours=1), accounts=[rich, poor]).start()
    running.post({**MARKET, "symbol": "KO", "side": "buy", "qty": 10})
    poorer(running).post("/orders", {**MARKET, "symbol": "AMD", "side": "buy", "qty": 1})
    running.step(60)
    yield running
    running.stop()


def poorer(exchange: Exchange) -> Any:
    return TradingClient("PKTWO", "secret-of-two", paper=True, raw_data=True, url_override=exchange.url)


def refused(client: Any, method: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """What the SDK raises: status and the whole body."""
    call = {"GET": client.get, "POST": client.post, "PATCH": client.patch, "DELETE": client.delete}[method]
    with pytest.raises(APIError) as error:
        call(path, body)
    found: dict[str, Any] = json.loads(str(error.value))
    assert (error.value.code, error.value.message) == (found["code"], found["message"])
    return error.value.status_code, found


def option_of(exchange: Exchange, ticker: str, right: str) -> str:
    chain = exchange.get(f"/v1beta1/options/snapshots/{ticker}", type=right, expiration_date_gte="2026-03-20").json()
    near = (s for s, row in chain["snapshots"].items() if 0.3 < abs(row.get("greeks", {}).get("delta", 0)) < 0.6)
    return min(near)


@pytest.mark.parametrize(
    ("body", "status", "code", "words", "extras"),
    [
        pytest.param(
            limit("MSFT", "buy", 1000, 400),
            403,
            40310000,
            "insufficient buying power",
            {"buying_power", "cost_basis"},
            id="buying-power",
        ),
        pytest.param(
            limit("KO", "sell", 11, 400),
            403,
            40310000,
            r"insufficient qty available for order \(requested: 11, available: 10\)",
            {"available", "existing_qty", "held_for_orders", "related_orders", "symbol"},
            id="quantity",
        ),
        pytest.param(
            {**limit("KO", "buy", 1, 400), "type": "stop", "limit_price": None, "stop_price": 400, **BRACKET},
            422,
            40010001,
            "bracket orders must be market or limit orders",
            set(),
            id="bracket-type",
        ),
        pytest.param(
            {**MARKET, "symbol": "KO", "side": "sell", "qty": 1, **BRACKET},
            422,
            42210000,
            "bracket orders must be entry orders",
            set(),
            id="bracket-that-sells",
        ),
        pytest.param(
            {**MARKET, "symbol": "KO", "side": "buy", "qty": 1, **BRACKET, "stop_loss": {"stop_price": 899}},
            422,
            42210000,
            r"stop_loss.stop_price must be <= base_price - 0.01",
            {"base_price"},
            id="stop-loss-above",
        ),
        pytest.param(
            {**MARKET, "symbol": "KO", "side": "buy", "qty": 1, **BRACKET, "take_profit": {"limit_price": 2}},
            422,
            42210000,
            r"take_profit.limit_price must be >= base_price \+ 0.01",
            {"base_price"},
            id="take-profit-below",
        ),
        pytest.param(
            {**MARKET, "symbol": "KO", "side": "buy", "qty": 1, "extended_hours": True},
            422,
            42210000,
            "extended hours trading is not offered by this exchange",
            set(),
            id="extended-hours",
        ),
        pytest.param(
            limit("KO", "buy", 1, "10.001"),
            422,
            42210000,
            r"invalid limit_price 10.001. sub-penny increment does not fulfill minimum pricing criteria",
            set(),
            id="sub-penny",
        ),
    ],
)
def test_a_stock_order_is_refused(
    exchange: Exchange, body: dict[str, Any], status: int, code: int, words: str, extras: set[str]
) -> None:
    body = {name: value for name, value in body.items() if value is not None}
    found = refused(exchange.trading(raw=True), "POST", "/orders", body)
    assert (found[0], found[1]["code"]) == (status, code)
    assert re.fullmatch(words, found[1]["message"])
    assert found[1].keys() - {"code", "message"} == extras


def test_the_same_client_order_id_is_refused(exchange: Exchange) -> None:
    client: Any = exchange.trading(raw=True)
    name = str(uuid.uuid4())
    order = client.post("/orders", limit("WMT", "buy", 1, 1, client_order_id=name))
    found = refused(client, "POST", "/orders", limit("WMT", "buy", 1, 1, client_order_id=name))
    assert found == (422, {"code": 40010001, "message": "client_order_id must be unique"})
    client.delete(f"/orders/{order['id']}")


def test_an_order_that_would_meet_ones_own_is_refused(exchange: Exchange) -> None:
    client: Any = exchange.trading(raw=True)
    resting = client.post("/orders", limit("KO", "sell", 1, 900))
    status, body = refused(client, "POST", "/orders", {**MARKET, "symbol": "KO", "side": "buy", "qty": 1})
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "potential wash trade detected. use complex orders"
    assert body["existing_order_id"] == resting["id"]
    client.delete(f"/orders/{resting['id']}")


def test_what_is_over_is_over(exchange: Exchange) -> None:
    client: Any = exchange.trading(raw=True)
    (filled,) = client.get("/orders", {"status": "closed", "symbols": "KO", "limit": 1, "side": "buy"})
    for method, body in (("DELETE", None), ("PATCH", {"qty": 3})):
        found = refused(client, method, f"/orders/{filled['id']}", body)
        assert found == (422, {"code": 42210000, "message": 'order is already in "filled" state'})


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("PATCH", f"/orders/{NOBODY}", "order not found"),
        ("GET", f"/orders/{NOBODY}", "order not found"),
        ("DELETE", f"/orders/{NOBODY}", "order not found"),
        ("GET", "/orders:by_client_order_id?client_order_id=none", "order not found"),
        ("GET", "/positions/PFE", "position does not exist"),
        ("DELETE", "/positions/PFE", "position does not exist"),
        ("GET", "/assets/NOPE", "asset not found for NOPE"),
    ],
)
def test_what_is_not_there_is_not_found(exchange: Exchange, method: str, path: str, words: str) -> None:
    status, body = refused(exchange.trading(raw=True), method, path, {"qty": 2} if method == "PATCH" else None)
    assert (status, body["code"]) == (404, 40410000) and words in body["message"]


def test_contracts_that_nothing_covers_are_not_sold(exchange: Exchange) -> None:
    opening = {**MARKET, "side": "sell", "qty": 1, "position_intent": "sell_to_open"}
    call, put = option_of(exchange, "AMD", "call"), option_of(exchange, "AMD", "put")
    status, body = refused(exchange.trading(raw=True), "POST", "/orders", {**opening, "symbol": call})
    assert (status, body["code"]) == (403, 40310000)
    assert body["message"] == "account not eligible to trade uncovered option contracts"
    status, body = refused(poorer(exchange), "POST", "/orders", {**opening, "symbol": call})
    assert (status, body["code"]) == (403, 40310000)
    words = r"insufficient underlying qty available for covered call \(required: 100, available: 1\)"
    assert re.fullmatch(words, body["message"])
    status, body = refused(poorer(exchange), "POST", "/orders", {**opening, "symbol": put})
    assert (status, body["code"]) == (403, 40310000)
    words = r"insufficient options buying power for cash-secured put \(required: [\d.]+, available: [\d.]+\)"
    assert re.fullmatch(words, body["message"])
    buying = {**MARKET, "side": "buy", "qty": 1, "symbol": call}
    status, body = refused(poorer(exchange), "POST", "/orders", buying)
    assert (status, body["code"], body["options_trading_level"]) == (403, 40310000, 1)


def test_contracts_have_their_own_types_and_hours(exchange: Exchange) -> None:
    client: Any = exchange.trading(raw=True)
    symbol, _ = call_near_the_money(exchange)
    stop = {**limit(symbol, "buy", 1, 1), "type": "stop_limit", "stop_price": 1}
    found = refused(client, "POST", "/orders", stop)
    assert found == (422, {"code": 42210000, "message": "invalid order type for options trading"})
    gtc = limit(symbol, "buy", 1, 1) | {"time_in_force": "gtc"}
    status, body = refused(client, "POST", "/orders", gtc)
    assert (status, body["code"]) == (422, 42210000) and "time_in_force" in body["message"]
    exchange.advance(CLOSE + timedelta(minutes=1))
    found = refused(client, "POST", "/orders", {**MARKET, "symbol": symbol, "side": "buy", "qty": 1})
    words = "options market orders are only allowed during market hours"
    assert found == (422, {"code": 42210000, "message": words})
