"""A small real HTTP broker whose every fill is written down by the test.

The practice exchange decides fills by its market; races, partial fills and hand trades need to be placed exactly. This
server speaks the same wire on a port of its own. Time is stepped by the same control request: nothing happens between.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

START = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
ACCOUNT_ID = "11111111-2222-3333-4444-555555555555"
#: What a script says about one order: after how many seconds how many fill at which price.
Script = Callable[["Order"], list[tuple[float, int, str]]]


@dataclass
class Order:
    """One order at the scripted broker."""

    order_id: str
    body: dict[str, Any]
    submitted_at: datetime
    status: str = "new"
    filled: int = 0
    cost: Decimal = Decimal(0)
    plan: list[tuple[datetime, int, Decimal]] = field(default_factory=list)

    @property
    def quantity(self) -> int:
        return int(Decimal(str(self.body["qty"])))

    @property
    def is_open(self) -> bool:
        return self.status in ("new", "partially_filled", "pending_cancel", "held_by_moonlight")

    def wire(self) -> dict[str, Any]:
        limit = self.body.get("limit_price")
        if self.body.get("order_class") == "oco":
            limit = self.body["take_profit"]["limit_price"]
        stamp = self.submitted_at.isoformat()
        return {
            "id": self.order_id,
            "client_order_id": self.body["client_order_id"],
            "created_at": stamp,
            "updated_at": stamp,
            "submitted_at": stamp,
            "symbol": self.body["symbol"],
            "qty": str(self.quantity),
            "filled_qty": str(self.filled),
            "filled_avg_price": str(self.cost / self.filled) if self.filled else None,
            "type": self.body["type"],
            "side": self.body["side"],
            "time_in_force": "day",
            "limit_price": None if limit is None else str(limit),
            "status": self.status,
            "extended_hours": False,
        }


def at_once(order: Order) -> list[tuple[float, int, str]]:
    """The whole order at its limit (market orders at 1.00) after half a second."""
    return [(0.5, order.quantity, str(order.body.get("limit_price") or "1.00"))]


def never(order: Order) -> list[tuple[float, int, str]]:
    """No fill."""
    return []


class ScriptedExchange:
    """State of one account at the scripted broker; all methods are safe to call while it serves."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now = START
        self.account_id = ACCOUNT_ID
        self.cash = Decimal(100_000)
        self.orders: dict[str, Order] = {}
        self.fills: list[dict[str, Any]] = []
        self.activities: list[dict[str, Any]] = []
        #: Rows of the list of splits, forward and reverse alike.
        self.splits: list[dict[str, Any]] = []
        self.holdings: dict[str, tuple[int, Decimal]] = {}
        self.script: Script = at_once
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}
        self.posts = 0
        self.race: tuple[int, str] | None = None

    # --- what tests do ---------------------------------------------------------------------------------------------

    def by_client_id(self, client_order_id: str) -> list[Order]:
        with self.lock:
            return [order for order in self.orders.values() if order.body["client_order_id"] == client_order_id]

    def trade_by_hand(self, symbol: str, side: str, quantity: int, price: str, *, fill: bool = True) -> Order:
        """An order nobody here placed; ``fill`` executes it at once."""
        with self.lock:
            order = self._place(
                {
                    "symbol": symbol,
                    "side": side,
                    "qty": quantity,
                    "type": "market",
                    "client_order_id": str(uuid.uuid4()),
                }
            )
            order.plan = []
            if fill:
                self._execute(order, quantity, Decimal(price))
            return order

    def advance(self, instant: datetime) -> None:
        """Move time forward; what the scripts foresee until then happens in order."""
        with self.lock:
            while True:
                due = [(plan[0][0], order) for order in self.orders.values() if order.is_open and (plan := order.plan)]
                due = [entry for entry in due if entry[0] <= instant]
                if not due:
                    break
                at, order = min(due, key=lambda entry: entry[0])
                _, quantity, price = order.plan.pop(0)
                self.now = max(self.now, at)
                self._execute(order, quantity, price)
            self.now = max(self.now, instant)

    # --- what the wire does ----------------------------------------------------------------------------------------

    def _place(self, body: dict[str, Any]) -> Order:
        order = Order(str(uuid.uuid4()), body, self.now)
        self.orders[order.order_id] = order
        order.plan = [
            (self.now + timedelta(seconds=seconds), quantity, Decimal(price))
            for seconds, quantity, price in self.script(order)
        ]
        return order

    def _execute(self, order: Order, quantity: int, price: Decimal) -> None:
        symbol, buying = order.body["symbol"], order.body["side"] == "buy"
        multiplier = 100 if len(symbol) > 10 else 1
        order.filled += quantity
        order.cost += quantity * price
        order.status = "filled" if order.filled == order.quantity else "partially_filled"
        held, average = self.holdings.get(symbol, (0, Decimal(0)))
        if buying:
            self.holdings[symbol] = (held + quantity, (held * average + quantity * price) / (held + quantity))
        else:
            self.holdings[symbol] = (held - quantity, average)
        if self.holdings[symbol][0] == 0:
            del self.holdings[symbol]
        self.cash += (-1 if buying else 1) * quantity * price * multiplier
        self.fills.append(
            {
                "id": f"{self.now:%Y%m%d%H%M%S}{len(self.fills):03d}::{uuid.uuid4()}",
                "activity_type": "FILL",
                "transaction_time": self.now.isoformat(),
                "type": "fill" if order.status == "filled" else "partial_fill",
                "price": str(price),
                "qty": str(quantity),
                "side": order.body["side"],
                "symbol": symbol,
                "leaves_qty": str(order.quantity - order.filled),
                "cum_qty": str(order.filled),
                "order_id": order.order_id,
                "order_status": order.status,
            }
        )

    def post_order(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.posts += 1
        if self.by_client_id(body["client_order_id"]):
            return 422, {"code": 40010001, "message": "client_order_id must be unique"}
        if body["symbol"] in self.refusals:
            return self.refusals[body["symbol"]]
        return 200, self._place(body).wire()

    def delete_order(self, order_id: str) -> tuple[int, Any]:
        order = self.orders.get(order_id)
        if order is None:
            return 404, {"code": 40410000, "message": "order not found"}
        if order.is_open and self.race is not None:
            quantity, price = self.race
            self.race = None
            self._execute(order, quantity, Decimal(price))
        if not order.is_open:
            return 422, {"code": 42210000, "message": f'order is already in "{order.status}" state'}
        order.status = "canceled"
        return 204, None

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        if path == "/v2/account":
            return 200, {
                "id": self.account_id,
                "account_number": "PA1",
                "status": "ACTIVE",
                "cash": str(self.cash),
                "equity": str(self.cash),
                "last_equity": "100000",
                "options_buying_power": str(self.cash),
                "trading_blocked": False,
                "account_blocked": False,
                "options_trading_level": 2,
            }
        if path == "/v2/clock":
            return 200, {"timestamp": self.now.isoformat(), "is_open": True, "next_open": "", "next_close": ""}
        if path == "/v2/positions":
            return 200, [
                {
                    "symbol": symbol,
                    "qty": str(quantity),
                    "side": "long" if quantity > 0 else "short",
                    "avg_entry_price": str(average),
                    "unrealized_pl": "0",
                }
                for symbol, (quantity, average) in self.holdings.items()
            ]
        if path == "/v2/orders":
            return 200, self._list_orders(query)
        if path == "/v2/orders:by_client_order_id":
            found = self.by_client_id(query["client_order_id"])
            return (200, found[0].wire()) if found else (404, {"code": 40410000, "message": "order not found"})
        if path.startswith("/v2/orders/"):
            order = self.orders.get(path.rsplit("/", 1)[1])
            return (200, order.wire()) if order else (404, {"code": 40410000, "message": "order not found"})
        if path.startswith("/v2/account/activities"):
            return 200, self._list_activities(path, query)
        if path == "/v1/corporate-actions":
            return 200, {"corporate_actions": {"forward_splits": self.splits}, "next_page_token": None}
        return 404, {"code": 40410000, "message": "endpoint not found"}

    def _list_orders(self, query: dict[str, str]) -> list[dict[str, Any]]:
        chosen = [
            order
            for order in sorted(self.orders.values(), key=lambda order: order.submitted_at)
            if query.get("status", "open") == "all" or order.is_open == (query.get("status", "open") == "open")
        ]
        if "after" in query:
            chosen = [order for order in chosen if order.submitted_at > datetime.fromisoformat(query["after"])]
        return [order.wire() for order in chosen[: int(query.get("limit", "50"))]]

    def _list_activities(self, path: str, query: dict[str, str]) -> list[dict[str, Any]]:
        fills = path.endswith("/FILL")
        wanted = set(query.get("activity_types", path.rsplit("/", 1)[1]).split(","))
        rows = [row for row in (self.fills if fills else self.activities) if row["activity_type"] in wanted]
        after = datetime.fromisoformat(query["after"])
        rows = [row for row in rows if not fills or datetime.fromisoformat(row["transaction_time"]) > after]
        ids = [row["id"] for row in rows]
        start = ids.index(query["page_token"]) + 1 if "page_token" in query else 0
        return rows[start : start + int(query["page_size"])]


def _handler(exchange: ScriptedExchange) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self, method: str) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else {}
            parts = urlsplit(self.path)
            path, query = unquote(parts.path), {key: values[0] for key, values in parse_qs(parts.query).items()}
            with exchange.lock:
                if path == "/practice/v1/clock":
                    exchange.advance(datetime.fromisoformat(body["advance_to"]))
                    status, answer = 200, {"now": exchange.now.isoformat()}
                elif method == "POST":
                    status, answer = exchange.post_order(body)
                elif method == "DELETE":
                    status, answer = exchange.delete_order(path.rsplit("/", 1)[1])
                else:
                    status, answer = exchange.get(path, query)
            raw = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_GET(self) -> None:
            self._answer("GET")

        def do_POST(self) -> None:
            self._answer("POST")

        def do_DELETE(self) -> None:
            self._answer("DELETE")

        def log_message(self, format: str, *args: object) -> None:
            return

    return Handler


@contextmanager
def serve(exchange: ScriptedExchange) -> Iterator[str]:
    """Serve on a free loopback port; yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(exchange))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
