"""Stops, trails, brackets, OCO, OTO and replacements through the unmodified SDK, on one exchange that is stepped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, QueryOrderStatus, TimeInForce
from alpaca.trading.models import Order
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
    StopLimitOrderRequest,
    StopLossRequest,
    StopOrderRequest,
    TakeProfitRequest,
    TrailingStopOrderRequest,
)

from trading_assets_tests.exchange.test_trading import ask, call_near_the_money, limit, refusal
from trading_assets_tests.exchange.venue_process import OPEN, Exchange, prepare

DAY, GTC = TimeInForce.DAY, TimeInForce.GTC
BUY, SELL = OrderSide.BUY, OrderSide.SELL


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("classes"), OPEN + timedelta(minutes=30)).start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def flat(exchange: Exchange) -> Iterator[None]:
    """Every test begins and ends without orders and positions."""
    yield
    exchange.trading().close_all_positions(cancel_orders=True)
    exchange.step(30)
    assert exchange.trading().get_all_positions() == [] and exchange.trading().get_orders() == []


def buy(exchange: Exchange, symbol: str, quantity: int) -> None:
    exchange.trading().submit_order(MarketOrderRequest(symbol=symbol, qty=quantity, side=BUY, time_in_force=DAY))
    exchange.step(20)
    assert exchange.trading().get_open_position(symbol).qty == str(quantity)


def bracket(exchange: Exchange, symbol: str, quantity: int, stop: float, profit: float, **more: Any) -> Order:
    request = MarketOrderRequest(
        symbol=symbol,
        qty=quantity,
        side=BUY,
        time_in_force=DAY,
        order_class=OrderClass.BRACKET,
        take_profit=TakeProfitRequest(limit_price=round(profit, 2)),
        stop_loss=StopLossRequest(stop_price=round(stop, 2), **more),
    )
    order = exchange.trading().submit_order(request)
    assert isinstance(order, Order)
    return order


def now(exchange: Exchange, order: Any) -> Order:
    found = exchange.trading().get_order_by_id(order.id)
    assert isinstance(found, Order)
    return found


def until(exchange: Exchange, *orders: Any, minutes: int = 60) -> list[OrderStatus]:
    """Step until every order has ended; their statuses."""
    for _ in range(minutes):
        found = [now(exchange, order).status for order in orders]
        if not set(found) & {OrderStatus.NEW, OrderStatus.HELD, OrderStatus.PARTIALLY_FILLED}:
            return found
        exchange.step(60)
    raise AssertionError(f"after {minutes} minutes: {found}")


def test_a_bracket_waits_for_its_entry_and_then_one_leg_sells_and_the_other_is_canceled(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = bracket(exchange, "MSFT", 3, price - 0.01, price * 1.2)
    assert order.order_class is OrderClass.BRACKET and order.legs is not None
    profit, stop = order.legs
    assert (profit.status, stop.status) == (OrderStatus.HELD, OrderStatus.HELD)
    assert exchange.trading().get_orders() and not exchange.trading().get_all_positions()
    assert until(exchange, profit, stop) == [OrderStatus.CANCELED, OrderStatus.FILLED]
    assert now(exchange, stop).filled_qty == "3"
    assert exchange.trading().get_all_positions() == []


def test_the_legs_of_a_filled_entry_work_and_claim_its_shares_once(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = bracket(exchange, "MSFT", 3, price * 0.8, price * 1.2)
    profit, stop = order.legs or []
    assert until(exchange, order) == [OrderStatus.FILLED]
    assert (now(exchange, profit).status, now(exchange, stop).status) == (OrderStatus.NEW, OrderStatus.HELD)
    position = exchange.trading().get_open_position("MSFT")
    assert (position.qty, position.qty_available) == ("3", "0")


def test_a_take_profit_cancels_the_stop(exchange: Exchange) -> None:
    """Of several names some rise by two cents sooner or later."""
    placed = {}
    for symbol in ("MSFT", "AAPL", "NVDA", "TSLA", "META"):
        price = ask(exchange, symbol)
        placed[symbol] = (bracket(exchange, symbol, 1, price * 0.8, price + 0.02), price)
    for _ in range(60):
        exchange.step(30)
        done = [(found, price) for found, price in placed.values() if now(exchange, found.legs[0]).filled_qty == "1"]
        if done:
            break
    order, price = done[0]
    profit, stop = order.legs or []
    assert until(exchange, profit, stop) == [OrderStatus.FILLED, OrderStatus.CANCELED]
    assert float(now(exchange, profit).filled_avg_price or 0) >= round(price + 0.02, 2)


def test_legs_are_shown_inside_their_order_where_that_is_asked_for_and_beside_it_else(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = bracket(exchange, "MSFT", 1, price * 0.8, price * 1.2)
    nested = exchange.trading().get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=True))
    (found,) = [row for row in nested if isinstance(row, Order) and row.id == order.id]
    assert [leg.id for leg in found.legs or []] == [leg.id for leg in order.legs or []]
    flat = exchange.trading().get_orders(GetOrdersRequest(status=QueryOrderStatus.ALL, nested=False))
    ids = [row.id for row in flat if isinstance(row, Order)]
    assert {order.id, *(leg.id for leg in order.legs or [])} <= set(ids)
    assert all(row.legs is None for row in flat if isinstance(row, Order))


def test_a_bracket_that_is_canceled_before_it_bought_takes_its_legs_with_it(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = exchange.trading().submit_order(
        LimitOrderRequest(
            symbol="MSFT",
            qty=2,
            side=BUY,
            time_in_force=GTC,
            limit_price=round(price * 0.5, 2),
            order_class=OrderClass.BRACKET,
            take_profit=TakeProfitRequest(limit_price=round(price, 2)),
            stop_loss=StopLossRequest(stop_price=round(price * 0.4, 2)),
        )
    )
    assert isinstance(order, Order)
    exchange.trading().cancel_order_by_id(order.id)
    assert until(exchange, order, *(order.legs or [])) == [OrderStatus.CANCELED] * 3


def test_an_oco_over_a_position_sells_it_once(exchange: Exchange) -> None:
    buy(exchange, "MSFT", 4)
    price = ask(exchange, "MSFT")
    request = LimitOrderRequest(
        symbol="MSFT",
        qty=4,
        side=SELL,
        time_in_force=GTC,
        order_class=OrderClass.OCO,
        take_profit=TakeProfitRequest(limit_price=round(price * 1.2, 2)),
        stop_loss=StopLossRequest(stop_price=round(price - 0.2, 2), limit_price=round(price * 0.9, 2)),
    )
    order = exchange.trading().submit_order(request)
    assert isinstance(order, Order)
    (stop,) = order.legs or []
    assert order.limit_price == str(round(price * 1.2, 2)).rstrip("0").rstrip(".")
    assert refusal(exchange, limit("MSFT", "sell", 1, 900))[:2] == (403, 40310000)
    assert until(exchange, order, stop) == [OrderStatus.CANCELED, OrderStatus.FILLED]
    assert exchange.trading().get_all_positions() == []


def test_an_oto_has_one_leg(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = exchange.trading().submit_order(
        MarketOrderRequest(
            symbol="MSFT",
            qty=1,
            side=BUY,
            time_in_force=DAY,
            order_class=OrderClass.OTO,
            stop_loss=StopLossRequest(stop_price=round(price - 0.01, 2)),
        )
    )
    assert isinstance(order, Order)
    (stop,) = order.legs or []
    assert until(exchange, stop) == [OrderStatus.FILLED]


def test_a_stop_sells_at_the_market_once_its_price_is_reached_and_a_far_one_rests(exchange: Exchange) -> None:
    buy(exchange, "MSFT", 2)
    price = ask(exchange, "MSFT")
    far = exchange.trading().submit_order(
        StopOrderRequest(symbol="MSFT", qty=1, side=SELL, time_in_force=GTC, stop_price=round(price * 0.5, 2))
    )
    near = exchange.trading().submit_order(
        StopLimitOrderRequest(
            symbol="MSFT",
            qty=1,
            side=SELL,
            time_in_force=DAY,
            stop_price=round(price, 2),
            limit_price=round(price * 0.9, 2),
        )
    )
    assert until(exchange, near) == [OrderStatus.FILLED]
    assert now(exchange, far).status is OrderStatus.NEW and now(exchange, far).filled_qty == "0"


def test_a_buy_stop_reserves_cash_and_buys_once_its_price_is_reached(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    before = Decimal(exchange.get("/v2/account").json()["buying_power"])
    order = exchange.trading().submit_order(
        StopOrderRequest(symbol="MSFT", qty=1, side=BUY, time_in_force=DAY, stop_price=round(price * 0.999, 2))
    )
    held = before - Decimal(exchange.get("/v2/account").json()["buying_power"])
    assert held > Decimal(str(price)), "the collar above its stop"
    assert until(exchange, order) == [OrderStatus.FILLED]
    assert exchange.trading().get_open_position("MSFT").qty == "1"


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(exchange: Exchange) -> None:
    buy(exchange, "MSFT", 1)
    order = exchange.trading().submit_order(
        TrailingStopOrderRequest(symbol="MSFT", qty=1, side=SELL, time_in_force=DAY, trail_percent=0.02)
    )
    marks, stops = [], []
    for _ in range(300):
        found = now(exchange, order)
        marks.append(float(found.hwm or 0))
        stops.append(float(found.stop_price or 0))
        if found.status is OrderStatus.FILLED:
            break
        exchange.step(2)
    assert found.status is OrderStatus.FILLED
    assert marks == sorted(marks) and stops == sorted(stops)
    assert all(stop == pytest.approx(mark * 0.9998, abs=1e-5) for mark, stop in zip(marks, stops, strict=True))


def test_a_replacement_takes_the_place_of_an_order_and_the_old_one_says_so(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    first = exchange.trading().submit_order(
        LimitOrderRequest(symbol="MSFT", qty=2, side=BUY, time_in_force=DAY, limit_price=round(price * 0.5, 2))
    )
    change = ReplaceOrderRequest(qty=1, limit_price=round(price * 0.6, 2), client_order_id="second")
    assert isinstance(first, Order)
    second = exchange.trading().replace_order_by_id(first.id, change)
    assert isinstance(second, Order)
    old = now(exchange, first)
    assert (old.status, old.replaced_by) == (OrderStatus.REPLACED, second.id) and old.replaced_at is not None
    assert (second.replaces, second.qty, second.client_order_id) == (old.id, "1", "second")
    assert [row.id for row in exchange.trading().get_orders() if isinstance(row, Order)] == [second.id]
    again = httpx.patch(f"{exchange.url}/v2/orders/{old.id}", json={"qty": 1}, headers=dict(exchange.headers))
    assert again.status_code == 422 and 'already in "replaced" state' in again.json()["message"]


def test_the_stop_of_a_bracket_is_moved_and_sells_the_whole(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = bracket(exchange, "MSFT", 3, price * 0.5, price * 1.5)
    profit, stop = order.legs or []
    exchange.step(10)
    change = ReplaceOrderRequest(stop_price=round(price, 2))
    moved = exchange.trading().replace_order_by_id(stop.id, change)
    assert until(exchange, moved, profit) == [OrderStatus.FILLED, OrderStatus.CANCELED]
    assert exchange.trading().get_all_positions() == []


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"qty": 0}, 40010001, "qty must be > 0"),
        ({"limit_price": "x"}, 40010001, "invalid limit_price"),
        ({"stop_price": 5}, 42210000, "no stop_price to replace"),
        ({"trail": 5}, 42210000, "no trail to replace"),
        ({"limit_price": 1.001}, 42210000, "sub-penny"),
        ({"qty": 100_000}, 40310000, "insufficient buying power"),
        ({"client_order_id": "only this"}, 40010001, "not changed"),
        ({"side": "sell"}, 40010001, "unknown field"),
    ],
)
def test_a_replacement_that_cannot_be_made_leaves_the_order_as_it_was(
    exchange: Exchange, changes: dict[str, Any], code: int, words: str
) -> None:
    order = exchange.post(limit("MSFT", "buy", 1, 5)).json()
    answer = httpx.patch(f"{exchange.url}/v2/orders/{order['id']}", json=changes, headers=dict(exchange.headers))
    assert (answer.json()["code"], words in answer.json()["message"]) == (code, True), answer.text
    assert exchange.get(f"/v2/orders/{order['id']}").json() == order


def test_legs_on_the_wrong_side_of_the_price_are_refused_with_the_brokers_body(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")

    def said(**legs: float) -> tuple[int, int, str]:
        body = limit("MSFT", "buy", 1, round(price, 2), order_class="bracket")
        body["take_profit"] = {"limit_price": round(legs.get("profit", price * 1.1), 2)}
        body["stop_loss"] = {"stop_price": round(legs.get("stop", price * 0.9), 2)}
        return refusal(exchange, body)

    assert said(profit=price) == (422, 42210000, "take_profit.limit_price must be >= base_price + 0.01")
    assert said(stop=price) == (422, 42210000, "stop_loss.stop_price must be <= base_price - 0.01")
    buy(exchange, "MSFT", 1)
    legs = {"take_profit": {"limit_price": 1}, "stop_loss": {"stop_price": 2}}
    selling = refusal(exchange, limit("MSFT", "sell", 1, round(price, 2), order_class="bracket", **legs))
    assert selling == (422, 42210000, "bracket orders must be entry orders")
    exchange.trading().close_all_positions()
    exchange.step(20)
    assert (
        refusal(exchange, limit("MSFT", "buy", 1, 5, order_class="oco", **legs))[2] == "oco orders must be exit orders"
    )


def test_a_market_buy_beside_a_resting_stop_is_a_wash_trade(exchange: Exchange) -> None:
    buy(exchange, "MSFT", 1)
    exchange.trading().submit_order(StopOrderRequest(symbol="MSFT", qty=1, side=SELL, time_in_force=GTC, stop_price=5))
    said = refusal(exchange, {"symbol": "MSFT", "side": "buy", "qty": 1, "type": "market", "time_in_force": "day"})
    assert said[:2] == (403, 40310000) and "wash trade" in said[2]


def test_a_position_is_closed_in_part_by_quantity_or_percentage_and_then_whole(exchange: Exchange) -> None:
    buy(exchange, "KO", 10)
    exchange.trading().close_position("KO", ClosePositionRequest(percentage="25"))
    exchange.step(20)
    assert exchange.trading().get_open_position("KO").qty == "8"
    exchange.trading().close_position("KO", ClosePositionRequest(qty="3"))
    exchange.step(20)
    assert exchange.trading().get_open_position("KO").qty == "5"
    exchange.trading().close_position("KO")
    exchange.step(20)
    assert exchange.trading().get_all_positions() == []
    assert exchange.delete("/v2/positions/KO").status_code == 404


def test_a_part_that_is_no_number_of_shares_is_refused_at_once(exchange: Exchange) -> None:
    buy(exchange, "KO", 2)
    for wrong in ("qty=1&percentage=1", "qty=0.5", "qty=1e999999", "qty=x", "percentage=101", "percentage=0"):
        assert exchange.delete(f"/v2/positions/KO?{wrong}").status_code in (400, 422), wrong
    assert exchange.trading().get_open_position("KO").qty == "2"


def test_a_leg_that_works_is_shown_by_itself_where_its_order_is_not_shown(exchange: Exchange) -> None:
    price = ask(exchange, "MSFT")
    order = bracket(exchange, "MSFT", 1, price * 0.5, price * 1.5)
    assert until(exchange, order) == [OrderStatus.FILLED]
    open_ = exchange.trading().get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN, nested=True))
    assert {row.id for row in open_ if isinstance(row, Order)} == {leg.id for leg in order.legs or []}


def test_everything_is_closed_with_a_line_for_each_and_held_shares_say_so(exchange: Exchange) -> None:
    buy(exchange, "KO", 2)
    buy(exchange, "PFE", 2)
    exchange.post(limit("PFE", "sell", 2, 900))
    lines = {line["symbol"]: line for line in exchange.delete("/v2/positions").json()}
    assert lines["KO"]["status"] == 200 and lines["KO"]["body"]["side"] == "sell"
    assert lines["PFE"]["status"] == 403 and lines["PFE"]["body"]["held_for_orders"] == "2"


def test_an_exchange_that_takes_stops_on_options_takes_them(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("stops")
    running = prepare(folder, OPEN + timedelta(minutes=30), rules={"options_stop_orders": True}).start()
    try:
        symbol, line = call_near_the_money(running)
        running.post({"symbol": symbol, "side": "buy", "qty": 1, "type": "market", "time_in_force": "day"})
        running.step(20)
        stop = round(line["latestQuote"]["ap"] // 0.05 * 0.05, 2)
        order = running.trading().submit_order(
            StopOrderRequest(symbol=symbol, qty=1, side=SELL, time_in_force=GTC, stop_price=stop)
        )
        assert until(running, order) == [OrderStatus.FILLED]
        assert running.trading().get_all_positions() == []
    finally:
        running.stop()
