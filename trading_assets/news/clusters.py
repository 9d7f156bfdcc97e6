"""Which stories tell the same event: near-duplicate headlines over several feeds form one cluster.

The Jaccard similarity of the titles' word sets decides. A cluster carries the ``event_uid`` of the story that opened
it, for ever: later stories join, clusters never merge, so the membership a decision saw is the membership a replay
sees.

Templates are the trap of short texts ("X shares rise 3 %" and "Y shares rise 3 %" share most words), so what two
headlines insist on must not differ: numbers, days, directions, leading subjects, names, companies. A filing is an event
of its own, whatever its title.

Candidates are found exactly, not by chance as with hashing: one headline must hold the word that leads the other, so
those that hold it, and those that are led by one of its words, are all that need be looked at. They are bounded for
each feed by itself (``news.candidates``): thousands of look-alikes make no story slow and hide none of another feed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from trading_assets.ledger.feeds import family_of
from trading_assets.ledger.stories import RecentStory
from trading_assets.news.candidates import Candidates, Entry
from trading_assets.news.config import ClusterConfig
from trading_assets.news.headlines import Claims, claims_of, named_words, opposed, read_headline, replaced
from trading_assets.news.identity import filing_of

#: Of one feed so many similar headlines are judged, the most similar first. An event is hardly ever told so often.
_JUDGED = 50

#: The companies that a headline names, each as it is written there.
Names = Callable[[str], Mapping[str, str]]


def story_time(published_at: datetime | None, fetched_at: datetime) -> datetime:
    """The instant a story counts from when clusters are formed: publication, but never after its receipt."""
    return fetched_at if published_at is None else min(published_at, fetched_at)


def _no_names(_: str) -> Mapping[str, str]:
    return {}


class ClusterIndex:
    """Stories of the last hours, ready to be asked where a new one belongs.

    ``names`` returns the companies a headline names; headlines that both name some but none in common never cluster.
    The answer depends only on which stories the index holds, not on how or in which order they came into it.
    """

    def __init__(self, config: ClusterConfig, names: Names = _no_names) -> None:
        self._window = timedelta(hours=config.window_hours)
        self._similarity = config.similarity
        self._min_tokens = config.min_tokens
        self._names = names
        self._held: dict[str, Entry] = {}
        self._candidates = Candidates()

    def load(self, stories: Iterable[RecentStory]) -> None:
        """Add stories whose cluster is already known."""
        for story in sorted(stories, key=lambda each: (each.at, each.event_uid)):
            entry = self._entry(story.event_uid, story.title, story.link, story.at, story.fetched_at, story.feed)
            entry.cluster_id, entry.opened = story.cluster_id, story.opened
            self._add(entry)

    def forget(self, before: datetime) -> None:
        """Drop the stories received before an instant: they are no candidates any more."""
        for entry in [entry for entry in self._held.values() if entry.fetched_at < before]:
            del self._held[entry.event_uid]
            self._candidates.remove(entry)

    @property
    def uids(self) -> list[str]:
        """``event_uid`` of every story that is held."""
        return list(self._held)

    @property
    def held(self) -> list[tuple[str, str, datetime]]:
        """The same with the cluster and the receipt of each."""
        return [(uid, each.cluster_id, each.fetched_at) for uid, each in self._held.items()]

    @property
    def newest(self) -> datetime | None:
        """The latest receipt among these; None without any."""
        return max((entry.fetched_at for entry in self._held.values()), default=None)

    def assign(
        self, event_uid: str, title: str, link: str | None, at: datetime, fetched_at: datetime, feed: str = ""
    ) -> str:
        """The cluster of a new story, which is added: that of the most similar story within the window, else its own.

        Of equally similar ones the story that counts from earlier decides, then the smaller ``event_uid``. Stories for
        which no ``feed`` is named are of one.
        """
        entry = self._entry(event_uid, title, link, at, fetched_at, feed)
        best = self._best(entry)
        if best is not None:
            entry.cluster_id, entry.opened = best.cluster_id, best.opened
        self._add(entry)
        return entry.cluster_id

    def _entry(
        self, event_uid: str, title: str, link: str | None, at: datetime, fetched_at: datetime, feed: str = ""
    ) -> Entry:
        said = read_headline(title)
        return Entry(
            key=(at, event_uid),
            family=family_of(feed),
            cluster_id=event_uid,
            title=title,
            filing=filing_of(link),
            opened=at,
            fetched_at=fetched_at,
            said=said,
            words=said.words,
        )

    def _add(self, entry: Entry) -> None:
        self._held[entry.event_uid] = entry
        self._candidates.add(entry)

    def _shared(self, size: int) -> int:
        """Of so many words the least that a similar set has, too."""
        # A hair less than t·n: a float a hair above a whole number must not ask for one word more.
        return math.ceil(self._similarity * size - 1e-9)

    def _best(self, new: Entry) -> Entry | None:
        if new.filing is not None:
            same = (other for other in self._candidates.of_filing(new.filing) if self._near(new, other))
            if (first := min(same, key=lambda other: other.key, default=None)) is not None:
                return first
        told = self._similar(new) if len(new.words) >= self._min_tokens else self._equal(new)
        found = [(-similarity, other.key, other) for similarity, other in told if self._near(new, other)]
        judged: Counter[str] = Counter()
        # Companies are looked for in few headlines: only in those that would decide.
        for _, _, other in sorted(found, key=lambda each: each[:2]):
            judged[other.family] += 1
            if judged[other.family] <= _JUDGED and self._compatible(new, other):
                return other
        return None

    def _equal(self, new: Entry) -> Iterator[tuple[float, Entry]]:
        """Headlines of the same words; none where there is no word."""
        return ((1.0, other) for other in self._candidates.of_text(new.said.plain) if new.said.plain)

    def _similar(self, new: Entry) -> Iterator[tuple[float, Entry]]:
        words = new.words
        size, shared, least = len(words), self._shared(len(words)), self._similarity
        largest = math.floor(size / least + 1e-9)
        for other in self._candidates.led_alike(new.said):
            theirs = other.words
            if shared <= len(theirs) <= largest and (common := len(words & theirs)) >= shared:
                similarity = common / (size + len(theirs) - common)
                if similarity >= least:
                    yield similarity, other

    def _near(self, one: Entry, other: Entry) -> bool:
        # Measured from the cluster's first story: a daily column must not drag one cluster through the year.
        return abs(one.at - other.opened) <= self._window

    def _compatible(self, one: Entry, other: Entry) -> bool:
        if one.filing is not None and other.filing is not None:
            return False
        if one.said.lead not in other.said.words and other.said.lead not in one.said.words:
            return False
        ours, theirs = self._claims(one), self._claims(other)
        if not (ours.numbers <= theirs.numbers or theirs.numbers <= ours.numbers):
            return False
        if ours.days and theirs.days and ours.days.isdisjoint(theirs.days):
            return False
        if ours.symbols and theirs.symbols and ours.symbols.isdisjoint(theirs.symbols):
            return False
        if opposed(ours, theirs):
            return False
        named, also = self._companies(one), self._companies(other)
        if named and also and not (named.keys() <= also.keys() or also.keys() <= named.keys()):
            return False
        if ours.caseless and theirs.caseless:
            # Nothing tells a name from a word there: one of the two may only say more than the other.
            return one.said.words <= other.said.words or other.said.words <= one.said.words
        if ours.names is None or theirs.names is None:
            return not replaced(one.said, other.said)
        called = named_words((*named.values(), *also.values())) if named.keys() & also.keys() else frozenset()
        return not (ours.names - other.said.words - called and theirs.names - one.said.words - called)

    def _claims(self, entry: Entry) -> Claims:
        if entry.claims is None:
            entry.claims = claims_of(entry.title)
        return entry.claims

    def _companies(self, entry: Entry) -> Mapping[str, str]:
        if entry.companies is None:
            entry.companies = self._names(entry.title)
        return entry.companies
