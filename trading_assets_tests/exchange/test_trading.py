"""The trading interface through the unmodified SDK, models and raw, on one running exchange whose time is stepped."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.historical import StockHistoricalDataClient
from alpaca.data.requests import OptionChainRequest, StockLatestQuoteRequest
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderSide, OrderStatus, OrderType, QueryOrderStatus, TimeInForce
from alpaca.trading.requests import (
    GetCalendarRequest,
    GetOptionContractsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
)

from trading_assets_tests.exchange.venue_process import CLOSE, KEY, OPEN, SECRET, SESSION, Exchange, prepare

DAY = TimeInForce.DAY


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("trading"), OPEN + timedelta(minutes=30)).start()
    yield running
    running.stop()


def limit(symbol: str, side: str, qty: Any, price: Any, **more: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "side": side,
        "qty": qty,
        "type": "limit",
        "time_in_force": "day",
        "limit_price": price,
        **more,
    }


def ask(exchange: Exchange, symbol: str) -> float:
    quotes = exchange.stocks(raw=True).get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbol))
    return float(quotes[symbol]["ap"])


def call_near_the_money(exchange: Exchange, underlying: str = "NVDA") -> tuple[str, dict[str, Any]]:
    request = OptionChainRequest(underlying_symbol=underlying, expiration_date_gte=SESSION + timedelta(days=3))
    chain = exchange.options(raw=True).get_option_chain(request)
    calls = {s: line for s, line in chain.items() if 0.4 < line["greeks"]["delta"] < 0.6}
    symbol = min(calls)
    return symbol, calls[symbol]


def refusal(exchange: Exchange, body: Any) -> tuple[int, int, str]:
    before = exchange.get("/v2/orders", status="all", limit=500).json()
    response = exchange.post(body)
    assert exchange.get("/v2/orders", status="all", limit=500).json() == before
    return response.status_code, response.json()["code"], response.json()["message"]


def test_account_clock_calendar_and_assets_parse_into_the_sdk_models(exchange: Exchange) -> None:
    client = exchange.trading()
    account = client.get_account()
    assert (account.cash, account.options_trading_level) == ("50000", 2)
    assert account.equity == account.buying_power == account.options_buying_power == "50000"
    clock = client.get_clock()
    assert clock.is_open and clock.timestamp == exchange.now()
    assert clock.next_close == CLOSE and clock.next_open == OPEN + timedelta(days=3)
    days = client.get_calendar(GetCalendarRequest(start=date(2026, 3, 30), end=date(2026, 4, 6)))
    assert [day.date.isoformat()[-2:] for day in days] == ["30", "31", "01", "02", "06"]
    assets = client.get_all_assets()
    assert len(assets) == 32 and client.get_asset("NVDA").id == client.get_asset(str(client.get_asset("NVDA").id)).id
    assert client.get_account_configurations().max_options_trading_level == 2
    with pytest.raises(APIError, match="asset not found"):
        client.get_asset("NOPE")


def test_a_marketable_stock_order_fills_on_the_next_second_and_its_life_can_be_followed(exchange: Exchange) -> None:
    client = exchange.trading()
    placed = client.submit_order(
        MarketOrderRequest(symbol="KO", qty=3, side=OrderSide.BUY, time_in_force=DAY, client_order_id="life-1")
    )
    assert placed.status is OrderStatus.NEW and placed.filled_qty == "0"
    price = ask(exchange, "KO")
    reached = exchange.step()
    while client.get_order_by_id(placed.id).status is not OrderStatus.FILLED:
        exchange.step()
    filled = client.get_order_by_client_id("life-1")
    assert filled.id == placed.id and filled.filled_qty == "3" and filled.filled_at >= reached
    assert float(filled.filled_avg_price) == pytest.approx(price, rel=0.01)
    position = client.get_open_position("KO")
    assert (position.qty, position.asset_class.value) == ("3", "us_equity")
    assert client.get_open_position(str(position.asset_id)).symbol == "KO"
    with pytest.raises(APIError) as error:
        client.cancel_order_by_id(placed.id)
    assert (error.value.status_code, error.value.code) == (422, 42210000) and "filled" in error.value.message


def test_an_option_round_trip_moves_cash_by_premium_times_multiplier_and_leaves_no_position(exchange: Exchange) -> None:
    client = exchange.trading()
    before = Decimal(client.get_account().cash)
    symbol, line = call_near_the_money(exchange)
    buy = client.submit_order(
        LimitOrderRequest(
            symbol=symbol,
            qty=2,
            side=OrderSide.BUY,
            time_in_force=DAY,
            limit_price=line["latestQuote"]["ap"] * 2 // 0.05 * 0.05,
        )
    )
    exchange.step(20)
    bought = client.get_order_by_id(buy.id)
    assert bought.status is OrderStatus.FILLED and bought.position_intent.value == "buy_to_open"
    held = client.get_open_position(symbol)
    assert held.exchange == "" and held.qty_available == "2"
    assert Decimal(held.cost_basis) == 200 * Decimal(bought.filled_avg_price)
    client.submit_order(MarketOrderRequest(symbol=symbol, qty=2, side=OrderSide.SELL, time_in_force=DAY))
    exchange.step(20)
    sold = client.get_orders(GetOrdersRequest(status=QueryOrderStatus.CLOSED, symbols=[symbol], limit=1))[0]
    assert sold.side is OrderSide.SELL and sold.status is OrderStatus.FILLED
    spent = 200 * (Decimal(bought.filled_avg_price) - Decimal(sold.filled_avg_price))
    assert Decimal(client.get_account().cash) == before - spent
    with pytest.raises(APIError, match="position does not exist"):
        client.get_open_position(symbol)


def test_a_limit_below_the_market_rests_holds_cash_and_gives_it_back_when_canceled(exchange: Exchange) -> None:
    client = exchange.trading()
    before = Decimal(client.get_account().buying_power)
    order = client.submit_order(
        LimitOrderRequest(symbol="PFE", qty=10, side=OrderSide.BUY, time_in_force=TimeInForce.GTC, limit_price=1.5)
    )
    exchange.step(5)
    assert client.get_order_by_id(order.id).status is OrderStatus.NEW
    assert Decimal(client.get_account().buying_power) == before - 15
    client.cancel_order_by_id(order.id)
    assert client.get_order_by_id(order.id).status is OrderStatus.CANCELED
    assert Decimal(client.get_account().buying_power) == before


def test_all_open_orders_are_canceled_and_listed_with_a_status_each(exchange: Exchange) -> None:
    client = exchange.trading()
    placed = {
        client.submit_order(LimitOrderRequest(symbol=s, qty=1, side=OrderSide.BUY, time_in_force=DAY, limit_price=1)).id
        for s in ("PFE", "BAC")
    }
    answers = client.cancel_orders()
    assert {line.id for line in answers} == placed and {line.status for line in answers} == {200}
    assert client.get_orders() == [] and client.cancel_orders() == []


def test_orders_are_filtered_by_status_time_side_and_symbol_in_either_direction(exchange: Exchange) -> None:
    client = exchange.trading(raw=True)
    first = exchange.post(limit("XOM", "buy", 1, 1)).json()
    exchange.step()
    middle = exchange.now()
    exchange.step()
    second = exchange.post(limit("CVX", "buy", "1", "1")).json()
    both = {"status": QueryOrderStatus.OPEN, "symbols": ["XOM", "CVX"]}
    assert [o["id"] for o in client.get_orders(GetOrdersRequest(**both))] == [second["id"], first["id"]]
    assert [o["id"] for o in client.get_orders(GetOrdersRequest(**both, direction="asc"))] == [
        first["id"],
        second["id"],
    ]
    assert [o["id"] for o in client.get_orders(GetOrdersRequest(**both, after=middle))] == [second["id"]]
    assert [o["id"] for o in client.get_orders(GetOrdersRequest(**both, until=middle))] == [first["id"]]
    assert client.get_orders(GetOrdersRequest(**both, side=OrderSide.SELL)) == []
    client.cancel_orders()


def test_orders_are_listed_from_one_on_and_up_to_one_also_of_the_same_instant(exchange: Exchange) -> None:
    ids = [exchange.post(limit("XOM", "buy", 1, price)).json()["id"] for price in (1, 2, 3, 4)]

    def listed(**asked: Any) -> list[str]:
        return [order["id"] for order in exchange.get("/v2/orders", symbols="XOM", direction="asc", **asked).json()]

    assert listed(after_order_id=ids[1]) == ids[2:] and listed(before_order_id=ids[1]) == ids[:1]
    assert listed(after_order_id=ids[0], limit=2) == ids[1:3], "a page of the list"
    for wrong in (
        {"after_order_id": ids[0], "before_order_id": ids[1]},
        {"after_order_id": ids[0], "until": exchange.now().isoformat()},
        {"before_order_id": str(uuid.uuid4())},
    ):
        assert exchange.get("/v2/orders", **wrong).status_code == 422
    exchange.trading().cancel_orders()


def test_orders_are_found_by_several_classes_and_options_by_their_stock(exchange: Exchange) -> None:
    contract, _ = call_near_the_money(exchange)
    option = exchange.post(limit(contract, "buy", 1, 0.05)).json()["id"]
    stock = exchange.post(limit("NVDA", "buy", 1, 1)).json()["id"]

    def listed(**asked: Any) -> set[str]:
        return {order["id"] for order in exchange.get("/v2/orders", **asked).json()}

    assert listed(asset_class="us_equity,us_option") == {option, stock} == listed()
    assert listed(asset_class="us_option") == listed(asset_class="us_option", symbols="NVDA") == {option}
    assert listed(asset_class="us_equity", symbols="NVDA") == listed(symbols="NVDA") == {stock}
    assert listed(asset_class="us_option", symbols="KO") == set()
    for wrong in ({"asset_class": "stocks"}, {"side": "BUY"}, {"direction": "up"}, {"nested": "1"}):
        assert exchange.get("/v2/orders", **wrong).status_code == 400, wrong
    exchange.trading().cancel_orders()


def test_a_client_order_id_is_accepted_once_per_account_even_if_the_repetition_could_not_be_paid(
    exchange: Exchange,
) -> None:
    identity = str(uuid.uuid4())
    assert exchange.post(limit("WMT", "buy", 1, 1, client_order_id=identity)).status_code == 200
    again = refusal(exchange, limit("WMT", "buy", 900_000, 100, client_order_id=identity))
    assert again == (422, 40010001, "client_order_id must be unique")
    two = httpx.post(
        exchange.url + "/v2/orders",
        json=limit("WMT", "buy", 1, 1, client_order_id=identity),
        headers={"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": "secret-of-account-two"},
    )
    assert two.status_code == 200
    exchange.trading().cancel_orders()


@pytest.mark.parametrize(
    ("body", "status", "code", "words"),
    [
        (limit("MSFT", "buy", 1000, 400), 403, 40310000, "insufficient buying power"),
        (
            limit("MSFT", "sell", 1, 400),
            403,
            40310000,
            "insufficient qty available for order (requested: 1, available: 0)",
        ),
        (limit("MSFT", "buy", 1, 400.001), 422, 42210000, "sub-penny"),
        (limit("NOPE", "buy", 1, 4), 422, 42210000, "not found"),
        (limit("MSFT", "buy", 0, 4), 422, 40010001, "qty must be > 0"),
        (limit("MSFT", "buy", 1.5, 4), 422, 42210000, "fractional"),
        (limit("MSFT", "buy", "NaN", 4), 422, 40010001, "invalid qty"),
        (limit("MSFT", "buy", True, 4), 422, 40010001, "invalid qty"),
        (limit("MSFT", "hold", 1, 4), 422, 40010001, "invalid side"),
        (limit("MSFT", "buy", 1, None), 422, 40010001, "limit price"),
        (limit("MSFT", "buy", 1, 4, order_class="mleg"), 422, 40010001, "side is not allowed for mleg"),
        (limit("MSFT", "buy", 1, 4, order_class="bracket"), 422, 40010001, "require take_profit"),
        (limit("MSFT", "buy", 1, 4, take_profit={"limit_price": 5}), 422, 40010001, "simple orders have neither"),
        (limit("MSFT", "buy", 1, 4, extended_hours=True), 422, 42210000, "extended hours"),
        (limit("MSFT", "buy", 1, 4, color="red"), 422, 40010001, "unknown field"),
        (limit("MSFT", "buy", 1, 4) | {"time_in_force": "ioc"}, 422, 42210000, "time_in_force ioc"),
        (limit("MSFT", "buy", 1, 4) | {"type": "stop", "stop_price": 3}, 422, 40010001, "require only stop price"),
        (limit("MSFT", "buy", 1, 4) | {"type": "trailing_stop"}, 422, 40010001, "trail_price or trail_percent"),
        (limit("MSFT", "buy", 1, 4, client_order_id="x" * 129), 422, 40010001, "128"),
        ([], 400, 40010000, "request body"),
    ],
)
def test_an_order_that_cannot_be_taken_is_refused_with_the_brokers_body(
    exchange: Exchange, body: Any, status: int, code: int, words: str
) -> None:
    assert refusal(exchange, body)[:2] == (status, code)
    assert words in refusal(exchange, body)[2]


def test_option_orders_have_their_own_refusals(exchange: Exchange) -> None:
    symbol, line = call_near_the_money(exchange)
    price = line["latestQuote"]["bp"]
    assert price > 3, "the contract must trade in nickels for this test"
    nickel = round(price // 0.05 * 0.05, 2)
    uncovered = "account not eligible to trade uncovered option contracts"
    assert refusal(exchange, limit(symbol, "sell", 1, nickel)) == (403, 40310000, uncovered)
    opening = limit(symbol, "sell", 1, nickel, position_intent="sell_to_open")
    assert refusal(exchange, opening) == (403, 40310000, uncovered)
    assert refusal(exchange, limit(symbol, "buy", 1, round(nickel + 0.01, 2)))[:2] == (422, 42210000)
    assert refusal(exchange, limit(symbol, "buy", 1, nickel) | {"time_in_force": "gtc"})[:2] == (422, 42210000)
    stop = limit(symbol, "buy", 1, nickel) | {"type": "stop_limit", "stop_price": nickel}
    assert refusal(exchange, stop) == (422, 42210000, "invalid order type for options trading")
    legs = {"take_profit": {"limit_price": nickel + 1}, "stop_loss": {"stop_price": nickel - 1}}
    bracket = limit(symbol, "buy", 1, nickel, order_class="bracket", **legs)
    assert refusal(exchange, bracket) == (422, 42210000, "complex orders not supported for options trading")
    mismatch = limit(symbol, "buy", 1, nickel, position_intent="sell_to_close")
    assert refusal(exchange, mismatch)[:2] == (422, 40010001)
    two = httpx.post(
        exchange.url + "/v2/orders",
        json=limit(symbol, "buy", 1, 0.05),
        headers={"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": "secret-of-account-two"},
    )
    assert (two.status_code, two.json()["code"]) == (403, 40310000) and "options" in two.json()["message"]


def test_shares_claimed_by_an_open_sell_are_held_and_an_opposite_order_is_a_wash_trade(exchange: Exchange) -> None:
    exchange.post({"symbol": "BAC", "side": "buy", "qty": 4, "type": "market", "time_in_force": "day"})
    exchange.step(30)
    resting = exchange.post(limit("BAC", "sell", 3, 500)).json()
    response = exchange.post(limit("BAC", "sell", 2, 500))
    body = response.json()
    assert response.status_code == 403 and body["message"].endswith("(requested: 2, available: 1)")
    assert (body["available"], body["existing_qty"], body["held_for_orders"]) == ("1", "4", "3")
    assert body["related_orders"] == [resting["id"]] and body["symbol"] == "BAC"
    assert exchange.trading().get_open_position("BAC").qty_available == "1"
    wash = refusal(exchange, {"symbol": "BAC", "side": "buy", "qty": 1, "type": "market", "time_in_force": "day"})
    assert wash[:2] == (403, 40310000) and "wash trade" in wash[2]
    exchange.trading().cancel_orders()


def test_what_is_unknown_is_not_found_and_what_is_not_offered_says_so(exchange: Exchange) -> None:
    nobody = str(uuid.uuid4())
    for path in (f"/v2/orders/{nobody}", "/v2/orders:by_client_order_id?client_order_id=nothing", "/v2/positions/MU"):
        response = exchange.get(path)
        assert (response.status_code, response.json()["code"]) == (404, 40410000)
    assert exchange.delete(f"/v2/orders/{nobody}").status_code == 404
    patched = httpx.patch(f"{exchange.url}/v2/orders/{nobody}", json={"qty": 1}, headers=dict(exchange.headers))
    assert (patched.status_code, patched.json()["code"]) == (404, 40410000)
    put = httpx.put(f"{exchange.url}/v2/orders/{nobody}", json={"qty": 1}, headers=dict(exchange.headers))
    assert put.status_code == 405 and "not offered" in put.json()["message"]
    assert exchange.get("/v2/account/activities/FILLS").status_code == 422
    assert exchange.get("/v2/orders", status="opened").status_code == 400
    broken = httpx.post(exchange.url + "/v2/orders", content=b"{", headers=dict(exchange.headers))
    assert (broken.status_code, broken.json()["code"]) == (400, 40010000)


def test_a_path_with_a_slash_at_its_end_is_unknown_and_leads_nowhere(exchange: Exchange) -> None:
    for path in ("/v2/orders/", "/v2/positions/", "/v2/account/", "/v2/stocks/snapshots/"):
        response = exchange.get(path)
        assert (response.status_code, response.json()["code"]) == (404, 40410000), "clients follow no redirect"
    doubled = TradingClient(KEY, SECRET, paper=True, url_override=f"{exchange.url}/")
    with pytest.raises(APIError):
        doubled.get_all_positions()


def test_activities_page_without_gap_and_sum_to_positions_and_cash(exchange: Exchange) -> None:
    whole = exchange.get("/v2/account/activities/FILL", direction="asc").json()
    stamps = [row["id"].partition("::")[0] for row in whole]
    assert len(whole) >= 3 and stamps == sorted(stamps)
    pages: list[dict[str, Any]] = []
    token = None
    while True:
        query = {"direction": "asc", "page_size": 2, **({"page_token": token} if token else {})}
        rows = exchange.get("/v2/account/activities/FILL", **query).json()
        if not rows:
            break
        pages += rows
        token = rows[-1]["id"]
    assert pages == whole
    assert exchange.get("/v2/account/activities").json()[0]["id"] == whole[-1]["id"]
    cash, held = Decimal(50_000), dict[str, int]()
    for row in whole:
        sign = 1 if row["side"] == "buy" else -1
        cash -= sign * Decimal(row["price"]) * int(row["qty"]) * (100 if row["symbol"][-1].isdigit() else 1)
        held[row["symbol"]] = held.get(row["symbol"], 0) + sign * int(row["qty"])
    assert cash == Decimal(exchange.trading().get_account().cash)
    positions = {row["symbol"]: int(row["qty"]) for row in exchange.get("/v2/positions").json()}
    assert positions == {symbol: qty for symbol, qty in held.items() if qty}
    stamp = datetime.fromisoformat(whole[0]["transaction_time"].replace("Z", "+00:00"))
    assert whole[0]["id"].startswith(f"{stamp:%Y%m%d%H%M%S}") and "::" in whole[0]["id"]


def test_contracts_are_paged_filtered_and_end_with_the_next_weekend_by_default(exchange: Exchange) -> None:
    client = exchange.trading()
    request = {"underlying_symbols": ["NVDA"], "expiration_date_lte": SESSION + timedelta(days=30)}
    whole = client.get_option_contracts(GetOptionContractsRequest(**request, limit=10_000))
    assert whole.next_page_token is None and len(whole.option_contracts) > 100
    symbols, token = list[str](), None
    while True:
        page = client.get_option_contracts(GetOptionContractsRequest(**request, limit=97, page_token=token))
        symbols += [contract.symbol for contract in page.option_contracts]
        token = page.next_page_token
        if token is None:
            break
    assert symbols == [contract.symbol for contract in whole.option_contracts] and len(set(symbols)) == len(symbols)
    near = client.get_option_contracts(GetOptionContractsRequest(underlying_symbols=["SPY"], limit=10_000))
    assert {contract.expiration_date for contract in near.option_contracts} == {SESSION}
    one = client.get_option_contract(symbols[0])
    assert one.id == client.get_option_contract(str(one.id)).id and one.size == "100" and int(one.open_interest) >= 0
    strikes = sorted({contract.strike_price for contract in whole.option_contracts})
    low, high = strikes[len(strikes) // 3], strikes[len(strikes) // 2]
    puts = client.get_option_contracts(
        GetOptionContractsRequest(**request, type="put", strike_price_gte=str(low), strike_price_lte=str(high))
    ).option_contracts
    assert puts and all(c.type.value == "put" and low <= c.strike_price <= high for c in puts)


def test_requests_without_the_right_credentials_are_refused_everywhere(exchange: Exchange) -> None:
    wrong: list[dict[str, str]] = [
        {},
        {"APCA-API-KEY-ID": KEY, "APCA-API-SECRET-KEY": "guess"},
        {"APCA-API-KEY-ID": KEY},
        {"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": SECRET},
    ]
    for headers in wrong:
        for path in ("/v2/account", "/v2/orders", "/v2/stocks/quotes/latest?symbols=KO", "/v2/options/contracts"):
            response = httpx.get(exchange.url + path, headers=headers)
            assert response.status_code == 401
            assert response.json() == {"code": 40110000, "message": "request is not authorized"}
            assert int(response.headers["X-RateLimit-Reset"]) > 0, "every answer says what is allowed"
    basic = httpx.get(exchange.url + "/v2/account", auth=(KEY, SECRET))
    assert basic.status_code == 200


def test_the_token_of_an_app_stands_for_its_account_in_the_place_of_key_and_secret(tmp_path: Path) -> None:
    owner = {
        "name": "app",
        "key": KEY,
        "secret": SECRET,
        "cash": "700",
        "options_level": 0,
        "token": "a-token-of-an-app",
    }
    other = {"name": "two", "key": "PKTWO", "secret": "secret-of-account-two", "cash": "900", "options_level": 0}
    running = prepare(tmp_path / "exchange", OPEN, accounts=[owner, other]).start()
    try:
        client = TradingClient(oauth_token="a-token-of-an-app", paper=True, url_override=running.url)
        assert client.get_account().cash == "700"
        data = StockHistoricalDataClient(oauth_token="a-token-of-an-app", url_override=running.url)
        assert "KO" in data.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="KO"))
        assert running.get("/v2/account").json()["cash"] == "700"
        for wrong in ("another-token", "None"):
            said = httpx.get(running.url + "/v2/account", headers={"Authorization": f"Bearer {wrong}"})
            assert said.status_code == 401
        assert "a-token-of-an-app" not in running.log()
    finally:
        running.stop()


def test_the_control_path_needs_its_own_token(exchange: Exchange) -> None:
    target = {"advance_to": (exchange.now() + timedelta(minutes=1)).isoformat()}
    before = exchange.now()
    for headers in ({}, dict(exchange.headers), {"X-Practice-Token": "x"}):
        assert httpx.get(exchange.url + "/practice/v1/status", headers=headers).status_code == 401
        assert httpx.post(exchange.url + "/practice/v1/clock", json=target, headers=headers).status_code == 401
    assert exchange.now() == before


def test_time_does_not_go_back_and_a_senseless_target_is_refused(exchange: Exchange) -> None:
    now = exchange.now()
    assert exchange.advance(now - timedelta(hours=1)) == now
    for target in ("soon", "2026-03-13T15:00:00", "2026-04-13T15:00:00Z", None):
        response = httpx.post(
            exchange.url + "/practice/v1/clock",
            json={"advance_to": target},
            headers={"X-Practice-Token": "control-token-of-the-test"},
        )
        assert response.status_code in (400, 422) and "message" in response.json()
    assert exchange.now() == now


def test_every_answer_reports_the_allowance_and_a_stepped_exchange_never_limits(exchange: Exchange) -> None:
    with httpx.Client(headers=dict(exchange.headers)) as client:
        answers = [client.get(exchange.url + "/v2/clock") for _ in range(230)]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.headers["X-RateLimit-Limit"] for answer in answers} == {"200"}
    assert int(answers[-1].headers["X-RateLimit-Remaining"]) > 0 and int(answers[-1].headers["X-RateLimit-Reset"]) > 0


def test_types_of_order_come_back_as_the_sdk_expects(exchange: Exchange) -> None:
    order = exchange.trading().submit_order(
        LimitOrderRequest(symbol="XOM", qty=1, side=OrderSide.BUY, time_in_force=DAY, limit_price=1.01)
    )
    assert (order.order_type, order.type, order.limit_price) == (OrderType.LIMIT, OrderType.LIMIT, "1.01")
    assert order.expires_at == CLOSE and order.legs is None and order.extended_hours is False
    exchange.trading().cancel_orders()
