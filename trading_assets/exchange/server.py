"""Putting the exchange on loopback: the application, its socket, and the file that says where it answers."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.actions import ActionBook
from trading_assets.exchange.bars import BarBook
from trading_assets.exchange.config import load_config
from trading_assets.exchange.control import ControlRoutes
from trading_assets.exchange.data_streams import DataStreams
from trading_assets.exchange.events import Event
from trading_assets.exchange.faults.installation import Faults
from trading_assets.exchange.http import Door, refused
from trading_assets.exchange.journal import JOURNAL_FILE, Journal
from trading_assets.exchange.limits import RateLimit
from trading_assets.exchange.markets import market_source
from trading_assets.exchange.newsroom import Newsroom
from trading_assets.exchange.recorded_feeds import RecordedFeeds, load_feeds
from trading_assets.exchange.recorded_news import RecordedNews
from trading_assets.exchange.refusal import NOT_FOUND, Refusal
from trading_assets.exchange.rest_account import AccountRoutes
from trading_assets.exchange.rest_data import DataRoutes
from trading_assets.exchange.rest_news import NewsRoutes
from trading_assets.exchange.rest_options import OptionDataRoutes
from trading_assets.exchange.rest_trading import TradingRoutes
from trading_assets.exchange.rss import RssRoutes
from trading_assets.exchange.stream_messages import Reporter
from trading_assets.exchange.trade_updates import TradeUpdates
from trading_assets.exchange.venue import Venue

HOST = "127.0.0.1"
ADDRESS_FILE = "exchange.json"
_log = logging.getLogger(__name__)


def application(venue: Venue, feeds: RecordedFeeds | None = None, faults: Faults | None = None) -> Starlette:
    """Every interface of the exchange over one venue. Recorded ``feeds`` stand in for the market's headlines.

    ``faults`` stand in front of all of them; None: there are none, and no path to arm any.
    """
    counts = venue.config.speed > 0
    per_minute = venue.config.rules.requests_per_minute
    trading = Door(venue, RateLimit(per_minute, "rate limit exceeded", counts=counts))
    data = Door(venue, RateLimit(per_minute, "too many requests", counts=counts))
    bars, newsroom = BarBook(), Newsroom(RecordedNews(feeds) if feeds is not None else None)
    news = RssRoutes(venue, feeds)
    updates = TradeUpdates(venue.world, trading.account_of)
    streams = DataStreams(venue, data.account_of, Reporter(bars, newsroom))

    def on_event(event: Event, at: datetime) -> None:
        updates.applied(event, at)
        streams.applied(event, at)

    def on_durable() -> None:
        updates.durable()
        streams.durable()

    venue.on_event, venue.on_durable = on_event, on_durable
    switches = None if faults is None else faults.attach(venue, updates, trading.account_asking)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        clock = asyncio.create_task(venue.run_clock()) if counts else None
        if clock is not None:
            clock.add_done_callback(lambda task: _stopped(venue, task))
        yield
        if clock is not None:
            clock.cancel()

    app = Starlette(
        routes=[
            *AccountRoutes(venue).routes(trading),
            *TradingRoutes(venue).routes(trading),
            *DataRoutes(venue, bars).routes(data),
            *OptionDataRoutes(venue).routes(data),
            *NewsRoutes(venue, newsroom).routes(data),
            *news.routes(),
            *updates.routes(),
            *streams.routes(),
            *ControlRoutes(venue, news).routes(() if switches is None else switches.routes),
        ],
        middleware=[] if switches is None else [switches.middleware],
        exception_handlers={HTTPException: _unknown},
        lifespan=lifespan,
    )
    # The broker's clients follow no redirect: with one they would read nothing for an answer.
    app.router.redirect_slashes = False
    return app


def _stopped(venue: Venue, clock: asyncio.Task[None]) -> None:
    """A clock that died of an error must not leave an exchange behind whose time stands still."""
    if not clock.cancelled() and clock.exception() is not None:
        _log.critical("the clock failed", exc_info=clock.exception())
        venue.failed = True
        venue.on_failure()


async def _unknown(request: Request, error: Exception) -> Response:
    """A path or method that this floor of the exchange does not have."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return refused(Refusal(status, NOT_FOUND, f"{request.method} {request.url.path} is not offered here"))


def serve(directory: Path, port: int = 0) -> None:
    """Run the exchange of ``directory`` until it is told to stop, or until its journal fails."""
    config = load_config(directory)
    feeds = load_feeds(directory) if config.recorded_feeds else None
    faults = Faults(directory) if config.faults else None
    actions = ActionBook(config.actions)
    markets = market_source(config, directory, actions)
    journal = Journal(directory / JOURNAL_FILE)
    venue = Venue(config, markets if faults is None else faults.markets(markets), journal, actions)
    listener = _listen(port) if port else _listen(_last_port(directory), or_any=True)
    bound = int(listener.getsockname()[1])
    server = uvicorn.Server(
        uvicorn.Config(
            application(venue, feeds, faults),
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,
            ws="websockets-sansio",
            **({} if faults is None else faults.server_options()),
        )
    )
    venue.on_failure = lambda: setattr(server, "should_exit", True)
    asyncio.run(_run(server, listener, directory, bound))
    if venue.failed:
        raise ConfigurationError(
            "the journal could not be written or the clock failed, so the exchange stopped",
            where=str(directory / JOURNAL_FILE),
            mend="Free space on the disk and start it again: everything that was answered is kept.",
        )


async def _run(server: uvicorn.Server, listener: socket.socket, directory: Path, port: int) -> None:
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if server.started:
        _announce(directory, port)
        _log.info("the practice exchange answers at http://%s:%d", HOST, port)
    await serving


def _listen(port: int, *, or_any: bool = False) -> socket.socket:
    """A socket on loopback: the wanted port, or with ``or_any`` a free one if that is taken."""
    for candidate in (port, 0) if or_any else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        # Accepted connections inherit it. Without it every small answer waits 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, candidate))
        except OSError:
            listener.close()
            continue
        listener.listen(128)
        return listener
    raise ConfigurationError("the port is taken", where=f"{HOST}:{port}", mend="Choose another, or 0 for a free one")


def _last_port(directory: Path) -> int:
    """The port of the last run, so that a restarted exchange is found where it was; 0 if there was none."""
    try:
        return int(json.loads((directory / ADDRESS_FILE).read_text())["port"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _announce(directory: Path, port: int) -> None:
    """Write the address in one step, once it answers."""
    temporary = directory / f".{ADDRESS_FILE}.{os.getpid()}"
    temporary.write_text(
        json.dumps({"host": HOST, "port": port, "pid": os.getpid(), "started": datetime.now(UTC).isoformat()})
    )
    temporary.replace(directory / ADDRESS_FILE)
