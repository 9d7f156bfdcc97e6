"""How the frames of the market-data sockets are written: JSON text, or MessagePack in binary frames.

The client chooses by the ``Content-Type`` of its handshake. Instants are ``datetime`` inside the exchange: RFC 3339 in
JSON, and MessagePack's own timestamp (extension -1), which is what the SDK takes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import orjson
from starlette.websockets import WebSocket

Message = dict[str, Any]
MSGPACK_TYPE = "application/msgpack"


class Unreadable(ValueError):
    """A frame that is not what the codec writes."""


@dataclass(frozen=True, slots=True)
class Codec:
    """``write`` makes a frame of messages; ``read`` takes a client's frame apart and raises ``Unreadable``."""

    name: str
    write: Callable[[Sequence[Message]], str | bytes]
    read: Callable[[str | bytes], Any]

    async def send(self, socket: WebSocket, messages: Sequence[Message]) -> None:
        """Send ``messages`` in one frame."""
        frame = self.write(messages)
        if isinstance(frame, str):
            await socket.send_text(frame)
        else:
            await socket.send_bytes(frame)


def _write_json(messages: Sequence[Message]) -> str:
    return orjson.dumps(messages, option=orjson.OPT_UTC_Z).decode()


def _read_json(frame: str | bytes) -> Any:
    try:
        return orjson.loads(frame)
    except orjson.JSONDecodeError as error:
        raise Unreadable(str(error)) from error


def _write_msgpack(messages: Sequence[Message]) -> bytes:
    packed: bytes = msgpack.packb(messages, datetime=True)
    return packed


def _read_msgpack(frame: str | bytes) -> Any:
    if isinstance(frame, str):
        raise Unreadable("expected a binary frame")
    try:
        return msgpack.unpackb(frame)
    # A key that cannot be hashed is a TypeError; the rest are kinds of ValueError or of the package's own.
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Unreadable(type(error).__name__) from error


JSON = Codec("json", _write_json, _read_json)
MSGPACK = Codec("msgpack", _write_msgpack, _read_msgpack)


def codec_of(content_type: str | None) -> Codec:
    """The codec that a handshake asks for; JSON unless it names MessagePack."""
    return MSGPACK if (content_type or "").partition(";")[0].strip().lower() == MSGPACK_TYPE else JSON
