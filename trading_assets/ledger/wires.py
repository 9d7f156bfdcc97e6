"""What is remembered of the broker's news: until when it was read, and when it failed.

It stands in ``feed_state`` and ``feed_attempts`` beside the feeds: ``last_modified`` holds the instant of the newest
change that was read, ``etag`` the word "more" while later ones are known to wait. Queries only, no rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import feed_attempts, feed_state

#: The broker's articles are stored under this feed, whichever way they came.
WIRE = "alpaca"
#: What is remembered of the socket stands under this name.
STREAM = "alpaca-stream"
_MORE = "more"


@dataclass(frozen=True, slots=True)
class WireState:
    """``read_until``: every change up to here was read; None: none ever. ``more``: the last answer was not the end.

    ``error_count`` counts consecutive failures; ``next_attempt_at`` None: may be asked at once. ``last_attempt_at`` is
    that of what was saved; None: it was never asked.
    """

    read_until: datetime | None = None
    more: bool = False
    error_count: int = 0
    last_success_at: datetime | None = None
    next_attempt_at: datetime | None = None
    last_error: str | None = None
    last_attempt_at: datetime | None = None


def state(connection: Connection, feed: str) -> WireState:
    """What is remembered of ``feed``; of one never asked, nothing."""
    row = connection.execute(select(feed_state).where(feed_state.c.feed == feed)).first()
    if row is None:
        return WireState()
    return WireState(
        read_until=None if row.last_modified is None else datetime.fromisoformat(row.last_modified),
        more=row.etag == _MORE,
        error_count=row.error_count,
        last_success_at=None if row.last_success_at is None else require_utc(row.last_success_at),
        next_attempt_at=None if row.next_attempt_at is None else require_utc(row.next_attempt_at),
        last_error=row.last_error,
        last_attempt_at=require_utc(row.last_attempt_at),
    )


def save(connection: Connection, feed: str, url: str, known: WireState, at: datetime) -> None:
    """Replace what is remembered of ``feed`` by what the attempt at ``at`` left."""
    values = {
        "url": url,
        "etag": _MORE if known.more else None,
        "last_modified": None if known.read_until is None else require_utc(known.read_until).isoformat(),
        "last_attempt_at": at,
        "last_success_at": known.last_success_at,
        "error_count": known.error_count,
        "last_error": known.last_error,
        "next_attempt_at": known.next_attempt_at,
    }
    statement = insert(feed_state).values(feed=feed, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["feed"], set_=values))


def note_attempt(
    connection: Connection, feed: str, at: datetime, *, stories: int, new: int, elapsed_ms: int, error: str | None
) -> None:
    """Add an attempt to the history; a second one at the same instant of a standing clock takes its place."""
    values = {
        "status": "fetched" if error is None else "failed",
        "stories": stories,
        "new": new,
        "elapsed_ms": elapsed_ms,
        "error": error,
    }
    statement = insert(feed_attempts).values(feed=feed, at=at, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["feed", "at"], set_=values))
