"""High-water equity of each account, cash flows, and the pause after a drawdown: they outlive every restart.

What belongs here: queries over ``equity_marks`` and ``cash_flows``. What does not: how much of a drawdown pauses
(``risk``). Every function takes an open connection; the caller owns the transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.tables import cash_flows, equity_marks

_SIXTH = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class CashFlow:
    """Money paid in (positive) or out (negative), dollars, as the broker reports it."""

    activity_id: str
    kind: str
    amount: Decimal
    paid_on: date


@dataclass(frozen=True, slots=True)
class EquityMark:
    """One row of ``equity_marks``. ``high_water`` is None after a resume, until equity is seen again."""

    account: str
    high_water: Decimal | None
    equity: Decimal
    observed_at: datetime
    paused_at: datetime | None
    pause_reason: str | None
    resumed_at: datetime | None


def get(connection: Connection, account: str, *, lock: bool = False) -> EquityMark | None:
    """The account's mark, None before its equity was first seen; ``lock`` holds the row."""
    query = select(equity_marks).where(equity_marks.c.account == account)
    row = connection.execute(query.with_for_update() if lock else query).mappings().one_or_none()
    return None if row is None else EquityMark(**{field.name: row[field.name] for field in fields(EquityMark)})


def all_marks(connection: Connection) -> tuple[EquityMark, ...]:
    """Every account's mark, by name."""
    rows = connection.execute(select(equity_marks).order_by(equity_marks.c.account)).mappings()
    return tuple(EquityMark(**{field.name: row[field.name] for field in fields(EquityMark)}) for row in rows)


def observe(
    connection: Connection, account: str, *, equity: Decimal, flows: Iterable[CashFlow], at: datetime
) -> EquityMark:
    """Note the equity and the flows that were not known before; the mark rises to a higher equity and never falls.

    A flow changes mark and equity in the same proportion, so that paying in or out neither causes nor hides a
    drawdown: mark x equity / (equity - flow). Where nothing was left before the flow the mark starts anew.
    """
    mark = get(connection, account, lock=True)
    new = _store(connection, account, flows, at)
    high = _moved(None if mark is None else mark.high_water, equity, new)
    values = {"high_water": high, "equity": equity, "observed_at": at}
    connection.execute(
        insert(equity_marks)
        .values(account=account, **values)
        .on_conflict_do_update(index_elements=["account"], set_=values)
    )
    found = get(connection, account)
    if found is None:
        raise LookupError(f"the mark of {account} was not written")
    return found


def _store(connection: Connection, account: str, flows: Iterable[CashFlow], at: datetime) -> Decimal:
    """Write flows that are new; their sum."""
    total = Decimal(0)
    for flow in flows:
        statement = (
            insert(cash_flows)
            .values(
                account=account,
                activity_id=flow.activity_id,
                kind=flow.kind,
                amount=flow.amount,
                paid_on=flow.paid_on,
                seen_at=at,
            )
            .on_conflict_do_nothing()
            .returning(cash_flows.c.amount)
        )
        total += connection.execute(statement).scalar_one_or_none() or Decimal(0)
    return total


def _moved(high: Decimal | None, equity: Decimal, flow: Decimal) -> Decimal:
    before = equity - flow
    if high is None or before <= 0:
        return equity
    return max(equity, (high * equity / before).quantize(_SIXTH))


def low_since(connection: Connection, account: str, at: datetime) -> datetime | None:
    """Note that at ``at`` the equity is low enough to pause; since when it is. None if the account has no mark."""
    return connection.execute(
        update(equity_marks)
        .where(equity_marks.c.account == account)
        .values(low_since=func.coalesce(equity_marks.c.low_since, at))
        .returning(equity_marks.c.low_since)
    ).scalar_one_or_none()


def not_low(connection: Connection, account: str) -> None:
    """Note that the equity is not low enough to pause, or not any more."""
    connection.execute(
        update(equity_marks)
        .where(equity_marks.c.account == account, equity_marks.c.low_since.is_not(None))
        .values(low_since=None)
    )


def pause(connection: Connection, account: str, at: datetime, reason: str) -> bool:
    """Pause the account; False if it was paused already (the first instant and reason stay) or has no mark."""
    changed = connection.execute(
        update(equity_marks)
        .where(equity_marks.c.account == account, equity_marks.c.paused_at.is_(None))
        .values(paused_at=at, pause_reason=reason)
    )
    return changed.rowcount == 1


def resume(connection: Connection, account: str, at: datetime) -> bool:
    """Release the pause and start the mark anew with the equity that is seen next; False if it was not paused."""
    changed = connection.execute(
        update(equity_marks)
        .where(equity_marks.c.account == account, equity_marks.c.paused_at.is_not(None))
        .values(paused_at=None, pause_reason=None, high_water=None, low_since=None, resumed_at=at)
    )
    return changed.rowcount == 1
