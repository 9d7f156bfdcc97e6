"""Faults of the stream of trade updates, seen by a bare websocket and by the unmodified SDK."""

from __future__ import annotations

import asyncio
import json
import threading
from queue import Empty, Queue
from typing import Any

import pytest
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.faults.test_http_faults import OTHER, resting
from trading_assets_tests.exchange.test_trade_updates import OTHER as OTHER_KEYS
from trading_assets_tests.exchange.test_trade_updates import address, listening, said
from trading_assets_tests.exchange.venue_process import KEY, SECRET, Exchange

SECONDS = 20.0


def place(exchange: Exchange, symbol: str = "KO") -> str:
    answer = exchange.post(resting(symbol))
    assert answer.status_code == 200
    return str(answer.json()["id"])


def heard(socket: ClientConnection, count: int) -> list[str]:
    """The orders of the next updates."""
    return [str(said(socket)["data"]["order"]["id"]) for _ in range(count)]


def silent(socket: ClientConnection) -> bool:
    try:
        socket.recv(timeout=0.3)
    except TimeoutError:
        return True
    return False


def test_F15_a_mute_stream_answers_pings_and_tells_nothing(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        fault = switchboard.arm("mute", account="one")
        order = place(exchange)
        assert silent(socket)
        assert socket.ping().wait(SECONDS), "it is alive"
        switchboard.disarm(fault)
        later = place(exchange)
        assert heard(socket, 1) == [later], "and nothing is told afterwards"
    assert [fired.order_id for fired in switchboard.fired("mute")] == [order]


def test_F16_one_frame_is_dropped_and_the_next_is_not(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        switchboard.arm("drop_frame", symbol="PFE", event="new", after=1)
        orders = [place(exchange, symbol) for symbol in ("PFE", "KO", "PFE", "PFE")]
        assert heard(socket, 3) == [orders[0], orders[1], orders[3]]
    fired = switchboard.fired("drop_frame")[-1]
    assert (fired.order_id, fired.event, fired.symbol, fired.account) == (orders[2], "new", "PFE", "one")


def test_F18_a_frame_comes_twice(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        switchboard.arm("duplicate_frame")
        orders = [place(exchange), place(exchange)]
        assert heard(socket, 3) == [orders[0], orders[0], orders[1]]
    assert switchboard.fired("duplicate_frame")[-1].order_id == orders[0]


def test_F18_frames_come_in_the_wrong_order(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        switchboard.arm("reorder_frames", symbol="PFE")
        orders = [place(exchange, symbol) for symbol in ("PFE", "KO", "PFE")]
        assert heard(socket, 3) == [orders[1], orders[0], orders[2]]
    assert switchboard.fired("reorder_frames")[-1].order_id == orders[0]


def test_F18_a_late_frame_is_overtaken(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        switchboard.arm("late_frame", seconds=1)
        orders = [place(exchange), place(exchange)]
        assert heard(socket, 2) == orders[::-1]
    assert switchboard.fired("late_frame")[-1].order_id == orders[0]


@pytest.mark.parametrize("shape", ["unknown_enum", "not_json", "null_order", "no_data", "no_object"])
def test_F22_nonsense_comes_before_a_frame_that_is_good(
    exchange: Exchange, switchboard: SwitchboardClient, shape: str
) -> None:
    with listening(exchange) as socket:
        switchboard.arm("bad_frame", shape=shape)
        order = place(exchange)
        nonsense = socket.recv(timeout=SECONDS)
        with pytest.raises((ValidationError, json.JSONDecodeError, KeyError, TypeError)):
            TradeUpdate(**json.loads(nonsense)["data"])
        assert heard(socket, 1) == [order]
    assert switchboard.fired("bad_frame")[-1].order_id == order


@pytest.mark.parametrize("abrupt", [False, True])
def test_F17_a_disconnect_takes_the_frame_with_it_and_spares_other_accounts(
    exchange: Exchange, switchboard: SwitchboardClient, abrupt: bool
) -> None:
    with listening(exchange) as socket, listening(exchange, *OTHER_KEYS) as other:
        switchboard.arm("disconnect", symbol="PFE", abrupt=abrupt)
        first, lost = place(exchange, "KO"), place(exchange, "PFE")
        assert heard(socket, 1) == [first]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=SECONDS)
        assert isinstance(closed.value, ConnectionClosedError) == abrupt
        assert other.ping().wait(SECONDS)
    assert switchboard.fired("disconnect")[-1].order_id == lost
    with listening(exchange) as again:
        later = place(exchange)
        assert heard(again, 1) == [later]


def test_F17_a_disconnect_may_come_at_once(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        switchboard.arm("disconnect", account="two", now=True)
        assert silent(socket)
        switchboard.arm("disconnect", account="one", now=True)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)
    assert switchboard.fired("disconnect")[-1].account == "one"


def test_F19_a_second_connection_is_refused_after_its_credentials(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("refuse_connection", account="one")
    with listening(exchange, *OTHER_KEYS), connect(address(exchange)) as socket:
        socket.send(json.dumps({"action": "auth", "key": KEY, "secret": SECRET}))
        assert said(socket)["data"] == {"error_message": "connection limit exceeded"}
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)
    with listening(exchange):
        assert switchboard.fired("refuse_connection")[-1].account == "one"


def test_F19_a_second_connection_is_refused_in_the_handshake(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("refuse_connection", at="handshake")
    with pytest.raises(InvalidStatus) as refused, connect(address(exchange)):
        pass
    assert refused.value.response.status_code == 406
    with listening(exchange):
        assert switchboard.fired("refuse_connection")[-1].path == "/stream"


def test_F14_an_outage_ends_the_streams_and_lets_none_begin(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        fault = switchboard.arm("outage")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)
        with pytest.raises((InvalidMessage, OSError)), connect(address(exchange)):
            pass
        switchboard.disarm(fault)
    with listening(exchange):
        assert "/stream" in {fired.path for fired in switchboard.fired("outage")}


def test_chances_are_asked_for_each_frame(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    with listening(exchange) as socket:
        dropped = []
        for _ in range(2):
            with switchboard.during("drop_frame", probability=0.5, seed=5, count=100):
                orders = [place(exchange) for _ in range(10)]
            last = place(exchange)
            told: list[str] = []
            while not told or told[-1] != last:
                told += heard(socket, 1)
            dropped.append([order not in told for order in orders])
        assert dropped[0] == dropped[1] and 0 < sum(dropped[0]) < 10


def test_F22_the_sdk_hears_the_good_frame_after_it_choked_on_the_bad_one(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    updates: Queue[TradeUpdate] = Queue()

    async def hear(update: TradeUpdate) -> None:
        updates.put(update)

    stream = TradingStream(KEY, SECRET, paper=True, url_override=address(exchange))
    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        wait_until_heard(exchange, updates)
        switchboard.arm("bad_frame", shape="unknown_enum")
        order = place(exchange)
        told: set[str] = set()
        while order not in told:
            update: Any = updates.get(timeout=SECONDS)
            told.add(str(update.order.id))
        assert switchboard.fired("bad_frame")[-1].order_id == order
    finally:
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop).result(SECONDS)
        thread.join(SECONDS)
    assert exchange.client.get(exchange.url + "/v2/account", headers=OTHER).status_code == 200


def wait_until_heard(exchange: Exchange, updates: Queue[TradeUpdate]) -> None:
    """The SDK says nothing when it is ready: an update shows that it is."""
    for _ in range(100):
        place(exchange)
        try:
            updates.get(timeout=0.2)
            return
        except Empty:
            continue
    raise AssertionError("the SDK never listened")
