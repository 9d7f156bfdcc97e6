"""How feeds answered, attempt by attempt: what the pictures of a day are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import feed_attempts


@dataclass(frozen=True, slots=True)
class FeedAttempt:
    """One attempt; ``status`` is fetched, not_modified or failed."""

    feed: str
    at: datetime
    status: str


def attempts_between(connection: Connection, start: datetime, end: datetime) -> list[FeedAttempt]:
    """Attempts in [start, end), oldest first. Old ones are pruned, so a day long past has none."""
    table = feed_attempts.c
    rows = connection.execute(
        select(table.feed, table.at, table.status)
        .where(table.at >= start, table.at < end)
        .order_by(table.at, table.feed)
    )
    return [FeedAttempt(row.feed, require_utc(row.at), row.status) for row in rows]
