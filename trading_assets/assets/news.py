"""``news``: every article of the configured feeds, by New York calendar day of the fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from trading_assets.assets.day_end import day_that_ended
from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset, lag
from trading_assets.assets.groups import NEWS
from trading_assets.assets.preview import table
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import NEWS_JOB, NEWS_TICK
from trading_assets.automation.partitions import DAYS
from trading_assets.domain.clock import NEW_YORK
from trading_assets.resources.desk import Desk

if TYPE_CHECKING:
    from trading_assets.news.feed_health import FeedHealth

#: Feeds whose untidiness is told in the run's log.
_REMARKS = 10
#: Feeds in the table of feeds: it is stored every minute, and one with a ticker in its address stands for many.
FEEDS_SHOWN = 50
#: The table of feeds: what is shown of each, and its heading. Those that fail stand first.
FEED_COLUMNS = {
    "feed": "feed",
    "condition": "condition",
    "error_count": "errors in a row",
    "last_success_at": "last read (New York)",
    "next_attempt_at": "next try (New York; empty: next round)",
    "last_error": "last error",
    "waiting": "new stories that wait",
}


def _tickers(desk: Desk) -> tuple[str, ...]:
    """The followed tickers where a feed is read for each of them; they are not asked for without need."""
    return desk.universe if any(feed.is_template for feed in desk.news.feeds) else ()


def _observe(desk: Desk, scope: Scope) -> Observed:
    from trading_assets.news.articles import read_articles
    from trading_assets.news.ingest import ingest
    from trading_assets.news.wire_round import ask_wire

    report = ingest(desk.ledger, desk.news, desk.clock, _tickers(desk))
    wire = ask_wire(desk.ledger, desk.news, desk.clock, desk.news_wire) if desk.news.alpaca.api else None
    articles = read_articles(desk.ledger, desk.news, desk.clock)
    now = desk.clock.now()
    ended = day_that_ended(desk, scope, "news")
    late = _unseen(desk, ended, now) if ended is not None else None
    if ended is not None and late is not None and late.height:
        desk.frames.append("news", ended.key, late, now)
    outcomes = report.outcomes
    came_in = (
        f"{len(outcomes)} feeds: {sum(one.stories for one in outcomes)} stories, {report.stored} of them new; "
        f"{len(report.of_status('not_modified'))} feeds unchanged, {len(report.failed)} failed, "
        f"{len(report.of_status('waiting'))} not asked this time"
    )
    remarks = [f"{one.feed}: {one.remark}" for one in outcomes if one.remark]
    came_in += "".join(f"\n  {remark}" for remark in remarks[:_REMARKS])
    if len(remarks) > _REMARKS:
        came_in += f"\n  and {len(remarks) - _REMARKS} more feeds that were untidy"
    unusable = sum(one.unusable for one in outcomes)
    if wire is not None:
        came_in, unusable = f"{came_in}\n  {wire.sentence()}", unusable + wire.unusable
    if desk.news.articles.enabled:
        came_in += f"\n  {articles.sentence()}"
    if late is not None and late.height:
        came_in += f"\n  {late.height} stories that came at the end of the day before, recorded in it"
    left_out = {"entries without text or identity": unusable}
    return Observed(_unseen(desk, scope, now), now, left_out, came_in)


def _unseen(desk: Desk, scope: Scope, now: datetime) -> pl.DataFrame:
    """Stories of the day that no run has recorded."""
    from trading_assets.news.frames import news_frame

    seen = desk.frames.read("news", [scope.key])["event_uid"]
    return news_frame(desk.ledger, scope.day, now).filter(~pl.col("event_uid").is_in(seen.implode()))


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    from trading_assets.news.frames import news_frame

    return Observed(news_frame(desk.ledger, scope.day, scope.now), scope.now)


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    from trading_assets.news.feed_health import failing_sentence, feed_health, flooding_sentence
    from trading_assets.news.wire_health import wire_troubles

    doubled = rows.height - rows["event_uid"].n_unique()
    yield Finding("news_unique", doubled == 0, f"{doubled} articles appear twice")
    feeds = feed_health(desk.ledger, desk.news, _tickers(desk))
    wires = wire_troubles(desk.ledger, desk.news)
    troubles = [said for said in (failing_sentence(feeds), flooding_sentence(feeds), *wires) if said is not None]
    yield Finding("feeds_answer", not troubles, "; ".join(troubles) or "every feed answered", warning=True)


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    from trading_assets.news.feed_health import feed_health
    from trading_assets.news.wire_health import wire_health

    feeds = [*wire_health(desk.ledger, desk.news), *feed_health(desk.ledger, desk.news, _tickers(desk))]
    found: dict[str, Any] = {
        "stories": rows["cluster_id"].n_unique(),
        "feeds_failing": sum(feed.failing for feed in feeds),
        "feeds": table([_feed_row(feed) for feed in feeds], FEED_COLUMNS, FEEDS_SHOWN),
    }
    if rows.height:
        newest = rows.sort("fetched_at", descending=True)
        # A date in the future, as some feeds have, is no instant that this could lag behind.
        past = rows.filter(pl.col("published_at") <= pl.col("fetched_at"))
        found |= lag(scope, cast("datetime | None", past["published_at"].max()))
        found["headlines"] = table(
            newest.head(5).to_dicts(), {"fetched_at": "fetched (New York)", "source": "source", "title": "title"}
        )
    return found


def _feed_row(feed: FeedHealth) -> dict[str, Any]:
    row = {column: getattr(feed, column) for column in FEED_COLUMNS}
    return {
        column: f"{value.astimezone(NEW_YORK):%Y-%m-%d %H:%M}" if isinstance(value, datetime) else value
        for column, value in row.items()
    }


news = frame_asset(
    Product(
        name="news",
        group=NEWS,
        description=(
            "Articles of the configured RSS and Atom feeds, and of the broker's news where switched on, one row "
            "per story, identified by the hash of its guid. "
            "Near-duplicates share a `cluster_id`. Fetched with conditional requests; one bad feed never stops others."
        ),
        kinds=frozenset({"rss", "parquet"}),
        code_version="1",
        partitions=DAYS,
        job=NEWS_JOB,
        tick=NEWS_TICK,
        observe=_observe,
        rebuild=_rebuild,
        checks={
            "news_unique": "No article is stored twice.",
            "feeds_answer": (
                "Every configured feed answered when it was last asked, with no more than is stored of one (a warning, "
                "never a block)."
            ),
        },
        check=_check,
        numbers=_numbers,
        missing="a story without a usable date has a null `published_at`; a feed that fails adds nothing and is named",
    )
)
