"""Faults of requests and answers, seen by a bare client and by the unmodified SDK."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import httpx
import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.trading.enums import OrderSide, TimeInForce
from alpaca.trading.requests import GetOrderByIdRequest, LimitOrderRequest
from pydantic import ValidationError

from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.test_trading import limit
from trading_assets_tests.exchange.venue_process import TOKEN, Exchange

OTHER = {"APCA-API-KEY-ID": "PKTWO", "APCA-API-SECRET-KEY": "secret-of-account-two"}
LOST = (httpx.RemoteProtocolError, httpx.ReadError)


def fresh() -> str:
    return f"test-{uuid.uuid4()}"


def resting(symbol: str = "KO", **more: Any) -> dict[str, Any]:
    return limit(symbol, "buy", 1, 5, client_order_id=fresh(), **more)


def known(exchange: Exchange, client_order_id: str) -> bool:
    answer = exchange.get("/v2/orders:by_client_order_id", client_order_id=client_order_id)
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


def as_other(exchange: Exchange, path: str) -> httpx.Response:
    return httpx.get(exchange.url + path, headers=OTHER, trust_env=False)


def test_F01_a_lost_answer_leaves_the_order_behind_and_the_sdk_with_a_connection_error(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    name = fresh()
    switchboard.arm("lost_answer", method="POST", path="/v2/orders", symbol="KO", side="buy")
    request = LimitOrderRequest(
        symbol="KO", qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=5, client_order_id=name
    )
    with pytest.raises(requests.exceptions.ConnectionError):
        exchange.trading().submit_order(request)
    assert known(exchange, name)
    [fired] = switchboard.fired("lost_answer")[-1:]
    assert (fired.method, fired.path, fired.account) == ("POST", "/v2/orders", "one")
    assert (fired.symbol, fired.side, fired.client_order_id) == ("KO", "buy", name)
    assert fired.exchange_at == exchange.now() and switchboard.armed() == []
    with pytest.raises(APIError, match="client_order_id must be unique"):
        exchange.trading().submit_order(request)


def test_F02_a_lost_request_leaves_nothing_behind(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("lost_request", method="POST")
    body = resting()
    with pytest.raises(LOST):
        exchange.post(body)
    assert not known(exchange, body["client_order_id"])
    assert exchange.post(body).status_code == 200, "once is once"
    assert [fired.client_order_id for fired in switchboard.fired("lost_request")] == [body["client_order_id"]]


@pytest.mark.parametrize("handled", [False, True])
def test_F03_a_reset_comes_before_or_after_the_order_was_taken(
    exchange: Exchange, switchboard: SwitchboardClient, handled: bool
) -> None:
    switchboard.arm("reset", method="POST", path="/v2/orders", handled=handled)
    body = resting()
    with pytest.raises(httpx.ReadError, match="Connection reset by peer"):
        exchange.post(body)
    assert known(exchange, body["client_order_id"]) == handled
    assert switchboard.fired("reset")[-1].client_order_id == body["client_order_id"]


@pytest.mark.parametrize("handled", [False, True])
def test_F01_a_hanging_request_times_out_whether_or_not_it_was_handled(
    exchange: Exchange, switchboard: SwitchboardClient, handled: bool
) -> None:
    switchboard.arm("hang", method="POST", handled=handled)
    body = resting()
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(exchange.url + "/v2/orders", json=body, headers=exchange.headers, timeout=0.5, trust_env=False)
    assert known(exchange, body["client_order_id"]) == handled
    assert switchboard.fired("hang")[-1].client_order_id == body["client_order_id"]


@pytest.mark.parametrize(("handled", "status"), [(False, 504), (True, 200)])
def test_F01_an_answer_that_hangs_comes_in_the_end(
    exchange: Exchange, switchboard: SwitchboardClient, handled: bool, status: int
) -> None:
    switchboard.arm("hang", path="/v2/orders", handled=handled, seconds=0.3)
    started = time.monotonic()
    assert exchange.post(resting()).status_code == status
    assert time.monotonic() - started >= 0.3


def test_F06_a_burst_of_429_says_when_it_ends(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("rate_limited", path="/v2/account", count=3, reset_s=2)
    answers = [exchange.get("/v2/account") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 429, 429, 200]
    assert answers[0].json() == {"code": 42910000, "message": "rate limit exceeded"}
    assert answers[0].headers["X-RateLimit-Remaining"] == "0"
    assert int(answers[0].headers["X-RateLimit-Reset"]) == int(exchange.now().timestamp()) + 2
    assert len(switchboard.fired("rate_limited")) == 3


@pytest.mark.parametrize(("status", "handled"), [(500, False), (502, True), (503, False), (504, True)])
def test_F07_F04_a_server_error_comes_with_and_without_the_order(
    exchange: Exchange, switchboard: SwitchboardClient, status: int, handled: bool
) -> None:
    switchboard.arm("server_error", method="POST", status=status, handled=handled)
    body = resting()
    answer = exchange.post(body)
    assert (answer.status_code, answer.json()["code"]) == (status, 50010000)
    assert known(exchange, body["client_order_id"]) == handled
    assert switchboard.fired("server_error")[-1].client_order_id == body["client_order_id"]


def test_F04_the_sdk_sends_the_order_again_after_a_504_unless_it_is_told_not_to(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("server_error", method="POST", status=504, handled=True)
    client, name = exchange.trading(), fresh()
    client._retry_wait = 0
    with pytest.raises(APIError, match="client_order_id must be unique"):
        client.submit_order(
            LimitOrderRequest(
                symbol="KO",
                qty=1,
                side=OrderSide.BUY,
                time_in_force=TimeInForce.DAY,
                limit_price=5,
                client_order_id=name,
            )
        )
    assert known(exchange, name)


def test_F08_an_html_page_is_no_json(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("html_body", path="/v2/account", count=2)
    answer = exchange.get("/v2/account")
    assert answer.status_code == 502 and answer.headers["content-type"].startswith("text/html")
    with pytest.raises(APIError) as error:
        exchange.trading().get_account()
    with pytest.raises(json.JSONDecodeError):
        _ = error.value.code
    assert [fired.path for fired in switchboard.fired("html_body")] == ["/v2/account"] * 2


def test_F08_an_empty_200_hides_that_the_order_was_taken(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("empty_200", method="POST")
    body = resting()
    answer = exchange.post(body)
    assert (answer.status_code, answer.content) == (200, b"")
    assert known(exchange, body["client_order_id"])
    assert switchboard.fired("empty_200")[-1].client_order_id == body["client_order_id"]


def test_F08_truncated_json_ends_in_the_middle(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    whole = exchange.get("/v2/account").content
    switchboard.arm("truncated_json", path="/v2/account", keep=0.25)
    answer = exchange.get("/v2/account")
    assert answer.status_code == 200 and answer.content == whole[: len(whole) // 4]
    with pytest.raises(json.JSONDecodeError):
        answer.json()
    assert switchboard.fired("truncated_json")[-1].path == "/v2/account"


def test_F09_one_unknown_status_fails_the_whole_list_of_the_sdk(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    exchange.post(resting("KO"))
    target = exchange.post(resting("PFE")).json()
    switchboard.arm("unknown_enum", symbol="PFE", count=2)
    rows = exchange.get("/v2/orders", symbols="KO,PFE", limit=2).json()
    assert [row["status"] == "awaiting_regulator" for row in rows] == [row["symbol"] == "PFE" for row in rows]
    with pytest.raises(ValidationError):
        exchange.trading().get_orders()
    assert [fired.order_id for fired in switchboard.fired("unknown_enum")] == [target["id"]] * 2
    single = exchange.trading().get_order_by_id(target["id"], GetOrderByIdRequest(nested=False))
    assert single.status == "new", "the order itself is what it was"


def test_F28_an_error_body_takes_the_place_of_the_positions_only(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("bad_positions")
    assert exchange.get("/v2/orders").status_code == 200
    answer = exchange.get("/v2/positions")
    assert answer.status_code == 200 and answer.json()["code"] == 50010000
    assert isinstance(exchange.get("/v2/positions").json(), list)
    assert switchboard.fired("bad_positions")[-1].path == "/v2/positions"


def test_a_slow_body_is_whole_in_the_end(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    whole = exchange.get("/v2/account").content
    switchboard.arm("slow_body", path="/v2/account", seconds=0.4, chunks=4)
    started = time.monotonic()
    assert exchange.get("/v2/account").content == whole
    assert time.monotonic() - started >= 0.4
    assert switchboard.fired("slow_body")[-1].account == "one"


def test_unauthorized_hits_the_account_in_scope_only(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("unauthorized", account="one", count=2)
    assert as_other(exchange, "/v2/account").status_code == 200
    answer = exchange.get("/v2/account")
    assert (answer.status_code, answer.json()["code"]) == (401, 40110000)
    with pytest.raises(APIError):
        exchange.trading().get_account()
    assert exchange.get("/v2/account").status_code == 200
    assert [fired.account for fired in switchboard.fired("unauthorized")] == ["one", "one"]


@pytest.mark.parametrize("mode", ["refuse", "reset"])
def test_F14_in_an_outage_nothing_is_answered_until_its_window_ends(
    exchange: Exchange, switchboard: SwitchboardClient, mode: str
) -> None:
    seen = len(switchboard.fired("outage"))
    switchboard.arm("outage", duration_s=60, clock="exchange", mode=mode)
    body = resting()
    with pytest.raises(LOST):
        exchange.post(body)
    for path in ("/v2/account", "/rss/x"):
        with pytest.raises(LOST):
            exchange.get(path)
    exchange.step(60)
    assert not known(exchange, body["client_order_id"])
    assert [fired.path for fired in switchboard.fired("outage")[seen:]] == ["/v2/orders", "/v2/account", "/rss/x"]
    assert switchboard.armed() == []


def test_F14_a_hanging_outage_keeps_silent_and_can_be_disarmed(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    fault = switchboard.arm("outage", mode="hang")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(exchange.url + "/v2/clock", headers=exchange.headers, timeout=0.4, trust_env=False)
    switchboard.disarm(fault)
    assert exchange.get("/v2/clock").status_code == 200


def test_the_control_path_is_never_hit(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("outage")
    assert exchange.status()["seed"] == 7 and len(switchboard.armed()) == 1
    assert httpx.get(exchange.url + "/practice/v1/faults", trust_env=False).status_code == 401
    assert TOKEN not in json.dumps(switchboard.armed())
