"""One round of news: ask every feed that is due, read it, name and cluster the stories, store what is new.

Stories and what is remembered of the feeds are written in one transaction: a feed's validators move on only together
with the stories they stand for, so a crash can lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import feeds as memory
from trading_assets.ledger import news as store
from trading_assets.ledger.feeds import FeedAttempt, FeedState
from trading_assets.ledger.news import Story
from trading_assets.news import addresses
from trading_assets.news.config import FetchConfig, NewsConfig
from trading_assets.news.feed_schedule import Feed, after_failure, after_success, configured, due
from trading_assets.news.fetch import Failed, Fetched, FetchResult, NotAsked, NotModified, Validators, fetch_all
from trading_assets.news.identity import event_uid
from trading_assets.news.manners import RoundOver
from trading_assets.news.parse import FeedUnreadable, ParsedFeed
from trading_assets.news.parse_apart import BodyReader
from trading_assets.news.room import without_room
from trading_assets.news.storing import Arrival, store_arrivals

_ERROR_LIMIT = 1000
#: So much a publisher's clock may be ahead of ours.
_AHEAD = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class FeedOutcome:
    """What became of one feed. ``status`` is ``fetched``, ``not_modified``, ``failed``, or ``waiting`` for one that was
    not asked: it is not due before ``next_attempt_at``, or the round's time was used up.

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
    next_attempt_at: datetime | None = None


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
        return self.of_status("failed")

    def of_status(self, status: str) -> tuple[FeedOutcome, ...]:
        """Feeds of which this became."""
        return tuple(outcome for outcome in self.outcomes if outcome.status == status)


@dataclass(frozen=True, slots=True)
class _Read:
    """One feed after fetching and parsing: what came, or why nothing did."""

    feed: Feed
    result: FetchResult
    parsed: ParsedFeed | None = None
    error: str | None = None


def ingest(engine: Engine, config: NewsConfig, clock: Clock, tickers: Sequence[str] = ()) -> IngestReport:
    """Ask the feeds of ``config`` that are due and store what is new. ``tickers`` are those for which feeds with a
    ticker in their address are read.

    A feed that fails is reported, counted in its state and tried again later and later; it never raises and never stops
    the others. Raises only for the database. Every new story carries the clock's instant after the last feed has
    answered.
    """
    with engine.connect() as connection:
        states = memory.feed_states(connection)
    feeds = configured(config.feeds, tickers)
    asked = due(feeds, states, clock.now())
    results = fetch_all(asked, config.fetch, _conditions(asked, states))
    with BodyReader(config.reading) as bodies:
        reads = [_read(bodies, feed, result) for feed, result in zip(asked, results, strict=True)]
    with engine.begin() as connection:
        store.lock_store(connection)
        fetched_at = clock.now()
        arrivals = _arrivals(_configured_order(feeds, reads))
        waiting = without_room(connection, arrivals, fetched_at, config.fetch)
        fresh = store_arrivals(connection, arrivals, fetched_at, config.clusters, waiting.arrivals)
        states = memory.feed_states(connection)
        told = {read.feed.name: read for read in reads if not isinstance(read.result, NotAsked)}
        for name, read in told.items():
            states[name] = _next_state(read, states.get(name), fetched_at, config, waiting.by_feed[name])
        outcomes = tuple(
            _outcome(feed.name, told.get(feed.name), states.get(feed.name), fresh, fetched_at, config.fetch)
            for feed in feeds
        )
        _remember(connection, told, states, outcomes, fetched_at, config)
    return IngestReport(fetched_at, outcomes)


def _conditions(feeds: Iterable[Feed], states: Mapping[str, FeedState]) -> dict[str, Validators]:
    """Validators by feed name; those of another address say nothing about this one."""
    return {
        feed.name: Validators(state.etag, state.last_modified)
        for feed in feeds
        if (state := states.get(feed.name)) is not None and state.url == feed.address
    }


def _read(bodies: BodyReader, feed: Feed, result: FetchResult) -> _Read:
    if isinstance(result, Failed):
        asked = f"; asked to wait {result.retry_after_s} s" if result.retry_after_s is not None else ""
        return _Read(feed, result, error=(result.reason + asked)[:_ERROR_LIMIT])
    if not isinstance(result, Fetched):
        return _Read(feed, result)
    try:
        where, base = addresses.told(feed.url), addresses.place(feed.url)
        parsed = bodies.parse(result.body, content_type=result.content_type, where=where, base=base, zone=feed.zone)
        return _Read(feed, result, parsed)
    except RoundOver:
        return _Read(feed, NotAsked(feed.name))
    except FeedUnreadable as problem:
        return _Read(feed, result, error=str(problem)[:_ERROR_LIMIT])


def _configured_order(feeds: Iterable[Feed], reads: Iterable[_Read]) -> list[_Read]:
    found = {read.feed.name: read for read in reads}
    return [found[feed.name] for feed in feeds if feed.name in found]


def _arrivals(reads: Iterable[_Read]) -> list[Arrival]:
    """What came, in configured order. A story in the feeds of several tickers is about all of them."""
    found = []
    symbols: dict[str, tuple[str, ...]] = {}
    for read in reads:
        for story in read.parsed.stories if read.parsed is not None else ():
            uid = event_uid(story.guid, story.link, story.title, story.published_at)
            symbols[uid] = tuple(dict.fromkeys((*symbols.get(uid, ()), *read.feed.symbols)))
            parts = story.guid, story.link, story.title, story.summary, story.published_at
            found.append((uid, Arrival(read.feed.name, read.feed.source, *parts)))
    return [replace(arrival, symbols=symbols[uid]) if symbols[uid] else arrival for uid, arrival in found]


def _next_state(read: _Read, before: FeedState | None, at: datetime, config: NewsConfig, waiting: int) -> FeedState:
    feed, result = read.feed, read.result
    same = before if before is not None and before.url == feed.address else None
    remembered = Validators(same.etag, same.last_modified) if same is not None else Validators()
    if read.error is not None:
        failure = result if isinstance(result, Failed) else Failed(feed.name, read.error, 200)
        failed = FeedState(
            feed=feed.name,
            url=feed.address,
            etag=remembered.etag,
            last_modified=remembered.last_modified,
            last_attempt_at=at,
            last_success_at=before.last_success_at if before is not None else None,
            error_count=same.error_count + 1 if same is not None else 1,
            last_error=read.error,
            last_status=failure.status,
            waiting=same.waiting if same is not None else 0,
        )
        return replace(failed, next_attempt_at=after_failure(failed, feed, failure.retry_after_s, config.fetch))
    if isinstance(result, NotModified):
        remembered = result.validators
    elif isinstance(result, Fetched) and read.parsed is not None:
        # A body that broke off, or of which stories wait, is asked for again, whatever the server says has changed.
        remembered = result.validators if read.parsed.complete and not waiting else Validators()
    status = 304 if isinstance(result, NotModified) else 200
    known = remembered.etag, remembered.last_modified
    return FeedState(feed.name, feed.address, *known, at, at, 0, None, after_success(feed, at), status, waiting)


def _outcome(
    name: str, read: _Read | None, state: FeedState | None, fresh: Iterable[Story], at: datetime, config: FetchConfig
) -> FeedOutcome:
    following = state.next_attempt_at if state is not None else None
    if read is None:
        return FeedOutcome(name, "waiting", next_attempt_at=following)
    if read.error is not None:
        return FeedOutcome(name, "failed", error=read.error, next_attempt_at=following)
    if read.parsed is None:
        return FeedOutcome(name, "not_modified", next_attempt_at=following)
    new = sum(story.feed == name for story in fresh)
    stories, unusable, remark = len(read.parsed.stories), read.parsed.unusable, _remark(read.parsed, at)
    if state is not None and state.waiting:
        bounds = f"of one feed {config.stories_per_round} are stored in a round and {config.stories_per_day} in a day"
        remark = "; ".join(each for each in (f"new stories that wait: {state.waiting} ({bounds})", remark) if each)
    return FeedOutcome(name, "fetched", stories, new, unusable, remark=remark, next_attempt_at=following)


def _remark(parsed: ParsedFeed, at: datetime) -> str | None:
    """What was untidy in a feed that was read."""
    said = [parsed.complaint] if parsed.complaint else []
    if not parsed.complete:
        said.insert(0, "the document breaks off; its last story waits for a complete one")
    uids = {event_uid(story.guid, story.link, story.title, story.published_at) for story in parsed.stories}
    counts = {
        "identities that were repeated": len(parsed.stories) - len(uids),
        "stories without a usable date": parsed.undated - parsed.zoneless,
        "dates without a zone (name that of the feed in its configuration)": parsed.zoneless,
        "stories dated in the future": sum(_is_later(story.published_at, at) for story in parsed.stories),
    }
    said += [f"{what}: {count}" for what, count in counts.items() if count]
    return "; ".join(said) or None


def _is_later(published_at: datetime | None, at: datetime) -> bool:
    return published_at is not None and published_at > at + _AHEAD


def _remember(
    connection: Connection,
    reads: Mapping[str, _Read],
    states: Mapping[str, FeedState],
    outcomes: Sequence[FeedOutcome],
    at: datetime,
    config: NewsConfig,
) -> None:
    memory.save_feed_states(connection, [states[name] for name in reads])
    memory.add_attempts(
        connection, [_attempt(reads[one.feed].result, one, at) for one in outcomes if one.feed in reads]
    )
    memory.prune_attempts(connection, at - timedelta(days=config.fetch.attempts_kept_days))


def _attempt(result: FetchResult, outcome: FeedOutcome, at: datetime) -> FeedAttempt:
    took = None if isinstance(result, NotAsked) else result.elapsed_ms
    size = len(result.body) if isinstance(result, Fetched) else None
    return FeedAttempt(outcome.feed, at, outcome.status, outcome.stories, outcome.new, took, size, outcome.error)
