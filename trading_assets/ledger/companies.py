"""The cached list of the broker's assets: which symbols are listed, and under which names.

Rows are replaced as a whole list, never deleted: a symbol that is not listed any more keeps the row of the list in
which it stood last, and belongs to the current list no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import listed_companies

_ROWS = 5000


@dataclass(frozen=True, slots=True)
class ListedCompany:
    """One symbol of the list; ``name`` None: the broker names none."""

    symbol: str
    name: str | None
    exchange: str | None
    tradable: bool
    optionable: bool


def last_seen(connection: Connection) -> datetime | None:
    """When the current list was read; None if there is none yet."""
    seen = connection.scalar(select(func.max(listed_companies.c.seen_at)))
    return None if seen is None else require_utc(seen)


def current_list(connection: Connection) -> dict[str, ListedCompany]:
    """The symbols of the list that was read last, in order; empty if none was read yet."""
    table = listed_companies.c
    newest = select(func.max(table.seen_at)).scalar_subquery()
    rows = connection.execute(
        select(table.symbol, table.name, table.exchange, table.tradable, table.optionable)
        .where(table.seen_at == newest)
        .order_by(table.symbol)
    )
    return {row.symbol: ListedCompany(*row) for row in rows}


def count_listed(connection: Connection) -> int:
    """How many symbols the current list has; 0 if none was read yet."""
    table = listed_companies.c
    newest = select(func.max(table.seen_at)).scalar_subquery()
    return connection.scalar(select(func.count()).where(table.seen_at == newest)) or 0


def save_list(connection: Connection, companies: Sequence[ListedCompany], seen_at: datetime) -> int:
    """Replace the list by one that was read at ``seen_at``; a symbol that stands twice counts once, as it stands last.

    An older list than the stored one changes nothing. Returns the number of symbols of the list that is current then.
    """
    known = last_seen(connection)
    if known is not None and known >= require_utc(seen_at):
        return count_listed(connection)
    rows = {
        company.symbol: {
            "symbol": company.symbol,
            "name": company.name,
            "exchange": company.exchange,
            "tradable": company.tradable,
            "optionable": company.optionable,
            "seen_at": seen_at,
        }
        for company in companies
    }
    ordered = [rows[symbol] for symbol in sorted(rows)]
    for start in range(0, len(ordered), _ROWS):
        statement = insert(listed_companies)
        replaced = {
            name: statement.excluded[name] for name in ("name", "exchange", "tradable", "optionable", "seen_at")
        }
        connection.execute(
            statement.on_conflict_do_update(index_elements=[listed_companies.c.symbol], set_=replaced),
            ordered[start : start + _ROWS],
        )
    return len(rows)
