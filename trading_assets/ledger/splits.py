"""Splits of shares as the ledger knows them: which the broker told of, and which positions went through them.

What belongs here: queries over ``share_splits`` and ``position_splits``, and fills read in the shares of today. What
does not: finding out that the broker has changed a position (``broker.corporate_actions``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from trading_assets.ledger.executions import Execution
from trading_assets.ledger.tables import position_splits, share_splits


@dataclass(frozen=True, slots=True)
class ShareSplit:
    """``numerator`` new shares for ``denominator`` old ones, from the open of ``ex_session`` on."""

    action_id: str
    ticker: str
    ex_session: date
    numerator: Decimal
    denominator: Decimal
    known_at: datetime

    @property
    def ratio(self) -> Fraction:
        """New shares for an old one."""
        return Fraction(self.numerator) / Fraction(self.denominator)

    @property
    def words(self) -> str:
        """As people say it: 2 for 1."""
        return f"{self.numerator.normalize():f} for {self.denominator.normalize():f}"


@dataclass(frozen=True, slots=True)
class PositionSplit:
    """A split that a position went through; ``numerator`` and ``denominator`` are of what is held."""

    position_id: str
    action_id: str
    effective_at: datetime
    numerator: Decimal
    denominator: Decimal
    symbol_before: str
    symbol_after: str
    quantity_before: int
    quantity_after: int
    applied_at: datetime
    run_id: str


@dataclass(frozen=True, slots=True)
class Units:
    """A fill in the units of today: a fraction of a share may come out of a split. ``amount`` is price x quantity."""

    execution: Execution
    quantity: Fraction
    amount: Decimal


def take_over(
    connection: Connection, listed: Iterable[ShareSplit], tickers: Iterable[str], since: date, today: date
) -> tuple[ShareSplit, ...]:
    """Follow the list of the splits of these names from ``since`` to ``today``; returns what it does not name any more.

    What is new is stored. What no position went through yet follows the list in ratio and day, keeps the instant at
    which it was first seen, and is forgotten once its day is over and the list is without it: it was moved or taken
    back. What a position went through stays as it was.
    """
    rows, done, named = share_splits.c, select(position_splits.c.action_id), []
    for split in listed:
        values = asdict(split)
        follows = {name: values[name] for name in ("ex_session", "numerator", "denominator")}
        statement = upsert(share_splits).values(**values)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["action_id"], set_=follows, where=rows.action_id.not_in(done)
            )
        )
        named.append(split.action_id)
    gone = connection.execute(
        delete(share_splits)
        .where(rows.ticker.in_(sorted(set(tickers))), rows.ex_session >= since, rows.ex_session < today)
        .where(rows.action_id.not_in(named), rows.action_id.not_in(done))
        .returning(share_splits)
    ).mappings()
    return tuple(ShareSplit(**row) for row in gone)


def known(connection: Connection, tickers: Iterable[str]) -> tuple[ShareSplit, ...]:
    """All known splits of these names, oldest first."""
    query = select(share_splits).where(share_splits.c.ticker.in_(sorted(set(tickers))))
    rows = connection.execute(query.order_by(share_splits.c.ex_session, share_splits.c.action_id)).mappings()
    return tuple(ShareSplit(**row) for row in rows)


def of_position(connection: Connection, position_id: str) -> tuple[PositionSplit, ...]:
    """The splits that a position went through, oldest first."""
    query = select(position_splits).where(position_splits.c.position_id == position_id)
    rows = connection.execute(query.order_by(position_splits.c.effective_at)).mappings()
    return tuple(PositionSplit(**{field.name: row[field.name] for field in fields(PositionSplit)}) for row in rows)


def insert_position_split(connection: Connection, split: PositionSplit) -> None:
    """Write that a position went through a split; the same one twice raises ``sqlalchemy.exc.IntegrityError``."""
    values: dict[str, Any] = asdict(split)
    connection.execute(insert(position_splits).values(**values))


def in_todays_units(rows: Iterable[Execution], splits: Sequence[PositionSplit]) -> list[Units]:
    """Fills in what is held today. What a fill cost in all does not change, so that its price follows."""
    found = []
    for row in rows:
        quantity = Fraction(row.quantity)
        for split in splits:
            if row.executed_at < split.effective_at:
                quantity = quantity * Fraction(split.numerator) / Fraction(split.denominator)
        found.append(Units(row, quantity, row.price * row.quantity))
    return found
