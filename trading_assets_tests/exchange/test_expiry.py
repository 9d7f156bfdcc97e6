"""Exercise, assignment and expiry: said today, settled with contracts, stock and cash on the next morning (F27)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from alpaca.common.exceptions import APIError
from alpaca.data.requests import OptionChainRequest
from alpaca.trading.enums import OrderSide
from alpaca.trading.requests import MarketOrderRequest

from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.openapi import Document
from trading_assets_tests.exchange.test_combos import (
    DAY,
    OPENING,
    calls,
    leg,
    limit,
    natural,
    spreads,
)
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, SESSION, Exchange, prepare

MONDAY = shift(SESSION, 1)
MORNING = MONDAY.open - 5 * MINUTE
CUTOFF = CLOSE - 45 * MINUTE


def begun(folder: Path, **changes: Any) -> Exchange:
    accounts = spreads(cash="900000", shorting=True)
    return prepare(folder, CUTOFF - 4 * MINUTE, last_session=MONDAY.key, **accounts, **changes)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    """A world of two sessions, late on its first day, whose broker leaves what can be paid for to its exercise."""
    running = begun(tmp_path / "exchange", rules={"expiry_exercise": True}).start()
    yield running
    running.stop()


def today(exchange: Exchange, share: float, right: str = "call") -> str:
    """The contract of the index that expires today with the strike nearest to ``share`` of its price."""
    price = exchange.get("/v2/stocks/trades/latest", symbols="SPY").json()["trades"]["SPY"]["p"]
    request = OptionChainRequest(underlying_symbol="SPY", expiration_date=SESSION, type=right)
    chain = exchange.options(raw=True).get_option_chain(request)
    return min(chain, key=lambda symbol: abs(int(symbol[-8:]) / 1000 - share * price))


def strike(symbol: str) -> Decimal:
    return Decimal(symbol[-8:]) / 1000


def buy(exchange: Exchange, symbol: str, qty: int = 1) -> None:
    exchange.trading().submit_order(MarketOrderRequest(symbol=symbol, qty=qty, side=OrderSide.BUY, time_in_force=DAY))


def held(exchange: Exchange) -> dict[str, str]:
    return {row["symbol"]: row["qty"] for row in exchange.get("/v2/positions").json()}


def cash(exchange: Exchange) -> Decimal:
    return Decimal(exchange.get("/v2/account").json()["cash"])


def spread(exchange: Exchange, low: str, high: str) -> None:
    """Sell the lower and buy the higher call at a price that the market gives at once."""
    legs = [leg(low, OrderSide.SELL, OPENING), leg(high, OrderSide.BUY, OPENING)]
    exchange.trading().submit_order(limit(legs, -0.01))


def test_F27_what_was_exercised_and_assigned_at_the_close_changes_the_account_on_the_next_morning(
    exchange: Exchange, recorded_data: Path
) -> None:
    client = exchange.trading()
    lower, low, high, declined = (today(exchange, share) for share in (0.94, 0.96, 0.98, 0.97))
    hopeless = today(exchange, 1.1)
    assert len({lower, low, high, declined}) == 4
    for symbol in (low, declined, hopeless):
        buy(exchange, symbol)
    spread(exchange, lower, high)
    exchange.step(60)
    options = {lower: "-1", low: "1", high: "1", declined: "1", hopeless: "1"}
    assert held(exchange) == options
    assert client._request("POST", f"/positions/{declined}/do-not-exercise") is None
    before = cash(exchange)
    exchange.advance(CLOSE)
    assert held(exchange) == {lower: "-1", low: "1", high: "1"}
    gone = exchange.get("/v2/account/activities/OPEXP").json()
    assert {row["symbol"] for row in gone} == {declined, hopeless}
    exchange.advance(MORNING - timedelta(seconds=1))
    assert held(exchange) == {lower: "-1", low: "1", high: "1"} and cash(exchange) == before
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen
    exchange.advance(MORNING)
    assert held(exchange) == {"SPY": "100"}
    assert cash(exchange) == before - (strike(low) + strike(high) - strike(lower)) * 100
    lines = exchange.get("/v2/account/activities", category="non_trade_activity").json()
    exercised = [row for row in lines if row["activity_type"] == "OPEXC"]
    assigned = [row for row in lines if row["activity_type"] == "OPASN"]
    assert {(row["symbol"], row["qty"], row["date"]) for row in exercised} == {
        (low, "-1", SESSION.isoformat()),
        (high, "-1", SESSION.isoformat()),
    }
    assert [(row["symbol"], row["qty"]) for row in assigned] == [(lower, "1")]
    trades = {row["group_id"]: row for row in lines if row["activity_type"] == "OPTRD"}
    sold = trades[assigned[0]["group_id"]]
    assert (sold["symbol"], sold["qty"], Decimal(sold["price"])) == ("SPY", "-100", strike(lower))
    assert Decimal(sold["net_amount"]) == strike(lower) * 100
    document = Document(recorded_data / "alpaca" / "A5_openapi" / "trading-api.json")
    assert document.troubles("GET", "/v2/account/activities", 200, lines) == []
    exchange.advance(MONDAY.open + MINUTE)
    client.close_position("SPY")
    exchange.step(30)
    assert held(exchange) == {}


def test_F27_a_contract_that_waits_for_its_settlement_is_worth_its_last_price(exchange: Exchange) -> None:
    def figures() -> tuple[Decimal, Decimal, Decimal]:
        found = exchange.get("/v2/account").json()
        values = [Decimal(row["market_value"]) for row in exchange.get("/v2/positions").json()]
        return Decimal(found["cash"]), Decimal(found["equity"]), sum(values, Decimal(0))

    lower, low, high = (today(exchange, share) for share in (0.94, 0.96, 0.98))
    buy(exchange, low)
    spread(exchange, lower, high)
    exchange.advance(CLOSE - timedelta(seconds=1))
    cash_then, equity, value = figures()
    assert equity == cash_then + value != cash_then
    for instant in (CLOSE, CLOSE + 60 * MINUTE, MORNING - timedelta(seconds=1)):
        exchange.advance(instant)
        assert held(exchange) == {lower: "-1", low: "1", high: "1"}
        assert figures() == (cash_then, equity, value)


def test_F27_an_exercise_by_request_claims_contract_and_cash_and_can_be_taken_back(exchange: Exchange) -> None:
    client = exchange.trading()
    symbol = next(iter(calls(exchange)))
    with pytest.raises(APIError) as error:
        client.exercise_options_position(symbol)
    assert (error.value.status_code, error.value.code) == (403, 40310000)
    with pytest.raises(APIError, match="invalid symbol"):
        client.exercise_options_position("NVDA")
    buy(exchange, symbol, 2)
    exchange.step(30)
    power = Decimal(exchange.get("/v2/account").json()["buying_power"])
    client.exercise_options_position(symbol)
    assert Decimal(exchange.get("/v2/account").json()["buying_power"]) == power - strike(symbol) * 200
    with pytest.raises(APIError, match="insufficient qty"):
        client.close_position(symbol)
    client._request("POST", f"/positions/{symbol}/do-not-exercise")
    assert Decimal(exchange.get("/v2/account").json()["buying_power"]) == power
    client.exercise_options_position(symbol)
    exchange.advance(CLOSE + MINUTE)
    with pytest.raises(APIError, match="between the close and midnight"):
        client.exercise_options_position(symbol)
    before = cash(exchange)
    exchange.advance(MORNING)
    assert held(exchange) == {"NVDA": "200"} and cash(exchange) == before - strike(symbol) * 200
    position = client.get_open_position("NVDA")
    assert Decimal(position.avg_entry_price) == strike(symbol)


def test_F27_an_early_assignment_leaves_the_long_leg_and_short_stock_that_can_be_covered(exchange: Exchange) -> None:
    client, chain = exchange.trading(), calls(exchange)
    low, high = list(chain)[:2]
    legs = [leg(low, OrderSide.SELL, OPENING), leg(high, OrderSide.BUY, OPENING)]
    client.submit_order(limit(legs, -natural(chain, low, high) + 1, 2))
    exchange.step(30)
    for symbol, words in ((low, "cannot exercise short"), (high, "uncovered")):
        with pytest.raises(APIError, match=words):
            client.exercise_options_position(symbol)
    path = exchange.url + "/practice/v1/assignments"
    body = {"account": "one", "symbol": low, "quantity": 1}
    assert httpx.post(path, json=body).status_code == 401
    assert exchange.control.post(path, json={**body, "quantity": 3}).status_code == 422
    assert exchange.control.post(path, json={**body, "account": "nobody"}).status_code == 404
    assert exchange.control.post(path, json=body).status_code == 200
    before = cash(exchange)
    exchange.advance(MORNING)
    assert held(exchange) == {low: "-1", high: "2", "NVDA": "-100"}
    assert cash(exchange) == before + strike(low) * 100
    exchange.advance(MONDAY.open + MINUTE)
    assert client.close_position("NVDA").side is OrderSide.BUY
    client.close_position(low)
    exchange.step(60)
    assert held(exchange) == {high: "2"}


def test_F26_by_default_the_broker_closes_both_legs_of_an_expiring_spread(tmp_path: Path) -> None:
    exchange = begun(tmp_path / "closing").start()
    try:
        low, high = today(exchange, 0.97), today(exchange, 0.98)
        spread(exchange, low, high)
        exchange.step(60)
        assert held(exchange) == {low: "-1", high: "1"}
        exchange.advance(CLOSE - 29 * MINUTE)
        assert held(exchange) == {}
        orders = exchange.get("/v2/orders", status="closed", symbols=f"{low},{high}").json()
        broker = {row["symbol"]: row["side"] for row in orders if row["client_order_id"].startswith("broker-")}
        assert broker == {low: "buy", high: "sell"}
        exchange.advance(MORNING)
        assert held(exchange) == {}
    finally:
        exchange.stop()
