"""Orders that belong to others: legs of multi-leg orders, and the orders that rest over a position to protect it.

What belongs here: queries over ``order_intents`` about such orders. What does not: single orders (``ledger.orders``).
Every function takes an open connection, so that the caller owns the transaction.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select

from trading_assets.domain.values import LIVE_STATES, OrderState, PositionState, Purpose, Side
from trading_assets.ledger.orders import (
    BRACKET,
    COMBO,
    COMBO_LEG,
    OCO,
    STEPS,
    TAKE_PROFIT,
    UNRESOLVED,
    OrderIntent,
    of_position,
    records,
)
from trading_assets.ledger.tables import active_positions, order_intents

_LIVE = tuple(state.value for state in LIVE_STATES)
_HELD = (PositionState.OPENING.value, PositionState.OPEN.value, PositionState.CLOSING.value)


def combo_legs(connection: Connection, client_order_id: str) -> tuple[OrderIntent, ...]:
    """The legs of a multi-leg order in their order; () for any other order."""
    return records(
        connection,
        select(order_intents)
        .where(order_intents.c.leg_of == client_order_id, order_intents.c.order_class == COMBO_LEG)
        .order_by(order_intents.c.client_order_id),
    )


def combos_without_answer(
    connection: Connection, account: str, symbol: str, side: Side, since: datetime
) -> tuple[OrderIntent, ...]:
    """Multi-leg orders of the account made after ``since`` of which the broker never told an id and that it did not
    refuse, with a leg that trades ``symbol`` that way; newest first."""
    row, leg = order_intents.c, order_intents.alias("leg")
    trades_it = select(leg.c.leg_of).where(
        leg.c.account == account,
        leg.c.order_class == COMBO_LEG,
        leg.c.symbol == symbol,
        leg.c.side == side.value,
        leg.c.leg_of.is_not(None),
    )
    return records(
        connection,
        select(order_intents)
        .where(row.account == account, row.order_class == COMBO, row.broker_order_id.is_(None))
        .where(row.state.in_((*UNRESOLVED, OrderState.ABANDONED.value)))
        .where(row.created_at > since, row.client_order_id.in_(trades_it))
        .order_by(row.created_at.desc(), row.client_order_id),
    )


def protections(connection: Connection, position_id: str, *, live: bool = True) -> tuple[OrderIntent, ...]:
    """The protective orders of a position, those that may still fill unless ``live`` is False; take profits first."""
    found = [intent for intent in of_position(connection, position_id) if intent.purpose is Purpose.PROTECT]
    return tuple(sorted((i for i in found if i.is_live or not live), key=lambda i: i.reason != TAKE_PROFIT))


def with_unread_legs(connection: Connection, account: str) -> tuple[OrderIntent, ...]:
    """Brackets and pairs of the account that the broker took and whose legs have to be read, oldest first.

    That is: a leg, or a pair's own take profit, may still fill; or no leg is known while the position is live.
    """
    leg = order_intents.alias("leg")
    of_it = select(leg.c.client_order_id).where(leg.c.leg_of == order_intents.c.client_order_id)
    held = select(active_positions.c.position_id).where(
        active_positions.c.position_id == order_intents.c.position_id,
        active_positions.c.state.in_(_HELD),
    )
    return records(
        connection,
        select(order_intents)
        .where(
            order_intents.c.account == account,
            order_intents.c.order_class.in_((BRACKET, OCO)),
            order_intents.c.broker_order_id.is_not(None),
            of_it.where(leg.c.state.in_(_LIVE)).exists()
            | (~of_it.exists() & held.exists())
            | ((order_intents.c.order_class == OCO) & order_intents.c.state.in_(_LIVE)),
        )
        .order_by(order_intents.c.created_at, order_intents.c.client_order_id),
    )


def next_protection(connection: Connection, position_id: str, reason: str) -> int:
    """Number of the position's next take profit (or stop): one more than the highest so far, 0 for the first."""
    highest = connection.execute(
        select(func.max(order_intents.c.attempt)).where(
            order_intents.c.position_id == position_id,
            order_intents.c.purpose == Purpose.PROTECT.value,
            order_intents.c.step == STEPS[reason],
        )
    ).scalar_one()
    return 0 if highest is None else int(highest) + 1
