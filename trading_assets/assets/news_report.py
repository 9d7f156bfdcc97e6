"""``news_report``: a day of news as pictures, for a person. Drawn from what is stored; nothing depends on it."""

import warnings
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    BackfillPolicy,
    BetaWarning,
    MarkdownMetadataValue,
    MaterializeResult,
    MetadataValue,
    ResourceParam,
    asset,
)

from trading_assets.assets.frame_asset import OWNER
from trading_assets.assets.groups import NEWS
from trading_assets.assets.news_charts import LANES, Attempt, Lane, Told, draw_health, draw_sentiment, draw_volume
from trading_assets.assets.preview import table
from trading_assets.automation.partitions import DAYS
from trading_assets.automation.tags import RECOMPUTABLE_TAG, tag_session
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.pictures import as_markdown
from trading_assets.resources.desk import Desk

#: Stories that are numbered and stand in the table: those that say most, by score and confidence.
ROWS = 60
#: The line of sentiment has a point so often.
_EVERY = timedelta(minutes=5)
_DESCRIPTION = """A day of news as pictures: sentiment of the most named tickers with its stories, articles by hour and
feed, and how each feed answered.

- **Written** every hour by the job `draw_news_report`, after each session, and by whoever materializes it
- **Partition**: one New York calendar day, by when this system fetched
- **Missing**: a picture without anything to show is left out; answers of feeds are kept for fourteen days
- **Past partitions**: drawn again by a backfill from what is stored"""


def _build() -> AssetsDefinition:
    @asset(
        name="news_report",
        group_name=NEWS,
        description=_DESCRIPTION,
        kinds={"matplotlib"},
        owners=[OWNER],
        tags={RECOMPUTABLE_TAG: "yes"},
        code_version="1",
        partitions_def=DAYS,
        backfill_policy=BackfillPolicy.single_run(),
        deps=["news", "sentiment"],
    )
    def news_report(context: AssetExecutionContext, desk: ResourceParam[Desk]) -> MaterializeResult:  # type: ignore[type-arg]  # Dagster reads the annotation and knows the plain class only
        keys = sorted(context.partition_keys)
        tag_session(context.instance, context.run, keys)
        told = {key: day_of_news(desk, date.fromisoformat(key)) for key in keys}
        for key, metadata in told.items():
            context.log.info(f"news_report {key}: {metadata['articles']} articles, {metadata['stories']} events")
            if len(told) > 1:
                context.add_asset_metadata(metadata, partition_key=key)
        return MaterializeResult(metadata=told[keys[0]] if len(told) == 1 else {"partitions": len(told)})

    return news_report


def day_of_news(desk: Desk, day: date) -> dict[str, Any]:
    """What is told of a day: counts, the pictures there is something for, and the stories that they number."""
    from trading_assets.ledger.feeds import attempts_since
    from trading_assets.news.frames import day_bounds

    key, now = day.isoformat(), desk.clock.now()
    begin, end = day_bounds(day)
    if begin > now:
        raise TradingAssetsError(f"the day {key} lies in the future", where="news_report", mend="Choose a past one.")
    articles = desk.frames.read("news", [key])
    sentiment = desk.frames.read("sentiment", [key]).drop_nulls("ticker")
    told: dict[str, Any] = {
        "articles": articles.height,
        "stories": articles["cluster_id"].n_unique(),
        "tickers": sentiment["ticker"].n_unique(),
    }
    if sentiment.height:
        told |= _sentiment(desk, key, begin, end, min(end, now), sentiment, articles)
    if articles.height:
        arrived = list(articles.select("fetched_at", "feed").iter_rows())
        told["volume"] = _picture("News", key, draw_volume(key, begin, end, arrived, told["stories"]))
    with desk.ledger.connect() as connection:
        attempts = attempts_since(connection, begin)
    feeds: dict[str, list[Attempt]] = {}
    for attempt in (each for each in attempts if each.at < end):
        feeds.setdefault(attempt.feed, []).append(Attempt(attempt.at, attempt.status))
    if feeds:
        told["feeds"] = _picture("Feeds", key, draw_health(key, begin, end, feeds))
    return told


def _sentiment(
    desk: Desk,
    key: str,
    begin: datetime,
    end: datetime,
    until: datetime,
    sentiment: pl.DataFrame,
    articles: pl.DataFrame,
) -> dict[str, Any]:
    from trading_assets.strategy.news_view import aggregate_sentiment

    spoken = sentiment.group_by("ticker").agg(pl.col("cluster_id").n_unique().alias("events"))
    most = spoken.sort(["events", "ticker"], descending=[True, False]).head(LANES)["ticker"].to_list()
    heard = numbered(sentiment, most)
    rows = heard.join(articles.select("event_uid", "source", "link"), on="event_uid", how="left")
    as_ofs = [begin + _EVERY * step for step in range(1, int((until - begin) / _EVERY) + 1)]
    seen = aggregate_sentiment(sentiment, as_ofs, desk.settings.strategy.news_view)
    lanes = [_lane(ticker, heard, seen, as_ofs) for ticker in most]
    shown = {"number": "no.", "known_at": "known (New York)", "ticker": "ticker", "score": "score"}
    shown |= {"confidence": "confidence", "source": "source", "title": "story", "link": "link"}
    return {
        "sentiment": _picture("Sentiment", key, draw_sentiment(key, begin, end, lanes, spoken.height)),
        "told": table(rows.sort("number", nulls_last=True).to_dicts(), shown, ROWS),
    }


def numbered(sentiment: pl.DataFrame, tickers: Sequence[str]) -> pl.DataFrame:
    """The first story of each event about ``tickers``, by when it was known. Those that say most carry a ``number``, in
    the same order from 1; the others a null: the table has no room for them."""
    order = ["known_at", "event_uid", "ticker"]
    heard = sentiment.filter(pl.col("ticker").is_in(tickers)).sort(order)
    heard = heard.unique(["ticker", "cluster_id"], keep="first", maintain_order=True)
    weight = pl.col("score").abs() * pl.col("confidence")
    weighty = heard.sort(weight, *order, descending=[True, False, False, False]).head(ROWS).sort(order)
    numbers = weighty.with_row_index("number", offset=1).select("number", "event_uid", "ticker")
    return heard.join(numbers, on=["event_uid", "ticker"], how="left", maintain_order="left")


def _lane(ticker: str, heard: pl.DataFrame, seen: pl.DataFrame, as_ofs: Sequence[datetime]) -> Lane:
    mine = heard.filter(pl.col("ticker") == ticker)
    stories = [Told(*row) for row in mine.select("known_at", "score", "confidence", "number").iter_rows()]
    values = dict(seen.filter(pl.col("ticker") == ticker).select("as_of", "sentiment").iter_rows())
    return Lane(ticker, stories, [(at, values.get(at)) for at in as_ofs])


def _picture(name: str, key: str, png: bytes) -> MarkdownMetadataValue:
    return MetadataValue.md(as_markdown(f"{name} {key}", png))


with warnings.catch_warnings():
    # Single-run backfills are marked beta in Dagster; the exact version is pinned.
    warnings.simplefilter("ignore", BetaWarning)
    news_report = _build()
