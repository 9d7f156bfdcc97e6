"""Scoring stories and naming their tickers. What cannot be scored stays unscored and is tried again next time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import news as store
from trading_assets.ledger.news import StoredScore, Story
from trading_assets.news.sentiment import Score, ScoringError, SentimentModel
from trading_assets.news.tickers import TickerExtractor

#: Stories scored in one round unless the caller says otherwise.
LIMIT = 500
#: Stories scored and stored together: a crash loses at most this much work.
CHUNK = 64


@dataclass(frozen=True, slots=True)
class ClassifyReport:
    """One round of scoring. ``failures`` maps the ``event_uid`` of each unscored story to the reason."""

    model: str
    revision: str
    pending: int
    scored: int
    failures: dict[str, str]

    @property
    def failed(self) -> int:
        """Stories that could not be scored this time."""
        return len(self.failures)

    def as_metadata(self) -> dict[str, Any]:
        """JSON-ready summary."""
        return {
            "model": self.model,
            "revision": self.revision,
            "stories_pending": self.pending,
            "stories_scored": self.scored,
            "stories_failed": self.failed,
            "reasons": sorted(set(self.failures.values()))[:10],
        }


def article_text(title: str, summary: str | None) -> str:
    """What is scored: the title, then the summary unless one repeats the other."""
    head, body = title.strip(), (summary or "").strip()
    if not head or body.casefold().startswith(head.casefold()):
        return body or head
    if not body or head.casefold().startswith(body.casefold()):
        return head
    return f"{head} {body}" if head.endswith((".", "!", "?", ":")) else f"{head}. {body}"


def classify_pending(
    engine: Engine, model: SentimentModel, extractor: TickerExtractor, clock: Clock, limit: int = LIMIT
) -> ClassifyReport:
    """Score up to ``limit`` stories that this model version has not scored, the newest first.

    Each score is stored with the clock's instant after it was made. A story that cannot be scored is counted and stays
    pending. Raises ``ModelUnavailable`` when the model itself fails.
    """
    with engine.connect() as connection:
        pending = store.unscored_stories(connection, model.name, model.revision, limit)
    scored, failures = 0, {}
    for start in range(0, len(pending), CHUNK):
        chunk = pending[start : start + CHUNK]
        results = _score(model, [article_text(story.title, story.summary) for story in chunk])
        now = clock.now()
        rows = []
        for story, result in zip(chunk, results, strict=True):
            if isinstance(result, ScoringError):
                failures[story.event_uid] = str(result)
            else:
                rows.append(_row(story, result, model, extractor, now))
        with engine.begin() as connection:
            scored += store.add_scores(connection, rows)
    return ClassifyReport(model.name, model.revision, len(pending), scored, failures)


def _score(model: SentimentModel, texts: list[str]) -> list[Score | ScoringError]:
    try:
        return list(model.score(texts))
    except ScoringError:
        return [_score_one(model, text) for text in texts]


def _score_one(model: SentimentModel, text: str) -> Score | ScoringError:
    try:
        return model.score([text])[0]
    except ScoringError as problem:
        return problem


def _row(story: Story, score: Score, model: SentimentModel, extractor: TickerExtractor, now: datetime) -> StoredScore:
    named = extractor.extract(f"{story.title}\n{story.summary or ''}")
    return StoredScore(
        event_uid=story.event_uid,
        model=model.name,
        revision=model.revision,
        tickers=tuple(mention.symbol for mention in named),
        label=score.label.value,
        score=score.signed,
        confidence=score.confidence,
        scored_at=now,
    )
