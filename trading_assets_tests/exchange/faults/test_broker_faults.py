"""What a broker does of itself, and what it refuses: orders, positions, cash and history follow, also after a kill."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import LimitOrderRequest
from websockets.sync.client import ClientConnection

from trading_assets.exchange.faults.rejections import REJECTIONS
from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.faults.switchboard_client import Refused, SwitchboardClient
from trading_assets_tests.exchange.faults.test_http_faults import as_other, fresh, known, resting
from trading_assets_tests.exchange.test_trade_updates import listening, said
from trading_assets_tests.exchange.test_trading import ask
from trading_assets_tests.exchange.venue_process import OPEN, TOKEN, Exchange


def market(symbol: str, side: str, qty: int, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day", **more}


def marketable(exchange: Exchange, symbol: str, qty: int, **more: Any) -> dict[str, Any]:
    """A buy that fills at the next second, with a limit."""
    price = round(ask(exchange, symbol) * 1.02, 2)
    return {**market(symbol, "buy", qty, **more), "type": "limit", "limit_price": price}


def placed(exchange: Exchange, body: dict[str, Any]) -> dict[str, Any]:
    answer = exchange.post(body)
    assert answer.status_code == 200, answer.text
    order: dict[str, Any] = answer.json()
    return order


def order(exchange: Exchange, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = exchange.get(f"/v2/orders/{order_id}").json()
    return found


def bought(exchange: Exchange, symbol: str, qty: int) -> dict[str, Any]:
    """An order that is filled in whole."""
    found = placed(exchange, market(symbol, "buy", qty))
    for _ in range(60):
        exchange.step(1)
        found = order(exchange, found["id"])
        if found["status"] == "filled":
            return found
    raise AssertionError(found)


def held(exchange: Exchange, symbol: str) -> int:
    return sum(int(row["qty"]) for row in exchange.get("/v2/positions").json() if row["symbol"] == symbol)


def cash(exchange: Exchange) -> Decimal:
    return Decimal(exchange.get("/v2/account").json()["cash"])


def fills(exchange: Exchange, order_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = exchange.get("/v2/account/activities/FILL", order_id=order_id).json()
    return found


def updates(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [said(socket)["data"] for _ in range(count)]


# --- refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(REJECTIONS))
def test_F10_a_rejection_comes_with_the_brokers_own_body_and_no_order(
    exchange: Exchange, switchboard: SwitchboardClient, reason: str
) -> None:
    switchboard.arm("reject_order", symbol="PFE", reason=reason)
    body = resting("PFE")
    assert exchange.post(resting("KO")).status_code == 200, "outside the scope"
    answer = exchange.post(body)
    status, code, message, extras = REJECTIONS[reason]
    assert (answer.status_code, answer.json()) == (status, {"code": code, "message": message, **extras})
    assert not known(exchange, body["client_order_id"])
    assert switchboard.fired("reject_order")[-1].client_order_id == body["client_order_id"]
    assert exchange.post(body).status_code == 200


def test_F10_any_status_code_and_message_can_be_answered_and_the_sdk_reads_them(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("reject_order", status=403, code=40310000, message="no", extras={"why": "because"})
    with pytest.raises(APIError) as error:
        exchange.trading().submit_order(
            LimitOrderRequest(symbol="KO", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=5)
        )
    assert (error.value.status_code, error.value.code, error.value.message) == (403, 40310000, "no")
    assert json.loads(str(error.value))["why"] == "because"


def test_F32_shares_are_said_to_be_held_for_orders_when_they_are_sold(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    bought(exchange, "BAC", 3)
    switchboard.arm("held_for_orders", symbol="BAC")
    assert exchange.post(resting("BAC")).status_code == 200, "a buy is no sale"
    exchange.trading().cancel_orders()
    answer = exchange.post(market("BAC", "sell", 3))
    told = answer.json()
    assert (answer.status_code, told["code"]) == (403, 40310000)
    assert (told["existing_qty"], told["held_for_orders"], told["available"]) == ("3", "3", "0")
    assert switchboard.fired("held_for_orders")[-1].side == "sell"
    assert exchange.post(market("BAC", "sell", 3)).status_code == 200
    exchange.step(30)


# --- fills ----------------------------------------------------------------------------------------------------


def test_F20_an_order_is_filled_in_part_and_the_broker_cancels_the_rest(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("partial_then_cancel", symbol="KO", side="buy", account="one", quantity=2)
    other = bought(exchange, "PFE", 3)
    assert other["filled_qty"] == "3", "outside the scope"
    with listening(exchange) as socket:
        cut = placed(exchange, marketable(exchange, "KO", 7))
        exchange.step(5)
        told = updates(socket, 3)
    assert [update["event"] for update in told] == ["new", "partial_fill", "canceled"]
    after = order(exchange, cut["id"])
    assert (after["status"], after["filled_qty"], held(exchange, "KO")) == ("canceled", "2", 2)
    assert switchboard.fired("partial_then_cancel")[-1].order_id == cut["id"]
    assert bought(exchange, "KO", 7)["filled_qty"] == "7", "once is once"


def test_F20_the_legs_of_an_entry_that_was_cut_short_stand_for_what_it_bought(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("partial_then_cancel", symbol="JNJ")
    legs = {"take_profit": {"limit_price": 900}, "stop_loss": {"stop_price": 1}}
    entry = placed(exchange, market("JNJ", "buy", 4, order_class="bracket", **legs))
    exchange.step(3)
    nested = exchange.get(f"/v2/orders/{entry['id']}", nested="true").json()
    assert (nested["status"], nested["filled_qty"]) == ("canceled", "2")
    assert [(leg["qty"], leg["status"]) for leg in nested["legs"]] == [("2", "new"), ("2", "held")]
    exchange.trading().cancel_orders()


def test_a_symbol_does_not_trade_for_a_while_and_others_do(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("no_fills", symbol="XOM", duration_s=60, clock="exchange")
    stuck, free = placed(exchange, market("XOM", "buy", 1)), placed(exchange, market("CVX", "buy", 1))
    exchange.step(30)
    assert order(exchange, stuck["id"])["status"] == "new" and order(exchange, free["id"])["status"] == "filled"
    assert {fired.order_id for fired in switchboard.fired("no_fills")} == {stuck["id"]}
    exchange.step(60)
    assert order(exchange, stuck["id"])["status"] == "filled"


# --- races ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("accepted", "status"), [(False, 422), (True, 204)])
def test_F21_a_cancel_loses_its_race_against_the_fill(
    exchange: Exchange, switchboard: SwitchboardClient, accepted: bool, status: int
) -> None:
    before = held(exchange, "KO")
    switchboard.arm("fill_before_cancel", symbol="KO", accepted=accepted)
    spared = placed(exchange, resting("PFE"))
    raced = placed(exchange, resting("KO"))
    assert exchange.delete(f"/v2/orders/{spared['id']}").status_code == 204
    answer = exchange.delete(f"/v2/orders/{raced['id']}")
    assert answer.status_code == status
    after = order(exchange, raced["id"])
    assert (after["status"], after["filled_avg_price"], held(exchange, "KO")) == ("filled", "5", before + 1)
    assert len(fills(exchange, raced["id"])) == 1
    assert switchboard.fired("fill_before_cancel")[-1].order_id == raced["id"]
    assert order(exchange, spared["id"])["status"] == "canceled"


def test_F21_of_all_orders_that_are_canceled_one_fills_first(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("fill_before_cancel", symbol="BAC")
    orders = [placed(exchange, resting(symbol)) for symbol in ("KO", "BAC", "BAC")]
    exchange.trading().cancel_orders()
    assert [order(exchange, one["id"])["status"] for one in orders] == ["canceled", "filled", "canceled"]


def test_F21_a_part_fills_before_the_rest_is_canceled(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("fill_before_cancel", quantity=2)
    raced = placed(exchange, {**resting("KO"), "qty": 5})
    assert exchange.delete(f"/v2/orders/{raced['id']}").status_code == 204
    after = order(exchange, raced["id"])
    assert (after["status"], after["filled_qty"]) == ("canceled", "2")


def test_F21_a_replacement_loses_its_race_against_the_fill(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("fill_before_replace", symbol="KO")
    raced = placed(exchange, resting("KO"))
    answer = exchange.client.patch(f"{exchange.url}/v2/orders/{raced['id']}", json={"limit_price": 6})
    assert (answer.status_code, answer.json()["code"]) == (422, 42210000)
    assert order(exchange, raced["id"])["status"] == "filled"
    assert switchboard.fired("fill_before_replace")[-1].method == "PATCH"


# --- the broker acts ------------------------------------------------------------------------------------------------


def test_F26_the_broker_sells_a_position_with_an_order_nobody_placed(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    bought(exchange, "NVDA", 4)
    stop = placed(exchange, {**market("NVDA", "sell", 4), "type": "stop", "stop_price": 1})
    mine = {row["id"] for row in exchange.get("/v2/orders", status="all", limit=500).json()}
    switchboard.arm("liquidate", account="one", symbol="NVDA", quantity=3)
    assert order(exchange, stop["id"])["status"] == "canceled"
    exchange.step(2)
    assert held(exchange, "NVDA") == 1
    rows = exchange.get("/v2/orders", status="all", limit=500).json()
    [foreign] = [row for row in rows if row["id"] not in mine]
    assert (foreign["side"], foreign["filled_qty"], foreign["status"]) == ("sell", "3", "filled")
    assert switchboard.fired("liquidate")[-1].symbol == "NVDA"
    with pytest.raises(Refused) as refused:
        switchboard.arm("liquidate", account="two", symbol="NVDA")
    assert refused.value.status == 422 and switchboard.armed() == []
    assert len(switchboard.fired("liquidate")) == 1, "what could not be done did not happen"


def test_F25_a_trade_by_hand_opens_and_closes_positions_without_the_clients_ids(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("hand_trade", account="one", symbol="WMT", side="buy", quantity=3)
    exchange.step(30)
    assert held(exchange, "WMT") == 3
    stop = placed(exchange, {**market("WMT", "sell", 3), "type": "stop", "stop_price": 1})
    with pytest.raises(Refused) as refused:
        switchboard.arm("hand_trade", account="one", symbol="WMT", side="sell", quantity=3)
    assert refused.value.status == 403, "the shares are held for the stop"
    switchboard.arm("hand_trade", account="one", symbol="WMT", side="sell", quantity=3, cancel_orders=True)
    exchange.step(30)
    assert held(exchange, "WMT") == 0 and order(exchange, stop["id"])["status"] == "canceled"
    assert [fired.side for fired in switchboard.fired("hand_trade")] == ["buy", "sell"]
    assert as_other(exchange, "/v2/positions").json() == []


def test_F25_a_trade_by_hand_comes_just_before_a_request(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("hand_trade", account="one", symbol="DIS", side="buy", method="POST", path="/v2/orders", after=1)
    for _ in range(3):
        exchange.post(resting("DIS"))
    rows = exchange.get("/v2/orders", symbols="DIS", direction="asc").json()
    assert [row["type"] for row in rows] == ["limit", "market", "limit", "limit"]
    exchange.trading().cancel_orders()


def test_F23_a_bust_takes_back_order_position_cash_and_history(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    money = cash(exchange)
    entry = bought(exchange, "CVX", 5)
    stop = placed(exchange, {**market("CVX", "sell", 5), "type": "stop", "stop_price": 1})
    before = held(exchange, "CVX")
    [*_, newest] = sorted(fills(exchange, entry["id"]), key=lambda row: row["id"])
    gone = int(newest["qty"])
    with listening(exchange) as socket:
        switchboard.arm("bust", account="one", execution_id=newest["id"])
        told = updates(socket, 1 if before - gone >= 5 else 2)[-1]
    assert (told["event"], told["qty"], told["price"]) == ("trade_bust", newest["qty"], newest["price"])
    assert told["previous_execution_id"] == newest["id"].partition("::")[2] != told["execution_id"]
    assert told["position_qty"] == str(before - gone) and held(exchange, "CVX") == before - gone
    after = order(exchange, entry["id"])
    assert (after["status"], int(after["filled_qty"])) == ("canceled", 5 - gone)
    left = fills(exchange, entry["id"])
    assert newest["id"] not in {row["id"] for row in left}
    paid = sum(Decimal(row["price"]) * int(row["qty"]) for row in left)
    assert cash(exchange) == money - paid
    assert order(exchange, stop["id"])["status"] == ("new" if before - gone >= 5 else "canceled")
    assert switchboard.fired("bust")[-1].account == "one"


def test_F23_a_correction_changes_price_and_quantity(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    money = cash(exchange)
    entry = bought(exchange, "JPM", 4)
    [*_, newest] = sorted(fills(exchange, entry["id"]), key=lambda row: row["id"])
    others = sum(Decimal(row["price"]) * int(row["qty"]) for row in fills(exchange, entry["id"]) if row != newest)
    with listening(exchange) as socket:
        switchboard.arm("correct", account="one", symbol="JPM", side="buy", price="100.5")
        [told] = updates(socket, 1)
    assert (told["event"], told["price"], told["qty"]) == ("trade_correct", "100.5", newest["qty"])
    assert cash(exchange) == money - others - Decimal("100.5") * int(newest["qty"])
    [line] = [row for row in fills(exchange, entry["id"]) if row["price"] == "100.5"]
    assert line["id"].partition("::")[2] == told["execution_id"]
    [position] = [row for row in exchange.get("/v2/positions").json() if row["symbol"] == "JPM"]
    assert Decimal(position["cost_basis"]) == others + Decimal("100.5") * int(newest["qty"])
    average = Decimal(order(exchange, entry["id"])["filled_avg_price"])
    assert average * 4 == pytest.approx(Decimal(position["cost_basis"]), abs=Decimal("0.0001"))
    with pytest.raises(Refused) as refused:
        switchboard.arm("correct", account="one", symbol="JPM", quantity=1000)
    assert refused.value.status == 422


def test_F23_a_sale_that_is_busted_gives_the_shares_back_and_a_buy_that_was_sold_cannot_be(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    bought(exchange, "MRK", 2)
    basis = next(row for row in exchange.get("/v2/positions").json() if row["symbol"] == "MRK")["cost_basis"]
    sale = placed(exchange, market("MRK", "sell", 2))
    exchange.step(30)
    assert held(exchange, "MRK") == 0
    with pytest.raises(Refused) as refused:
        switchboard.arm("bust", account="one", symbol="MRK", side="buy")
    assert refused.value.status == 422
    for _ in fills(exchange, sale["id"]):
        switchboard.arm("bust", account="one", symbol="MRK", side="sell")
    assert held(exchange, "MRK") == 2 and fills(exchange, sale["id"]) == []
    [position] = [row for row in exchange.get("/v2/positions").json() if row["symbol"] == "MRK"]
    assert position["cost_basis"] == basis
    with pytest.raises(Refused) as refused:
        switchboard.arm("bust", account="one", execution_id="nobody's")
    assert refused.value.status == 404


def test_chances_of_an_act_may_be_against_it(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("hand_trade", account="one", symbol="UBER", side="buy", probability=0.01, seed=1)
    assert switchboard.fired("hand_trade") == [] or switchboard.fired("hand_trade")[-1].symbol != "UBER"
    assert exchange.get("/v2/orders", symbols="UBER").json() == []


def test_what_the_broker_did_is_the_same_after_a_kill(start_exchange: Starter) -> None:
    exchange = start_exchange(OPEN + timedelta(minutes=30), faults=True)
    switchboard = SwitchboardClient(exchange.url, TOKEN)
    for symbol in ("KO", "PFE", "BAC"):
        bought(exchange, symbol, 6)
    switchboard.arm("partial_then_cancel", symbol="MSFT")
    placed(exchange, market("MSFT", "buy", 4))
    exchange.step(5)
    switchboard.arm("fill_before_cancel", symbol="KO")
    exchange.delete(f"/v2/orders/{placed(exchange, resting('KO'))['id']}")
    switchboard.arm("bust", account="one", symbol="PFE")
    switchboard.arm("correct", account="one", symbol="BAC", price="1.5")
    switchboard.arm("liquidate", account="one", symbol="KO")
    switchboard.arm("hand_trade", account="one", symbol="WMT", side="buy")
    exchange.step(1)
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen and len(seen["positions"]) >= 3
    exchange.step(60)
    assert held(exchange, "KO") == 0 and held(exchange, "WMT") == 1
    assert exchange.post({**resting("KO"), "client_order_id": fresh()}).status_code == 200
