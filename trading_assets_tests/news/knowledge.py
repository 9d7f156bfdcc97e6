"""What the news may say at an instant, worked out a second time: row by row, from the ledger's own facts.

Nothing of the product's aggregation is used, and never its ``known_at``: only when an article was fetched, when it was
scored, and when it says it was published.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
from sqlalchemy import Engine, select

from trading_assets.domain.clock import require_utc
from trading_assets.ledger.news_tables import inbound_events_classified, inbound_events_raw

WINDOW, AGE = timedelta(minutes=60), timedelta(minutes=180)


@dataclass(frozen=True)
class Fact:
    """A stored and scored article."""

    uid: str
    cluster: str
    feed: str
    title: str
    published: datetime | None
    fetched: datetime
    scored: datetime
    tickers: tuple[str, ...]
    score: float
    confidence: float

    @property
    def known(self) -> datetime:
        return self.fetched if self.fetched > self.scored else self.scored


@dataclass(frozen=True)
class View:
    """What is to be seen of one ticker: its clusters' first voices."""

    voices: tuple[Fact, ...]

    @property
    def count(self) -> int:
        return len(self.voices)

    @property
    def sentiment(self) -> float:
        weight = sum(voice.confidence for voice in self.voices)
        return sum(voice.score * voice.confidence for voice in self.voices) / weight


def canonical(frame: pl.DataFrame) -> bytes:
    """Every value of every row to the last digit, and nothing of how it lies in memory."""
    return "\n".join([repr(frame.schema), *map(repr, frame.rows())]).encode()


def facts(engine: Engine) -> list[Fact]:
    """Every scored article of the ledger."""
    raw, scored = inbound_events_raw.c, inbound_events_classified.c
    query = select(
        raw.event_uid,
        raw.cluster_id,
        raw.feed,
        raw.title,
        raw.published_at,
        raw.fetched_at,
        scored.scored_at,
        scored.tickers,
        scored.sentiment_score,
        scored.confidence,
    ).join(inbound_events_classified, scored.event_uid == raw.event_uid)
    with engine.connect() as connection:
        rows = connection.execute(query).all()
    return [
        Fact(
            uid,
            cluster,
            feed,
            title,
            None if published is None else require_utc(published),
            require_utc(fetched),
            require_utc(at),
            tuple(tickers),
            score,
            confidence,
        )
        for uid, cluster, feed, title, published, fetched, at, tickers, score, confidence in rows
    ]


def views(told: Sequence[Fact], as_of: datetime) -> Mapping[str, View]:
    """Per ticker what counts at ``as_of``; a ticker without news is absent."""
    first: dict[tuple[str, str], Fact] = {}
    for fact in sorted(told, key=lambda each: (each.known, each.uid)):
        if fact.fetched > as_of or fact.scored > as_of or fact.known <= as_of - WINDOW:
            continue
        if fact.published is None or fact.published > as_of or fact.published <= as_of - AGE:
            continue
        if fact.confidence <= 0:
            continue
        for ticker in fact.tickers:
            first.setdefault((ticker, fact.cluster), fact)
    found: dict[str, list[Fact]] = defaultdict(list)
    for (ticker, _), fact in first.items():
        found[ticker].append(fact)
    return {ticker: View(tuple(voices)) for ticker, voices in found.items()}
