"""Working orders: look at one and book what happened to it, or end it.

What belongs here: the motions that ladder, rolls, exits and reconciliation share. A fill may always win the race
against a cancel, so an order is over only when the broker says so and every fill it reports is booked.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import Engine

from trading_assets.broker import booking, combo_booking, legs
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import NO_ANSWER, OrderDenied
from trading_assets.domain.clock import Clock
from trading_assets.domain.values import OrderState
from trading_assets.ledger import orders
from trading_assets.ledger.orders import OrderIntent

log = logging.getLogger(__name__)


def look(engine: Engine, broker: AlpacaBroker, clock: Clock, intent: OrderIntent, *, run_id: str) -> OrderIntent:
    """Read the order with its legs and its fills, book them, return the intent as stored.

    Of a leg of a multi-leg order the whole is read. Raises ``BrokerUnavailable`` if the broker gave no trustworthy
    answer, and ``OrderDenied``, which is one, if it denies an order that it had accepted.
    """
    if intent.order_class == orders.COMBO_LEG:
        look(engine, broker, clock, _whole(engine, intent), run_id=run_id)
        return _stored(engine, intent)
    if intent.broker_order_id is None:
        return intent
    order = broker.order(intent.broker_order_id, nested=intent.has_legs)
    if order is None:
        raise OrderDenied("the broker denies an order that it had accepted", where=f"order {intent.client_order_id}")
    fills = []
    if any(each.filled_quantity is None or each.filled_quantity > 0 for each in (order, *order.legs)):
        since = min(intent.created_at, intent.submitted_at or intent.created_at)
        fills = broker.fills(since - timedelta(seconds=broker.config.fill_overlap_seconds))
    if intent.order_class == orders.COMBO:
        return combo_booking.book(engine, intent, order, fills, at=clock.now(), run_id=run_id)
    stored = booking.book_order(engine, intent.client_order_id, order, fills, at=clock.now(), run_id=run_id)
    for leg in legs.known(engine, stored, order.legs, at=clock.now(), run_id=run_id):
        booking.book_order(engine, legs.name_of(leg), leg, fills, at=clock.now(), run_id=run_id)
    return stored


def work(
    engine: Engine, broker: AlpacaBroker, clock: Clock, intent: OrderIntent, seconds: float, *, run_id: str
) -> OrderIntent:
    """Look for fills until the order is over or ``seconds`` have passed, then end it: ``end`` says what comes back."""
    deadline = clock.now() + timedelta(seconds=seconds)
    while intent.is_live and intent.state is not OrderState.UNKNOWN and clock.now() < deadline:
        clock.wait_until(min(clock.now() + timedelta(seconds=broker.config.poll_seconds), deadline))
        try:
            intent = look(engine, broker, clock, intent, run_id=run_id)
        except NO_ANSWER as error:
            log.warning("%s: look failed: %s", intent.names, error)
    return end(engine, broker, clock, intent, run_id=run_id)


def end(engine: Engine, broker: AlpacaBroker, clock: Clock, intent: OrderIntent, *, run_id: str) -> OrderIntent:
    """Cancel what is left of the order, as often as that is not answered, and book how it ended.

    Returns a live intent if the broker has not confirmed the end within the configured time: then nothing may follow
    it, and the next reconciliation finishes it. A leg of a multi-leg order ends with the whole.
    """
    if intent.order_class == orders.COMBO_LEG:
        end(engine, broker, clock, _whole(engine, intent), run_id=run_id)
        return _stored(engine, intent)
    if intent.broker_order_id is None or not intent.is_live or intent.state is OrderState.UNKNOWN:
        return intent
    order_id, asked = intent.broker_order_id, False
    deadline = clock.now() + timedelta(seconds=broker.config.cancel_seconds)
    while True:
        try:
            if not asked:
                broker.cancel(order_id)
                asked = True
        except NO_ANSWER as error:
            log.warning("%s: cancel unanswered: %s", intent.names, error)
        try:
            intent = look(engine, broker, clock, intent, run_id=run_id)
        except NO_ANSWER as error:
            log.warning("%s: look failed: %s", intent.names, error)
        if not intent.is_live or clock.now() >= deadline:
            return intent
        clock.wait_until(clock.now() + timedelta(seconds=broker.config.poll_seconds))


def _whole(engine: Engine, leg: OrderIntent) -> OrderIntent:
    with engine.connect() as connection:
        found = None if leg.leg_of is None else orders.get_intent(connection, leg.leg_of)
    assert found is not None, "a leg names its order"
    return found


def _stored(engine: Engine, intent: OrderIntent) -> OrderIntent:
    with engine.connect() as connection:
        return orders.get_intent(connection, intent.client_order_id) or intent
