"""How right each model is on labelled finance sentences: accuracy, macro-F1, and correlation with graded scores.

Models: the built-in lexicon always; the published FinBERT where its weights are on this machine. The lexicon's word
lists are our own. Whoever wrote them may have seen PhraseBank, so the plain figure proves nothing about sentences that
nobody saw; ``lexicon_without`` is the held-out one: every own word and phrase that does not occur in FiQA, SemEval or
SEntFiN is taken away first, so that what is left could have been written without PhraseBank.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from news_bench import _labelled
from news_bench._labelled import Sentence
from trading_assets.news import lexicon as lexicon_module
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.model_config import ModelConfig, ModelKind
from trading_assets.news.model_identity import folder_on_this_machine, lacking, resolved_path
from trading_assets.news.sentiment import Label, Score, ScoringError, SentimentModel
from trading_assets.news.wordlists import document


class Options(Protocol):
    """What the section is asked for."""

    @property
    def data(self) -> Path | None: ...
    @property
    def quick(self) -> bool: ...


def run(options: Options) -> dict[str, Any]:
    """Per model and set: sentences, accuracy, macro-F1, correlation where scores are graded, and the unreadable."""
    if options.data is None:
        return {"skipped": "needs the folder of recorded data"}
    found = {name: rows[::10] if options.quick else rows for name, rows in _labelled.sets(options.data)}
    models: dict[str, SentimentModel] = {"lexicon": LexiconModel(), "lexicon_without": held_out_lexicon(options.data)}
    config = ModelConfig(kind=ModelKind.FINBERT)
    told = "its weights are not on this machine"
    with tempfile.TemporaryDirectory(prefix="ta-bench-sentiment-") as cache:
        if not lacking(resolved_path(config)) and folder_on_this_machine(config) is not None:
            from trading_assets.news.finbert import FinbertModel

            models["finbert"] = FinbertModel(config, Path(cache))
            told = f"measured by the path {resolved_path(config).value}"
        figures = {
            name: {each: judged(model, rows) for each, rows in found.items()} | {"revision": model.revision}
            for name, model in models.items()
        }
    return {**figures, "finbert_told": told}


def judged(model: SentimentModel, rows: Sequence[Sentence]) -> dict[str, Any]:
    """The figures of one model on one set. What it cannot read counts as wrong, and is told."""
    scores = [_score(model, row.text) for row in rows]
    pairs = [(row.label, None if score is None else score.label) for row, score in zip(rows, scores, strict=True)]
    graded = [(row.score, s.signed) for row, s in zip(rows, scores, strict=True) if row.score is not None and s]
    return {
        "sentences": len(rows),
        "accuracy": round(sum(said is meant for meant, said in pairs) / len(pairs), 4),
        "macro_f1": round(macro_f1(pairs), 4),
        "always_the_commonest": round(max(sum(m is label for m, _ in pairs) for label in Label) / len(pairs), 4),
        "correlation": round(correlation(graded), 4) if graded else None,
        "unreadable": sum(score is None for score in scores),
    }


def macro_f1(pairs: Sequence[tuple[Label, Label | None]]) -> float:
    """The mean over classes of the harmonic mean of precision and recall; a class that never occurs counts 0."""
    total = 0.0
    for label in Label:
        hits = sum(meant is label and said is label for meant, said in pairs)
        said_so = sum(said is label for _, said in pairs)
        meant_so = sum(meant is label for meant, _ in pairs)
        total += 2 * hits / (said_so + meant_so) if said_so + meant_so else 0.0
    return total / len(Label)


def correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Pearson's."""
    import numpy as np

    meant, said = np.array(pairs, dtype=float).T
    return float(np.corrcoef(meant, said)[0, 1])


def _score(model: SentimentModel, text: str) -> Score | None:
    try:
        return model.score([text])[0]
    except ScoringError:
        return None


def held_out_lexicon(folder: Path) -> LexiconModel:
    """The lexicon without each own entry that occurs in none of the sets it may be developed on."""
    rows = [*_labelled.fiqa(folder), *_labelled.semeval(folder), *_labelled.sentfin(folder)]
    corpus = " " + re.sub(r"[^a-z0-9%'-]+", " ", " \n ".join(row.text for row in rows).lower()) + " "
    lists = json.loads(json.dumps(document("finance_lexicon.json")))

    def seen(entry: str) -> bool:
        return f" {re.sub(r'[^a-z0-9%-]+', ' ', entry.lower()).strip()} " in corpus

    for kind in ("words", "phrases"):
        lists[kind] = {entry: valence for entry, valence in lists[kind].items() if seen(entry)}
    for kind in ("neutral", "rises", "falls", "good_high", "bad_high"):
        lists[kind] = [entry for entry in lists[kind] if seen(entry)]
    lists["version"] += "-held-out"
    with patch.object(lexicon_module, "document", lambda _: lists):
        return LexiconModel()
