"""The open connections by the client's address: what a fault needs in order to close one without an answer.

ASGI cannot end a connection without an answer; the server's protocol can. It is used where faults are on only.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from starlette.types import Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_transports: dict[tuple[str, int], asyncio.Transport] = {}
#: On, and no time to linger: closing sends RST.
_NO_LINGER = struct.pack("ii", 1, 0)


class KnownConnection(H11Protocol):
    """The server's protocol, which also says where its connection is found."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the connection and forget those that ended."""
        for ended in [known for known, one in _transports.items() if one.is_closing()]:
            del _transports[ended]
        client: Any = transport.get_extra_info("peername")
        _transports[client[0], client[1]] = transport
        super().connection_made(transport)


def cut(scope: Scope, *, reset: bool) -> None:
    """Close the connection of ``scope`` at once; ``reset`` tells the client with RST, else it is the usual end."""
    client = scope.get("client")
    transport = None if client is None else _transports.get((client[0], client[1]))
    if transport is None:
        return
    if reset:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    transport.abort()


async def gone(receive: Receive) -> None:
    """Wait until the connection has ended."""
    while (await receive())["type"] not in ("http.disconnect", "websocket.disconnect"):
        pass
