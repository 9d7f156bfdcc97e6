"""Scoring a story for each company that it names: by the clauses that speak of it.

The option is part of the model's revision, so that scores of the two ways are never mixed and a change of it makes the
stored scores those of another version.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trading_assets.news.clauses import clauses_of, words_of_clauses
from trading_assets.news.sentiment import RuledModel, Score, ScoringError, SentimentModel
from trading_assets.news.tickers import TickerExtractor

#: Counted up when the rules of ``news.clauses`` change what is scored.
RULES = "clauses-1"


class PerCompanyModel(RuledModel):
    """A model whose stories are scored per company. It scores a text as the model within it does."""

    rule = RULES


@dataclass(frozen=True, slots=True)
class Part:
    """The words of a story that speak of one ticker."""

    symbol: str
    words: str


def parts_of(text: str, extractor: TickerExtractor, tickers: Sequence[str]) -> list[Part]:
    """Words of ``text`` for each of ``tickers`` that it names, if they are not the same as the whole.

    Companies that are named and not followed cut the text, too. Empty if fewer than two companies are named.
    """
    reading = extractor.read(text)
    parts = clauses_of(reading.text, reading.spans)
    found = []
    for symbol in tickers:
        if symbol in parts:
            words = words_of_clauses(reading.text, parts[symbol])
            if words and words != reading.text.strip():
                found.append(Part(symbol, words))
    return found


def own_scores(model: SentimentModel, parts: Sequence[Part]) -> list[Mapping[str, Any]]:
    """What is stored beside a mention for each part; nothing for one whose words cannot be scored by themselves."""
    told: list[Mapping[str, Any]] = []
    for part, score in zip(parts, _scores(model, [part.words for part in parts]), strict=True):
        if score is None:
            told.append({})
        else:
            told.append(
                {
                    "score": score.signed,
                    "label": score.label.value,
                    "confidence": score.confidence,
                    "clause": part.words,
                }
            )
    return told


def _scores(model: SentimentModel, texts: Sequence[str]) -> list[Score | None]:
    if not texts:
        return []
    try:
        return list(model.score(texts))
    except ScoringError:
        return [_score(model, text) for text in texts]


def _score(model: SentimentModel, text: str) -> Score | None:
    try:
        return model.score([text])[0]
    except ScoringError:
        return None
