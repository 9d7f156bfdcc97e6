"""Precision and recall of tickers in labelled headlines, clauses against whole headlines, and the extractor's speed
in seconds of the processor."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from trading_assets.news.clauses import clauses_of, words_of_clauses
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.mentions import NamedSpan
from trading_assets.news.sentiment import ScoringError
from trading_assets_tests.news.ticker_truth import (
    entity_labels,
    extractor_of_all,
    headlines,
    macro_f1,
    measure,
    polar_headlines,
)

_SPEED = 50_000
_LONG = "Nvidia and Apple rose while Target shares fell; $AMD (NASDAQ: INTC) waits for Visa's results. "


def run(options: Any) -> dict[str, Any]:
    """The figures of this section; without recorded data there is nothing to measure."""
    if options.data is None:
        return {"note": "needs recorded data"}
    began = time.process_time()
    extractor = extractor_of_all(options.data)
    extractor.extract("Apple")
    built = time.process_time() - began
    sets = headlines(options.data)
    figures: dict[str, Any] = {"symbols": len(extractor.symbols), "built_s": round(built, 2)}
    for name, labelled in sets.items():
        for half, held_out in (("developed", False), ("held_out", True)):
            found = measure(extractor, labelled, held_out=held_out)
            figures[f"{name} {half}"] = {
                "right": found.right,
                "wrong": found.wrong,
                "annotated": found.annotated,
                "missed": found.missed,
                "precision": round(found.precision, 4),
                "recall": round(found.recall, 4),
            }
    titles = [each.title for labelled in sets.values() for each in labelled]
    wanted = _SPEED // 10 if options.quick else _SPEED
    texts = [titles[place % len(titles)] for place in range(wanted)]
    began = time.process_time()
    for text in texts:
        extractor.extract(text)
    figures["headlines_per_s"] = round(wanted / (time.process_time() - began))
    for words in (10_000, 20_000):
        text = _LONG * (words // len(_LONG.split()))
        began = time.process_time()
        extractor.extract(text)
        figures[f"article of {words} words, ms"] = round(1000 * (time.process_time() - began), 1)
    figures["clauses"] = {"developed": _clauses(options.data, False), "held_out": _clauses(options.data, True)}
    return figures


def _clauses(data: Path, held_out: bool) -> dict[str, Any]:
    """Label of each entity by the whole headline and by its own clauses, on SEntFiN's headlines of several entities."""
    model = LexiconModel()
    told: dict[str, list[tuple[str, str, str]]] = {"all": [], "mixed polarity": [], "one polarity": []}
    for title, labels in entity_labels(data, held_out=held_out):
        spans = _spans(title, list(labels))
        if spans is None:
            continue
        whole = model.score([title])[0].label.value
        parts = clauses_of(title, spans)
        kind = "mixed polarity" if len(set(labels.values())) > 1 else "one polarity"
        for entity, label in labels.items():
            try:
                own = model.score([words_of_clauses(title, parts[entity])])[0].label.value
            except ScoringError:
                own = whole
            told["all"].append((label, whole, own))
            told[kind].append((label, whole, own))
    figures = {name: _compared(rows) for name, rows in told.items()}
    figures["semeval, headlines of two companies"] = _correlation(data, held_out)
    return figures


def _compared(rows: list[tuple[str, str, str]]) -> dict[str, Any]:
    figures: dict[str, Any] = {"entities": len(rows)}
    for name, column in (("whole", 1), ("own", 2)):
        pairs = [(row[0], row[column]) for row in rows]
        figures[f"{name} accuracy"] = round(sum(left == right for left, right in pairs) / len(pairs), 4)
        figures[f"{name} macro_f1"] = round(macro_f1(pairs), 4)
    return figures


def _correlation(data: Path, held_out: bool) -> dict[str, Any]:
    """Correlation of the signed score with the label, whole against own."""
    import numpy as np

    model = LexiconModel()
    gold, whole, own = [], [], []
    for title, labels in polar_headlines(data, held_out=held_out):
        spans = _spans(title, list(labels))
        if spans is None:
            continue
        parts = clauses_of(title, spans)
        for entity, score in labels.items():
            gold.append(score)
            whole.append(model.score([title])[0].signed)
            own.append(model.score([words_of_clauses(title, parts[entity])])[0].signed)
    return {
        "entities": len(gold),
        "whole correlation": round(float(np.corrcoef(gold, whole)[0, 1]), 4),
        "own correlation": round(float(np.corrcoef(gold, own)[0, 1]), 4),
    }


def _spans(title: str, entities: list[str]) -> list[NamedSpan] | None:
    """Where each entity stands; None if one does not, or two overlap."""
    found: list[NamedSpan] = []
    for entity in sorted(entities, key=len, reverse=True):
        match = re.search(rf"(?<!\w){re.escape(entity)}(?!\w)", title) or re.search(re.escape(entity), title)
        if match is None or any(match.start() < span.stop and span.start < match.end() for span in found):
            return None
        found.append(NamedSpan(match.start(), match.end(), entity, entity))
    return found
