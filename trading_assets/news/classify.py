"""Scoring stories and naming their tickers. What cannot be scored stays unscored and is tried again next time.

Why a story was taken for a ticker is stored with it: by which words of its title or summary, because its source says
so, or because a model inferred it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.ledger import news as store
from trading_assets.ledger.article_texts import texts_of
from trading_assets.ledger.news import StoredScore, Story
from trading_assets.news.mentions import How, TickerMention
from trading_assets.news.per_company import PerCompanyModel, own_scores, parts_of
from trading_assets.news.sentiment import Score, ScoringError, SentimentModel
from trading_assets.news.tickers import TickerExtractor
from trading_assets.news.whole_articles import article_text, reads_texts


class InferTickers(Protocol):
    """Asked about stories that name nobody. It keeps its own time-out and answers with fewer stories, or none, where it
    cannot tell; what it names counts only if it is followed and listed."""

    @property
    def model(self) -> str:
        """Who infers; stored with each ticker."""
        ...

    def __call__(self, stories: Sequence[Story]) -> Mapping[str, Sequence[str]]:
        """The symbols that it infers, by ``event_uid``."""
        ...


#: Stories scored in one round unless the caller says otherwise.
LIMIT = 500
#: Stories scored and stored together: a crash loses at most this much work.
CHUNK = 64
#: How often a long round says how far it is, in stories.
TOLD_EVERY = 512


@dataclass(frozen=True, slots=True)
class ClassifyReport:
    """One round of scoring. ``failures`` maps the ``event_uid`` of each unscored story to the reason; ``left`` counts
    the stories for which there was no time."""

    model: str
    revision: str
    pending: int
    scored: int
    failures: dict[str, str]
    left: int = 0

    @property
    def failed(self) -> int:
        """Stories that could not be scored this time."""
        return len(self.failures)


def classify_pending(
    engine: Engine,
    model: SentimentModel,
    extractor: TickerExtractor,
    clock: Clock,
    limit: int = LIMIT,
    infer: InferTickers | None = None,
    *,
    since: datetime | None = None,
    seconds: float | None = None,
) -> ClassifyReport:
    """Score up to ``limit`` stories that this model version has not scored: feeds take turns, of each the newest first.

    With ``since`` only those fetched from then on that no version has scored: what a minute is for. To score anew what
    another version has scored is :func:`classify_day`. After ``seconds`` of the wall no further chunk is begun. Each
    score is stored with the clock's instant after it was made. A story that cannot be scored is counted and stays
    pending. Raises ``ModelUnavailable`` when the model itself fails. ``infer`` is asked about stories that name nobody.
    """
    version = (model.name, model.revision) if since is None else None
    with engine.connect() as connection:
        pending = store.unscored_by_turns(connection, version, limit, since)
    ends = None if seconds is None else time.monotonic() + seconds
    scored, failures, begun = 0, dict[str, str](), 0
    for start in range(0, len(pending), CHUNK):
        if begun and ends is not None and time.monotonic() >= ends:
            break
        chunk = pending[start : start + CHUNK]
        begun += len(chunk)
        stored, failed = _classify(engine, model, extractor, clock, infer, chunk)
        scored += stored
        failures |= failed
    return ClassifyReport(model.name, model.revision, len(pending), scored, failures, len(pending) - begun)


def classify_day(
    engine: Engine,
    model: SentimentModel,
    extractor: TickerExtractor,
    clock: Clock,
    start: datetime,
    end: datetime,
    *,
    infer: InferTickers | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> ClassifyReport:
    """Score every story fetched in [start, end) that this model version has not scored, also where another one has.

    Each chunk is stored when it is done, so that a run that is killed loses one at most and the next goes on; ``tell``
    hears how far it is. Failures and errors as of :func:`classify_pending`.
    """
    with engine.connect() as connection:
        total = store.unscored_between(connection, (model.name, model.revision), start, end)
    scored, failures, done = 0, dict[str, str](), 0
    last: Story | None = None
    while True:
        with engine.connect() as connection:
            chunk = store.unscored_stories(
                connection, model.name, model.revision, CHUNK, start=start, end=end, after=last
            )
        if not chunk:
            break
        last = chunk[-1]
        stored, failed = _classify(engine, model, extractor, clock, infer, chunk)
        scored, done = scored + stored, done + len(chunk)
        failures |= failed
        if done % TOLD_EVERY < CHUNK or done >= total:
            tell(
                f"{done} of {total} stories read by {model.name} {model.revision}, {len(failures)} could not be scored"
            )
    return ClassifyReport(model.name, model.revision, done, scored, failures)


def _classify(
    engine: Engine,
    model: SentimentModel,
    extractor: TickerExtractor,
    clock: Clock,
    infer: InferTickers | None,
    chunk: list[Story],
) -> tuple[int, dict[str, str]]:
    """Score and store one chunk; how many scores were new, and why the others are missing."""
    results = _score(model, _words(engine, model, clock, chunk))
    readable: list[tuple[Story, Score]] = []
    failures: dict[str, str] = {}
    for story, result in zip(chunk, results, strict=True):
        if isinstance(result, ScoringError):
            failures[story.event_uid] = str(result)
        else:
            readable.append((story, result))
    mentions = _mentions([story for story, _ in readable], model, extractor, infer)
    now = clock.now()
    rows = [_row(story, result, model, told, now) for (story, result), told in zip(readable, mentions, strict=True)]
    with engine.begin() as connection:
        return store.add_scores(connection, rows), failures


def _words(engine: Engine, model: SentimentModel, clock: Clock, chunk: Sequence[Story]) -> list[str]:
    """What is scored of each story; with the text that is known by now, where the model is to be shown it."""
    texts: Mapping[str, str] = {}
    if reads_texts(model):
        with engine.connect() as connection:
            texts = texts_of(connection, [story.event_uid for story in chunk], clock.now())
    return [article_text(story.title, story.summary, texts.get(story.event_uid)) for story in chunk]


def _score(model: SentimentModel, texts: list[str]) -> list[Score | ScoringError]:
    """The scores, or why there is none. A batch with a text that cannot be scored is halved, so that the others are
    still read together."""
    try:
        return list(model.score(texts))
    except ScoringError as problem:
        if len(texts) == 1:
            return [problem]
    middle = len(texts) // 2
    return [*_score(model, texts[:middle]), *_score(model, texts[middle:])]


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
                told_by = {"model": infer.model}
                found.extend(TickerMention(symbol, How.INFERRED, "").as_json(None) | told_by for symbol in members)
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
