"""How a day passes: waiting for the open, expiry day, the close, and the same day whatever the steps of the clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca.data.requests import OptionChainRequest

from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, SESSION, Exchange

CUTOFF, LIQUIDATION = CLOSE - 45 * MINUTE, CLOSE - 30 * MINUTE


def order(symbol: str, side: str, qty: int, price: float | None = None, tif: str = "day") -> dict[str, Any]:
    kind = {"type": "market"} if price is None else {"type": "limit", "limit_price": price}
    return {"symbol": symbol, "side": side, "qty": qty, "time_in_force": tif, **kind}


def expiring(exchange: Exchange, share: float) -> str:
    """The call of the index that expires today with the strike nearest to ``share`` of its price."""
    price = exchange.get("/v2/stocks/trades/latest", symbols="SPY").json()["trades"]["SPY"]["p"]
    request = OptionChainRequest(underlying_symbol="SPY", expiration_date=SESSION, type="call")
    chain = exchange.options(raw=True).get_option_chain(request)
    return min(chain, key=lambda symbol: abs(int(symbol[-8:]) / 1000 - share * price))


def test_stock_orders_wait_for_the_open_and_option_orders_are_refused_before_it(start_exchange: Starter) -> None:
    exchange = start_exchange(OPEN - 5 * MINUTE)
    waiting = exchange.post(order("KO", "buy", 2)).json()
    assert waiting["status"] == "accepted"
    contract = expiring(exchange, 1.0)
    refused = exchange.post(order(contract, "buy", 1))
    assert refused.status_code == 422 and refused.json()["code"] == 42210000
    assert refused.json()["message"] == "options market orders are only allowed during market hours"
    assert exchange.post(order(contract, "buy", 1, 0.05)).status_code == 422
    exchange.advance(OPEN - timedelta(seconds=1))
    assert exchange.get(f"/v2/orders/{waiting['id']}").json()["status"] == "accepted"
    exchange.advance(OPEN + timedelta(seconds=20))
    filled = exchange.get(f"/v2/orders/{waiting['id']}").json()
    assert filled["status"] == "filled" and filled["filled_at"].startswith("2026-03-13T13:30:")


def test_day_orders_expire_at_the_close_and_good_till_canceled_ones_stay(start_exchange: Starter) -> None:
    exchange = start_exchange(CLOSE - 2 * MINUTE)
    day = exchange.post(order("KO", "buy", 1, 1.0)).json()
    kept = exchange.post(order("KO", "buy", 1, 1.0, "gtc")).json()
    exchange.advance(CLOSE - timedelta(seconds=1))
    assert exchange.get(f"/v2/orders/{day['id']}").json()["status"] == "new"
    exchange.advance(CLOSE)
    expired = exchange.get(f"/v2/orders/{day['id']}").json()
    assert expired["status"] == "expired" and expired["expired_at"] == "2026-03-13T20:00:00.000000Z"
    assert [row["id"] for row in exchange.get("/v2/orders").json()] == [kept["id"]]
    late = exchange.post(order("PFE", "buy", 1)).json()
    exchange.advance(CLOSE + 60 * MINUTE)
    assert exchange.get(f"/v2/orders/{late['id']}").json()["status"] == "accepted"


def test_the_broker_sells_expiring_contracts_and_removes_worthless_ones_at_the_close(start_exchange: Starter) -> None:
    exchange = start_exchange(CUTOFF - 2 * MINUTE)
    valued, hopeless = expiring(exchange, 0.97), expiring(exchange, 1.1)
    later = exchange.post(order("SPY", "buy", 1)).json()
    exchange.post(order(valued, "buy", 1))
    exchange.post(order(hopeless, "buy", 3))
    exchange.advance(CUTOFF)
    held = {row["symbol"]: row["qty"] for row in exchange.get("/v2/positions").json()}
    assert held == {"SPY": "1", valued: "1", hopeless: "3"} and later["status"] == "new"
    refused = exchange.post(order(valued, "buy", 1))
    assert refused.status_code == 422 and "expires today" in refused.json()["message"]
    mine = exchange.post(order(valued, "sell", 1, 500.0)).json()
    exchange.advance(LIQUIDATION - timedelta(seconds=1))
    assert exchange.get(f"/v2/orders/{mine['id']}").json()["status"] == "new"
    exchange.advance(LIQUIDATION + timedelta(seconds=5))
    assert exchange.get(f"/v2/orders/{mine['id']}").json()["status"] == "canceled"
    sold = exchange.get("/v2/orders", status="closed", symbols=valued, side="sell", limit=1).json()[0]
    assert sold["client_order_id"].startswith("broker-liquidation-") and sold["status"] == "filled"
    fill = exchange.get("/v2/account/activities/FILL", order_id=sold["id"]).json()[0]
    assert fill["side"] == "sell" and fill["price"] == sold["filled_avg_price"]
    broker = exchange.get("/v2/orders", symbols=hopeless).json()
    if broker:
        cancel = exchange.delete(f"/v2/orders/{broker[0]['id']}")
        assert cancel.status_code == 422 and "broker" in cancel.json()["message"]
    cash = Decimal(exchange.get("/v2/account").json()["cash"])
    exchange.advance(CLOSE)
    assert [row["symbol"] for row in exchange.get("/v2/positions").json()] == ["SPY"]
    removed = exchange.get("/v2/account/activities/OPEXP").json()
    assert broker and len(removed) == 1, "the contract found a bid: choose one further away"
    assert removed[0]["symbol"] == hopeless and removed[0]["qty"] == "-3" and removed[0]["date"] == "2026-03-13"
    assert Decimal(exchange.get("/v2/account").json()["cash"]) == cash
    assert exchange.get(f"/v2/options/contracts/{hopeless}").json()["status"] == "inactive"


def play(exchange: Exchange, step: timedelta) -> tuple[dict[str, Any], list[str]]:
    """The same commands at the same instants, with the clock moved in steps of ``step`` in between."""

    def advance(target: datetime) -> None:
        while exchange.now() < target:
            exchange.advance(min(target, exchange.now() + step))

    start = exchange.now()
    contract = expiring(exchange, 1.0)
    quotes = exchange.get("/v1beta1/options/quotes/latest", symbols=contract).json()["quotes"]
    middle = round((quotes[contract]["bp"] + quotes[contract]["ap"]) / 2, 2)
    exchange.post(order("KO", "buy", 600) | {"client_order_id": "big"})
    exchange.post(order(contract, "buy", 9, middle) | {"client_order_id": "inside"})
    advance(start + timedelta(seconds=100))
    exchange.post(order("KO", "sell", 5) | {"client_order_id": "out"})
    exchange.delete(
        "/v2/orders/" + exchange.get("/v2/orders:by_client_order_id", client_order_id="inside").json()["id"]
    )
    advance(start + 5 * MINUTE)
    return exchange.picture(), [exchange.status()["now"]]


@pytest.mark.patient
def test_a_day_is_the_same_however_its_passing_is_cut_into_calls(start_exchange: Starter) -> None:
    start = OPEN + 60 * MINUTE
    at_once = play(start_exchange(start), 5 * MINUTE)
    by_seconds = play(start_exchange(start), timedelta(seconds=1))
    oddly = play(start_exchange(start), timedelta(seconds=7.3))
    assert at_once == by_seconds == oddly
    fills = at_once[0]["account/activities"]
    assert {row["type"] for row in fills} == {"fill", "partial_fill"}, "the day should hold a partial fill"
    assert sum(int(row["qty"]) for row in fills if row["side"] == "buy" and row["symbol"] == "KO") == 600
