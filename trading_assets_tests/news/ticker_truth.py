"""Headlines with known companies, and how well tickers are found in them: for the tests and for ``make bench-news``.

**What is true.** The labelled sets name the companies of a headline; ``ticker_truth.json`` says which of those names
are listed in New York (``names``; all others, thousands of Indian and British ones, must yield nothing). The sets do
not name every company that a headline names: those were judged by hand and are kept by the hash of the headline
(``also``), as are all labels of the recorded feeds (``feeds``). ``unjudged`` names have namesakes listed in India, and
the headline does not say which is meant: SEntFiN's headlines with one are left out.

**Split.** By the hash of the headline: the rules were made on the half ``developed``; the other, ``held_out``, was
looked at once, to label what the sets leave out. One rule was made after that (symbols of three letters that nobody
curated count in parentheses only): the developed half asked for it, too, but it helped the other. The rules on longer
names, markets and short symbols were made later still, by the developed halves and by texts without labels; of the
other halves only the counts were looked at.

**Recall** counts the sets' own names only, as far as any word of the name stands in the headline, so that what was
judged by hand cannot raise it.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading_assets.news.companies import canonical, universe_of
from trading_assets.news.parse import parse_feed
from trading_assets.news.tickers import TickerExtractor

_TRUTH: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
#: Words that SemEval's collection glued to the headline.
_GLUED = re.compile(r"^(?:Companies|Markets|Industry News|News Feed|Comment)(?=[A-Z])")
_NO_NAME = frozenset(
    {"plc", "inc", "group", "ltd", "the", "co", "company", "companies", "corporation", "of", "&", "and", "holdings"}
    | {"banking", "bank"}
)
_FEEDS = ("cnbc-top-news", "yahoo-finance-news", "nasdaq-stocks-news")


@dataclass(frozen=True, slots=True)
class Labelled:
    """A headline, the symbols that the set says it names, and those that it names besides."""

    title: str
    annotated: frozenset[str]
    besides: frozenset[str] = frozenset()

    @property
    def held_out(self) -> bool:
        """Whether the headline is of the half that rules were not made on."""
        return int(hashlib.sha256(self.title.encode()).hexdigest(), 16) % 2 == 1


@dataclass(slots=True)
class Found:
    """How often a named company was found, something was found that is not named, and a named one was missed."""

    right: int = 0
    wrong: int = 0
    annotated: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        """Share of the found tickers that the headline names."""
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the annotated tickers that were found."""
        return 1 - self.missed / self.annotated


def directory(folder: Path) -> dict[str, str]:
    """Every symbol of the symbol directories with its registered name, as the broker would write the symbol."""
    found = {}
    for name in ("nasdaqlisted.txt", "otherlisted.txt"):
        lines = (folder / "reference" / "R10_symbol_directories" / name).read_text(encoding="utf-8").splitlines()
        for line in lines[1:]:
            symbol, _, rest = line.partition("|")
            if not line.startswith("File Creation"):
                found[canonical(symbol)] = rest.partition("|")[0].strip()
    return found


def extractor_of_all(folder: Path) -> TickerExtractor:
    """An extractor that follows every symbol of the directories: the hardest universe there is."""
    names = directory(folder)
    every = universe_of(names, names)
    return TickerExtractor(every, every)


def headlines(folder: Path) -> dict[str, list[Labelled]]:
    """The labelled sets by name."""
    sentiment = folder / "sentiment"
    semeval: dict[str, list[str]] = {}
    for row in _json(sentiment / "P3_semeval2017_task5" / "SemEval2017Task5Headlines.json"):
        semeval.setdefault(row["title"], []).append(row["company"])
    fiqa: dict[str, list[str]] = {}
    for row in _json(sentiment / "P2_fiqa2018_task1" / "task1_headline_ABSA_train.json").values():
        fiqa.setdefault(row["sentence"], []).extend(info["target"] for info in row["info"])
    return {
        "sentfin": list(_sentfin(sentiment)),
        "semeval": [_labelled(_plain(title), names) for title, names in semeval.items()],
        "fiqa": [_labelled(_plain(title), names) for title, names in fiqa.items()],
        "feeds": list(_feeds(folder / "feeds" / "F3_finance_feeds_2026_05")),
    }


def symbols_in(extractor: TickerExtractor, text: str) -> frozenset[str]:
    """The symbols that ``text`` names."""
    return frozenset(mention.symbol for mention in extractor.extract(text))


def measure(extractor: TickerExtractor, labelled: list[Labelled], *, held_out: bool) -> Found:
    """What ``extractor`` finds in one half of a set."""
    found = Found()
    for each in labelled:
        if each.held_out is held_out:
            named = symbols_in(extractor, each.title)
            found.right += len(named & (each.annotated | each.besides))
            found.wrong += len(named - each.annotated - each.besides)
            found.annotated += len(each.annotated)
            found.missed += len(each.annotated - named)
    return found


def entity_labels(folder: Path, *, held_out: bool) -> Iterator[tuple[str, dict[str, str]]]:
    """SEntFiN's headlines of several entities with the label of each."""
    for title, labels in _sentfin_rows(folder / "sentiment"):
        if len(labels) > 1 and Labelled(title, frozenset()).held_out is held_out:
            yield title, labels


def polar_headlines(folder: Path, *, held_out: bool) -> Iterator[tuple[str, dict[str, float]]]:
    """SemEval's headlines of several companies with the score of each, in [-1, 1]."""
    found: dict[str, dict[str, float]] = {}
    for row in _json(folder / "sentiment" / "P3_semeval2017_task5" / "SemEval2017Task5Headlines.json"):
        found.setdefault(row["title"], {})[row["company"]] = row["sentiment"]
    for title, scores in found.items():
        if len(scores) > 1 and Labelled(title, frozenset()).held_out is held_out:
            yield title, scores


def macro_f1(pairs: list[tuple[str, str]]) -> float:
    """Mean F1 of the three labels over (true, given) pairs."""
    total = 0.0
    for label in ("positive", "neutral", "negative"):
        both = sum(true == given == label for true, given in pairs)
        either = sum((true == label) + (given == label) for true, given in pairs)
        total += 2 * both / either if either else 0.0
    return total / 3


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _key(title: str) -> str:
    return hashlib.sha256(title.encode()).hexdigest()[:16]


def _labelled(title: str, names: list[str]) -> Labelled:
    known = _TRUTH["names"]
    symbols = frozenset(known[name] for name in names if name in known and _stands_in(title, name))
    return Labelled(title, symbols, frozenset(_TRUTH["also"].get(_key(title), ())) - symbols)


def _stands_in(title: str, name: str) -> bool:
    words = [word.lower() for word in re.findall(r"[\w&']+", name)]
    return any(word in title.lower() for word in words if word not in _NO_NAME)


def _sentfin(folder: Path) -> Iterator[Labelled]:
    for title, labels in _sentfin_rows(folder):
        if not set(labels) & set(_TRUTH["unjudged"]):
            yield _labelled(title, list(labels))


def _sentfin_rows(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with (folder / "P5_sentfin_1_0" / "dataset_1.csv").open(encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            yield row["Title"], json.loads(row["Decisions"])


def _feeds(folder: Path) -> Iterator[Labelled]:
    for name in _FEEDS:
        for story in parse_feed((folder / name / "feed.xml").read_bytes()).stories:
            yield Labelled(story.title, frozenset(_TRUTH["feeds"][_key(story.title)]))


def _plain(title: str) -> str:
    """The headline without what its collection did to it: a wrong charset, and a section's name in front."""
    with contextlib.suppress(UnicodeError):
        title = title.encode("cp1252").decode("utf-8")
    return _GLUED.sub("", title)
