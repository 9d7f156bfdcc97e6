"""Scoring stories and naming their tickers. What cannot be scored stays unscored and is tried again next time.

Why a story was taken for a ticker is stored with it: by which words of its title or summary, because its source says
so, or because a model inferred it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import news as store
from trading_assets.ledger.news import StoredScore, Story
from trading_assets.news.mentions import How, TickerMention
from trading_assets.news.per_company import PerCompanyModel, own_scores, parts_of
from trading_assets.news.sentiment import Score, ScoringError, SentimentModel
from trading_assets.news.tickers import TickerExtractor

#: Asked about stories that name nobody: the symbols it infers, by ``event_uid``. It keeps its own time-out and answers
#: with fewer stories, or none, where it cannot tell; what it names counts only if it is followed and listed.
InferTickers = Callable[[Sequence[Story]], Mapping[str, Sequence[str]]]

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
    engine: Engine,
    model: SentimentModel,
    extractor: TickerExtractor,
    clock: Clock,
    limit: int = LIMIT,
    infer: InferTickers | None = None,
) -> ClassifyReport:
    """Score up to ``limit`` stories that this model version has not scored, the newest first.

    Each score is stored with the clock's instant after it was made. A story that cannot be scored is counted and stays
    pending. Raises ``ModelUnavailable`` when the model itself fails. ``infer`` is asked about stories that name nobody.
    """
    with engine.connect() as connection:
        pending = store.unscored_stories(connection, model.name, model.revision, limit)
    scored, failures = 0, {}
    for start in range(0, len(pending), CHUNK):
        chunk = pending[start : start + CHUNK]
        results = _score(model, [article_text(story.title, story.summary) for story in chunk])
        readable: list[tuple[Story, Score]] = []
        for story, result in zip(chunk, results, strict=True):
            if isinstance(result, ScoringError):
                failures[story.event_uid] = str(result)
            else:
                readable.append((story, result))
        mentions = _mentions([story for story, _ in readable], model, extractor, infer)
        now = clock.now()
        rows = [_row(story, result, model, told, now) for (story, result), told in zip(readable, mentions, strict=True)]
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


def mentions_of(story: Story, extractor: TickerExtractor) -> list[dict[str, Any]]:
    """Why a story is taken for each of its tickers: named in its title, then in its summary, then by its source."""
    found: dict[str, tuple[TickerMention, str | None]] = {}
    for field, text in (("title", story.title), ("summary", story.summary or "")):
        for mention in extractor.extract(text):
            known = found.get(mention.symbol)
            if known is None or mention.how < known[0].how:
                found[mention.symbol] = (mention, field)
    for symbol in extractor.members(story.symbols):
        found.setdefault(symbol, (TickerMention(symbol, How.SOURCE, ""), None))
    return [mention.as_json(field) for mention, field in found.values()]


def _mentions(
    stories: Sequence[Story], model: SentimentModel, extractor: TickerExtractor, infer: InferTickers | None
) -> Iterable[list[dict[str, Any]]]:
    told = [mentions_of(story, extractor) for story in stories]
    nameless = [story for story, found in zip(stories, told, strict=True) if not found]
    if infer is not None and nameless:
        inferred = infer(nameless)
        for story, found in zip(stories, told, strict=True):
            if not found:
                members = extractor.members(inferred.get(story.event_uid, ()))
                found.extend(TickerMention(symbol, How.INFERRED, "").as_json(None) for symbol in members)
    if isinstance(model, PerCompanyModel):
        for story, found in zip(stories, told, strict=True):
            _add_own_scores(story, found, model, extractor)
    return told


def _add_own_scores(
    story: Story, found: list[dict[str, Any]], model: SentimentModel, extractor: TickerExtractor
) -> None:
    """Score the clauses of each ticker by themselves, where the story names several companies."""
    named = {mention["symbol"]: mention for mention in found if "position" in mention}
    parts = parts_of(article_text(story.title, story.summary), extractor, list(named)) if named else []
    for part, own in zip(parts, own_scores(model, parts), strict=True):
        named[part.symbol].update(own)


def _row(
    story: Story, score: Score, model: SentimentModel, mentions: Sequence[Mapping[str, Any]], now: datetime
) -> StoredScore:
    return StoredScore(
        event_uid=story.event_uid,
        model=model.name,
        revision=model.revision,
        tickers=tuple(mention["symbol"] for mention in mentions),
        label=score.label.value,
        score=score.signed,
        confidence=score.confidence,
        scored_at=now,
        mentions=tuple(mentions),
    )
