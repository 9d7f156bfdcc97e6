"""A real websocket server between a follower and its broker: it loses, repeats, reorders and invents frames on request.

Requests for lists and accounts go through unchanged, so that one address serves both, as the broker's does. Without a
stream behind it, it tells only what the test says.
"""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

Frame = dict[str, Any]
#: What becomes of one trade update on its way: the frames that are sent for it, raw or as JSON.
Rule = Callable[[Frame], list[Frame | str]]


def unchanged(frame: Frame) -> list[Frame | str]:
    """Every frame once."""
    return [frame]


def mute(frame: Frame) -> list[Frame | str]:
    """No frame; pings are answered all the same."""
    return []


@dataclass
class StreamProxy:
    """``target`` is the broker's address; ``stream`` whether its stream is passed on, too."""

    target: str
    stream: bool = True
    url: str = ""
    rule: Rule = unchanged
    refuse: int = 0
    silent: bool = False
    credentials_ok: bool = True
    connected: int = 0
    refused: int = 0
    told: list[Frame] = field(default_factory=list)
    live: list[ServerConnection] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    # --- what tests do ----------------------------------------------------------------------------------------------

    def say(self, frame: Frame | str) -> None:
        """Send to everybody who listens."""
        for connection in list(self.live):
            with suppress(ConnectionClosed):
                connection.send((frame if isinstance(frame, str) else json.dumps(frame)).encode())

    def cut(self) -> None:
        """End every connection without a word."""
        for connection in list(self.live):
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)

    # --- what it does -----------------------------------------------------------------------------------------------

    def request(self, connection: ServerConnection, request: Request) -> Response | None:
        path = request.path
        if path == "/stream":
            if self.refuse:
                self.refuse -= 1
                self.refused += 1
                return Response(406, "Not Acceptable", Headers(), b"connection limit exceeded")
            return None
        self.requests.append(path)
        if any(word in path for word in self.broken):
            return Response(503, "Unavailable", Headers(), b"")
        headers = {name: value for name, value in request.headers.raw_items() if name.lower().startswith("apca")}
        asked = urllib.request.Request(self.target + path, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=30) as answer:
                return _answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return _answer(error.code, error.read())

    def serve_one(self, connection: ServerConnection) -> None:
        self.connected += 1
        with suppress(ConnectionClosed):
            if self.silent:
                for _ in connection:
                    pass
            elif self.stream:
                self._pass_on(connection)
            else:
                self._stand_alone(connection)
        if connection in self.live:
            self.live.remove(connection)

    def _stand_alone(self, connection: ServerConnection) -> None:
        for message in connection:
            asked = json.loads(message)
            if asked["action"] == "authenticate":
                status = "authorized" if self.credentials_ok else "unauthorized"
                data = {"status": status, "action": "authenticate"}
                connection.send(json.dumps({"stream": "authorization", "data": data}).encode())
            else:
                connection.send(json.dumps({"stream": "listening", "data": asked["data"]}).encode())
                self.live.append(connection)

    def _pass_on(self, connection: ServerConnection) -> None:
        with connect(self.target.replace("http", "ws") + "/stream", proxy=None, legacy=True) as upstream:
            back = threading.Thread(target=self._back, args=(upstream, connection), daemon=True)
            back.start()
            for message in connection:
                upstream.send(message)

    def _back(self, upstream: Any, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for message in upstream:
                frame = json.loads(message)
                if frame["stream"] == "listening":
                    self.live.append(connection)
                if frame["stream"] != "trade_updates":
                    connection.send(message)
                    continue
                self.told.append(frame)
                for sent in self.rule(frame):
                    connection.send((sent if isinstance(sent, str) else json.dumps(sent)).encode())


def _answer(status: int, body: bytes) -> Response:
    named = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    headers = Headers(named)
    return Response(status, "Answer", headers, body)


@contextmanager
def proxying(target: str, *, stream: bool = True) -> Iterator[StreamProxy]:
    """A proxy on a free port before the broker at ``target``."""
    proxy = StreamProxy(target, stream)
    with serve(proxy.serve_one, "127.0.0.1", 0, process_request=proxy.request, close_timeout=0.2) as server:
        host, port = server.socket.getsockname()[:2]
        proxy.url = f"http://{host}:{port}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.cut()
            server.shutdown()
            thread.join(10)
