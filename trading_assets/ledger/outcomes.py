"""What closed trades brought, each as a fraction of what was paid for it: the record of a strategy in an account."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from trading_assets.domain.values import PositionState, Side, Strategy
from trading_assets.ledger.executions import ADOPTED
from trading_assets.ledger.tables import active_positions, booked_executions


def closed_returns(connection: Connection, account: str, strategy: Strategy) -> tuple[float, ...]:
    """Results of the closed positions of ``strategy``, the first closed first: -1 is the whole premium, 0.5 half more.

    Counted are positions that a signal opened and whose every contract or share was bought and sold by a booked fill
    (a contract that ended worthless is sold at 0). What was taken over from the broker has no known price and is left
    out: it would tell of something that the strategy did not do.
    """
    position, execution = active_positions.c, booked_executions.c
    bought, worth = execution.side == Side.BUY.value, execution.price * execution.quantity
    rows = connection.execute(
        select(func.sum(worth).filter(bought), func.sum(worth).filter(~bought))
        .join(booked_executions, execution.position_id == position.position_id)
        .where(
            position.account == account,
            position.strategy == strategy.value,
            position.state == PositionState.CLOSED.value,
            position.origin == "signal",
        )
        .group_by(position.position_id, position.closed_at)
        .having(
            func.count().filter(execution.reason == ADOPTED) == 0,
            func.sum(execution.quantity).filter(bought) == func.sum(execution.quantity).filter(~bought),
            func.sum(worth).filter(bought) > 0,
        )
        .order_by(position.closed_at, position.position_id)
    )
    return tuple(float(sold / paid - 1) for paid, sold in rows)
