"""One connection to the news socket: welcome, authentication, subscription, frames. Every step has a time-out.

What belongs here: the socket and its protocol. What does not: what an article means, and what to do when a connection
ends.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from trading_assets.broker.config import TradeStreamConfig
from trading_assets.broker.errors import NotAuthorized
from trading_assets.broker.trade_stream.session import Line, StreamLost, StreamRefused, dialled
from trading_assets.broker.transport import check_address
from trading_assets.domain.connections import BrokerConnection

_PATH = "/v1beta1/news"
_HEADERS = {"Content-Type": "application/msgpack"}
_NEWS, _ERROR, _SUCCESS, _SUBSCRIPTION = "n", "error", "success", "subscription"
_AUTH_FAILED = frozenset({402, 404})

Message = dict[str, Any]


class FrameUnreadable(ValueError):
    """A frame that is no list of messages."""


def news_url(connection: BrokerConnection) -> str:
    """The socket's address; ``ConfigurationError`` if mode and addresses do not match."""
    check_address(connection.mode, connection.key, connection.trading_url, connection.data_url)
    parts = urlsplit(connection.data_url)
    if connection.mode == "PRACTICE":
        return f"ws://{parts.netloc}{_PATH}"
    return f"wss://stream.{parts.netloc}{_PATH}"


def read_frame(frame: str | bytes) -> list[Message]:
    """The messages of a frame: MessagePack with its own instants, or JSON text. Raises ``FrameUnreadable``."""
    import msgpack

    try:
        found = json.loads(frame) if isinstance(frame, str) else msgpack.unpackb(frame, timestamp=3)
    # A key that cannot be hashed is a TypeError, an instant beyond the calendar an OverflowError.
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException) as error:
        raise FrameUnreadable(f"{type(error).__name__} in a frame of {len(frame)} bytes") from None
    if not isinstance(found, list) or not all(isinstance(message, dict) for message in found):
        raise FrameUnreadable(f"no list of messages in a frame of {len(frame)} bytes")
    return found


class NewsSession(Line):
    """A connection that follows every article."""

    def articles(self, timeout: float) -> list[Message]:
        """The articles of the next frame, none if none came in time. ``StreamLost`` at the connection's end.

        Raises ``FrameUnreadable`` for a frame that makes no sense; the next one may.
        """
        frame = self.frame(timeout)
        messages = [] if frame is None else read_frame(frame)
        for message in messages:
            if message.get("T") == _ERROR:
                raise StreamRefused(f"the broker says {_said(message)}", where=self._url)
        return [message for message in messages if message.get("T") == _NEWS]

    def greet(self, key: str, secret: str) -> None:
        """Authenticate and follow everything; returns once the broker has confirmed both."""
        import msgpack

        self._await(_SUCCESS, "a welcome", msg="connected")
        self.say(msgpack.packb({"action": "auth", "key": key, "secret": secret}))
        self._await(_SUCCESS, "authentication", msg="authenticated")
        self.say(msgpack.packb({"action": "subscribe", "news": ["*"]}))
        answer = self._await(_SUBSCRIPTION, "the subscription")
        if answer.get("news") != ["*"]:
            raise StreamRefused(f"the broker does not let us follow the news: {answer.get('news')}", where=self._url)

    def _await(self, kind: str, what: str, **expected: str) -> Message:
        deadline = time.monotonic() + self._config.welcome_seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                frame = self.frame(left)
            except StreamLost as error:
                raise StreamRefused(f"ended before {what}: {error.what}", where=self._url) from None
            if frame is None:
                break
            try:
                messages = read_frame(frame)
            except FrameUnreadable as error:
                raise StreamRefused(f"{error} instead of {what}", where=self._url) from None
            for message in messages:
                if message.get("T") == _ERROR:
                    if message.get("code") in _AUTH_FAILED:
                        raise NotAuthorized(
                            f"the socket did not accept the credentials: {_said(message)}",
                            where=self._url,
                            mend="Check key and secret.",
                        )
                    raise StreamRefused(f"refused before {what}: {_said(message)}", where=self._url)
                if message.get("T") == kind and expected.items() <= message.items():
                    return message
        raise StreamLost(f"no {what.removeprefix('a ')} within {self._config.welcome_seconds:g} s", where=self._url)


@contextmanager
def open_news_session(connection: BrokerConnection, config: TradeStreamConfig) -> Iterator[NewsSession]:
    """Connect and greet; the connection is closed at the end of the block.

    Raises ``StreamLost``, ``StreamRefused`` or ``NotAuthorized``; never waits longer than the configured time-outs.
    """
    url = news_url(connection)
    with dialled(url, config, _HEADERS) as socket:
        session = NewsSession(socket, url, config)
        session.greet(connection.key, connection.secret)
        yield session


def _said(message: Message) -> str:
    return f"{message.get('code')} {message.get('msg')}"[:200]
