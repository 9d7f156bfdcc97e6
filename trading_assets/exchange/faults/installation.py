"""Putting the faults in place: in front of the routes, behind the stream, between engine and market."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from trading_assets.exchange.faults.broker_faults import BrokerFaults
from trading_assets.exchange.faults.connections import KnownConnection
from trading_assets.exchange.faults.fill_faults import FillFaults
from trading_assets.exchange.faults.http_faults import HttpFaults
from trading_assets.exchange.faults.market_faults import MarketFaults
from trading_assets.exchange.faults.order_answers import OrderAnswers
from trading_assets.exchange.faults.requests import Identify
from trading_assets.exchange.faults.routes import FaultRoutes
from trading_assets.exchange.faults.stream_faults import StreamFaults
from trading_assets.exchange.faults.switchboard import RECORD_FILE, Switchboard
from trading_assets.exchange.trade_updates import TradeUpdates
from trading_assets.exchange.venue import Markets, Venue

#: A request that hangs on purpose must not keep the exchange from stopping.
_GRACE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Switches:
    """What the application takes in: a middleware, and routes (method, path, handler) of the control path."""

    middleware: Middleware
    routes: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]


class Faults:
    """The switchboard of the exchange in ``directory``, and its places in one application."""

    def __init__(self, directory: Path) -> None:
        self._board = Switchboard(directory / RECORD_FILE)
        self._fills = FillFaults(self._board)

    def markets(self, markets: Markets) -> Markets:
        """The markets that the venue is to play."""
        return self._fills.markets(markets)

    def server_options(self) -> dict[str, Any]:
        """What the server must be started with."""
        return {"http": KnownConnection, "timeout_graceful_shutdown": _GRACE_SECONDS}

    def attach(self, venue: Venue, updates: TradeUpdates, identify: Identify) -> Switches:
        """Take the places in front of ``venue`` and behind its stream."""
        board = self._board
        self._fills.attach(venue)
        board.now = self._fills.now
        broker, stream = BrokerFaults(board, venue), StreamFaults(board, updates)
        changes = (OrderAnswers(board), MarketFaults(board))
        middleware = Middleware(HttpFaults, board=board, venue=venue, identify=identify, broker=broker, changes=changes)
        return Switches(middleware, FaultRoutes(board, broker, stream, venue.world).table())
