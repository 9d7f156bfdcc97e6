"""A real HTTP proxy between client and broker that loses, breaks and rewrites answers on request.

Faults are taken from a list in order: each names the requests it is for and how often it applies. Requests without a
matching fault pass unchanged.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Kind = Literal["lose_answer", "lose_request", "reset_before", "reset_after", "answer", "truncate", "rewrite"]
HTML = b"<html><body>502 Bad Gateway</body></html>"


@dataclass
class Fault:
    """One fault. ``forward`` tells whether an ``answer`` fault still lets the request reach the broker."""

    method: str
    path: str
    kind: Kind
    times: int = 1
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    forward: bool = False
    rewrite: Callable[[Any], Any] | None = None


@dataclass
class FaultProxy:
    """The proxy's faults and what it has seen."""

    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    seen: list[tuple[str, str]] = field(default_factory=list)
    taken: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, method: str, path: str) -> Fault | None:
        with self.lock:
            self.seen.append((method, path))
            for fault in self.faults:
                if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                    fault.times -= 1
                    self.taken += 1
                    return fault
            return None

    def count(self, method: str, path: str) -> int:
        """How many requests of that kind came in."""
        with self.lock:
            return sum(1 for m, p in self.seen if m == method and re.search(path, p))


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _handler(proxy: FaultProxy, target: str, released: threading.Event) -> type[BaseHTTPRequestHandler]:
    address = urlsplit(target)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _forward(self, method: str, body: bytes) -> tuple[int, bytes]:
            upstream = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
            headers = {
                k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")
            }
            upstream.request(method, self.path, body=body or None, headers=headers)
            answer = upstream.getresponse()
            raw = answer.read()
            upstream.close()
            return answer.status, raw

        def _reply(self, status: int, body: bytes, headers: dict[str, str], *, announced: int | None = None) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
            self.end_headers()
            self.wfile.write(body)

        def _handle(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = proxy.take(method, self.path)
            json_type = {"Content-Type": "application/json"}
            if fault is None:
                self._reply(*self._forward(method, body), json_type)
                return
            self.close_connection = True
            if fault.kind in ("lose_answer", "reset_after") or fault.forward:
                self._forward(method, body)
            if fault.kind in ("lose_answer", "lose_request"):
                released.wait(30)
            elif fault.kind in ("reset_before", "reset_after"):
                _reset(self.connection)
            elif fault.kind == "answer":
                self._reply(fault.status, fault.body, fault.headers)
            else:
                status, raw = self._forward(method, body)
                if fault.kind == "truncate":
                    self._reply(status, raw[: len(raw) // 2], json_type, announced=len(raw))
                    _reset(self.connection)
                elif fault.rewrite is not None:
                    self._reply(status, json.dumps(fault.rewrite(json.loads(raw))).encode(), json_type)

        def do_GET(self) -> None:
            self._handle("GET")

        def do_POST(self) -> None:
            self._handle("POST")

        def do_DELETE(self) -> None:
            self._handle("DELETE")

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was reset on purpose ends its handler; that is no news."""


@contextmanager
def proxied(target: str) -> Iterator[FaultProxy]:
    """A proxy in front of ``target`` on a free loopback port."""
    released = threading.Event()
    proxy = FaultProxy()
    server = _Quiet(("127.0.0.1", 0), _handler(proxy, target, released))
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield proxy
    finally:
        released.set()
        server.shutdown()
        server.server_close()
