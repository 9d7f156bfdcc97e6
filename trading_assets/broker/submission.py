"""Sending one order so that it is neither lost nor doubled: intent, request, answer.

(a) The intent is committed under its deterministic ``client_order_id``. (b) The request is sent, once. (c) The answer
is stored. An ambiguous answer makes the intent UNKNOWN and the broker is asked by that id: found, it is compared and
adopted; definitively absent, the same request is sent exactly once more; still unclear, the intent stays UNKNOWN, which
blocks its symbol and is visible. What refuses the second try says nothing of the first: the broker is asked again.
``resolve`` does the same for what a dead process left behind, except that it sends nothing: a price from before the
crash must not trade, so an absent order becomes ABANDONED.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from sqlalchemy import Connection, Engine

from trading_assets.broker import combo_booking, legs
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.combos import ComboRequest
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, RateLimited, Rejected
from trading_assets.broker.values import BrokerOrder, OrderRequest
from trading_assets.domain import crashpoints
from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.values import OrderState, Purpose
from trading_assets.ledger import alerts, orders
from trading_assets.ledger.orders import OrderIntent

log = logging.getLogger(__name__)

#: Code of a refused request body, the client order id being in use among the possible reasons.
_INVALID_REQUEST = (422, 40010001)
#: Look-ups in a row that must say 404 before an order counts as absent.
_ABSENT_AFTER = 2
#: Raises a ``TradingAssetsError`` if the order may not be sent (any more): within a transaction of its own.
Allowed = Callable[[Connection, OrderIntent], None]
#: First words of the crash points that an order of each purpose passes.
_PREFIXES = {
    Purpose.ENTRY: "submission",
    Purpose.EXIT: "exit",
    Purpose.PROTECT: "protection",
    Purpose.ROLL: "rolling",
}
#: Orders that open risk: they are not worth a long wait, nor a price from before it.
_OPENING = frozenset({Purpose.ENTRY, Purpose.ROLL})


class _Fate(Enum):
    ABSENT = "absent"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class _Desk:
    engine: Engine
    broker: AlpacaBroker
    clock: Clock
    allowed: Allowed | None = None


def submit(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    intent: OrderIntent,
    request: OrderRequest | ComboRequest,
    prepare: Callable[[Connection], None] | None = None,
    parts: Sequence[OrderIntent] = (),
    allowed: Allowed | None = None,
) -> OrderIntent:
    """Commit ``intent`` (with ``prepare`` in the same transaction), send ``request``, store what came back.

    ``parts`` are the legs of a multi-leg order: they are committed with it and share its fate.

    Returns the stored intent: ACCEPTED, REJECTED with the broker's words, UNKNOWN, or ABANDONED (it is not there, for
    an opening order was held back by a rate limit). Fills are booked elsewhere. ``allowed`` is asked right before each
    try and raises if the order may not leave any more; then it is not sent, ABANDONED, and the error is passed on.
    Raises ``sqlalchemy.exc.IntegrityError`` before anything is sent if a live order forbids this one.
    """
    desk = _Desk(engine, broker, clock, allowed)
    prefix = _PREFIXES[intent.purpose]
    crashpoints.reached(f"{prefix}.before_intent")
    with engine.begin() as connection:
        if prepare is not None:
            prepare(connection)
        for each in (intent, *parts):
            orders.insert_intent(connection, each)
    crashpoints.reached(f"{prefix}.after_intent")
    result = _send(desk, intent, request, prefix=prefix)
    crashpoints.reached(f"{prefix}.after_answer")
    return result


def resolve(engine: Engine, broker: AlpacaBroker, clock: Clock, intent: OrderIntent) -> OrderIntent:
    """Find out what became of an INTENT or UNKNOWN row; other rows come back as they are. Sends no order.

    Found: adopted. Definitively absent: ABANDONED. Unclear: UNKNOWN.
    """
    if intent.state not in (OrderState.INTENT, OrderState.UNKNOWN):
        return intent
    desk = _Desk(engine, broker, clock)
    found = _look_up(desk, intent)
    if isinstance(found, BrokerOrder):
        return _adopt(desk, intent, found)
    if found is _Fate.ABSENT:
        return _store(desk, intent, OrderState.ABANDONED, error="the broker has no such order; it was not sent again")
    return _unknown(desk, intent, "the broker could not say whether the order exists")


def differences(intent: OrderIntent, order: BrokerOrder) -> tuple[str, ...]:
    """What makes ``order`` another order than the one intended, in sentences; empty if it is the same."""
    pairs = (
        ("symbol", intent.symbol, order.symbol),
        ("side", intent.side.value, None if order.side is None else order.side.value),
        ("quantity", intent.quantity, order.quantity),
        ("limit price", intent.limit_price, order.limit_price),
    )
    return tuple(f"{name}: meant {meant}, found {found}" for name, meant, found in pairs if meant != found)


def _send(desk: _Desk, intent: OrderIntent, request: OrderRequest | ComboRequest, *, prefix: str) -> OrderIntent:
    """Send, and once more if the order is definitively not there."""
    doubt = ""
    for last in (False, True):
        _require_allowed(desk, intent)
        try:
            order = desk.broker.submit(request)
        except RateLimited as error:
            crashpoints.reached(f"{prefix}.after_post")
            # An opening order waits only briefly: its price grows old, and exits wait for the account.
            waits = intent.purpose not in _OPENING or desk.broker.lifts_soon(error)
            if last or not waits:
                return _refused(desk, intent, error, doubt)
            log.warning("%s: %s; it was not taken and is sent once more after the wait", intent.names, error)
            desk.broker.wait_for_reset(error)
            continue
        except (Rejected, NotAuthorized) as refusal:
            crashpoints.reached(f"{prefix}.after_post")
            return _refused(desk, intent, refusal, doubt)
        except BrokerUnavailable as error:
            crashpoints.reached(f"{prefix}.after_post")
            doubt = str(error)
            log.warning("%s: ambiguous answer: %s", intent.names, error)
            _store(desk, intent, OrderState.UNKNOWN, error=doubt)
        else:
            crashpoints.reached(f"{prefix}.after_post")
            return _adopt(desk, intent, order)
        found = _look_up(desk, intent)
        if isinstance(found, BrokerOrder):
            return _adopt(desk, intent, found)
        if found is _Fate.UNCLEAR:
            break
    return _unknown(desk, intent, f"still unclear after look-ups: {doubt}")


def _require_allowed(desk: _Desk, intent: OrderIntent) -> None:
    """Ask whether the order may leave now: minutes may have passed since it was decided, and since its first try.

    The caller knows that no order is there: none was sent yet, or what was sent is definitively absent.
    """
    if desk.allowed is None:
        return
    try:
        with desk.engine.begin() as connection:
            desk.allowed(connection, intent)
    except TradingAssetsError as error:
        log.warning("%s: it is not sent: %s", intent.names, error)
        _store(desk, intent, OrderState.ABANDONED, error=f"it was not sent: {error}")
        raise


def _look_up(desk: _Desk, intent: OrderIntent) -> BrokerOrder | _Fate:
    """Ask by client order id, patiently: an order may become visible only a little after it was accepted.

    Each look is one try with a short wait for a rate limit: the looks are the tries, and an exit may wait meanwhile.
    """
    absent, broker = 0, desk.broker.impatient()
    for seconds in desk.broker.config.lookup_seconds:
        desk.clock.wait_until(desk.clock.now() + timedelta(seconds=seconds))
        try:
            order = broker.order_by_client_id(intent.client_order_id)
        except (BrokerUnavailable, NotAuthorized) as error:
            log.warning("%s: look-up failed: %s", intent.names, error)
            absent = 0
            continue
        if order is not None:
            return order
        absent += 1
    return _Fate.ABSENT if absent >= _ABSENT_AFTER else _Fate.UNCLEAR


def _refused(
    desk: _Desk, intent: OrderIntent, refusal: Rejected | NotAuthorized | RateLimited, doubt: str
) -> OrderIntent:
    """A refusal is final, unless an order may exist already under this very id: then the broker is asked for it.

    ``doubt`` is why an earlier try may have landed, empty if none was made. Whatever the second try is refused for, it
    says nothing of the first: an order that lives holds the very money that its twin lacks.
    """
    in_use = isinstance(refusal, Rejected) and (refusal.status, refusal.code) == _INVALID_REQUEST
    if doubt or in_use:
        found = _look_up(desk, intent)
        if isinstance(found, BrokerOrder):
            return _adopt(desk, intent, found)
        if found is _Fate.UNCLEAR:
            return _unknown(desk, intent, f"{refusal}; and whether an earlier try landed is unclear ({doubt})")
    if isinstance(refusal, RateLimited) and intent.purpose in _OPENING:
        return _store(desk, intent, OrderState.ABANDONED, error=f"it was not sent: {refusal}")
    return _store(desk, intent, OrderState.REJECTED, error=str(refusal))


def _adopt(desk: _Desk, intent: OrderIntent, order: BrokerOrder) -> OrderIntent:
    """Store the broker's id if the order is the intended one. Its fills, and an end with fills, are booked later."""
    order = _with_legs(desk, intent, order)
    if intent.order_class == orders.COMBO:
        with desk.engine.connect() as connection:
            wrong = combo_booking.compared(connection, intent, order)
    else:
        wrong = differences(intent, order)
    if wrong:
        return _unknown(desk, intent, "the broker has another order under this id: " + "; ".join(wrong))
    ended_empty = order.is_final and order.filled_quantity == 0
    state = order.state if ended_empty else OrderState.ACCEPTED
    error = f"the broker ended the order as {order.status}" if ended_empty else None
    return _store(desk, intent, state, order=order, error=error)


def _with_legs(desk: _Desk, intent: OrderIntent, order: BrokerOrder) -> BrokerOrder:
    """``order`` as the broker shows it with its legs: an answer to a look-up by client order id has none."""
    if not intent.has_legs or order.legs:
        return order
    try:
        return desk.broker.order(order.order_id, nested=True) or order
    except (BrokerUnavailable, NotAuthorized) as error:
        log.warning("order %s: its legs could not be read and are asked for later: %s", intent.client_order_id, error)
        return order


def _unknown(desk: _Desk, intent: OrderIntent, error: str) -> OrderIntent:
    """Store that the fate stays UNKNOWN, and tell people: the log, and the story of the position."""
    stored = _store(desk, intent, OrderState.UNKNOWN, error=error)
    if stored.state is OrderState.UNKNOWN:
        log.error("%s: its fate is UNKNOWN and blocks %s: %s", stored.names, stored.symbol, error)
        with desk.engine.begin() as connection:
            alerts.raise_unknown(connection, stored, desk.clock.now())
    return stored


def _store(
    desk: _Desk, intent: OrderIntent, state: OrderState, *, order: BrokerOrder | None = None, error: str | None = None
) -> OrderIntent:
    """Write the state under a row lock. A row that another process has resolved meanwhile is left as it is."""
    now = desk.clock.now()
    with desk.engine.begin() as connection:
        current = orders.get_intent(connection, intent.client_order_id, lock=True)
        if current is not None and current.state in (OrderState.INTENT, OrderState.UNKNOWN):
            orders.mark(
                connection,
                intent.client_order_id,
                state,
                now,
                broker_order_id=None if order is None else order.order_id,
                submitted_at=None if order is None else order.submitted_at or now,
                error=error,
            )
            if current.order_class == orders.COMBO:
                combo_booking.follow(connection, current, state, order, now)
            elif order is not None and order.legs:
                legs.record(connection, current, order.legs, at=now, run_id=current.run_id)
        stored = orders.get_intent(connection, intent.client_order_id)
    if stored is None:
        raise TradingAssetsError("an order intent has vanished", where=f"order_intents {intent.client_order_id}")
    return stored
