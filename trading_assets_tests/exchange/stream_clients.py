"""Clients of the market-data sockets: a bare one for both codecs, and the SDK's own in a thread."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from queue import Queue
from typing import Any

import msgpack
from alpaca.data.live.websocket import DataStream
from websockets.sync.client import ClientConnection, connect

from trading_assets_tests.exchange.venue_process import KEY, SECRET, Exchange

SECONDS = 20.0
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]
MSGPACK = {"Content-Type": "application/msgpack"}
AUTH = {"action": "auth", "key": KEY, "secret": SECRET}


def error(code: int, text: str) -> list[dict[str, Any]]:
    return [{"T": "error", "code": code, "msg": text}]


class Client:
    """A bare connection. ``said`` is the next frame, ``told`` the next ``count`` messages."""

    def __init__(self, socket: ClientConnection, packed: bool) -> None:
        self.socket = socket
        self.packed = packed
        self._left: list[dict[str, Any]] = []

    def say(self, message: Any) -> None:
        self.socket.send(msgpack.packb(message) if self.packed else json.dumps(message))

    def said(self) -> list[dict[str, Any]]:
        frame = self.socket.recv(timeout=SECONDS)
        assert isinstance(frame, bytes) is self.packed
        messages = msgpack.unpackb(frame, timestamp=3) if self.packed else json.loads(frame)
        assert isinstance(messages, list) and messages, "every frame is an array"
        return messages

    def ask(self, message: Any) -> list[dict[str, Any]]:
        self.say(message)
        return self.said()

    def told(self, count: int) -> list[dict[str, Any]]:
        while len(self._left) < count:
            self._left += self.said()
        found, self._left = self._left[:count], self._left[count:]
        return found

    def until_answer(self, message: Any) -> list[dict[str, Any]]:
        """Everything that is told before the answer to ``message``: nothing more is due then."""
        self.say(message)
        found: list[dict[str, Any]] = []
        while True:
            messages = self.said()
            if messages[0]["T"] in ("subscription", "error"):
                return found
            found += messages

    def subscribe(self, **channels: list[str]) -> dict[str, Any]:
        (answer,) = self.ask({"action": "subscribe", **channels})
        return answer


def address(exchange: Exchange, feed: str) -> str:
    version = "v1beta1" if feed in ("news", "indicative", "opra") else "v2"
    return f"{exchange.url.replace('http', 'ws')}/{version}/{feed}"


@contextmanager
def connected(exchange: Exchange, feed: str, packed: bool = False, **options: Any) -> Iterator[Client]:
    """A client that has heard the welcome."""
    headers = {**(MSGPACK if packed else {}), **options.pop("headers", {})}
    with connect(address(exchange, feed), additional_headers=headers, max_size=2**20, **options) as socket:
        client = Client(socket, packed)
        assert client.said() == CONNECTED
        yield client


@contextmanager
def listening(exchange: Exchange, feed: str, packed: bool = False, **options: Any) -> Iterator[Client]:
    """A client that has said who it is."""
    with connected(exchange, feed, packed, **options) as client:
        assert client.ask(AUTH) == AUTHENTICATED
        yield client


class _Ready(logging.Handler):
    """The SDK says in its log alone that the server has taken its subscription."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.happened = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith("subscribed to"):
            self.happened.set()


@contextmanager
def running(stream: DataStream, subscribe: Callable[[Callable[[Any], Any]], None]) -> Iterator[Queue[Any]]:
    """The SDK's stream in a thread of its own, subscribed; what its handler hears goes into the queue."""
    heard: Queue[Any] = Queue()

    async def hear(message: Any) -> None:
        heard.put(message)

    subscribe(hear)
    logger, ready = logging.getLogger("alpaca.data.live.websocket"), _Ready()
    level = logger.level
    logger.addHandler(ready)
    logger.setLevel(logging.INFO)
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        assert ready.happened.wait(SECONDS), "the SDK never had its subscription confirmed"
        yield heard
    finally:
        logger.removeHandler(ready)
        logger.setLevel(level)
        # Ends the connection at once: the SDK itself looks for the wish to stop every five seconds.
        stream._stop_stream_queue.put_nowait({"should_stop": True})
        stream._should_run = False
        if stream._ws is not None:
            stream._loop.call_soon_threadsafe(lambda: stream._loop.create_task(stream._ws.close()))
        thread.join(SECONDS)
        assert not thread.is_alive()


def instant(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp.replace("Z", "+00:00"))
