"""The news in the ledger: stories and their scores. Queries only, no rules.

Stories and scores are written once and never changed. Functions take an open connection, so that a caller decides what
belongs into one transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, and_, cast, column, func, literal, or_, select
from sqlalchemy.dialects.postgresql import JSONB, insert

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.feeds import turn_of_story
from trading_assets.ledger.news_tables import inbound_events_classified, inbound_events_raw

#: Key of the advisory lock that makes storing news one at a time ("news" in ASCII).
_STORE_LOCK = 0x6E657773
#: Stories of one statement: a few megabytes at most.
_ADDED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Story:
    """A stored article. ``symbols`` are the companies that its source says it is about; most sources say nothing."""

    event_uid: str
    cluster_id: str
    feed: str
    source: str
    title: str
    link: str | None
    summary: str | None
    published_at: datetime | None
    fetched_at: datetime
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredScore:
    """A score of one story by one model version. ``tickers`` in the order in which the story names them.

    ``mentions`` say for each ticker, in the same order, how it was found; empty for a row of the time before.
    """

    event_uid: str
    model: str
    revision: str
    tickers: tuple[str, ...]
    label: str
    score: float
    confidence: float
    scored_at: datetime
    mentions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class ScoredStory:
    """A story with its score."""

    story: Story
    score: StoredScore


_STORY = (
    inbound_events_raw.c.event_uid,
    inbound_events_raw.c.cluster_id,
    inbound_events_raw.c.feed,
    inbound_events_raw.c.source,
    inbound_events_raw.c.title,
    inbound_events_raw.c.link,
    inbound_events_raw.c.summary,
    inbound_events_raw.c.published_at,
    inbound_events_raw.c.fetched_at,
    inbound_events_raw.c.symbols,
)
_SCORE = (
    inbound_events_classified.c.event_uid,
    inbound_events_classified.c.model,
    inbound_events_classified.c.revision,
    inbound_events_classified.c.tickers,
    inbound_events_classified.c.sentiment_label,
    inbound_events_classified.c.sentiment_score,
    inbound_events_classified.c.confidence,
    inbound_events_classified.c.scored_at,
    inbound_events_classified.c.mentions,
)


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else require_utc(instant)


def _story(row: Sequence[object]) -> Story:
    uid, cluster, feed, source, title, link, summary, published, fetched, symbols = row
    known = require_utc(fetched)  # type: ignore[arg-type]
    return Story(uid, cluster, feed, source, title, link, summary, _utc(published), known, tuple(symbols))  # type: ignore[arg-type]


def _score(row: Sequence[object]) -> StoredScore:
    uid, model, revision, tickers, label, score, confidence, scored_at, mentions = row
    at = require_utc(scored_at)  # type: ignore[arg-type]
    return StoredScore(uid, model, revision, tuple(tickers), label, score, confidence, at, tuple(mentions))  # type: ignore[arg-type]


def lock_store(connection: Connection) -> None:
    """Wait until no other transaction stores news, and keep others out until this one ends.

    Clusters depend on the order of stories: two writers side by side would each open one for the same event.
    """
    connection.execute(select(func.pg_advisory_xact_lock(_STORE_LOCK)))


def add_stories(connection: Connection, stories: Sequence[Story]) -> int:
    """Store stories; one that is stored already stays as it is. Returns how many were new."""
    names = [column.name for column in _STORY]
    added = 0
    for start in range(0, len(stories), _ADDED_AT_ONCE):
        # One document is one parameter, whatever the number of rows: far faster than a parameter for every value.
        rows = json.dumps([_written(story) for story in stories[start : start + _ADDED_AT_ONCE]])
        given = (
            func.jsonb_to_recordset(cast(literal(rows, Text), JSONB))
            .table_valued(*(column(each.name, each.type) for each in _STORY))
            .render_derived(name="given", with_types=True)
        )
        chosen = select(*(given.c[name] for name in names))
        statement = insert(inbound_events_raw).from_select(names, chosen).on_conflict_do_nothing()
        added += connection.execute(statement).rowcount
    return added


def _written(story: Story) -> dict[str, object]:
    published = story.published_at
    return {
        "event_uid": story.event_uid,
        "cluster_id": story.cluster_id,
        "feed": story.feed,
        "source": story.source,
        "title": story.title,
        "link": story.link,
        "summary": story.summary,
        "published_at": None if published is None else published.isoformat(),
        "fetched_at": story.fetched_at.isoformat(),
        "symbols": list(story.symbols),
    }


def _unscored(version: tuple[str, str] | None) -> ColumnElement[bool]:
    """Stories without a score of the model version (name, revision), or of any."""
    scored = inbound_events_classified.c
    conditions = [scored.event_uid == inbound_events_raw.c.event_uid]
    if version is not None:
        conditions += [scored.model == version[0], scored.revision == version[1]]
    return ~select(literal(1)).where(and_(*conditions)).exists()


def unscored_between(connection: Connection, version: tuple[str, str] | None, start: datetime, end: datetime) -> int:
    """How many stories fetched in [start, end) have no score of the version (name, revision), or of any."""
    raw = inbound_events_raw.c
    counted = select(func.count()).select_from(inbound_events_raw)
    counted = counted.where(_unscored(version), raw.fetched_at >= start, raw.fetched_at < end)
    return connection.scalar(counted) or 0


def unscored_stories(
    connection: Connection,
    model: str | None,
    revision: str | None,
    limit: int,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    after: Story | None = None,
) -> list[Story]:
    """Stories without a score of this model version (None: of any), the newest first: old news is worth least when
    time is short. ``start`` and ``end`` bound when they were fetched, [start, end); ``after`` is the last story of the
    list before, where one goes on."""
    raw = inbound_events_raw.c
    version = None if model is None or revision is None else (model, revision)
    conditions = [_unscored(version)]
    if start is not None:
        conditions.append(raw.fetched_at >= start)
    if end is not None:
        conditions.append(raw.fetched_at < end)
    if after is not None:
        same = and_(raw.fetched_at == after.fetched_at, raw.event_uid > after.event_uid)
        conditions.append(or_(raw.fetched_at < after.fetched_at, same))
    rows = connection.execute(
        select(*_STORY).where(*conditions).order_by(raw.fetched_at.desc(), raw.event_uid).limit(limit)
    )
    return [_story(tuple(row)) for row in rows]


def unscored_by_turns(
    connection: Connection, version: tuple[str, str] | None, limit: int, start: datetime | None = None
) -> list[Story]:
    """Stories fetched from ``start`` on without a score of the version (name, revision), or of any: the newest of each
    feed, then the second of each, and so on. So a feed that floods puts off its own stories alone."""
    raw = inbound_events_raw.c
    conditions = [_unscored(version)] if start is None else [_unscored(version), raw.fetched_at >= start]
    waiting = select(raw.event_uid, turn_of_story().label("turn"), raw.fetched_at).where(*conditions).subquery()
    order = waiting.c.turn, waiting.c.fetched_at.desc(), waiting.c.event_uid
    # Their places are found without their words: of tens of thousands few are wanted.
    first = select(waiting).order_by(*order).limit(limit).subquery()
    rows = connection.execute(
        select(*_STORY)
        .join(first, first.c.event_uid == raw.event_uid)
        .order_by(first.c.turn, first.c.fetched_at.desc(), first.c.event_uid)
    )
    return [_story(tuple(row)) for row in rows]


def add_scores(connection: Connection, scores: Sequence[StoredScore]) -> int:
    """Store scores; a story scored by the same model version keeps its first score. Returns how many were new."""
    if not scores:
        return 0
    rows = [
        {
            "event_uid": score.event_uid,
            "model": score.model,
            "revision": score.revision,
            "tickers": list(score.tickers),
            "sentiment_label": score.label,
            "sentiment_score": score.score,
            "confidence": score.confidence,
            "scored_at": score.scored_at,
            "mentions": [dict(mention) for mention in score.mentions],
        }
        for score in scores
    ]
    table = inbound_events_classified
    statement = insert(table).on_conflict_do_nothing().returning(table.c.event_uid)
    return len(connection.execute(statement, rows).all())


def stories_between(connection: Connection, start: datetime, end: datetime, as_of: datetime) -> list[Story]:
    """Stories fetched in [start, end) and not after ``as_of``, the first received first."""
    rows = connection.execute(
        select(*_STORY)
        .where(
            inbound_events_raw.c.fetched_at >= start,
            inbound_events_raw.c.fetched_at < end,
            inbound_events_raw.c.fetched_at <= as_of,
        )
        .order_by(inbound_events_raw.c.fetched_at, inbound_events_raw.c.event_uid)
    )
    return [_story(tuple(row)) for row in rows]


def scored_between(
    connection: Connection, start: datetime, end: datetime, model: str | None, revision: str | None, as_of: datetime
) -> list[ScoredStory]:
    """Stories fetched in [start, end) with this model version's score, both known at ``as_of``; first known first.

    Without a model with the score of every version: one entry each."""
    raw, scored = inbound_events_raw.c, inbound_events_classified.c
    rows = connection.execute(
        select(*_STORY, *_SCORE)
        .join(inbound_events_classified, scored.event_uid == raw.event_uid)
        .where(
            raw.fetched_at >= start,
            raw.fetched_at < end,
            raw.fetched_at <= as_of,
            scored.scored_at <= as_of,
            *([] if model is None else [scored.model == model, scored.revision == revision]),
        )
        .order_by(func.greatest(raw.fetched_at, scored.scored_at), raw.event_uid, scored.model, scored.revision)
    )
    width = len(_STORY)
    return [ScoredStory(_story(tuple(row)[:width]), _score(tuple(row)[width:])) for row in rows]
