"""The labelled sentences that accuracy is measured on, each set read as it is published.

``PhraseBank`` is the set that nothing here was fitted to; FiQA and SemEval are where the lexicon may be developed.
"""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading_assets.news.sentiment import Label

#: A graded score further from zero than this is positive or negative.
GRADED_NEUTRAL = 0.1
LEVELS = ("AllAgree", "75Agree", "66Agree", "50Agree")
_INVENTED = (
    "Acme beats estimates and raises its guidance for the full year",
    "Zenith cuts its outlook after a weak quarter, shares plunge in early trading",
    "Orion to present at a conference on Tuesday",
    "Regulator opens an investigation into accounting at Nova, company says it cooperates",
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One text with its label, and its graded score in [-1, 1] where the set has one."""

    text: str
    label: Label
    score: float | None = None


def phrasebank(folder: Path, level: str) -> list[Sentence]:
    """Sentences on which so many annotators agree; ISO-8859-1, ``sentence@label`` a line."""
    source = folder / "sentiment" / "P1_financial_phrasebank" / f"Sentences_{level}.txt"
    rows = (line.rsplit("@", 1) for line in source.read_text("iso-8859-1").split("\n") if line)
    return [Sentence(text, Label(label)) for text, label in rows]


def fiqa(folder: Path) -> list[Sentence]:
    """Headlines and posts with the mean score of their targets; the test halves have no scores."""
    source = folder / "sentiment" / "P2_fiqa2018_task1"
    found = []
    for name in ("task1_headline_ABSA_train.json", "task1_post_ABSA_train.json"):
        for item in json.loads((source / name).read_text("utf-8")).values():
            scores = [float(info["sentiment_score"]) for info in item["info"]]
            found.append(_graded(item["sentence"], sum(scores) / len(scores)))
    return found


def semeval(folder: Path) -> list[Sentence]:
    """Headlines with a score for one company each."""
    source = folder / "sentiment" / "P3_semeval2017_task5" / "SemEval2017Task5Headlines.json"
    return [_graded(item["title"], float(item["sentiment"])) for item in json.loads(source.read_text("utf-8"))]


def sentfin(folder: Path) -> list[Sentence]:
    """Headlines whose entities all have the same label: what a headline as a whole may be asked."""
    source = folder / "sentiment" / "P5_sentfin_1_0" / "dataset_1.csv"
    with source.open(encoding="utf-8", errors="replace", newline="") as opened:
        rows = list(csv.DictReader(opened))
    found = []
    for row in rows:
        title, decisions = _columns(row)
        labels = set(decisions.values())
        if len(labels) == 1:
            found.append(Sentence(title, Label(str(labels.pop()).strip().lower())))
    return found


def headlines(folder: Path | None) -> list[str]:
    """Texts to measure speed with: recorded headlines if there are any, else invented ones."""
    if folder is None:
        return [f"{text} {number}" for number in range(128) for text in _INVENTED]
    return [sentence.text for sentence in sentfin(folder)]


def _columns(row: dict[str, str]) -> tuple[str, dict[str, Any]]:
    names = {name.strip().lower(): value for name, value in row.items()}
    title = next(names[name] for name in ("title", "headline", "headlines") if name in names)
    said = next(names[name] for name in ("decisions", "decision", "entities", "sentiments") if name in names)
    try:
        return title, json.loads(said)
    except ValueError:
        return title, ast.literal_eval(said)


def _graded(text: str, score: float) -> Sentence:
    label = Label.POSITIVE if score > GRADED_NEUTRAL else Label.NEGATIVE if score < -GRADED_NEUTRAL else Label.NEUTRAL
    return Sentence(text, label, score)


def sets(folder: Path) -> Iterable[tuple[str, list[Sentence]]]:
    """Every set by its name."""
    for level in LEVELS:
        yield f"phrasebank_{level}", phrasebank(folder, level)
    yield "fiqa", fiqa(folder)
    yield "semeval", semeval(folder)
    yield "sentfin", sentfin(folder)
