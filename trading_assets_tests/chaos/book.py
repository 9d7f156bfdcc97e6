"""What both sides of one account say at one instant, read by other means than the product's: plain JSON and plain rows.

What belongs here: reading. What does not: what of it may be (``model``).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from trading_assets.ledger.tables import active_positions, booked_executions, decisions, order_intents
from trading_assets_tests.chaos.ring import Ring

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Order:
    """An order at the exchange. ``order_class``: simple, bracket, oco."""

    client_order_id: str
    order_id: str
    symbol: str
    side: str
    status: str
    order_class: str
    quantity: int
    filled: int


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill: ``name`` is what both sides call it, ``order_id`` the exchange's. ``price`` is per share."""

    name: str
    order_id: str
    symbol: str
    side: str
    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Intent:
    """An order as the ledger means it. ``is_combo``: its fills are those of its legs, each ``is_leg``."""

    client_order_id: str
    purpose: str
    signal_id: str | None
    position_id: str
    symbol: str
    side: str
    state: str
    order_id: str | None
    quantity: int
    filled: int
    is_combo: bool
    is_leg: bool


@dataclass(frozen=True, slots=True)
class Booking:
    """A fill as the ledger booked it, and on which position. ``adopted``: it stands for what no fill explains."""

    fill: Fill
    client_order_id: str | None
    position_id: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """A position of the ledger."""

    position_id: str
    symbol: str
    state: str
    exit_reason: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Book:
    """``asked``: how much each signal was to buy at most."""

    account: str
    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    held: dict[str, int]
    intents: tuple[Intent, ...]
    bookings: tuple[Booking, ...]
    positions: tuple[Holding, ...]
    asked: dict[str, int]


def read(ring: Ring, account: str) -> Book:
    """The book of ``account``. The ledger is read last: what it knows, the exchange must have told before."""
    whole = ring.broker(account, "GET", "/v2/orders?status=all&limit=500&nested=true")
    orders = {row["id"]: row for one in whole for row in (one, *(one["legs"] or ()))}
    held = {row["symbol"]: int(Decimal(row["qty"])) for row in ring.broker(account, "GET", "/v2/positions")}
    fills = tuple(_fill(row) for row in _activities(ring, account))
    with ring.desk.ledger.connect() as connection:
        mine = {
            table.name: connection.execute(select(table).where(table.c.account == account)).mappings().all()
            for table in (order_intents, booked_executions, active_positions, decisions)
        }
    asked = {signal: quantity for (name, signal), quantity in ring.asked.items() if name == account}
    for row in mine["decisions"]:
        if row["outcome"] == "ENTER":
            asked[row["signal_id"]] = max(asked.get(row["signal_id"], 0), int(row["sizing"]["quantity"]))
    return Book(
        account,
        tuple(_order(row) for row in orders.values()),
        fills,
        held,
        tuple(_intent(row) for row in mine["order_intents"]),
        tuple(_booking(row) for row in mine["booked_executions"]),
        tuple(_holding(row) for row in mine["active_positions"]),
        asked,
    )


def _activities(ring: Ring, account: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = f"&page_token={found[-1]['id']}" if found else ""
        page = ring.broker(account, "GET", f"/v2/account/activities/FILL?page_size={_PAGE}{after}")
        found += page
        if len(page) < _PAGE:
            return found


def _order(row: dict[str, Any]) -> Order:
    return Order(
        row["client_order_id"],
        row["id"],
        row["symbol"],
        row["side"],
        row["status"],
        row["order_class"] or "simple",
        int(Decimal(row["qty"])),
        int(Decimal(row["filled_qty"])),
    )


def _fill(row: dict[str, Any]) -> Fill:
    name = row["id"].rpartition("::")[2]
    return Fill(
        name, row["order_id"], row["symbol"], row["side"], int(Decimal(row["qty"])), Decimal(row["price"]).normalize()
    )


def _intent(row: Any) -> Intent:
    return Intent(
        row["client_order_id"],
        row["purpose"],
        row["signal_id"],
        row["position_id"],
        row["symbol"],
        row["side"],
        row["state"],
        row["broker_order_id"],
        row["quantity"],
        row["filled_quantity"],
        row["order_class"] == "mleg",
        row["order_class"] == "mleg_leg",
    )


def _booking(row: Any) -> Booking:
    name = row["execution_id"].rpartition("::")[2]
    price = Decimal(row["price"]).normalize()
    fill = Fill(name, row["broker_order_id"], row["symbol"], row["side"], row["quantity"], price)
    return Booking(fill, row["client_order_id"], row["position_id"], row["reason"] == "adopted")


def _holding(row: Any) -> Holding:
    return Holding(row["position_id"], row["symbol"], row["state"], row["exit_reason"], row["quantity"])
