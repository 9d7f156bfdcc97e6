"""What the market-data sockets refuse, each by its number, and what stays as it was afterwards."""

from __future__ import annotations

import asyncio
import base64
import logging
import socket
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from alpaca.data.live import StockDataStream
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.stream_clients import (
    AUTH,
    AUTHENTICATED,
    CONNECTED,
    MSGPACK,
    SECONDS,
    Client,
    address,
    connected,
    error,
    listening,
)
from trading_assets_tests.exchange.test_recorded_feeds import body, write
from trading_assets_tests.exchange.venue_process import KEY, MINUTE, OPEN, SECRET, Exchange, prepare

OTHER = {"action": "auth", "key": "PKTWO", "secret": "secret-of-account-two"}
RULES = {
    "symbols": 30,
    "option_symbols": 2,
    "authentication_seconds": 2,
    "slow_seconds": 0.5,
    "feeds": ["iex", "news", "indicative", "delayed_sip"],
}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One with the limits of the broker's free plan."""
    started = prepare(tmp_path_factory.mktemp("errors"), OPEN, streams=RULES).start()
    yield started
    started.stop()


def assert_closed(client: Client) -> None:
    with pytest.raises(ConnectionClosed):
        client.socket.recv(timeout=SECONDS)


@pytest.mark.parametrize(
    "message",
    [
        {"action": "dance"},
        {"action": "subscribe"},
        {"action": "subscribe", "bars": "KO"},
        {"action": "subscribe", "bars": [7]},
        {"action": "subscribe", "bars": [""]},
        {"action": "subscribe", "candles": ["KO"]},
        {"action": ["subscribe"]},
        ["subscribe"],
        7,
    ],
    ids=str,
)
@pytest.mark.parametrize("packed", [False, True], ids=["JSON", "MessagePack"])
def test_400_for_what_makes_no_sense_and_the_connection_stays(exchange: Exchange, packed: bool, message: Any) -> None:
    with listening(exchange, "iex", packed) as client:
        assert client.ask(message) == error(400, "invalid syntax")
        assert client.subscribe(bars=["KO"])["bars"] == ["KO"]


@pytest.mark.parametrize("frame", [b"\xff\xc1", "{", b"", "", b'{"action":"subscribe"}', b"\x81\x90\x01"], ids=repr)
@pytest.mark.parametrize("packed", [False, True], ids=["JSON", "MessagePack"])
def test_400_for_what_the_codec_does_not_read(exchange: Exchange, packed: bool, frame: str | bytes) -> None:
    with listening(exchange, "iex", packed) as client:
        client.socket.send(frame)
        assert client.said() == error(400, "invalid syntax")
        assert client.subscribe(bars=["KO"])["bars"] == ["KO"]


def test_401_before_the_client_has_said_who_it_is(exchange: Exchange) -> None:
    with connected(exchange, "iex") as client:
        assert client.ask({"action": "subscribe", "bars": ["KO"]}) == error(401, "not authenticated")
        assert client.ask("no object") == error(400, "invalid syntax")
        assert client.ask(AUTH) == AUTHENTICATED


@pytest.mark.parametrize(
    "credentials",
    [{"key": KEY, "secret": "wrong"}, {"key": "nobody", "secret": SECRET}, {}, {"key": [KEY], "secret": {}}],
    ids=["wrong secret", "wrong key", "nothing", "no text"],
)
def test_402_for_wrong_credentials_and_the_end(exchange: Exchange, credentials: dict[str, Any]) -> None:
    with connected(exchange, "iex") as client:
        assert client.ask({"action": "auth", **credentials}) == error(402, "auth failed")
        assert_closed(client)


def test_the_headers_of_the_handshake_say_who_it_is_too(exchange: Exchange) -> None:
    basic = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
    for headers in (dict(exchange.headers), {"Authorization": f"Basic {basic}"}):
        with connected(exchange, "iex", headers=headers) as client:
            assert client.said() == AUTHENTICATED
            assert client.subscribe(bars=["KO"])["bars"] == ["KO"]
    with connected(exchange, "iex", headers={**exchange.headers, "APCA-API-SECRET-KEY": "wrong"}) as client:
        assert client.said() == error(402, "auth failed")
        assert_closed(client)


def test_403_for_who_has_said_so_already(exchange: Exchange) -> None:
    with listening(exchange, "iex") as client:
        assert client.ask(AUTH) == error(403, "already authenticated")
        assert client.subscribe(bars=["KO"])["bars"] == ["KO"]


def test_404_for_who_does_not_say_who_it_is_in_time(exchange: Exchange) -> None:
    with connected(exchange, "iex") as client:
        assert client.said() == error(404, "auth timeout")
        assert_closed(client)


def test_405_over_the_limit_and_the_subscription_is_as_before(exchange: Exchange) -> None:
    many = [f"SYM{number}" for number in range(29)]
    with listening(exchange, "iex") as client:
        assert client.subscribe(quotes=["KO"], bars=[*many, "*"])["quotes"] == ["KO"]
        for more in ({"quotes": [*many, "PFE"]}, {"quotes": many, "trades": ["KO"]}, {"trades": ["*"]}):
            assert client.ask({"action": "subscribe", **more}) == error(405, "symbol limit exceeded")
        assert client.subscribe(quotes=many)["quotes"] == ["KO", *many]
    with listening(exchange, "indicative", packed=True) as client:
        for wanted in (["*"], ["A", "B", "C"]):
            assert client.ask({"action": "subscribe", "trades": wanted}) == error(405, "symbol limit exceeded")


def test_without_a_limit_a_watchlist_of_any_length_is_followed(start_exchange: Starter) -> None:
    started = start_exchange()
    with listening(started, "iex") as client:
        symbols = [f"SYM{number}" for number in range(500)]
        assert client.subscribe(quotes=["*", *symbols], trades=symbols)["trades"] == symbols


def test_F19_406_for_a_second_connection_until_the_first_has_ended(exchange: Exchange) -> None:
    with listening(exchange, "iex"):
        with connected(exchange, "iex") as second:
            assert second.ask(AUTH) == error(406, "connection limit exceeded")
            assert_closed(second)
        with connected(exchange, "iex") as other:
            assert other.ask(OTHER) == AUTHENTICATED
        with listening(exchange, "delayed_sip"):
            pass
    deadline = time.monotonic() + SECONDS
    while True:
        with connected(exchange, "iex") as again:
            if again.ask(AUTH) == AUTHENTICATED:
                return
        assert time.monotonic() < deadline, "the place of the first connection was never free"


def test_407_for_who_does_not_take_what_is_sent_and_nobody_else_waits(start_exchange: Starter) -> None:
    started = start_exchange(streams={"slow_seconds": 0.5})
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    host, _, port = started.url.removeprefix("http://").partition(":")
    plain.connect((host, int(port)))
    with connect(address(started, "iex"), sock=plain, compression=None, max_queue=1) as bare:
        slow = Client(bare, packed=False)
        assert slow.said() == CONNECTED
        assert slow.ask(AUTH) == AUTHENTICATED
        slow.subscribe(quotes=["*"])
        started.advance(OPEN + timedelta(hours=6))
        deadline = time.monotonic() + 2 * SECONDS
        while "407 slow client" not in started.log():
            assert time.monotonic() < deadline, "the exchange waits for a client that reads nothing"
            assert started.get("/v2/clock").status_code == 200
            time.sleep(0.05)
        with listening(started, "iex") as another:
            another.subscribe(bars=["KO"])
            started.step(60)
            assert another.said()[0]["S"] == "KO"
        last: list[dict[str, Any]] = []
        with pytest.raises(ConnectionClosed):
            while True:
                last = slow.said()
        assert last == error(407, "slow client")


def test_409_for_a_feed_that_is_not_subscribed_to_and_the_sdk_gives_up(
    exchange: Exchange, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(exchange, "sip") as client:
        assert client.ask(AUTH) == error(409, "insufficient subscription")
        assert_closed(client)
    stream = StockDataStream(KEY, SECRET, url_override=address(exchange, "sip"))

    async def hear(message: Any) -> None:
        raise AssertionError(message)

    stream.subscribe_bars(hear, "KO")
    with caplog.at_level(logging.ERROR, "alpaca.data.live.websocket"):
        asyncio.run(asyncio.wait_for(stream._run_forever(), SECONDS))
    assert "insufficient subscription" in caplog.text


@pytest.mark.parametrize(
    ("feed", "channel"),
    [("news", "bars"), ("iex", "news"), ("indicative", "bars"), ("indicative", "statuses"), ("iex", "orderbooks")],
)
def test_410_for_a_channel_that_this_feed_does_not_have(exchange: Exchange, feed: str, channel: str) -> None:
    with listening(exchange, feed, packed=feed == "indicative") as client:
        assert client.ask({"action": "subscribe", channel: ["KO"]}) == error(
            410, "invalid subscribe action for this feed"
        )


def test_412_for_options_in_json(exchange: Exchange) -> None:
    with connect(address(exchange, "indicative")) as bare:
        client = Client(bare, packed=False)
        assert client.said() == error(412, "option messages are only available in MessagePack format")
        assert_closed(client)


def test_413_for_the_quotes_of_all_contracts(exchange: Exchange) -> None:
    with listening(exchange, "indicative", packed=True) as client:
        assert client.ask({"action": "subscribe", "quotes": ["*"]}) == error(
            413, "star subscription is not allowed for option quotes"
        )
        assert client.subscribe(quotes=["AAPL260320C00200000"])["quotes"] == ["AAPL260320C00200000"]


def test_500_where_the_exchange_itself_fails_and_it_goes_on(start_exchange: Starter, tmp_path: Any) -> None:
    ready = prepare(tmp_path / "recorded", OPEN, recorded_feeds=True)
    write(ready.directory, [(OPEN + MINUTE, body(1), {}), (OPEN + 2 * MINUTE, body(2), {})])
    ready.start()
    try:
        for file in (ready.directory / "feeds").iterdir():
            file.unlink()
        with listening(ready, "news") as client:
            client.subscribe(news=["*"])
            ready.advance(OPEN + 3 * MINUTE)
            assert client.said() == error(500, "internal error")
            assert_closed(client)
        assert "a recorded feed's body cannot be read" in ready.log()
        assert ready.get("/v2/account").status_code == 200
    finally:
        ready.stop()


@pytest.mark.parametrize("path", ["/v2/otc", "/v2/boats", "/v1beta1/iex", "/v2/news"])
def test_a_feed_that_is_not_offered_is_refused_by_name(exchange: Exchange, path: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(exchange.url.replace("http", "ws") + path, additional_headers=MSGPACK),
    ):
        pass
    assert refused.value.response.status_code == 404
    assert path.rpartition("/")[2].encode() in refused.value.response.body
