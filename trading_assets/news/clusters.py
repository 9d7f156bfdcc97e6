"""Which stories tell the same event: near-duplicate headlines over several feeds form one cluster.

An inverted index finds stories that share words, the Jaccard similarity of the title's word sets decides. A cluster
carries the ``event_uid`` of the story that opened it, for ever: later stories join, clusters never merge, so the
membership a decision saw is the membership a replay sees.

Templates are the trap of short texts ("X shares rise 3 %" and "Y shares rise 3 %" share most words). Three guards keep
different events apart: different numbers, different leading subjects, and different named companies.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_assets.news.config import ClusterConfig
from trading_assets.news.wordlists import words_of

_WORD = re.compile(r"[^\W_]+(?:[.,'’&-][^\W_]+)*", re.UNICODE)
_PREFIX = re.compile(
    r"^\s*(?:(?:update|correct(?:ed|ion)|refile|wrapup|breaking(?: news)?|exclusive|just in|live|watch|video|analysis)"
    r"\s*\d*\s*[-:|]\s*)+",
    re.IGNORECASE,
)
_SUFFIX = re.compile(r"\s+(?:[-–—|]|\|\|)\s+[\w.&' ]{2,30}$")
Names = Callable[[str], frozenset[str]]


@dataclass(frozen=True, slots=True)
class KnownStory:
    """What clustering needs of a story. ``at`` is its publication time, or its receipt if that is earlier or alone."""

    event_uid: str
    cluster_id: str
    title: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Shape:
    cluster_id: str
    event_uid: str
    at: datetime
    words: frozenset[str]
    lead: str
    numbers: frozenset[str]
    plain: str
    title: str


def story_time(published_at: datetime | None, fetched_at: datetime) -> datetime:
    """The instant a story counts from when clusters are formed: publication, but never after its receipt."""
    return fetched_at if published_at is None else min(published_at, fetched_at)


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("’s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    for ending in ("ing", "ed", "es", "s"):
        if len(word) > len(ending) + 3 and word.endswith(ending) and not word.endswith("ss"):
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e") if len(word) > 3 else word


def title_words(title: str) -> tuple[str, ...]:
    """The significant words of a headline, lower-case and stemmed, in order; wire prefixes and publisher suffixes
    ("UPDATE 2-", "- Reuters") removed."""
    stop = words_of("stop_words.txt")
    text = _SUFFIX.sub("", _PREFIX.sub("", title))
    found = (match.group().casefold() for match in _WORD.finditer(text))
    return tuple(_stem(word) for word in found if word not in stop)


def _no_names(_: str) -> frozenset[str]:
    return frozenset()


class ClusterIndex:
    """Stories of the last hours, ready to be asked where a new one belongs.

    ``names`` returns the companies a headline names; headlines that both name some but none in common never cluster.
    The result depends only on the stories added before, in their order.
    """

    def __init__(self, config: ClusterConfig, names: Names = _no_names) -> None:
        self._window = timedelta(hours=config.window_hours)
        self._similarity = config.similarity
        self._min_tokens = config.min_tokens
        self._names = names
        self._stories: list[_Shape] = []
        self._opened: dict[str, datetime] = {}
        self._by_word: dict[str, list[int]] = defaultdict(list)
        self._by_text: dict[str, list[int]] = defaultdict(list)

    def load(self, stories: Iterable[KnownStory]) -> None:
        """Add stories whose cluster is already known."""
        for story in stories:
            self._add(self._shape(story.event_uid, story.title, story.at, story.cluster_id))

    def assign(self, event_uid: str, title: str, at: datetime) -> str:
        """The cluster of a new story, which is added: that of the most similar story within the window, else its own.

        Ties go to the story that was added first.
        """
        shape = self._shape(event_uid, title, at, event_uid)
        best = self._best(shape)
        joined = shape if best is None else self._shape(event_uid, title, at, best.cluster_id)
        self._add(joined)
        return joined.cluster_id

    def _shape(self, event_uid: str, title: str, at: datetime, cluster_id: str) -> _Shape:
        ordered = title_words(title)
        return _Shape(
            cluster_id=cluster_id,
            event_uid=event_uid,
            at=at,
            words=frozenset(ordered),
            lead=ordered[0] if ordered else "",
            numbers=frozenset(word for word in ordered if any(letter.isdigit() for letter in word)),
            plain=" ".join(ordered),
            title=title,
        )

    def _add(self, shape: _Shape) -> None:
        position = len(self._stories)
        self._stories.append(shape)
        self._opened.setdefault(shape.cluster_id, shape.at)
        self._by_text[shape.plain].append(position)
        for word in shape.words:
            self._by_word[word].append(position)

    def _best(self, shape: _Shape) -> _Shape | None:
        if not shape.plain:
            return None
        if len(shape.words) < self._min_tokens:
            equal = [self._stories[position] for position in self._by_text.get(shape.plain, ())]
            return next((other for other in equal if self._near(shape, other)), None)
        shared: dict[int, int] = defaultdict(int)
        for word in shape.words:
            for position in self._by_word.get(word, ()):
                shared[position] += 1
        best: tuple[float, int] | None = None
        for position, count in shared.items():
            other = self._stories[position]
            if len(other.words) < self._min_tokens or not self._near(shape, other):
                continue
            similarity = count / (len(shape.words) + len(other.words) - count)
            if similarity < self._similarity or not self._compatible(shape, other):
                continue
            if best is None or (similarity, -position) > best:
                best = (similarity, -position)
        return None if best is None else self._stories[-best[1]]

    def _near(self, one: _Shape, other: _Shape) -> bool:
        # Measured from the cluster's first story: a daily column must not drag one cluster through the year.
        return abs(one.at - self._opened[other.cluster_id]) <= self._window

    def _compatible(self, one: _Shape, other: _Shape) -> bool:
        if one.numbers and other.numbers and not (one.numbers & other.numbers):
            return False
        if not (one.lead == other.lead or one.lead in other.words or other.lead in one.words):
            return False
        ours, theirs = self._names(one.title), self._names(other.title)
        return not ours or not theirs or bool(ours & theirs)
