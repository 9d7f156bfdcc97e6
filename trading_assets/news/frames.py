"""Stored news as frames: the stories and the scores of one New York calendar day, as they were known at an instant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
from sqlalchemy import Engine

from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.ledger import news as store
from trading_assets.ledger.news import StoredScore
from trading_assets.market.frames import NEWS, SENTIMENT, conform


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """[start, end) of a New York calendar day in UTC; 23 or 25 hours when the clocks change."""
    start = datetime.combine(day, time(), NEW_YORK).astimezone(UTC)
    return start, datetime.combine(day + timedelta(days=1), time(), NEW_YORK).astimezone(UTC)


def news_frame(engine: Engine, day: date, as_of: datetime) -> pl.DataFrame:
    """Stories fetched on ``day`` and not after ``as_of``, the first received first (schema ``NEWS``)."""
    start, end = day_bounds(day)
    with engine.connect() as connection:
        stories = store.stories_between(connection, start, end, require_utc(as_of))
    rows = [{column: getattr(story, column) for column in NEWS} for story in stories]
    return conform(pl.DataFrame(rows, schema=NEWS), NEWS, "news")


def sentiment_frame(
    engine: Engine, day: date, model: str | None, revision: str | None, as_of: datetime
) -> pl.DataFrame:
    """Scores of this model version for stories fetched on ``day``, known at ``as_of`` (schema ``SENTIMENT``). Without
    a model those of every version: a story that was scored anew has rows of each, and ``model`` and ``revision`` tell
    which.

    One row per story and ticker, in the story's order of tickers; one row with a null ticker for a story that names
    none. ``known_at`` is the later of fetched and scored. ``how`` and ``matched`` say why the story was taken for the
    ticker; where the words about it were scored by themselves, ``clause`` holds them, and the score is theirs.
    """
    start, end = day_bounds(day)
    with engine.connect() as connection:
        scored = store.scored_between(connection, start, end, model, revision, require_utc(as_of))
    rows = [
        {
            "event_uid": each.story.event_uid,
            "cluster_id": each.story.cluster_id,
            "ticker": ticker,
            "published_at": each.story.published_at,
            "fetched_at": each.story.fetched_at,
            "scored_at": each.score.scored_at,
            "known_at": max(each.story.fetched_at, each.score.scored_at),
            "score": mention.get("score", each.score.score),
            "label": mention.get("label", each.score.label),
            "confidence": mention.get("confidence", each.score.confidence),
            "model": each.score.model,
            "revision": each.score.revision,
            "title": each.story.title,
            "how": mention.get("how"),
            "matched": mention.get("matched"),
            "clause": mention.get("clause"),
        }
        for each in scored
        for ticker, mention in _by_ticker(each.score)
    ]
    return conform(pl.DataFrame(rows, schema=SENTIMENT), SENTIMENT, "sentiment")


def _by_ticker(score: StoredScore) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Each ticker with its mention; a row without a ticker has none."""
    told = {mention["symbol"]: mention for mention in score.mentions}
    for ticker in score.tickers or (None,):
        yield ticker, told.get(ticker, {}) if ticker is not None else {}


def newest_scores(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each story in a frame of sentiment the rows of the version that scored it last: for looking back. A decision
    counts the first one."""
    return rows.filter(pl.col("scored_at") == pl.col("scored_at").max().over("event_uid"))
