"""One connection to an account's stream: opened, authorized, confirmed, kept alive, closed. Every step has a time-out.

What belongs here: the socket and its protocol. What does not: what frames mean, and what to do when a connection ends.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from trading_assets.broker.config import TradeStreamConfig
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.sending import is_loopback
from trading_assets.broker.transport import check_address
from trading_assets.domain.connections import BrokerConnection

STREAM = "trade_updates"
#: A frame is an order and some figures; one of this size is none.
_MOST_BYTES = 1024 * 1024
#: Frames that may wait here while something is booked.
_MOST_WAITING = 4096
_CLOSE_SECONDS = 2.0
#: The library logs every frame it sends at level DEBUG, and the first of them carries the secret.
_silent = logging.getLogger(f"{__name__}.wire")
_silent.setLevel(logging.WARNING)


class StreamLost(BrokerUnavailable):
    """The connection did not come about or is over; another may do better."""


class StreamRefused(StreamLost):
    """The broker answered and does not want this connection: another one of the account may still be open there."""


def stream_url(connection: BrokerConnection) -> str:
    """The stream's address beside the trading interface; ``ConfigurationError`` if mode and addresses do not match."""
    check_address(connection.mode, connection.key, connection.trading_url, connection.data_url)
    parts = urlsplit(connection.trading_url)
    return f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}/stream"


class Line:
    """An open connection, whatever is spoken on it. One thread uses it."""

    def __init__(self, socket: Any, url: str, config: TradeStreamConfig) -> None:
        self._socket = socket
        self._url = url
        self._config = config
        self._ping: tuple[float, threading.Event] | None = None
        self._next_ping = time.monotonic()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(at={self._url!r})"

    def frame(self, timeout: float) -> str | bytes | None:
        """The next frame as it came; None if none came in time. ``StreamLost`` at the connection's end."""
        from websockets.exceptions import ConnectionClosed

        try:
            found: str | bytes = self._socket.recv(timeout=timeout)
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise StreamLost(f"the connection is over: {_farewell(error)}", where=self._url) from None
        return found

    def say(self, frame: str | bytes) -> None:
        """Send. ``StreamRefused`` if the other side has already left."""
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(frame)
        except ConnectionClosed as error:
            raise StreamRefused(f"the connection was ended at once: {_farewell(error)}", where=self._url) from None

    def keep_alive(self) -> bool:
        """Ping when it is time to; True if a pong has come since the last call.

        ``StreamLost`` if one is overdue: a connection can be dead without anybody having said so.
        """
        from websockets.exceptions import ConnectionClosed

        now = time.monotonic()
        if self._ping is not None:
            sent, answered = self._ping
            if answered.is_set():
                self._ping, self._next_ping = None, sent + self._config.ping_seconds
                return True
            if now - sent > self._config.pong_seconds:
                raise StreamLost(f"no pong for {self._config.pong_seconds:g} s", where=self._url)
        elif now >= self._next_ping:
            try:
                self._ping = (now, self._socket.ping())
            except ConnectionClosed as error:
                raise StreamLost(f"the connection is over: {_farewell(error)}", where=self._url) from None
        return False


class Session(Line):
    """A connection that is authorized and listens."""

    def receive(self, timeout: float) -> str | None:
        """The next frame as text, bytes that are none replaced; None if none came in time. ``StreamLost`` at its end.

        The paper interface sends text inside binary frames: both are taken.
        """
        frame = self.frame(timeout)
        return frame.decode(errors="replace") if isinstance(frame, bytes) else frame

    def greet(self, key: str, secret: str) -> None:
        """Authorize and ask for the trade updates; returns once the broker has confirmed both."""
        self.say(json.dumps({"action": "authenticate", "data": {"key_id": key, "secret_key": secret}}))
        status = self._answer("authorization").get("status")
        if status != "authorized":
            raise NotAuthorized(
                f"the stream did not accept the credentials: {status}", where=self._url, mend="Check key and secret."
            )
        self.say(json.dumps({"action": "listen", "data": {"streams": [STREAM]}}))
        streams = self._answer("listening").get("streams")
        if not isinstance(streams, list) or STREAM not in streams:
            raise StreamRefused(f"the broker does not let us listen to {STREAM}, but to {streams}", where=self._url)

    def _answer(self, stream: str) -> dict[str, Any]:
        """The data of the next message of ``stream``; other messages before it are passed over."""
        deadline = time.monotonic() + self._config.welcome_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                frame = self.receive(left)
            except StreamLost as error:
                raise StreamRefused(f"ended before {stream}: {error.what}", where=self._url) from None
            if frame is None:
                break
            message = _object(frame)
            data = message.get("data")
            if message.get("action") == "error":
                raise StreamRefused(f"refused before {stream}: {error_text(message)}", where=self._url)
            if message.get("stream") == stream and isinstance(data, dict):
                return data
        raise StreamLost(f"no {stream} within {self._config.welcome_seconds:g} s", where=self._url)


@contextmanager
def dialled(url: str, config: TradeStreamConfig, headers: Mapping[str, str] | None = None) -> Iterator[Any]:
    """An open socket at ``url``, closed at the end of the block. Raises ``StreamLost`` or ``StreamRefused``."""
    from websockets.exceptions import InvalidHandshake, InvalidStatus
    from websockets.sync.client import connect

    try:
        socket = connect(
            url,
            additional_headers=headers,
            open_timeout=config.open_seconds,
            close_timeout=_CLOSE_SECONDS,
            # Pings are sent here: health must know of the pongs.
            ping_interval=None,
            max_size=_MOST_BYTES,
            max_queue=_MOST_WAITING,
            proxy=None if is_loopback(url) else True,
            logger=_silent,
            legacy=True,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        kind = StreamRefused if 400 <= status < 500 else StreamLost
        raise kind(f"the broker answered {status} to the handshake", where=url) from None
    except (InvalidHandshake, EOFError, OSError, TimeoutError) as error:
        raise StreamLost(f"no connection ({type(error).__name__})", where=url) from None
    try:
        yield socket
    finally:
        with suppress(OSError):
            socket.close()


@contextmanager
def open_session(connection: BrokerConnection, config: TradeStreamConfig) -> Iterator[Session]:
    """Connect and greet; the connection is closed at the end of the block.

    Raises ``StreamLost``, ``StreamRefused`` or ``NotAuthorized``; never waits longer than the configured time-outs.
    """
    url = stream_url(connection)
    with dialled(url, config) as socket:
        session = Session(socket, url, config)
        session.greet(connection.key, connection.secret)
        yield session


def error_text(message: dict[str, Any]) -> str:
    """What an error message of the broker says."""
    data = message.get("data")
    return str(data.get("error_message", data)) if isinstance(data, dict) else str(data)


def _object(frame: str) -> dict[str, Any]:
    try:
        message = json.loads(frame)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _farewell(error: Any) -> str:
    close = error.rcvd
    return "without a farewell" if close is None else f"code {close.code} {close.reason}".rstrip()
