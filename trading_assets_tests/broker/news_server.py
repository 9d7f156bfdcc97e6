"""A websocket server of the news socket's protocol that tells only what a test says; its REST side is another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgpack
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

CONNECTED = {"T": "success", "msg": "connected"}
AUTHENTICATED = {"T": "success", "msg": "authenticated"}


@dataclass
class NewsServer:
    """``welcome`` is what it greets with, None: nothing at all."""

    url: str = ""
    welcome: dict[str, Any] | None = field(default_factory=lambda: dict(CONNECTED))
    connected: int = 0
    live: list[ServerConnection] = field(default_factory=list)

    def say(self, *messages: dict[str, Any]) -> None:
        """One frame to everybody who listens."""
        self.say_raw(msgpack.packb(list(messages), datetime=True))

    def say_raw(self, frame: bytes | str) -> None:
        for connection in list(self.live):
            with suppress(ConnectionClosed):
                connection.send(frame)

    def serve_one(self, connection: ServerConnection) -> None:
        self.connected += 1
        with suppress(ConnectionClosed):
            if self.welcome is not None:
                connection.send(msgpack.packb([self.welcome]))
            for frame in connection:
                asked = msgpack.unpackb(frame)
                if asked["action"] == "auth":
                    connection.send(msgpack.packb([AUTHENTICATED]))
                else:
                    connection.send(msgpack.packb([{"T": "subscription", "news": asked["news"]}]))
                    self.live.append(connection)
        if connection in self.live:
            self.live.remove(connection)


@contextmanager
def news_server() -> Iterator[NewsServer]:
    """On a free port."""
    found = NewsServer()
    with serve(found.serve_one, "127.0.0.1", 0, close_timeout=0.2) as server:
        host, port = server.socket.getsockname()[:2]
        found.url = f"http://{host}:{port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join(10)
