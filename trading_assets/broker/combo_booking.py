"""The legs of a multi-leg order in the ledger: they follow the whole, and their fills are booked together.

The broker's list of fills names legs only. All that a look at the order shows is booked in one transaction, so that no
one ever sees a position closed whose successor is not there. What does not belong here: what a fill does
(``broker.booking``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from trading_assets.broker import booking, combos
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.broker.values import BrokerFill, BrokerOrder
from trading_assets.domain import crashpoints
from trading_assets.domain.values import OrderState
from trading_assets.ledger import order_legs, orders, positions
from trading_assets.ledger.orders import OrderIntent

#: An order for the day that arrives late fills in the session it meets: past a weekend with a holiday at the latest.
_LATEST = timedelta(days=5)


def compared(connection: Connection, intent: OrderIntent, order: BrokerOrder) -> tuple[str, ...]:
    """What makes ``order`` another multi-leg order than ``intent``; empty if it is the same."""
    return combos.differences(intent, order_legs.combo_legs(connection, intent.client_order_id), order)


def follow(
    connection: Connection, intent: OrderIntent, state: OrderState, order: BrokerOrder | None, at: datetime
) -> None:
    """Give the legs of ``intent`` its new state, and the ids by which the broker's fills name them."""
    shown = () if order is None else order.legs
    known = {leg.symbol: leg for leg in shown}
    for leg in order_legs.combo_legs(connection, intent.client_order_id):
        found = known.get(leg.symbol)
        orders.mark(
            connection,
            leg.client_order_id,
            state,
            at,
            broker_order_id=None if found is None else found.order_id,
            submitted_at=None if order is None else order.submitted_at or at,
        )


def claim(engine: Engine, broker: AlpacaBroker, account: str, fill: BrokerFill, *, at: datetime) -> OrderIntent | None:
    """The leg of ours that ``fill`` is of, if its whole had been given up here, or never answered.

    A leg does not say to which order it belongs: the orders in question are asked for by their own names. They are few:
    those that trade the same, and that are young enough to do so only now. The caller holds the account's lock.
    """
    order_id = fill.order_id
    with engine.connect() as connection:
        unclaimed = order_legs.combos_without_answer(connection, account, fill.symbol, fill.side, fill.at - _LATEST)
    for intent in unclaimed:
        found = broker.order_by_client_id(intent.client_order_id)
        if found is not None and not found.legs:
            found = broker.order(found.order_id, nested=True)
        if found is None or order_id not in {leg.order_id for leg in found.legs}:
            continue
        with engine.begin() as connection:
            if compared(connection, intent, found):
                continue
            name, sent = intent.client_order_id, found.submitted_at or at
            orders.mark(connection, name, intent.state, at, broker_order_id=found.order_id, submitted_at=sent)
            follow(connection, intent, intent.state, found, at)
            return orders.by_broker_order_id(connection, order_id)
    return None


def book(
    engine: Engine, intent: OrderIntent, order: BrokerOrder, fills: Iterable[BrokerFill], *, at: datetime, run_id: str
) -> OrderIntent:
    """Book what the broker shows of the multi-leg order ``intent`` and of all its legs. Returns it as stored.

    Raises ``BrokerUnavailable``, and books nothing, if it is another order.
    """
    fills = list(fills)
    with engine.begin() as connection:
        legs = order_legs.combo_legs(connection, intent.client_order_id)
        # Positions first, in one order, as every booking does.
        for position_id in sorted({intent.position_id, *(leg.position_id for leg in legs)}):
            positions.get_position(connection, position_id, lock=True)
        if wrong := combos.differences(intent, legs, order):
            raise BrokerUnavailable("the broker has another order under this id: " + "; ".join(wrong))
        shown = {leg.symbol: leg for leg in order.legs}
        for leg in legs:
            found = shown.get(leg.symbol)
            if found is not None or leg.broker_order_id is not None:
                booking.book_within(connection, leg.client_order_id, found, fills, at=at, run_id=run_id)
        stored = booking.book_within(connection, intent.client_order_id, order, (), at=at, run_id=run_id)
        booking.settle_within(connection, legs, at=at, run_id=run_id)
        crashpoints.reached("booking.before_commit")
    crashpoints.reached("booking.after_commit")
    return stored
