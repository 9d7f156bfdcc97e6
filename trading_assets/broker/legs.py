"""Legs: the take profit and the stop that the broker makes for a bracket or a pair (OCO) of ours.

Their ids are the broker's, so they become ours through the order that they belong to: they are written to the ledger
as protective orders of its position, in the transaction that stores the broker's answer or as soon as the order is
read again. From then on their fills are booked like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine

from trading_assets.broker.booking import whole
from trading_assets.broker.values import BrokerOrder
from trading_assets.domain.identities import MAX_CLIENT_ORDER_ID
from trading_assets.domain.values import OrderState, Purpose, Side
from trading_assets.ledger import order_legs, orders
from trading_assets.ledger.orders import OrderIntent

log = logging.getLogger(__name__)

_STOPS = frozenset({"stop", "stop_limit", "trailing_stop"})


def name_of(leg: BrokerOrder) -> str:
    """The name by which the ledger knows a leg: the client order id that the broker gave it, else its own id."""
    return leg.client_order_id if 0 < len(leg.client_order_id) <= MAX_CLIENT_ORDER_ID else leg.order_id


def record(
    connection: Connection, parent: OrderIntent, legs: Iterable[BrokerOrder], *, at: datetime, run_id: str
) -> None:
    """Write the legs of ``parent`` that the ledger does not know yet. Their fills are booked later.

    A leg without a price, a quantity or a name of its own is left out and told: its fill will count as foreign.
    """
    for leg in legs:
        if orders.get_intent(connection, name_of(leg)) is not None:
            continue
        found = _intent(connection, parent, leg, at=at, run_id=run_id)
        if found is None or not orders.insert_leg(connection, found):
            log.error("%s: a leg of it cannot be followed: %s %s", parent.names, leg.order_type, leg.order_id)


def _intent(
    connection: Connection, parent: OrderIntent, leg: BrokerOrder, *, at: datetime, run_id: str
) -> OrderIntent | None:
    is_stop, quantity = leg.order_type in _STOPS, whole(leg.quantity)
    price = leg.stop_price if is_stop else leg.limit_price
    if price is None or quantity is None or leg.side is not Side.SELL or leg.symbol != parent.symbol:
        return None
    reason = orders.STOP_LOSS if is_stop else orders.TAKE_PROFIT
    ended_empty = leg.is_final and not leg.filled_quantity
    return OrderIntent(
        client_order_id=name_of(leg),
        account=parent.account,
        purpose=Purpose.PROTECT,
        position_id=parent.position_id,
        signal_id=None,
        symbol=parent.symbol,
        underlying=parent.underlying,
        side=Side.SELL,
        quantity=quantity,
        multiplier=parent.multiplier,
        order_type="stop" if is_stop else "limit",
        limit_price=None if is_stop else price,
        attempt=order_legs.next_protection(connection, parent.position_id, reason),
        step=orders.STEPS[reason],
        reason=reason,
        run_id=run_id,
        created_at=at,
        updated_at=at,
        state=leg.state if ended_empty else OrderState.ACCEPTED,
        broker_order_id=leg.order_id,
        submitted_at=leg.submitted_at or at,
        order_class=orders.LEG,
        stop_price=price if is_stop else None,
        leg_of=parent.client_order_id,
    )


def known(
    engine: Engine, parent: OrderIntent, legs: Sequence[BrokerOrder], *, at: datetime, run_id: str
) -> list[BrokerOrder]:
    """Record ``legs`` and return those that the ledger knows as legs of ``parent``."""
    if not legs:
        return []
    with engine.begin() as connection:
        record(connection, parent, legs, at=at, run_id=run_id)
        found = {leg.order_id: orders.get_intent(connection, name_of(leg)) for leg in legs}
    return [leg for leg in legs if (row := found[leg.order_id]) is not None and row.leg_of == parent.client_order_id]
