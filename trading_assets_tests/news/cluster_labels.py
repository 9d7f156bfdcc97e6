"""Which recorded and which invented headlines tell the same event, by our own reading, and how clusters compare.

Recorded headlines stay where they are: ``data/cluster_labels.json`` knows them by a hash alone. ``events`` are those
that tell an event together; every other one tells its own. An event is one announcement, filing or move of a price;
later reports of it are the same event, a comment on it is another. Where two readers could disagree ("unsure", and
"near" for whole groups), a pair counts neither way. Headlines in two languages are never compared.

``data/headline_pairs.json`` holds invented headlines in pairs: the same event told anew, and two events that share
their template. The labels were written before any figure was taken. Half of them, by their hash, are held out: rules
were mended by looking at the other half only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path
from typing import Any

from trading_assets.news.clusters import ClusterIndex
from trading_assets.news.config import ClusterConfig
from trading_assets.news.parse import parse_feed
from trading_assets.news.recent import companies_named

_DATA = Path(__file__).parent / "data"
_SETS = ("F3_finance_feeds_2026_05", "F4_sec_feeds_edgarkit")
_NOON = datetime(2026, 3, 12, 16, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Item:
    """A headline as a feed gave it."""

    title: str
    link: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """Pairs that are in one cluster and should be, that are and should not, and that are not and should be."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float:
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        counts = {"right": self.right, "wrong": self.wrong, "missed": self.missed}
        return {**counts, "precision": round(self.precision, 4), "recall": round(self.recall, 4)}


def label_id(item: Item) -> str:
    """Headline and address, hashed: some headlines come twice."""
    return hashlib.sha256(f"{item.title}\n{item.link}".encode()).hexdigest()[:20]


def held_out(identity: str) -> bool:
    """Whether a label belongs to the half that no rule was made by."""
    return hashlib.sha256(f"held out {identity}".encode()).digest()[0] % 2 == 0


def recorded_items(data: Path) -> list[Item]:
    """Every dated headline of the recorded feeds once, the oldest first."""
    found = {
        Item(story.title, story.link or "", story.published_at)
        for name in _SETS
        for path in (data / "feeds" / name).rglob("*")
        if path.suffix in (".xml", ".rss")
        for story in parse_feed(path.read_bytes()).stories
        if story.published_at is not None
    }
    return sorted(found, key=lambda item: (item.at, item.link, item.title))


def clustered(items: Sequence[Item], config: ClusterConfig | None = None) -> list[str]:
    """The cluster of each item, when they come in this order."""
    index = ClusterIndex(config or ClusterConfig(), companies_named)
    return [
        index.assign(hashlib.sha256(str(n).encode()).hexdigest(), item.title, item.link, item.at, item.at)
        for n, item in enumerate(items)
    ]


def recorded_figures(data: Path, *, mistakes: Callable[[str, Item, Item], None] | None = None) -> dict[str, Figures]:
    """Pairs of recorded headlines, in English and in Korean. ``mistakes`` is told each one of the half that is not held
    out."""
    labels = json.loads((_DATA / "cluster_labels.json").read_text(encoding="utf-8"))
    items = recorded_items(data)
    clusters = clustered(items)
    judged: dict[str, list[tuple[bool, bool, bool]]] = {"english": [], "korean": []}
    for (one, mine), (other, theirs) in combinations(zip(items, clusters, strict=True), 2):
        truth = _truth(labels, label_id(one), label_id(other))
        together = mine == theirs
        if truth is None or not (truth or together) or _latin(one.title) != _latin(other.title):
            continue
        held = held_out(min(label_id(one), label_id(other)))
        judged["english" if _latin(one.title) else "korean"].append((truth, together, held))
        if mistakes is not None and truth != together and not held:
            mistakes("missed" if truth else "wrong", one, other)
    return {f"{language}_{half}": each for language, told in judged.items() for half, each in _by_half(told).items()}


def pair_figures(*, mistakes: Callable[[str, Item, Item], None] | None = None) -> dict[str, Figures]:
    """The same of invented pairs; each is judged by itself."""
    judged: list[tuple[bool, bool, bool]] = []
    pairs = json.loads((_DATA / "headline_pairs.json").read_text(encoding="utf-8"))
    for truth, first, second in [(kind == "same", *pair) for kind, told in pairs.items() for pair in told]:
        items = [Item(first, "", _NOON), Item(second, "", _NOON + timedelta(minutes=20))]
        mine, theirs = clustered(items)
        held = held_out(first)
        judged.append((truth, mine == theirs, held))
        if mistakes is not None and truth != (mine == theirs) and not held:
            mistakes("missed" if truth else "wrong", *items)
    return _by_half(judged)


def _truth(labels: Any, one: str, other: str) -> bool | None:
    events, unsure = labels["events"], labels["unsure"]
    mine, theirs = events.get(one, unsure.get(one)), events.get(other, unsure.get(other))
    if mine is None or theirs is None:
        return False
    if mine == theirs:
        return True if one in events else None
    return None if sorted((mine, theirs)) in labels["near"] else False


def _latin(title: str) -> bool:
    return not any("\uac00" <= letter <= "\ud7a3" for letter in title)


def _by_half(judged: Iterable[tuple[bool, bool, bool]]) -> dict[str, Figures]:
    told = list(judged)
    halves = {
        "seen": [each for each in told if not each[2]],
        "held_out": [each for each in told if each[2]],
        "all": told,
    }
    return {name: _figures(half) for name, half in halves.items()}


def _figures(judged: Sequence[tuple[bool, bool, bool]]) -> Figures:
    return Figures(
        right=sum(truth and together for truth, together, _ in judged),
        wrong=sum(together and not truth for truth, together, _ in judged),
        missed=sum(truth and not together for truth, together, _ in judged),
    )
