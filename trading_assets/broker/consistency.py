"""After the day: do ledger and broker tell the same story? Reads both, changes neither.

Compared are orders, fills, filled quantities, average prices, positions and cash. Cash: opening cash + signed fills
times multiplier + other movements the broker lists (fees, deposits) = cash at the broker.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.values import BrokerFill, BrokerOrder
from trading_assets.domain.money import CENT
from trading_assets.domain.values import OrderState, Purpose
from trading_assets.ledger import execution_changes, executions, orders, positions, reconciliations
from trading_assets.ledger.executions import ADOPTED, CONTRACT_ENDED, Execution
from trading_assets.ledger.orders import COMBO, COMBO_LEG, OrderIntent

_CASH_MOVEMENTS = ("FEE", "CSD", "CSW", "DIV", "INT", "JNLC", "SPLIT")
_NEVER_SENT = frozenset({OrderState.ABANDONED, OrderState.REJECTED})


@dataclass(frozen=True, slots=True)
class ConsistencyReport:
    """``differences`` are sentences; ``figures`` are JSON-ready numbers of both sides."""

    consistent: bool
    differences: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def compare(engine: Engine, broker: AlpacaBroker, account: str) -> ConsistencyReport:
    """Compare everything since the ledger began. Raises ``BrokerUnavailable`` if the broker cannot be read."""
    with engine.connect() as connection:
        record = reconciliations.read_account(connection, account)
        intents = orders.of_account(connection, account)
        booked = executions.of_account(connection, account)
        changed = execution_changes.changed_ids(connection, account)
        held = {p.symbol: p.quantity for p in positions.live_positions(connection, account) if p.quantity}
    begin = min(instant for instant in (record.created_at, record.first_intent_at) if instant is not None)
    since = begin - timedelta(seconds=broker.config.fill_overlap_seconds)
    # A multi-leg order is listed with its legs inside it, which trade under ids of their own.
    theirs = [each for order in broker.orders("all", since) for each in (order, *order.legs)]
    theirs = list({order.order_id: order for order in theirs}.values())
    fills, unread = broker.read_fills(since)
    actual = {position.symbol: position.quantity for position in broker.positions()}
    moved = broker.activities(_CASH_MOVEMENTS, since)
    cash = broker.account().cash

    found = [str(row) for row in unread]
    _compare_orders(intents, theirs, broker.config.price_tolerance, found, revised=bool(changed))
    # The broker's list may still show a fill as it was before it took it back or corrected it.
    told = [fill for fill in fills if executions.fill_id(fill.activity_id) not in changed]
    standing = tuple(row for row in booked if executions.fill_id(row.execution_id) not in changed)
    _compare_fills(intents, standing, told, record.created_at, found)
    for symbol in sorted({*held, *actual}):
        if held.get(symbol, 0) != actual.get(symbol, 0):
            found.append(f"position {symbol}: ledger {held.get(symbol, 0)}, broker {actual.get(symbol, 0)}")
    movements = sum((a.net_amount for a in moved if a.net_amount is not None and _day(a, begin)), Decimal(0))
    expected = None if record.opening_cash is None else record.opening_cash + executions.signed_cash(booked) + movements
    if expected is None or cash is None:
        found.append(f"cash: ledger {expected}, broker {cash}")
    elif abs(expected - cash) > broker.config.cash_tolerance:
        found.append(f"cash: ledger {expected}, broker {cash}, difference {expected - cash}")
    ours = {name for intent in intents for name in (intent.client_order_id, intent.broker_order_id)}
    figures = {
        "orders_ledger": sum(1 for intent in intents if intent.broker_order_id is not None),
        "orders_broker": sum(1 for order in theirs if not ours.isdisjoint((order.client_order_id, order.order_id))),
        "fills_ledger": sum(1 for row in booked if row.reason != ADOPTED and row.reason not in CONTRACT_ENDED),
        "fills_broker": len(fills),
        "quantity_ledger": sum(row.quantity for row in booked if row.reason != ADOPTED),
        "positions_ledger": held,
        "positions_broker": {symbol: str(quantity) for symbol, quantity in actual.items()},
        "opening_cash": _cents(record.opening_cash),
        "cash_ledger": _cents(expected),
        "cash_broker": _cents(cash),
        "other_movements": _cents(movements),
    }
    return ConsistencyReport(not found, found, figures)


def _cents(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount.quantize(CENT))


def _day(activity: Any, begin: Any) -> bool:
    return activity.on is None or activity.on >= begin.date()


def _compare_orders(
    intents: tuple[OrderIntent, ...],
    theirs: list[BrokerOrder],
    tolerance: Decimal,
    found: list[str],
    *,
    revised: bool,
) -> None:
    by_client: dict[str, list[BrokerOrder]] = defaultdict(list)
    for order in theirs:
        by_client[order.client_order_id].append(order)
    by_id = {order.order_id: [order] for order in theirs}
    for intent in intents:
        name = intent.client_order_id
        # A leg of a multi-leg order has a name of our own.
        is_leg, is_whole = intent.order_class == COMBO_LEG, intent.order_class == COMBO
        matches = by_id.get(intent.broker_order_id or "", []) if is_leg else by_client.get(name, [])
        if len(matches) > 1:
            found.append(f"order {name}: the broker has {len(matches)} orders under one id")
        if intent.is_live and intent.purpose is not Purpose.PROTECT:
            found.append(f"order {name}: still {intent.state} in the ledger")
        if not matches:
            if intent.state not in _NEVER_SENT:
                found.append(f"order {name}: {intent.state} in the ledger, not at the broker")
            continue
        order = matches[0]
        if intent.state not in _NEVER_SENT and order.state is not intent.state and not intent.is_live:
            found.append(f"order {name}: {intent.state} in the ledger, {order.status} at the broker")
        if is_whole and revised:
            # What a broker says of the whole once a fill of a leg was changed is its own affair; the legs are compared.
            continue
        if order.filled_quantity != intent.filled_quantity:
            found.append(f"order {name}: filled {intent.filled_quantity} in the ledger, {order.filled_quantity}")
        elif not _same_price(intent.filled_avg_price, order.filled_avg_price, tolerance):
            found.append(f"order {name}: at {intent.filled_avg_price} in the ledger, {order.filled_avg_price}")


def _same_price(ours: Decimal | None, theirs: Decimal | None, tolerance: Decimal) -> bool:
    if ours is None or theirs is None:
        return ours is None and not theirs
    return abs(ours - theirs) <= tolerance * abs(theirs)


def _compare_fills(
    intents: tuple[OrderIntent, ...],
    booked: tuple[Execution, ...],
    fills: list[BrokerFill],
    begin: Any,
    found: list[str],
) -> None:
    ours = {intent.broker_order_id for intent in intents if intent.broker_order_id is not None}
    by_id = {
        executions.fill_id(row.execution_id): row
        for row in booked
        if row.reason != ADOPTED and row.reason not in CONTRACT_ENDED
    }
    relevant = {
        executions.fill_id(fill.activity_id): fill for fill in fills if fill.order_id in ours or fill.at >= begin
    }
    for name in sorted({*by_id, *relevant}):
        row, fill = by_id.get(name), relevant.get(name)
        if row is None:
            found.append(f"fill {name}: at the broker only")
        elif fill is None:
            found.append(f"fill {name}: in the ledger only")
        elif (row.symbol, row.side, Decimal(row.quantity), row.price) != (
            fill.symbol,
            fill.side,
            fill.quantity,
            fill.price,
        ):
            found.append(f"fill {name}: ledger {row.side} {row.quantity} at {row.price}, broker otherwise")
