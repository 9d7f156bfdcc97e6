"""A small server that speaks the Converse operation of Amazon Bedrock Runtime, and says what the test tells it to say.

It records each request as it came over the wire, so that a test can hold its shape up to the light.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Reply:
    """What is sent back. ``error`` is the header by which AWS names what is wrong."""

    body: Any
    status: int = 200
    error: str | None = None
    delay_s: float = 0.0


@dataclass
class ConverseServer:
    """``say`` makes the reply to a request's body; ``asked`` are the bodies, ``paths`` and ``headers`` that came."""

    url: str
    say: Callable[[Any], Reply] = lambda _: Reply(b"", 500)
    asked: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answers(self, *replies: Reply) -> None:
        """Send these one after the other, the last one for ever."""
        left = list(replies)
        self.say = lambda _: left.pop(0) if len(left) > 1 else left[0]


def call(
    value: Any, *, name: str = "name_tickers", stop: str = "tool_use", tokens: tuple[int, int] = (900, 400)
) -> Reply:
    """A reply in which the model calls one tool with ``value``."""
    block = {"toolUse": {"toolUseId": "t-1", "name": name, "input": value}}
    return said([block], stop=stop, tokens=tokens)


def said(content: list[Any], *, stop: str = "end_turn", tokens: tuple[int, int] = (900, 400)) -> Reply:
    """A reply with this content."""
    return Reply(
        {
            "output": {"message": {"role": "assistant", "content": content}},
            "stopReason": stop,
            "usage": {"inputTokens": tokens[0], "outputTokens": tokens[1], "totalTokens": sum(tokens)},
            "metrics": {"latencyMs": 1},
        }
    )


def refusal(code: str, status: int) -> Reply:
    """A reply by which AWS refuses, with a message that nobody should repeat."""
    return Reply({"message": "SECRET-OF-THE-REFUSAL"}, status, code)


@contextmanager
def running_converse_server() -> Iterator[ConverseServer]:
    """The server on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.asked.append(body)
            server.paths.append(self.path)
            server.headers.append(dict(self.headers))
            reply = server.say(body)
            time.sleep(reply.delay_s)
            raw = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            try:
                self.send_response(reply.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                if reply.error is not None:
                    self.send_header("x-amzn-errortype", reply.error)
                self.end_headers()
                self.wfile.write(raw)
            except OSError:
                # Who asked has gone.
                return

        def log_message(self, format: str, *args: Any) -> None:
            return

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server = ConverseServer(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture(scope="module")
def converse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConverseServer]:
    """The server, found by boto3 through its environment, with credentials that must never be repeated."""
    nothing = str(tmp_path_factory.mktemp("aws") / "none")
    with pytest.MonkeyPatch.context() as patch, running_converse_server() as server:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "AKIDNEVERTOBETOLD")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "SECRETNEVERTOBETOLD")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", nothing)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", nothing)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
        yield server


@pytest.fixture
def converse(converse_server: ConverseServer) -> ConverseServer:
    """The module's server, of which nothing was asked yet."""
    for kept in (converse_server.asked, converse_server.paths, converse_server.headers):
        kept.clear()
    return converse_server
