"""The market-data sockets: stocks, options and news, in the protocol's order of welcome, authentication and channels.

A listener has a cursor: everything up to it was told, nothing after it. Whenever the clock has moved, what became known
between the cursor and the clock is told, in order and once; a change of what is followed takes place at its own instant
in that order. So a listener hears nothing of what was before it asked, however far the clock jumps, and where nobody
listens nothing is computed. Who does not take what is sent for some seconds is cut off.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import insort
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from starlette.responses import Response
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from trading_assets.exchange.codecs import JSON, Codec, Message, Unreadable, codec_of
from trading_assets.exchange.config import StreamRules
from trading_assets.exchange.engine import Engine
from trading_assets.exchange.events import Event, SessionOpened
from trading_assets.exchange.http import credentials
from trading_assets.exchange.sockets import POLICY_VIOLATION, TRY_AGAIN_LATER, Authenticate, receive
from trading_assets.exchange.stream_messages import Reporter
from trading_assets.exchange.subscriptions import (
    OPTIONS,
    OTHER_FEEDS,
    STOCK_FEEDS,
    Feed,
    StreamError,
    Subscription,
)
from trading_assets.exchange.venue import Venue

_log = logging.getLogger(__name__)
#: Messages in a frame at most: far below the mebibyte that clients take.
_FRAME = 200
#: Instants worked on before others get a turn.
_TURN = 50
#: Answers that a client may leave unread before it counts as slow.
_MOST_WAITING = 1000
#: Wall seconds in which a farewell must have left.
_FAREWELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Due:
    """Something that takes place when a listener's cursor reaches ``at``: an answer, with what is followed from then
    on, or (``before``) the market of another session taking over from that engine."""

    at: datetime
    answer: Message | None = None
    followed: Subscription | None = None
    before: Engine | None = None


class Listener:
    """One connection that has said who it is."""

    def __init__(self, socket: WebSocket, codec: Codec, feed: Feed, venue: Venue, reporter: Reporter) -> None:
        self.socket = socket
        self.codec = codec
        self.feed = feed
        self.wake = asyncio.Event()
        #: What is followed once everything that is due has taken place.
        self.requested = self._followed = Subscription.empty(feed)
        self._venue = venue
        self._reporter = reporter
        self._slow = venue.config.streams.slow_seconds
        self._cursor = self._horizon
        self._due: list[_Due] = []

    @property
    def _horizon(self) -> datetime:
        """The last instant of which this feed may tell."""
        return self._venue.world.now - self.feed.delay

    def answer(self, message: Message, followed: Subscription | None = None) -> None:
        """Answer in the order of what is told; ``followed`` is the subscription from then on."""
        if len(self._due) >= _MOST_WAITING:
            raise StreamError(407, ends=True)
        self._plan(_Due(self._horizon, message, followed))

    def takes_over(self, at: datetime, before: Engine) -> None:
        """The market after ``at`` is another than that of ``before``."""
        self._plan(_Due(at, before=before))

    def _plan(self, due: _Due) -> None:
        insort(self._due, due, key=lambda item: item.at)
        self.wake.set()

    async def run(self) -> None:
        """Tell what becomes known, until the connection ends; raises ``StreamError`` (407) for a slow client."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            await self._catch_up()

    async def _catch_up(self) -> None:
        while True:
            horizon = self._horizon
            first = self._due[0] if self._due and self._due[0].at <= horizon else None
            until = horizon if first is None else first.at
            if until > self._cursor:
                await self._tell(self._engine(), self._cursor, until)
                self._cursor = until
            if first is None:
                return
            due = self._due.pop(0)
            if due.before is not None:
                await self.send(self._reporter.brought(due.before, self._engine(), self._followed, due.at))
            if due.followed is not None:
                self._followed = due.followed
            if due.answer is not None:
                await self.send([due.answer])

    def _engine(self) -> Engine:
        """The engine at the cursor: of the next takeover that is due, the one before it."""
        return next((due.before for due in self._due if due.before is not None), self._venue.engine)

    async def _tell(self, engine: Engine, start: datetime, until: datetime) -> None:
        waiting: list[Message] = []
        for number, (_, messages) in enumerate(self._reporter.between(engine, self._followed, start, until), start=1):
            waiting += messages
            while len(waiting) >= _FRAME:
                await self.send(waiting[:_FRAME])
                waiting = waiting[_FRAME:]
            if number % _TURN == 0:
                await asyncio.sleep(0)
        await self.send(waiting)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send one frame, none if there is nothing to say; raises ``StreamError`` if the client does not take it."""
        if not messages:
            return
        try:
            async with asyncio.timeout(self._slow):
                await self.codec.send(self.socket, messages)
        except TimeoutError:
            raise StreamError(407, ends=True) from None


class DataStreams:
    """The market-data sockets of one venue. ``applied`` and ``durable`` are told what the venue does."""

    def __init__(self, venue: Venue, authenticate: Authenticate, reporter: Reporter) -> None:
        self._venue = venue
        self._authenticate = authenticate
        self._reporter = reporter
        self._rules: StreamRules = venue.config.streams
        self._listeners: set[Listener] = set()
        self._open: Counter[tuple[str, str]] = Counter()

    def routes(self) -> list[WebSocketRoute]:
        """Stocks, and news and options."""
        return [
            WebSocketRoute("/v2/{feed}", lambda socket: self._connected(socket, STOCK_FEEDS)),
            WebSocketRoute("/v1beta1/{feed}", lambda socket: self._connected(socket, OTHER_FEEDS)),
        ]

    def applied(self, event: Event, at: datetime) -> None:
        """Remember for who listens that another session's market takes over; the venue still has the one before."""
        if isinstance(event, SessionOpened):
            for listener in self._listeners:
                listener.takes_over(at, self._venue.engine)

    def durable(self) -> None:
        """The clock may have moved: let the listeners look."""
        for listener in self._listeners:
            listener.wake.set()

    # --- one connection ---------------------------------------------------------------------------------------------

    async def _connected(self, socket: WebSocket, feeds: dict[str, Feed]) -> None:
        feed = feeds.get(socket.path_params["feed"])
        if feed is None:
            text = f"the feed {socket.path_params['feed']!r} is not offered here, only {', '.join(feeds)}\n"
            await socket.send_denial_response(Response(text, 404, media_type="text/plain"))
            return
        codec = codec_of(socket.headers.get("Content-Type"))
        await socket.accept()
        try:
            if feed.kind == OPTIONS and codec is JSON:
                raise StreamError(412, ends=True)
            await codec.send(socket, [{"T": "success", "msg": "connected"}])
            account = await self._greet(socket, codec)
            await self._serve(socket, codec, feed, account)
        except StreamError as error:
            _log.info("a socket of %s is closed: %s", feed.name, error)
            await _farewell(socket, codec, error)
        except WebSocketDisconnect:
            _log.info("a listener of %s left", feed.name)

    async def _greet(self, socket: WebSocket, codec: Codec) -> str:
        """The account that the handshake or a message names by its credentials; raises ``StreamError``."""
        key, secret = credentials(socket)
        if key or secret:
            return self._account(key, secret)
        try:
            async with asyncio.timeout(self._rules.authentication_seconds):
                while True:
                    try:
                        message = _read(codec, await receive(socket))
                        if message["action"] == "auth":
                            return self._account(message.get("key"), message.get("secret"))
                        raise StreamError(401)
                    except StreamError as error:
                        if error.ends:
                            raise
                        await codec.send(socket, [error.message])
        except TimeoutError:
            raise StreamError(404, ends=True) from None

    def _account(self, key: Any, secret: Any) -> str:
        known = isinstance(key, str) and isinstance(secret, str)
        account = self._authenticate(key, secret) if known else None
        if account is None:
            raise StreamError(402, ends=True)
        return account

    async def _serve(self, socket: WebSocket, codec: Codec, feed: Feed, account: str) -> None:
        if feed.name not in self._rules.feeds:
            raise StreamError(409, ends=True)
        place = (account, feed.name)
        if self._open[place] >= self._rules.connections:
            raise StreamError(406, ends=True)
        self._open[place] += 1
        listener = Listener(socket, codec, feed, self._venue, self._reporter)
        tasks: list[asyncio.Task[None]] = []
        try:
            await listener.send([{"T": "success", "msg": "authenticated"}])
            self._listeners.add(listener)
            tasks = [asyncio.create_task(listener.run()), asyncio.create_task(self._listen(listener))]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                _raise_what_ended(task, feed)
        finally:
            self._listeners.discard(listener)
            self._open[place] -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, listener: Listener) -> None:
        """Take what the client wants to follow, until it leaves."""
        options = listener.feed.kind == OPTIONS
        most = self._rules.option_symbols if options else self._rules.symbols
        while True:
            try:
                message = _read(listener.codec, await receive(listener.socket))
                if message["action"] == "auth":
                    raise StreamError(403)
                listener.requested = listener.requested.changed(message, most)
            except StreamError as error:
                listener.answer(error.message)
            else:
                listener.answer(listener.requested.message, listener.requested)


def _read(codec: Codec, frame: str | bytes) -> dict[str, Any]:
    """A client's message, with an action that exists; raises ``StreamError`` (400)."""
    try:
        message = codec.read(frame)
    except Unreadable:
        raise StreamError(400) from None
    if not isinstance(message, dict) or message.get("action") not in ("auth", "subscribe", "unsubscribe"):
        raise StreamError(400)
    return message


def _raise_what_ended(task: asyncio.Task[None], feed: Feed) -> None:
    """Raise why a connection ended; what nobody foresaw is logged and told as an internal error."""
    error = task.exception()
    if error is None:
        return
    if isinstance(error, StreamError | WebSocketDisconnect):
        raise error
    _log.error("a socket of %s failed", feed.name, exc_info=error)
    raise StreamError(500, ends=True) from error


async def _farewell(socket: WebSocket, codec: Codec, error: StreamError) -> None:
    """Say why and close. A client that takes nothing misses it, and is disconnected all the same."""
    with suppress(TimeoutError, WebSocketDisconnect):
        async with asyncio.timeout(_FAREWELL_SECONDS):
            await codec.send(socket, [error.message])
            again = error.code in (406, 407, 500)
            await socket.close(TRY_AGAIN_LATER if again else POLICY_VIOLATION)
