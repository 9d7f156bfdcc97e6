"""What is remembered of each feed, and how each attempt to read it went. Queries only, no rules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import feed_attempts, feed_state, inbound_events_raw


@dataclass(frozen=True, slots=True)
class FeedState:
    """What is remembered of a feed. ``url`` names its address without what may be secret; ``error_count`` counts
    consecutive failures, ``last_status`` is the HTTP status of the last attempt (None without an answer). It is not
    asked before ``next_attempt_at``; None: in the next round. ``waiting`` counts the new stories of its last answer for
    which there was no room yet."""

    feed: str
    url: str
    etag: str | None
    last_modified: str | None
    last_attempt_at: datetime
    last_success_at: datetime | None
    error_count: int
    last_error: str | None
    next_attempt_at: datetime | None = None
    last_status: int | None = None
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class FeedAttempt:
    """One attempt. ``status`` is ``fetched``, ``not_modified`` or ``failed``; only a failure has an ``error``.

    ``elapsed_ms`` is None if no answer was waited for, ``bytes`` (unpacked) without a body.
    """

    feed: str
    at: datetime
    status: str
    stories: int = 0
    new: int = 0
    elapsed_ms: int | None = None
    bytes: int | None = None
    error: str | None = None


def family_of(feed: str) -> str:
    """What counts as one feed where none may have more than its share: the name up to the first dot.

    So the feeds of one address with ``{ticker}`` in it, called ``name.TICKER``, are one."""
    return feed.partition(".")[0]


def family_of_story() -> ColumnElement[str]:
    """The same, of a stored story's feed, in a query."""
    return func.split_part(inbound_events_raw.c.feed, ".", 1)


def turn_of_story() -> ColumnElement[int]:
    """The place of a story among those of its feed that a query finds, from 1: the newest first. In the order of turns
    no feed, however much it tells, puts off what another one tells."""
    raw = inbound_events_raw.c
    newest = raw.fetched_at.desc(), raw.published_at.desc().nulls_last(), raw.event_uid
    return func.row_number().over(partition_by=family_of_story(), order_by=newest)


def stored_by_family(connection: Connection, since: datetime) -> dict[str, int]:
    """How many stories fetched after ``since`` there are of each feed that has some."""
    counted = select(family_of_story().label("family"), func.count().label("stories"))
    rows = connection.execute(counted.where(inbound_events_raw.c.fetched_at > since).group_by("family"))
    return {row.family: row.stories for row in rows}


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else require_utc(instant)


def feed_states(connection: Connection) -> dict[str, FeedState]:
    """Every remembered feed by name."""
    rows = connection.execute(select(feed_state)).all()
    return {
        row.feed: FeedState(
            feed=row.feed,
            url=row.url,
            etag=row.etag,
            last_modified=row.last_modified,
            last_attempt_at=require_utc(row.last_attempt_at),
            last_success_at=_utc(row.last_success_at),
            error_count=row.error_count,
            last_error=row.last_error,
            next_attempt_at=_utc(row.next_attempt_at),
            last_status=row.last_status,
            waiting=row.waiting,
        )
        for row in rows
    }


def save_feed_states(connection: Connection, states: Sequence[FeedState]) -> None:
    """Replace what is remembered of these feeds."""
    if not states:
        return
    statement = insert(feed_state)
    values = {column.name: statement.excluded[column.name] for column in feed_state.c if column.name != "feed"}
    rows = [asdict(state) for state in states]
    connection.execute(statement.on_conflict_do_update(index_elements=[feed_state.c.feed], set_=values), rows)


def add_attempts(connection: Connection, attempts: Sequence[FeedAttempt]) -> None:
    """Store attempts. Of two rounds at the very same instant the first is kept."""
    if attempts:
        connection.execute(insert(feed_attempts).on_conflict_do_nothing(), [asdict(each) for each in attempts])


def prune_attempts(connection: Connection, before: datetime) -> None:
    """Forget attempts older than ``before``."""
    connection.execute(delete(feed_attempts).where(feed_attempts.c.at < before))


def attempts_since(connection: Connection, since: datetime, feeds: Collection[str] | None = None) -> list[FeedAttempt]:
    """Attempts at or after ``since``, the oldest first; of all feeds, or of those named."""
    query = select(feed_attempts).where(feed_attempts.c.at >= since)
    if feeds is not None:
        query = query.where(feed_attempts.c.feed.in_(list(feeds)))
    rows = connection.execute(query.order_by(feed_attempts.c.at, feed_attempts.c.feed)).mappings()
    return [FeedAttempt(**{**row, "at": require_utc(row["at"])}) for row in rows]
