"""What arrived from any source becomes stored stories: one identity, one cluster, once.

Every source (feeds, the broker's news interface, its socket) hands its articles in here, so that the same article is
one story whichever way it came first. What does not belong here: asking sources and what is remembered of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from trading_assets.domain.identities import digest
from trading_assets.ledger import news as store
from trading_assets.ledger.news import Story
from trading_assets.ledger.stories import HeldStory, stories_held, stories_linked
from trading_assets.ledger.wires import WIRE
from trading_assets.news.clusters import story_time
from trading_assets.news.config import ClusterConfig
from trading_assets.news.identity import event_uid, page_of
from trading_assets.news.recent import recent_index
from trading_assets.news.same_article import publisher, without_told, words_said

#: Stories that are clustered and written together: seconds of work at most.
_AT_ONCE = 1_000


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
    connection: Connection,
    arrivals: Sequence[Arrival],
    fetched_at: datetime,
    config: ClusterConfig,
    waiting: Set[Arrival] = frozenset(),
) -> list[Story]:
    """Store what is new of ``arrivals``, all known from ``fetched_at`` on; returns the new stories.

    An article that came twice is stored once, as it stands first in ``arrivals``; one that is stored already stays as
    it is, also if the broker told it by its number and a feed by the same address. Those ``waiting`` are not stored
    and stand in nobody's way. The caller holds ``store.lock_store``: clusters depend on the order of stories.
    """
    fresh = new_articles(connection, arrivals, waiting)
    if not fresh:
        return []
    index = recent_index(connection, config, fetched_at - timedelta(hours=2 * config.window_hours))
    ordered = _in_order(fresh, arrivals, fetched_at)
    stories: list[Story] = []
    # Written as they are formed: a transaction in which nothing happens for long is taken for a forgotten one.
    for start in range(0, len(ordered), _AT_ONCE):
        some = []
        for at, story in ordered[start : start + _AT_ONCE]:
            cluster = index.assign(story.event_uid, story.title, story.link, at, fetched_at, story.feed)
            some.append(replace(story, cluster_id=cluster))
        store.add_stories(connection, some)
        stories.extend(some)
    return stories


def new_articles(
    connection: Connection, arrivals: Sequence[Arrival], waiting: Set[Arrival] = frozenset()
) -> list[tuple[str, Arrival]]:
    """Those that would be stored, each with its identity."""
    return without_told(connection, _new_articles(connection, arrivals, waiting))


def _in_order(
    fresh: Iterable[tuple[str, Arrival]], arrivals: Iterable[Arrival], fetched_at: datetime
) -> list[tuple[datetime, Story]]:
    """The oldest first; of the same instant in the order of feeds, then of identities."""
    feeds = {feed: position for position, feed in enumerate(dict.fromkeys(arrival.feed for arrival in arrivals))}
    told = [
        (
            story_time(arrival.published_at, fetched_at),
            Story(
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
            ),
        )
        for uid, arrival in fresh
    ]
    return sorted(told, key=lambda each: (each[0], feeds[each[1].feed], each[1].event_uid))


# --- which articles are new -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Came:
    """An arrival with its identity. ``by_link`` is the one it has without its guid; None without a link or a guid.
    ``own`` is the one it has where others hold these; ``dated``: it says when it was published."""

    arrival: Arrival
    uid: str
    page: str | None
    by_link: str | None

    @property
    def own(self) -> str:
        return digest("story of", self.arrival.source, self.uid)

    @property
    def dated(self) -> bool:
        return self.arrival.published_at is not None

    def is_told_by(self, holder: HeldStory) -> bool:
        """Whether the one that is held does for this one, too: without a date it never counts as news, this may."""
        return holder.dated or not self.dated


def _new_articles(
    connection: Connection, arrivals: Sequence[Arrival], waiting: Set[Arrival]
) -> list[tuple[str, Arrival]]:
    """Those that are not stored yet, each once, with the identity under which it is to be stored.

    Identity is the guid, else the link. Two faults of publishers are mended here. A guid may be that of another
    article, too (two filers of one filing; a plain number in two feeds): then it identifies neither, and the second is
    known by its link. And one feed may leave out the guid that another gives: the same headline at the same address is
    one article.

    Nor can one publisher take an article from another, by telling its guid or address first with words of its own: the
    second is known by its publisher then. One that was stored without a date is stored once more when it comes with
    one: the first can never count as news.
    """
    came = [_came(arrival) for arrival in arrivals]
    taken = stories_held(connection, {each.uid for each in came} | {each.by_link for each in came if each.by_link})
    taken |= stories_held(connection, {each.own for each in came if _is_disputed(each, taken)})
    if any(not held.dated for held in taken.values()):
        taken |= stories_held(connection, {uid for each in came for uid in _of_undated(each, taken)})
    bare = [each for each in came if each.by_link is None and each.page is not None and each.uid not in taken]
    at_page: dict[str, list[HeldStory]] = defaultdict(list)
    for held in stories_linked(connection, {link for each in bare for link in (each.page, each.arrival.link) if link}):
        at_page[page_of(held.link) or ""].append(held)
    ambiguous = _ambiguous(came)
    fresh: list[tuple[str, Arrival]] = []
    for each in came:
        if each.arrival in waiting:
            continue
        uid, title = each.uid, words_said(each.arrival.title)
        if each.by_link is not None:
            holder = taken.get(uid)
            if holder is None:
                same = taken.get(each.by_link)
                if same is not None and words_said(same.title) == title and each.is_told_by(same):
                    continue
            elif _another(each, holder) and (uid in ambiguous or holder.feed != each.arrival.feed):
                uid = each.by_link
        elif uid not in taken and each.page is not None and _is_among(each, title, at_page.get(each.page, ())):
            continue
        if uid in taken and _of_another_publisher(each, taken[uid]):
            uid = each.own
        if uid in taken and not each.is_told_by(taken[uid]):
            uid = _dated(uid)
        if uid in taken:
            continue
        taken[uid] = _held(uid, each.arrival)
        if each.page is not None:
            at_page[each.page].append(taken[uid])
        fresh.append((uid, each.arrival))
    return fresh


def _came(arrival: Arrival) -> _Came:
    guid, page = (arrival.guid or "").strip(), page_of(arrival.link)
    uid = event_uid(guid, page, arrival.title, arrival.published_at)
    # The broker's number is never another article's, whatever was changed in it.
    both = guid and page is not None and arrival.feed != WIRE
    return _Came(arrival, uid, page, event_uid(None, page, arrival.title, None) if both else None)


def _ambiguous(came: Iterable[_Came]) -> frozenset[str]:
    """Identities by guid that stand for different articles at the same time."""
    first: dict[str, HeldStory] = {}
    found: set[str] = set()
    for each in came:
        if each.by_link is not None and _another(each, first.setdefault(each.uid, _held(each.uid, each.arrival))):
            found.add(each.uid)
    return frozenset(found)


def _another(one: _Came, holder: HeldStory) -> bool:
    """Whether two with one guid are two articles: an edited one keeps its address or its headline."""
    theirs = page_of(holder.link)
    return theirs is not None and theirs != one.page and words_said(holder.title) != words_said(one.arrival.title)


def _of_another_publisher(one: _Came, holder: HeldStory) -> bool:
    """Whether what holds an identity of ``one`` is told by another publisher in other words."""
    ours, theirs = one.arrival, holder
    same = ours.feed == theirs.feed or publisher(ours.source) == publisher(theirs.source)
    return not same and words_said(ours.title) != words_said(theirs.title)


def _is_disputed(one: _Came, taken: Mapping[str, HeldStory]) -> bool:
    holders = (taken.get(uid) for uid in (one.uid, one.by_link) if uid is not None)
    return any(holder is not None and _of_another_publisher(one, holder) for holder in holders)


def _is_among(one: _Came, title: str, told: Iterable[HeldStory]) -> bool:
    return any(words_said(held.title) == title and one.is_told_by(held) for held in told)


def _of_undated(one: _Came, taken: Mapping[str, HeldStory]) -> list[str]:
    """The identities that ``one`` may have because one without a date holds its others."""
    uids = (one.uid, one.by_link, one.own)
    return [_dated(uid) for uid in uids if uid is not None and uid in taken and not one.is_told_by(taken[uid])]


def _dated(uid: str) -> str:
    return digest("dated story of", uid)


def _held(uid: str, arrival: Arrival) -> HeldStory:
    return HeldStory(uid, arrival.feed, arrival.source, arrival.title, arrival.link, arrival.published_at is not None)
