"""What arrived from any source becomes stored stories: one identity, one cluster, once.

Every source (feeds, the broker's news interface, its socket) hands its articles in here, so that the same article is
one story whichever way it came first. What does not belong here: asking sources and what is remembered of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Connection

from trading_assets.ledger import news as store
from trading_assets.ledger.news import Story
from trading_assets.news.clusters import ClusterIndex, KnownStory, story_time
from trading_assets.news.config import ClusterConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.tickers import TickerExtractor, curated_companies


@dataclass(frozen=True, slots=True)
class Arrival:
    """One article as its source gave it. ``feed`` is the source's configured name, ``source`` the publisher's.

    ``symbols`` are the companies that the source itself says it is about; empty where it says nothing.
    """

    feed: str
    source: str
    guid: str | None
    link: str | None
    title: str
    summary: str | None
    published_at: datetime | None
    symbols: tuple[str, ...] = ()


def store_arrivals(
    connection: Connection, arrivals: Sequence[Arrival], fetched_at: datetime, config: ClusterConfig
) -> list[Story]:
    """Store what is new of ``arrivals``, all known from ``fetched_at`` on; returns the new stories.

    An article that came twice is stored once, as it stands first in ``arrivals``; one that is stored already stays as
    it is. The caller holds ``store.lock_store``: clusters depend on the order of stories.
    """
    candidates = _candidates(arrivals, fetched_at)
    known = store.known_uids(connection, sorted(each.event_uid for _, _, each in candidates))
    unknown = [story for _, _, story in candidates if story.event_uid not in known]
    if not unknown:
        return []
    index = ClusterIndex(config, _curated_extractor().symbols_in)
    since = fetched_at - timedelta(hours=2 * config.window_hours)
    index.load(_known(store.stories_fetched_since(connection, since)))
    fresh = [_clustered(story, index) for story in unknown]
    store.add_stories(connection, fresh)
    return fresh


def _candidates(arrivals: Iterable[Arrival], fetched_at: datetime) -> list[tuple[datetime, int, Story]]:
    """Every story that came, the oldest first; one that came twice only once, from the source named first."""
    found: dict[str, tuple[datetime, int, Story]] = {}
    order: dict[str, int] = {}
    for arrival in arrivals:
        position = order.setdefault(arrival.feed, len(order))
        uid = event_uid(arrival.guid, arrival.link, arrival.title, arrival.published_at)
        story = Story(
            event_uid=uid,
            cluster_id=uid,
            feed=arrival.feed,
            source=arrival.source,
            title=arrival.title,
            link=arrival.link,
            summary=arrival.summary,
            published_at=arrival.published_at,
            fetched_at=fetched_at,
            symbols=arrival.symbols,
        )
        found.setdefault(uid, (story_time(arrival.published_at, fetched_at), position, story))
    return sorted(found.values(), key=lambda each: (each[0], each[1], each[2].event_uid))


def _known(stories: Iterable[Story]) -> Iterable[KnownStory]:
    for story in stories:
        at = story_time(story.published_at, story.fetched_at)
        yield KnownStory(story.event_uid, story.cluster_id, story.title, at)


def _clustered(story: Story, index: ClusterIndex) -> Story:
    at = story_time(story.published_at, story.fetched_at)
    return replace(story, cluster_id=index.assign(story.event_uid, story.title, at))


@lru_cache(maxsize=1)
def _curated_extractor() -> TickerExtractor:
    return TickerExtractor(curated_companies())
