"""Multi-leg orders through the unmodified SDK: spreads are opened, rolled, closed and refused, all legs together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import websockets
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderClass, OrderSide, OrderStatus, PositionIntent, PositionSide, TimeInForce
from alpaca.trading.requests import (
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    OptionLegRequest,
    ReplaceOrderRequest,
)

from trading_assets_tests.exchange.openapi import Document
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, SESSION, Exchange, configuration, prepare

DAY = TimeInForce.DAY
OPENING = {OrderSide.BUY: PositionIntent.BUY_TO_OPEN, OrderSide.SELL: PositionIntent.SELL_TO_OPEN}
CLOSING = {OrderSide.BUY: PositionIntent.BUY_TO_CLOSE, OrderSide.SELL: PositionIntent.SELL_TO_CLOSE}
Chain = dict[str, dict[str, Any]]


def spreads(**changes: Any) -> dict[str, Any]:
    """The usual accounts, the first of which may trade spreads."""
    one, two = configuration(OPEN)["accounts"]
    return {"accounts": [{**one, "options_level": 3, **changes}, two]}


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = prepare(tmp_path / "exchange", OPEN + timedelta(minutes=30), **spreads()).start()
    yield running
    running.stop()


def calls(exchange: Exchange) -> Chain:
    """Calls of NVDA of the nearest later expiry around the money, by symbol, which is by strike."""
    found = exchange.get(
        "/v1beta1/options/snapshots/NVDA",
        type="call",
        expiration_date_gte=(SESSION + timedelta(days=3)).isoformat(),
        limit=1000,
    ).json()["snapshots"]
    near = {s: line for s, line in found.items() if 0.25 < line["greeks"]["delta"] < 0.65}
    first = min(symbol[4:10] for symbol in near)
    return {s: near[s] for s in sorted(near) if s[4:10] == first}


def leg(symbol: str, side: OrderSide, intents: dict[OrderSide, PositionIntent], ratio: int = 1) -> OptionLegRequest:
    return OptionLegRequest(symbol=symbol, ratio_qty=ratio, side=side, position_intent=intents[side])


def strike(symbol: str) -> Decimal:
    return Decimal(symbol[-8:]) / 1000


def vertical(low: str, high: str, intents: dict[OrderSide, PositionIntent] = OPENING) -> list[OptionLegRequest]:
    """Long the lower, short the higher call; with the intents of closing: the other way round."""
    first, second = (OrderSide.BUY, OrderSide.SELL) if intents is OPENING else (OrderSide.SELL, OrderSide.BUY)
    return [leg(low, first, intents), leg(high, second, intents)]


def limit(legs: list[OptionLegRequest], price: Decimal | float, qty: int = 1, **more: Any) -> LimitOrderRequest:
    return LimitOrderRequest(
        qty=qty, time_in_force=DAY, order_class=OrderClass.MLEG, legs=legs, limit_price=float(price), **more
    )


def natural(chain: Chain, low: str, high: str) -> Decimal:
    """What the vertical costs at the quotes, per share."""
    return Decimal(str(chain[low]["latestQuote"]["ap"])) - Decimal(str(chain[high]["latestQuote"]["bp"]))


def filled(exchange: Exchange, order: Any) -> Any:
    client = exchange.trading()
    for _ in range(60):
        exchange.step()
        found = client.get_order_by_id(order.id)
        if found.status is OrderStatus.FILLED:
            return found
    raise AssertionError(f"not filled: {found}")


def cash(exchange: Exchange) -> Decimal:
    return Decimal(exchange.get("/v2/account").json()["cash"])


def test_a_vertical_is_opened_and_closed_at_a_net_price_with_all_its_legs(exchange: Exchange) -> None:
    client, chain = exchange.trading(), calls(exchange)
    low, high = list(chain)[:2]
    before = cash(exchange)
    debit = natural(chain, low, high) + Decimal("0.30")
    placed = client.submit_order(limit(vertical(low, high), debit, 3, client_order_id="spread"))
    assert (placed.order_class, placed.qty, placed.symbol, placed.side) == (OrderClass.MLEG, "3", None, None)
    assert placed.legs is not None and [part.symbol for part in placed.legs] == [low, high]
    raw = exchange.get(f"/v2/orders/{placed.id}").json()
    assert (raw["side"], raw["asset_class"], raw["asset_id"].strip("0-")) == ("", "", "")
    assert [(part["type"], part["ratio_qty"], part["limit_price"]) for part in raw["legs"]] == [("", "1", None)] * 2
    held = Decimal(exchange.get("/v2/account").json()["options_buying_power"])
    assert before - held == pytest.approx(debit * 300)
    done = filled(exchange, placed)
    net = Decimal(done.filled_avg_price)
    bought, sold = done.legs
    assert net == Decimal(bought.filled_avg_price) - Decimal(sold.filled_avg_price) <= debit
    assert (bought.filled_qty, sold.filled_qty) == ("3", "3")
    assert cash(exchange) == before - net * 300
    positions = {p.symbol: p for p in client.get_all_positions()}
    short = positions[high]
    assert (short.side, short.qty, short.qty_available) == (PositionSide.SHORT, "-3", "-3")
    assert Decimal(short.market_value) < 0 and Decimal(short.cost_basis) < 0 < Decimal(short.avg_entry_price)
    account = exchange.get("/v2/account").json()
    assert Decimal(account["short_market_value"]) < 0 and account["buying_power"] == account["cash"]
    fills = exchange.get("/v2/account/activities/FILL").json()
    assert sorted({(row["symbol"], row["side"]) for row in fills}) == sorted([(low, "buy"), (high, "sell")])
    assert [row.id for row in client.get_orders(GetOrdersRequest(status="all"))] == [placed.id]
    assert [row.id for row in client.get_orders(GetOrdersRequest(status="all", symbols=[high]))] == [placed.id]

    credit = -(natural(chain, low, high) - Decimal("1.00"))
    closing = client.submit_order(limit(vertical(low, high, CLOSING), credit, 3))
    assert Decimal(exchange.get("/v2/account").json()["buying_power"]) == cash(exchange)
    got = filled(exchange, closing)
    assert Decimal(got.filled_avg_price) <= credit
    assert client.get_all_positions() == []
    assert cash(exchange) == before - net * 300 - Decimal(got.filled_avg_price) * 300


def test_a_credit_spread_ties_up_its_width_less_the_credit_and_no_more(exchange: Exchange) -> None:
    client, chain = exchange.trading(), calls(exchange)
    low, high = list(chain)[:2]
    width = strike(high) - strike(low)
    credit = -natural(chain, low, high) + Decimal("1.00")
    assert credit < 0
    legs = [leg(low, OrderSide.SELL, OPENING), leg(high, OrderSide.BUY, OPENING)]
    order = client.submit_order(limit(legs, credit, 2))
    account = exchange.get("/v2/account").json()
    assert Decimal(account["cash"]) - Decimal(account["buying_power"]) == (width + credit) * 200
    done = filled(exchange, order)
    account = exchange.get("/v2/account").json()
    assert Decimal(account["cash"]) == 50000 - Decimal(done.filled_avg_price) * 200 > 50000
    assert Decimal(account["cash"]) - Decimal(account["buying_power"]) == width * 200
    too_many = limit(legs, credit, int(Decimal(account["buying_power"]) / ((width + credit) * 100)) + 1)
    with pytest.raises(APIError, match="insufficient options buying power"):
        client.submit_order(too_many)
    with pytest.raises(APIError, match="uncovered"):
        client.close_position(high)
    closed = client.close_all_positions()
    assert {line.symbol: line.status for line in closed} == {low: 200, high: 403}
    exchange.step(30)
    assert client.close_position(high).symbol == high
    exchange.step(30)
    assert client.get_all_positions() == []
    assert exchange.get("/v2/account").json()["buying_power"] == exchange.get("/v2/account").json()["cash"]


def test_a_roll_sells_one_contract_and_buys_the_next_in_one_order(exchange: Exchange) -> None:
    client, chain = exchange.trading(), calls(exchange)
    old, new = list(chain)[:2]
    client.submit_order(MarketOrderRequest(symbol=old, qty=2, side=OrderSide.BUY, time_in_force=DAY))
    exchange.step(30)
    roll = [leg(old, OrderSide.SELL, CLOSING), leg(new, OrderSide.BUY, OPENING)]
    market = MarketOrderRequest(qty=2, time_in_force=DAY, order_class=OrderClass.MLEG, legs=roll)
    order = client.submit_order(market)
    assert exchange.get(f"/v2/positions/{old}").json()["qty_available"] == "0"
    with pytest.raises(APIError, match="insufficient qty"):
        client.submit_order(market)
    filled(exchange, order)
    assert {p.symbol: p.qty for p in client.get_all_positions()} == {new: "2"}


def test_a_resting_spread_is_replaced_and_canceled_as_a_whole_and_survives_a_kill(exchange: Exchange) -> None:
    client, chain = exchange.trading(), calls(exchange)
    low, high = list(chain)[:2]
    order = client.submit_order(limit(vertical(low, high), "0.01", 2, client_order_id="first"))
    parts = order.legs
    with pytest.raises(APIError, match="leg of a multi-leg order"):
        client.cancel_order_by_id(parts[0].id)
    changed = client.replace_order_by_id(order.id, ReplaceOrderRequest(qty=5, limit_price=0.02))
    assert (changed.qty, changed.limit_price, changed.replaces) == ("5", "0.02", order.id)
    assert [part.qty for part in changed.legs] == ["5", "5"]
    old = client.get_order_by_id(order.id)
    assert old.status is OrderStatus.REPLACED and old.replaced_by == changed.id
    assert {part.status for part in old.legs} == {OrderStatus.REPLACED}
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen
    client = exchange.trading()
    answers = client.cancel_orders()
    assert [(line.id, line.status) for line in answers] == [(changed.id, 200)]
    gone = client.get_order_by_id(changed.id)
    assert {gone.status, *(part.status for part in gone.legs)} == {OrderStatus.CANCELED}
    assert client.get_orders() == [] and Decimal(client.get_account().buying_power) == 50000


def raw_leg(symbol: str, side: str, ratio: Any = "1", effect: str = "open") -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "ratio_qty": ratio, "position_intent": f"{side}_to_{effect}"}


def test_what_is_no_covered_strategy_is_refused_by_name(exchange: Exchange) -> None:
    low, high = list(calls(exchange))[:2]
    put = high[:10] + "P" + high[11:]
    base = {"qty": "1", "type": "limit", "limit_price": "1", "time_in_force": "day", "order_class": "mleg"}
    two = [raw_leg(low, "buy"), raw_leg(high, "sell")]
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"legs": two[:1]}, 422, "2 to 4 legs"),
        ({"legs": two * 3}, 422, "2 to 4 legs"),
        ({"legs": [two[0], two[0]]}, 422, "unique"),
        ({"legs": [raw_leg(low, "buy", "2"), raw_leg(high, "sell", "2")]}, 422, "relatively prime"),
        ({"legs": [raw_leg(low, "buy", "0.5"), two[1]]}, 422, "ratio_qty"),
        ({"legs": two, "time_in_force": "gtc"}, 422, "order_time_in_force"),
        ({"legs": two, "type": "stop", "stop_price": "1"}, 422, "unknown field"),
        ({"legs": two, "symbol": "NVDA"}, 422, "symbol is not allowed"),
        ({"legs": two, "limit_price": "1.005"}, 422, "sub-penny"),
        ({"legs": [raw_leg("NVDA", "buy"), two[1]]}, 422, "not an option contract"),
        ({"legs": [raw_leg(low, "sell"), raw_leg(put, "sell")]}, 403, "uncovered"),
        ({"legs": [raw_leg(low, "buy"), raw_leg(high, "sell", "2")]}, 403, "uncovered"),
        ({"legs": [two[0], raw_leg(put, "sell")]}, 403, "uncovered"),
        ({"legs": [two[0], raw_leg(high, "sell", effect="close")]}, 403, "uncovered"),
        ({"legs": two, "qty": "100000"}, 403, "insufficient options buying power"),
    ]
    for changes, status, words in cases:
        answer = exchange.post({**base, **changes})
        assert (answer.status_code, words in answer.json()["message"]) == (status, True), (changes, answer.text)
    headers = {"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": "secret-of-account-two"}
    other = httpx.post(exchange.url + "/v2/orders", json={**base, "legs": two}, headers=headers)
    assert other.status_code == 403 and "multi-leg" in other.json()["message"]
    assert exchange.get("/v2/orders", status="all").json() == []


def test_a_fill_is_told_with_the_executions_and_positions_of_its_legs(exchange: Exchange) -> None:
    chain = calls(exchange)
    low, high = list(chain)[:2]

    async def listen() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        async with websockets.connect(exchange.url.replace("http", "ws") + "/stream") as socket:
            await socket.send(orjson.dumps({"action": "auth", "key": KEY, "secret": SECRET}).decode())
            await socket.recv()
            await socket.send(orjson.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}).decode())
            await socket.recv()
            request = limit(vertical(low, high), natural(chain, low, high) + 1, 2)
            await asyncio.to_thread(exchange.trading().submit_order, request)
            await asyncio.to_thread(exchange.step, 20)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and (not told or told[-1]["event"] != "fill"):
                told.append(orjson.loads(await asyncio.wait_for(socket.recv(), 20))["data"])
        return told

    told = asyncio.run(listen())
    assert [update["event"] for update in told if update["event"] != "partial_fill"] == ["new", "fill"]
    last = told[-1]
    assert last["position_qtys"] == {low: "2", high: "-2"} and last["order"]["symbol"] == ""
    bought, sold = last["legs"]
    assert Decimal(bought["price"]) - Decimal(sold["price"]) == Decimal(last["price"])
    fills = {row["id"].partition("::")[2] for row in exchange.get("/v2/account/activities/FILL").json()}
    assert {bought["execution_id"], sold["execution_id"]} <= fills


def test_spreads_and_short_legs_are_answered_as_documented(exchange: Exchange, recorded_data: Path) -> None:
    document = Document(recorded_data / "alpaca" / "A5_openapi" / "trading-api.json")
    chain = calls(exchange)
    low, high = list(chain)[:2]
    order = exchange.trading().submit_order(limit(vertical(low, high), natural(chain, low, high) + 1))
    exchange.step(30)
    # A multi-leg order has no side, class or symbol and its legs no type: the document's own example has "" there, its
    # schema has no such value. What an option closed at before the present session is not known.
    known = ("'' is not one of", "'' should be non-empty", "'lastday_price' is a req", "'change_today' is a req")
    for path in (f"/v2/orders/{order.id}", "/v2/orders", "/v2/positions", "/v2/account", "/v2/account/activities"):
        params = {"status": "all"} if path == "/v2/orders" else {}
        body = exchange.get(path, **params).json()
        assert body
        # Each leg is compared by itself: inside an order it may also be null, which hides what is wrong.
        legs = [part for row in (body if isinstance(body, list) else [body]) for part in row.pop("legs", None) or []]
        troubles = document.troubles("GET", path, 200, body) + document.troubles("GET", "/v2/orders", 200, legs)
        assert [line for line in troubles if not any(words in line for words in known)] == []
