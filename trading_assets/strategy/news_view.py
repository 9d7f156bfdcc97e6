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
    cluster the story that was known first speaks. A story without a publication date, a score or a positive confidence
    does not count.
    """
    if sentiment.is_empty() or not as_ofs:
        return pl.DataFrame(schema=NEWS_VIEW)
    moments = pl.DataFrame({"as_of": list(as_ofs)}, schema={"as_of": INSTANT})
    known, published = pl.col("known_at"), pl.col("published_at")
    weighed = pl.col("score").is_finite() & pl.col("confidence").is_finite() & (pl.col("confidence") > 0)
    stories = sentiment.filter(pl.col("ticker").is_not_null() & published.is_not_null() & weighed)
    counted = moments.join(stories, how="cross").filter(
        (known <= pl.col("as_of"))
        & (known > pl.col("as_of") - timedelta(minutes=config.window_minutes))
        & (published <= pl.col("as_of"))
        & (published > pl.col("as_of") - timedelta(minutes=config.max_story_age_minutes))
    )
    voices = counted.sort("as_of", "ticker", "cluster_id", "known_at", "event_uid").unique(
        ["as_of", "ticker", "cluster_id"], keep="first", maintain_order=True
    )
    weight = pl.col("confidence")
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
