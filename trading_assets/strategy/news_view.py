"""What the news says about a ticker at an instant: stories known by then, one voice per cluster."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_assets.market.frames import INSTANT
from trading_assets.strategy.config_signals import NewsViewConfig

NEWS_VIEW = {
    "as_of": INSTANT,
    "ticker": pl.String(),
    "sentiment": pl.Float64(),
    "news_count": pl.Int64(),
    "news_age_s": pl.Float64(),
}


def aggregate_sentiment(sentiment: pl.DataFrame, as_ofs: Sequence[datetime], config: NewsViewConfig) -> pl.DataFrame:
    """Per instant and ticker: ``sentiment`` (confidence-weighted mean signed score, -1 to 1), ``news_count`` (clusters)
    and ``news_age_s`` (seconds since the newest became known). A ticker without news has no row.

    A story counts if it became known within the window before the instant and was published within the last three
    hours and not after the instant: a backlog fetched at a cold start is not news, nor is a date in the future. Of a
    cluster the story that was known first speaks, and a story that was scored anew by another model speaks with its
    first score: it does not become news again. A story without a publication date, a score or a positive confidence
    does not count.
    """
    if sentiment.is_empty() or not as_ofs:
        return pl.DataFrame(schema=NEWS_VIEW)
    voices = _voices(sentiment, as_ofs, config)
    known, weight = pl.col("known_at"), pl.col("confidence")
    return (
        voices.group_by("as_of", "ticker", maintain_order=True)
        .agg(
            ((pl.col("score") * weight).sum() / weight.sum()).alias("sentiment"),
            pl.len().cast(pl.Int64).alias("news_count"),
            (pl.col("as_of").first() - known.max()).dt.total_microseconds().truediv(1e6).alias("news_age_s"),
        )
        .select([pl.col(name).cast(dtype) for name, dtype in NEWS_VIEW.items()])
        .sort("as_of", "ticker")
    )


def stories_at(sentiment: pl.DataFrame, as_of: datetime, ticker: str, config: NewsViewConfig) -> pl.DataFrame:
    """Every story about ``ticker`` that was known at ``as_of``, the newest known first, with two columns more.

    ``counts`` says whether it is one of those that :func:`aggregate_sentiment` weighs, ``why`` why, or why not.
    """
    known, published = pl.col("known_at"), pl.col("published_at")
    stories = _first_scores(sentiment.filter((pl.col("ticker") == ticker) & (known <= as_of)))
    voices = _voices(stories, [as_of], config)["event_uid"]
    why = (
        pl.when(pl.col("event_uid").is_in(voices.implode()))
        .then(pl.lit("counts"))
        .when(published.is_null())
        .then(pl.lit("no publication date"))
        .when(_weighed().not_())
        .then(pl.lit("no usable score or confidence"))
        .when(known <= as_of - timedelta(minutes=config.window_minutes))
        .then(pl.lit(f"known for {config.window_minutes} min or longer"))
        .when(published > as_of)
        .then(pl.lit("published in the future"))
        .when(published <= as_of - timedelta(minutes=config.max_story_age_minutes))
        .then(pl.lit(f"published {config.max_story_age_minutes} min before or earlier"))
        .otherwise(pl.lit("another story of its event was known first"))
    )
    judged = stories.with_columns(counts=pl.col("event_uid").is_in(voices.implode()), why=why)
    return judged.sort("known_at", "event_uid", descending=[True, False])


def _weighed() -> pl.Expr:
    score, confidence = pl.col("score"), pl.col("confidence")
    return (score.is_finite() & confidence.is_finite() & (confidence > 0)).fill_null(False)


def _first_scores(sentiment: pl.DataFrame) -> pl.DataFrame:
    """Of a story that several model versions scored, the rows of the score that was known first."""
    return sentiment.sort("known_at", maintain_order=True).unique(
        ["event_uid", "ticker"], keep="first", maintain_order=True
    )


def _voices(sentiment: pl.DataFrame, as_ofs: Sequence[datetime], config: NewsViewConfig) -> pl.DataFrame:
    """Per instant and ticker the stories that count, the first known of each cluster."""
    moments = pl.DataFrame({"as_of": list(as_ofs)}, schema={"as_of": INSTANT})
    known, published = pl.col("known_at"), pl.col("published_at")
    stories = _first_scores(sentiment).filter(pl.col("ticker").is_not_null() & published.is_not_null() & _weighed())
    counted = moments.join(stories, how="cross").filter(
        (known <= pl.col("as_of"))
        & (known > pl.col("as_of") - timedelta(minutes=config.window_minutes))
        & (published <= pl.col("as_of"))
        & (published > pl.col("as_of") - timedelta(minutes=config.max_story_age_minutes))
    )
    return counted.sort("as_of", "ticker", "cluster_id", "known_at", "event_uid").unique(
        ["as_of", "ticker", "cluster_id"], keep="first", maintain_order=True
    )
