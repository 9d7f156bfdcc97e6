"""The stream of trade updates through the unmodified SDK and through a bare websocket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import pytest
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from trading_assets.exchange.markets import simulated_port
from trading_assets.exchange.trade_updates import TradeUpdates
from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.test_trading import ask, limit
from trading_assets_tests.exchange.test_venue import config, open_venue
from trading_assets_tests.exchange.venue_process import KEY, MINUTE, OPEN, SECRET, Exchange, prepare

OTHER = ("PKTWO", "secret-of-account-two")
SECONDS = 20.0


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("updates"), OPEN + timedelta(minutes=30)).start()
    yield running
    running.stop()


def address(exchange: Exchange) -> str:
    return exchange.url.replace("http", "ws") + "/stream"


@contextmanager
def listening(exchange: Exchange, key: str = KEY, secret: str = SECRET) -> Iterator[ClientConnection]:
    """A bare connection that is authorized and listens."""
    with connect(address(exchange)) as socket:
        socket.send(json.dumps({"action": "auth", "key": key, "secret": secret}))
        assert said(socket) == {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert said(socket) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
        yield socket


def said(socket: ClientConnection) -> Any:
    frame = socket.recv(timeout=SECONDS)
    assert isinstance(frame, bytes), "the paper interface answers in binary frames"
    return json.loads(frame)


def events(socket: ClientConnection, count: int) -> list[tuple[str, str]]:
    """Event and symbol of the next updates."""
    found = [said(socket)["data"] for _ in range(count)]
    return [(data["event"], data["order"]["symbol"]) for data in found]


def market(symbol: str, side: str, quantity: int) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "qty": quantity, "type": "market", "time_in_force": "day"}


def test_the_sdk_hears_of_an_order_its_fills_and_its_end(exchange: Exchange) -> None:
    heard: Queue[TradeUpdate] = Queue()

    async def hear(update: TradeUpdate) -> None:
        heard.put(update)

    stream = TradingStream(KEY, SECRET, paper=True, url_override=address(exchange))
    stream.subscribe_trade_updates(hear)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        with listening(exchange):
            order = exchange.post(limit("MSFT", "buy", 1, 5)).json()
            # The SDK says nothing when it is ready: its first update shows that it is.
            for _ in range(100):
                try:
                    first = heard.get(timeout=0.2)
                    break
                except Empty:
                    exchange.delete(f"/v2/orders/{order['id']}")
                    order = exchange.post(limit("MSFT", "buy", 1, 5)).json()
        while str(first.order.id) != order["id"]:
            first = heard.get(timeout=SECONDS)
        assert first.event == "new" and first.qty is None
        bought = exchange.post(market("MSFT", "buy", 2)).json()
        exchange.step(20)
        updates: list[TradeUpdate] = []
        while not updates or updates[-1].order.filled_qty != "2":
            update = heard.get(timeout=SECONDS)
            if str(update.order.id) == bought["id"]:
                updates.append(update)
        fills = [update for update in updates if update.qty]
        assert sum(update.qty or 0 for update in fills) == 2 and fills[-1].position_qty == 2
        booked = exchange.get("/v2/account/activities/FILL").json()
        ids = {row["id"].partition("::")[2] for row in booked if row["order_id"] == bought["id"]}
        assert {str(update.execution_id) for update in fills} == ids, (
            "the stream and the activities name the same fills"
        )
    finally:
        asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop).result(SECONDS)
        thread.join(SECONDS)
    exchange.trading().cancel_orders()


def test_everything_that_happens_to_an_order_is_told_once_and_in_order(exchange: Exchange) -> None:
    price = ask(exchange, "KO")
    with listening(exchange) as socket:
        legs = {"take_profit": {"limit_price": round(price * 2, 2)}, "stop_loss": {"stop_price": 1}}
        exchange.post({**market("KO", "buy", 1), "order_class": "bracket", **legs})
        exchange.step(30)
        assert events(socket, 5) == [("new", "KO"), ("held", "KO"), ("held", "KO"), ("fill", "KO"), ("new", "KO")]
        exchange.trading().cancel_orders()
        assert events(socket, 2) == [("canceled", "KO"), ("canceled", "KO")]
        order = exchange.post(limit("PFE", "buy", 1, 2)).json()
        exchange.client.patch(f"{exchange.url}/v2/orders/{order['id']}", json={"limit_price": 3})
        assert events(socket, 3) == [("new", "PFE"), ("replaced", "PFE"), ("new", "PFE")]
        exchange.trading().close_all_positions(cancel_orders=True)
        exchange.step(30)
        assert ("canceled", "PFE") in events(socket, 1)


def test_an_order_that_waits_for_the_open_is_told_as_accepted_and_a_replacement_in_its_place_too(
    start_exchange: Starter,
) -> None:
    exchange = start_exchange(OPEN - 5 * MINUTE)
    with listening(exchange) as socket:
        order = exchange.post(limit("PFE", "buy", 1, 2)).json()
        changed = {"limit_price": 3}
        exchange.client.patch(f"{exchange.url}/v2/orders/{order['id']}", json=changed)
        told = [said(socket)["data"] for _ in range(3)]
        assert [data["event"] for data in told] == ["accepted", "replaced", "accepted"]
        assert [data["order"]["status"] for data in told] == ["accepted", "replaced", "accepted"]
        for data in told:
            assert TradeUpdate(**data).event == data["event"], "the SDK reads it"
        exchange.advance(OPEN)
        exchange.post(limit("PFE", "buy", 1, 1))
        assert events(socket, 1) == [("new", "PFE")]


def test_an_account_hears_nothing_of_another_and_nothing_of_what_was_before(exchange: Exchange) -> None:
    exchange.post(limit("XOM", "buy", 1, 5))
    with listening(exchange, *OTHER) as other, listening(exchange) as own:
        exchange.post(limit("BAC", "buy", 1, 5))
        assert events(own, 1) == [("new", "BAC")]
        with pytest.raises(TimeoutError):
            other.recv(timeout=0.5)
        own.send(json.dumps({"action": "listen", "data": {"streams": []}}))
        assert said(own)["data"]["streams"] == []
        exchange.trading().cancel_orders()
        with pytest.raises(TimeoutError):
            own.recv(timeout=0.5)


@pytest.mark.parametrize(
    "first",
    [
        {"action": "auth", "key": KEY, "secret": "wrong"},
        {"action": "authenticate", "data": {"key_id": "nobody", "secret_key": SECRET}},
        {"action": "authenticate", "data": None},
        {"action": "listen", "data": {"streams": ["trade_updates"]}},
        "no object",
        b"\xff no JSON",
    ],
    ids=["wrong secret", "wrong key", "no data", "no authentication", "no object", "no JSON"],
)
def test_nobody_listens_without_the_right_credentials(exchange: Exchange, first: Any) -> None:
    with connect(address(exchange)) as socket:
        socket.send(first if isinstance(first, bytes) else json.dumps(first))
        assert said(socket)["data"]["status"] == "unauthorized"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)


def test_a_message_that_makes_no_sense_ends_the_connection_with_an_error(exchange: Exchange) -> None:
    with listening(exchange) as socket:
        socket.send(json.dumps({"action": "dance"}))
        assert said(socket) == {"action": "error", "data": {"error_message": "unknown action"}}
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)
    assert exchange.get("/v2/account").status_code == 200


def test_an_exchange_with_a_listener_ends_when_it_is_told_to_and_says_good_bye(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    running = prepare(tmp_path_factory.mktemp("ending"), OPEN + timedelta(minutes=30)).start()
    with listening(running) as socket:
        running.stop()
        assert running.process is not None and running.process.returncode is not None
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=SECONDS)


def test_a_listener_that_does_not_keep_up_is_cut_off_and_holds_nobody_up(tmp_path: Path) -> None:
    async def play() -> None:
        market = simulated_port(config(), config().session)
        venue, journal = open_venue(market, tmp_path)
        updates = TradeUpdates(venue.world, lambda key, secret: None, most_behind=2)
        venue.on_event, venue.on_durable = updates.applied, updates.durable
        slow, account = updates.queue(), venue.world.accounts["one"]
        updates.subscribe("one", slow)
        for _ in range(4):
            await venue.place(account, limit("KO", "buy", 1, 5))
        left = [slow.get_nowait() for _ in range(slow.qsize())]
        assert len(left) == 2 and left[0] is not None and left[1] is None, "the last word is the farewell"
        assert venue.world.orders == 4
        journal.close()

    asyncio.run(play())
