"""What every websocket of the exchange shares: who a client is, reading a frame, and the codes of a close.

What is said in the frames belongs to the streams themselves.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.websockets import WebSocket, WebSocketDisconnect

#: Close codes: the client broke a rule; the client may come again.
POLICY_VIOLATION, TRY_AGAIN_LATER = 1008, 1013

#: The account behind key and secret, or None.
Authenticate = Callable[[str, str], str | None]


async def receive(socket: WebSocket) -> str | bytes:
    """The next message, whole, in however many frames it came; raises ``WebSocketDisconnect`` at the end."""
    received = await socket.receive()
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", 1000))
    text, data = received.get("text"), received.get("bytes")
    return text if text is not None else data if data is not None else b""
