"""What storing asks of the stories that are there: which of these are known, and which are recent. Queries, no rules.

Functions take an open connection; the caller holds ``news.lock_store``, so that nothing is stored in between.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Text, any_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, BIT

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import inbound_events_raw

#: Values of one look-up.
_AT_ONCE = 10_000
#: Hex digits of an identity that fit into PostgreSQL's largest integer.
_DIGITS = 15
_RAW = inbound_events_raw.c
#: Number of stories, and a sum of what each one's identity, cluster and receipt are together.
Fingerprint = tuple[int, int]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class HeldStory:
    """What tells whether an article that came is one that is stored."""

    event_uid: str
    feed: str
    source: str
    title: str
    link: str | None
    dated: bool


@dataclass(frozen=True, slots=True)
class RecentStory:
    """What clusters are formed by. ``at`` is the instant from which the story counts: its publication, or its receipt
    if that is earlier or alone; ``opened`` the same of the story that opened its cluster."""

    event_uid: str
    cluster_id: str
    title: str
    link: str | None
    at: datetime
    opened: datetime
    fetched_at: datetime
    feed: str = ""


_HELD = (
    _RAW.event_uid,
    _RAW.feed,
    _RAW.source,
    _RAW.title,
    _RAW.link,
    _RAW.published_at.is_not(None),
)


def stories_held(connection: Connection, uids: Collection[str]) -> dict[str, HeldStory]:
    """The stored ones among ``uids``."""
    return {
        row.event_uid: HeldStory(*row)
        for some in _arrays(uids)
        for row in connection.execute(select(*_HELD).where(_RAW.event_uid == some))
    }


def stories_linked(connection: Connection, links: Collection[str]) -> list[HeldStory]:
    """The stored stories with one of these addresses, letter for letter, by ``event_uid``."""
    found = [
        HeldStory(*row)
        for some in _arrays(links)
        for row in connection.execute(select(*_HELD).where(_RAW.link == some))
    ]
    return sorted(found, key=lambda each: each.event_uid)


def _arrays(values: Collection[str]) -> Iterator[ColumnElement[Any]]:
    # One array is one parameter: a list of thousands would be as many.
    ordered: Sequence[str] = sorted(values)
    for start in range(0, len(ordered), _AT_ONCE):
        yield any_(cast(list(ordered[start : start + _AT_ONCE]), ARRAY(Text)))


def fingerprint(stories: Iterable[tuple[str, str, datetime]]) -> Fingerprint:
    """The same as ``recent_fingerprint``, of stories that are held elsewhere: identity, cluster and receipt of each."""
    # Three times the one: a cluster of one story would leave nothing of its identity.
    marks = [
        3 * int(uid[:_DIGITS], 16) ^ int(cluster[:_DIGITS], 16) ^ (fetched_at - _EPOCH) // _MICROSECOND
        for uid, cluster, fetched_at in stories
    ]
    return len(marks), sum(marks)


def recent_fingerprint(connection: Connection, since: datetime) -> Fingerprint:
    """Of the stories fetched at or after ``since``: different if they are not the same ones, or grouped otherwise."""
    instant = cast(func.extract("epoch", _RAW.fetched_at) * 1_000_000, BigInteger)
    mark = (3 * _head(_RAW.event_uid)).bitwise_xor(_head(_RAW.cluster_id)).bitwise_xor(instant)
    counted = select(func.count(), func.coalesce(func.sum(mark), 0)).where(_RAW.fetched_at >= since)
    count, total = connection.execute(counted).one()
    return count, int(total)


def _head(digits: ColumnElement[str]) -> ColumnElement[int]:
    return cast(cast(literal("x", Text).concat(func.left(digits, _DIGITS)), BIT(4 * _DIGITS)), BigInteger)


def recent_stories(connection: Connection, since: datetime) -> list[RecentStory]:
    """Stories fetched at or after ``since``, in no order."""
    at = func.least(_RAW.published_at, _RAW.fetched_at)
    columns = (_RAW.event_uid, _RAW.cluster_id, _RAW.title, _RAW.link, at, _RAW.fetched_at, _RAW.feed)
    rows = connection.execute(select(*columns).where(_RAW.fetched_at >= since)).all()
    opened: dict[str, datetime] = {uid: told for uid, _, _, _, told, _, _ in rows}
    for some in _arrays({cluster for _, cluster, _, _, _, _, _ in rows} - opened.keys()):
        for uid, told in connection.execute(select(_RAW.event_uid, at).where(_RAW.event_uid == some)):
            opened[uid] = told
    return [
        RecentStory(
            uid, cluster, title, link, require_utc(told), require_utc(opened[cluster]), require_utc(fetched), feed
        )
        for uid, cluster, title, link, told, fetched, feed in rows
    ]
