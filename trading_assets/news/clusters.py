"""Which stories tell the same event: near-duplicate headlines over several feeds form one cluster.

The Jaccard similarity of the titles' word sets decides. A cluster carries the ``event_uid`` of the story that opened
it, for ever: later stories join, clusters never merge, so the membership a decision saw is the membership a replay
sees.

Templates are the trap of short texts ("X shares rise 3 %" and "Y shares rise 3 %" share most words), so what two
headlines insist on must not differ: numbers, days, directions, leading subjects, names, companies. A filing is an event
of its own, whatever its title.

Candidates are found exactly, not by chance as with hashing: one headline must hold the word that leads the other, so
those that hold it, and those that are led by one of its words, are all that need be looked at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading_assets.ledger.stories import RecentStory
from trading_assets.news.config import ClusterConfig
from trading_assets.news.headlines import Claims, Headline, claims_of, named_words, opposed, read_headline, replaced
from trading_assets.news.identity import filing_of

#: The companies that a headline names, each as it is written there.
Names = Callable[[str], Mapping[str, str]]


@dataclass(slots=True)
class _Entry:
    event_uid: str
    cluster_id: str
    title: str
    filing: str | None
    at: datetime
    opened: datetime
    fetched_at: datetime
    said: Headline
    claims: Claims | None = None
    companies: Mapping[str, str] | None = None


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
        self._since = datetime.min.replace(tzinfo=UTC)
        self._clear()

    def _clear(self) -> None:
        self._entries: list[_Entry] = []
        self._words: list[frozenset[str]] = []
        self._by_text: dict[str, list[_Entry]] = defaultdict(list)
        self._by_filing: dict[str, list[_Entry]] = defaultdict(list)
        self._by_word: dict[str, list[int]] = defaultdict(list)
        self._led_by: dict[str, list[int]] = defaultdict(list)

    def load(self, stories: Iterable[RecentStory]) -> None:
        """Add stories whose cluster is already known."""
        for story in stories:
            entry = self._entry(story.event_uid, story.title, story.link, story.at, story.fetched_at)
            entry.cluster_id, entry.opened = story.cluster_id, story.opened
            self._add(entry)

    def forget(self, before: datetime) -> None:
        """Drop the stories received before an instant: they are no candidates any more."""
        self._since = before
        held = sum(entry.fetched_at >= before for entry in self._entries)
        # Dropping one means reading all lists anew: it waits until half of them are idle.
        if held < len(self._entries) / 2:
            kept = [entry for entry in self._entries if entry.fetched_at >= before]
            self._clear()
            for entry in kept:
                self._add(entry)

    @property
    def uids(self) -> list[str]:
        """``event_uid`` of every story that is held and not forgotten."""
        return [entry.event_uid for entry in self._entries if entry.fetched_at >= self._since]

    @property
    def held(self) -> list[tuple[str, str, datetime]]:
        """The same with the cluster and the receipt of each."""
        since = self._since
        return [
            (each.event_uid, each.cluster_id, each.fetched_at) for each in self._entries if each.fetched_at >= since
        ]

    @property
    def newest(self) -> datetime | None:
        """The latest receipt among these; None without any."""
        return max((entry.fetched_at for entry in self._entries if entry.fetched_at >= self._since), default=None)

    def assign(self, event_uid: str, title: str, link: str | None, at: datetime, fetched_at: datetime) -> str:
        """The cluster of a new story, which is added: that of the most similar story within the window, else its own.

        Of equally similar ones the story that counts from earlier decides, then the smaller ``event_uid``.
        """
        entry = self._entry(event_uid, title, link, at, fetched_at)
        best = self._best(entry)
        if best is not None:
            entry.cluster_id, entry.opened = best.cluster_id, best.opened
        self._add(entry)
        return entry.cluster_id

    def _entry(self, event_uid: str, title: str, link: str | None, at: datetime, fetched_at: datetime) -> _Entry:
        return _Entry(event_uid, event_uid, title, filing_of(link), at, at, fetched_at, read_headline(title))

    def _add(self, entry: _Entry) -> None:
        self._entries.append(entry)
        self._words.append(entry.said.words)
        self._by_text[entry.said.plain].append(entry)
        if entry.filing is not None:
            self._by_filing[entry.filing].append(entry)
        position = len(self._entries) - 1
        self._led_by[entry.said.lead].append(position)
        for word in entry.said.words:
            self._by_word[word].append(position)

    def _shared(self, size: int) -> int:
        """Of so many words the least that a similar set has, too."""
        # A hair less than t·n: a float a hair above a whole number must not ask for one word more.
        return math.ceil(self._similarity * size - 1e-9)

    def _best(self, new: _Entry) -> _Entry | None:
        if new.filing is not None:
            same = self._first(new, self._by_filing.get(new.filing, ()))
            if same is not None:
                return same
        if len(new.said.words) < self._min_tokens:
            equal = self._by_text.get(new.said.plain, ()) if new.said.plain else ()
            return self._first(new, (other for other in equal if self._compatible(new, other)))
        found = [
            (-similarity, other.at, other.event_uid, other)
            for similarity, other in self._similar(new)
            if self._near(new, other)
        ]
        # Companies are looked for in few headlines: only in those that would decide.
        for _, _, _, other in sorted(found, key=lambda each: each[:3]):
            if self._compatible(new, other):
                return other
        return None

    def _first(self, new: _Entry, others: Iterable[_Entry]) -> _Entry | None:
        near = [other for other in others if self._near(new, other)]
        return min(near, key=lambda other: (other.at, other.event_uid), default=None)

    def _similar(self, new: _Entry) -> Iterable[tuple[float, _Entry]]:
        words = new.said.words
        size, shared, least = len(words), self._shared(len(words)), self._similarity
        largest = math.floor(size / least + 1e-9)
        # Thousands are looked at for one story: a list of sets alone lies closer together than all that is known.
        sets = self._words
        for position in self._candidates(new.said):
            theirs = sets[position]
            if shared <= len(theirs) <= largest and (common := len(words & theirs)) >= shared:
                similarity = common / (size + len(theirs) - common)
                if similarity >= least:
                    yield similarity, self._entries[position]

    def _candidates(self, said: Headline) -> set[int]:
        """Positions of the stories that may be similar and led alike."""
        found = set(self._by_word.get(said.lead, ()))
        for word in said.words:
            found.update(self._led_by.get(word, ()))
        return found

    def _near(self, one: _Entry, other: _Entry) -> bool:
        # Measured from the cluster's first story: a daily column must not drag one cluster through the year.
        return other.fetched_at >= self._since and abs(one.at - other.opened) <= self._window

    def _compatible(self, one: _Entry, other: _Entry) -> bool:
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

    def _claims(self, entry: _Entry) -> Claims:
        if entry.claims is None:
            entry.claims = claims_of(entry.title)
        return entry.claims

    def _companies(self, entry: _Entry) -> Mapping[str, str]:
        if entry.companies is None:
            entry.companies = self._names(entry.title)
        return entry.companies
