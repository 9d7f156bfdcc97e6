"""The stories that may tell the same event as a new one: those that are led alike, of each feed up to a bound.

One feed must neither slow clustering down for all nor hide the stories of others. So each has lists of its own, and of
them the ``LOOKED_AT`` stories that count from latest are looked at. Which ones these are follows from the stories that
are held and from nothing else: every list is in the order of the instants from which they count, then of identities.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from trading_assets.news.headlines import Claims, Headline

#: So many stories of one feed are looked at for a new one: a busy feed leads fewer with one word in two days.
LOOKED_AT = 500

#: Up to so many in one list are of all feeds together.
_TOGETHER = 50

_KEY = attrgetter("key")


@dataclass(slots=True, eq=False)
class Entry:
    """A story that is held. ``key`` orders: the instant from which it counts, then its identity. ``opened`` is that
    instant of the story that opened its cluster; ``words`` are those of ``said``."""

    key: tuple[datetime, str]
    family: str
    cluster_id: str
    title: str
    filing: str | None
    opened: datetime
    fetched_at: datetime
    said: Headline
    words: frozenset[str]
    claims: Claims | None = None
    companies: Mapping[str, str] | None = None

    @property
    def at(self) -> datetime:
        """The instant from which it counts."""
        return self.key[0]

    @property
    def event_uid(self) -> str:
        """Its identity."""
        return self.key[1]


#: Few words have many stories: only theirs are kept by the families of the feeds.
_Held = list[Entry] | dict[str, list[Entry]]


class _Lists:
    """Stories by a word or the like, each list in the order of its keys."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def add(self, entry: Entry, values: Iterable[str], *, newest: bool) -> None:
        held = self._held
        for value in values:
            found = held.get(value)
            if found is None:
                held[value] = [entry]
                continue
            if not isinstance(found, dict) and len(found) >= _TOGETHER:
                found = held[value] = _by_family(found)
            if isinstance(found, dict):
                found = found.setdefault(entry.family, [])
            if newest or not found or found[-1].key < entry.key:
                found.append(entry)
            else:
                insort(found, entry, key=_KEY)

    def remove(self, entry: Entry, values: Iterable[str]) -> None:
        for value in values:
            held = self._held[value]
            found = held[entry.family] if isinstance(held, dict) else held
            del found[bisect_left(found, entry.key, key=_KEY)]
            if isinstance(held, dict) and not found:
                del held[entry.family]
            if not held:
                del self._held[value]

    def of(self, value: str) -> list[list[Entry]]:
        """All with this value."""
        found = self._held.get(value)
        if found is None:
            return []
        return list(found.values()) if isinstance(found, dict) else [found]

    def by_family(self, value: str) -> dict[str, list[Entry]]:
        """The same, each feed by itself."""
        found = self._held.get(value, {})
        return found if isinstance(found, dict) else _by_family(found)


def _by_family(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        found.setdefault(entry.family, []).append(entry)
    return found


class Candidates:
    """The stories that are held, by what a new one is compared by."""

    def __init__(self) -> None:
        self._by_text = _Lists()
        self._by_filing = _Lists()
        self._by_word = _Lists()
        self._led_by = _Lists()
        self._newest: tuple[datetime, str] | None = None

    def add(self, entry: Entry) -> None:
        """Hold a story from now on."""
        # Stories mostly come in their order: then nothing need be compared.
        newest = self._newest is None or self._newest < entry.key
        if newest:
            self._newest = entry.key
        for lists, values in self._places(entry):
            lists.add(entry, values, newest=newest)

    def remove(self, entry: Entry) -> None:
        """Forget one that is held."""
        for lists, values in self._places(entry):
            lists.remove(entry, values)

    def of_text(self, plain: str) -> Iterator[Entry]:
        """Those of exactly these words."""
        return (entry for some in self._by_text.by_family(plain).values() for entry in some[-LOOKED_AT:])

    def of_filing(self, filing: str) -> Iterator[Entry]:
        """Those that lead to this filing."""
        return (entry for some in self._by_filing.by_family(filing).values() for entry in some[-LOOKED_AT:])

    def led_alike(self, said: Headline) -> set[Entry]:
        """Those that hold the leading word, or are led by one of the words."""
        # What is led by the leading word holds it.
        others = said.words - {said.lead}
        lists = self._by_word.of(said.lead)
        for word in others:
            lists += self._led_by.of(word)
        if sum(map(len, lists)) <= LOOKED_AT:
            return set().union(*lists)
        of_feed: dict[str, dict[str, list[Entry]]] = defaultdict(dict)
        for family, some in self._by_word.by_family(said.lead).items():
            of_feed[family][said.lead] = some
        for word in others:
            for family, some in self._led_by.by_family(word).items():
                of_feed[family][word] = some
        return {entry for each in of_feed.values() for entry in _newest(each)}

    def _places(self, entry: Entry) -> tuple[tuple[_Lists, Iterable[str]], ...]:
        return (
            (self._by_word, entry.words),
            (self._led_by, (entry.said.lead,)),
            (self._by_text, (entry.said.plain,)),
            (self._by_filing, () if entry.filing is None else (entry.filing,)),
        )


def _newest(lists: Mapping[str, Sequence[Entry]]) -> set[Entry]:
    """Of each list an equal share of the room; what a short one leaves goes to the longer ones."""
    found: set[Entry] = set()
    room = LOOKED_AT
    shortest_first = sorted(lists, key=lambda word: (len(lists[word]), word))
    for left, word in zip(range(len(lists), 0, -1), shortest_first, strict=True):
        some = lists[word][-max(1, room // left) :]
        found.update(some)
        room -= len(some)
    return found
