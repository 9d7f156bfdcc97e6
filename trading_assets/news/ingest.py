"""One round of news: fetch every feed, read it, name and cluster the stories, store what is new.

Stories and what is remembered of the feeds are written in one transaction: a feed's validators move on only together
with the stories they stand for, so a crash can lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import news as store
from trading_assets.ledger.news import FeedState, Story
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.fetch import Failed, Fetched, FetchResult, NotModified, Validators, fetch_all
from trading_assets.news.parse import FeedUnreadable, ParsedFeed, parse_feed
from trading_assets.news.storing import Arrival, store_arrivals

_ERROR_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class FeedOutcome:
    """What became of one feed. ``status`` is ``fetched``, ``not_modified`` or ``failed``.

    ``stories`` counts those in the body, ``new`` those stored now, ``unusable`` entries without text or identity;
    ``error`` says why a feed failed; ``remark`` what was untidy in one that was read.
    """

    feed: str
    status: str
    stories: int = 0
    new: int = 0
    unusable: int = 0
    error: str | None = None
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class IngestReport:
    """One round over all feeds, in configured order. ``fetched_at`` is stored with every new story."""

    fetched_at: datetime
    outcomes: tuple[FeedOutcome, ...]

    @property
    def stored(self) -> int:
        """Stories that were new."""
        return sum(outcome.new for outcome in self.outcomes)

    @property
    def failed(self) -> tuple[FeedOutcome, ...]:
        """Feeds that gave nothing readable."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == "failed")

    def as_metadata(self) -> dict[str, Any]:
        """JSON-ready summary."""
        return {
            "fetched_at": self.fetched_at.isoformat(),
            "feeds": len(self.outcomes),
            "feeds_failed": len(self.failed),
            "stories_seen": sum(outcome.stories for outcome in self.outcomes),
            "stories_new": self.stored,
            "errors": {outcome.feed: outcome.error for outcome in self.failed},
        }


@dataclass(frozen=True, slots=True)
class _Read:
    """One feed after fetching and parsing: what came, or why nothing did."""

    feed: FeedConfig
    result: FetchResult
    parsed: ParsedFeed | None
    error: str | None


def ingest(engine: Engine, config: NewsConfig, clock: Clock) -> IngestReport:
    """Fetch all feeds of ``config`` and store what is new.

    A feed that fails is reported, counted in its state and tried again next time; it never raises and never stops the
    others. Raises only for the database. Every new story carries the clock's instant after the last feed has answered.
    """
    with engine.connect() as connection:
        states = store.feed_states(connection)
    results = fetch_all(config.feeds, config.fetch, _conditions(config.feeds, states))
    reads = [_read(feed, result) for feed, result in zip(config.feeds, results, strict=True)]
    with engine.begin() as connection:
        store.lock_store(connection)
        fetched_at = clock.now()
        fresh = store_arrivals(connection, _arrivals(reads), fetched_at, config.clusters)
        states = store.feed_states(connection)
        for read in reads:
            store.save_feed_state(connection, _next_state(read, states.get(read.feed.name), fetched_at))
    return IngestReport(fetched_at, tuple(_outcome(read, fresh) for read in reads))


def _conditions(feeds: Iterable[FeedConfig], states: Mapping[str, FeedState]) -> dict[str, Validators]:
    """Validators by feed name; those of another address say nothing about this one."""
    return {
        feed.name: Validators(state.etag, state.last_modified)
        for feed in feeds
        if (state := states.get(feed.name)) is not None and state.url == feed.url
    }


def _read(feed: FeedConfig, result: FetchResult) -> _Read:
    if isinstance(result, Failed):
        asked = f"; asked to wait {result.retry_after_s} s" if result.retry_after_s is not None else ""
        return _Read(feed, result, None, (result.reason + asked)[:_ERROR_LIMIT])
    if isinstance(result, NotModified):
        return _Read(feed, result, None, None)
    try:
        return _Read(feed, result, parse_feed(result.body, content_type=result.content_type, where=feed.url), None)
    except FeedUnreadable as problem:
        return _Read(feed, result, None, str(problem)[:_ERROR_LIMIT])


def _arrivals(reads: Iterable[_Read]) -> list[Arrival]:
    return [
        Arrival(
            read.feed.name, read.feed.source, story.guid, story.link, story.title, story.summary, story.published_at
        )
        for read in reads
        if read.parsed is not None
        for story in read.parsed.stories
    ]


def _next_state(read: _Read, before: FeedState | None, at: datetime) -> FeedState:
    same = before if before is not None and before.url == read.feed.url else None
    remembered = Validators(same.etag, same.last_modified) if same is not None else Validators()
    if read.error is not None:
        count = before.error_count + 1 if before is not None else 1
        success = before.last_success_at if before is not None else None
        return _state(read.feed, remembered, at, success, count, read.error)
    if isinstance(read.result, NotModified):
        remembered = read.result.validators
    elif isinstance(read.result, Fetched) and read.parsed is not None:
        # A body that broke off must be asked for again, whatever the server says has changed.
        remembered = read.result.validators if read.parsed.complete else Validators()
    return _state(read.feed, remembered, at, at, 0, None)


def _state(
    feed: FeedConfig, seen: Validators, at: datetime, success: datetime | None, errors: int, error: str | None
) -> FeedState:
    return FeedState(feed.name, feed.url, seen.etag, seen.last_modified, at, success, errors, error)


def _outcome(read: _Read, fresh: Iterable[Story]) -> FeedOutcome:
    if read.error is not None:
        return FeedOutcome(read.feed.name, "failed", error=read.error)
    if read.parsed is None:
        return FeedOutcome(read.feed.name, "not_modified")
    new = sum(story.feed == read.feed.name for story in fresh)
    remark = read.parsed.complaint
    if not read.parsed.complete:
        remark = f"the document breaks off; its last story waits for a complete one ({remark})"
    return FeedOutcome(read.feed.name, "fetched", len(read.parsed.stories), new, read.parsed.unusable, remark=remark)
