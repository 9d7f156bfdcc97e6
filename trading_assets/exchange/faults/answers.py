"""What a route answered, held back so that it can be changed before it is sent."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """Status, headers without a length, and the body."""

    status: int
    headers: Headers
    body: bytes

    def json(self) -> Any:
        """The JSON of a good answer; None for a refusal or an answer without JSON."""
        if self.status >= 400 or not self.body:
            return None
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None

    def put(self, value: Any) -> None:
        """Take ``value`` as the body. What is not a number is written as NaN, which is what such servers send."""
        self.body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    async def send(self, send: Send, pieces: int = 1, pause: float = 0.0) -> None:
        """Send it, in ``pieces`` with a ``pause`` in seconds before each."""
        length = (b"content-length", str(len(self.body)).encode())
        headers = self.headers if self.status == 204 else [*self.headers, length]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        size = max(1, -(-len(self.body) // pieces))
        for start in range(0, len(self.body), size):
            if pause:
                await asyncio.sleep(pause)
            await send({"type": "http.response.body", "body": self.body[start : start + size], "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def captured(app: ASGIApp, scope: Scope, receive: Receive) -> Answer:
    """Let ``app`` handle the request and keep its answer."""
    found = Answer(500, [], b"")

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = [pair for pair in message.get("headers", []) if pair[0].lower() != b"content-length"]
        elif message["type"] == "http.response.body":
            found.body += message.get("body", b"")

    await app(scope, receive, keep)
    return found
