"""Stored news as frames: the stories and the scores of one New York calendar day, as they were known at an instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl
from sqlalchemy import Engine

from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.ledger import news as store
from trading_assets.market.frames import NEWS, SENTIMENT, conform


def news_day(instant: datetime) -> date:
    """The partition day of a story: the New York calendar day on which it was fetched."""
    return require_utc(instant).astimezone(NEW_YORK).date()


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


def sentiment_frame(engine: Engine, day: date, model: str, revision: str, as_of: datetime) -> pl.DataFrame:
    """Scores of this model version for stories fetched on ``day``, known at ``as_of`` (schema ``SENTIMENT``).

    One row per story and ticker, in the story's order of tickers; one row with a null ticker for a story that names
    none. ``known_at`` is the later of fetched and scored.
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
            "score": each.score.score,
            "label": each.score.label,
            "confidence": each.score.confidence,
            "model": each.score.model,
            "revision": each.score.revision,
            "title": each.story.title,
        }
        for each in scored
        for ticker in (each.score.tickers or (None,))
    ]
    return conform(pl.DataFrame(rows, schema=SENTIMENT), SENTIMENT, "sentiment")
