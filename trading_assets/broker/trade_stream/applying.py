"""What a frame does to the ledger: the same booking as after a look at the broker, or a debt to look there.

No account lock is taken: a booking locks its rows for a moment, position before order, and whoever comes second finds
the fill booked. What the stream must not decide on is left to who may: an order whose fate is not known yet belongs to
its submission, a fill of an order that nobody here placed to those who hold the account's lock.
"""

from __future__ import annotations

import logging
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import booking, changes
from trading_assets.broker.booking import NotNext
from trading_assets.broker.trade_stream.frames import FillChange, TradeUpdate, Unreadable
from trading_assets.domain.values import OrderState
from trading_assets.ledger import orders
from trading_assets.ledger.execution_changes import ExecutionChange

log = logging.getLogger(__name__)
_UNRESOLVED = (OrderState.INTENT, OrderState.UNKNOWN)


class Outcome(StrEnum):
    """DONE: the ledger knows all that the frame told. OWED: it does not yet, and the broker's lists must be read."""

    DONE = "done"
    OWED = "owed"


def apply(
    engine: Engine, account: str, update: TradeUpdate, *, at: datetime, run_id: str, ahead: bool = False
) -> Outcome:
    """Book what the frame tells. ``ahead`` also writes a change of a fill that is not booked, for when it will be.

    Raises ``Unreadable`` if it is about an order of another account of the ledger, or cannot be booked at all.
    """
    if update.change is not None:
        return _change(engine, account, update, update.change, at=at, run_id=run_id, ahead=ahead)
    if update.by_list:
        return Outcome.OWED
    order, fill = update.order, update.fill
    with engine.connect() as connection:
        intent = orders.by_broker_order_id(connection, order.order_id)
        if intent is None and order.client_order_id:
            intent = orders.get_intent(connection, order.client_order_id)
    if intent is None or intent.broker_order_id not in (None, order.order_id):
        return Outcome.DONE if fill is None else Outcome.OWED
    if intent.account != account:
        raise Unreadable(f"order {intent.client_order_id} belongs to account {intent.account!r}")
    if intent.state in _UNRESOLVED:
        # That the order is there, its submission is just being told itself.
        return Outcome.OWED if fill is not None or order.is_final else Outcome.DONE
    if fill is None and not intent.is_live:
        return Outcome.DONE
    fills = [] if fill is None else [fill]
    try:
        stored = booking.book_order(engine, intent.client_order_id, order, fills, at=at, run_id=run_id, told=True)
    except NotNext as gap:
        log.warning("account %s: %s", account, gap)
        return Outcome.OWED
    except IntegrityError as error:
        log.warning("account %s: a late fill finds no place: %s", account, type(error.orig).__name__)
        return Outcome.OWED
    behind = order.filled_quantity is not None and stored.filled_quantity < order.filled_quantity
    return Outcome.OWED if behind else Outcome.DONE


def _change(
    engine: Engine, account: str, update: TradeUpdate, change: FillChange, *, at: datetime, run_id: str, ahead: bool
) -> Outcome:
    row = ExecutionChange(
        account=account,
        change_id=change.change_id,
        fill_id=change.fill_id,
        new_fill_id=change.new_fill_id,
        broker_order_id=update.order.order_id,
        kind=change.kind,
        quantity=change.quantity,
        price=change.price,
        changed_at=update.at,
        booked_at=at,
        run_id=run_id,
    )
    try:
        return Outcome.DONE if changes.book_change(engine, row, at=at, ahead=ahead) else Outcome.OWED
    except IntegrityError as error:
        raise Unreadable(
            f"what it leaves cannot be held beside another live position ({type(error.orig).__name__})",
            mend="The next reconciliation shows the difference and blocks the symbol.",
        ) from error
