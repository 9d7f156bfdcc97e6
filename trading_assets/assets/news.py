"""``news``: every article of the configured feeds, by New York calendar day of the fetch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset, lag
from trading_assets.assets.groups import NEWS
from trading_assets.assets.preview import table
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import NEWS_JOB, NEWS_TICK
from trading_assets.automation.partitions import DAYS
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    from trading_assets.news.frames import news_frame
    from trading_assets.news.ingest import ingest

    report = ingest(desk.ledger, desk.news, desk.clock)
    seen = desk.frames.read("news", [scope.key])["event_uid"]
    now = desk.clock.now()
    stored = news_frame(desk.ledger, scope.day, now)
    outcomes = report.outcomes
    came_in = (
        f"{len(outcomes)} feeds: {sum(one.stories for one in outcomes)} stories, {report.stored} of them new; "
        f"{sum(one.status == 'not_modified' for one in outcomes)} feeds unchanged, {len(report.failed)} failed"
    )
    left_out = {"entries without text or identity": sum(one.unusable for one in outcomes)}
    return Observed(stored.filter(~pl.col("event_uid").is_in(seen.implode())), now, left_out, came_in)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    from trading_assets.news.frames import news_frame

    return Observed(news_frame(desk.ledger, scope.day, scope.now), scope.now)


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    from trading_assets.ledger.news import failing_feeds

    doubled = rows.height - rows["event_uid"].n_unique()
    yield Finding("news_unique", doubled == 0, f"{doubled} articles appear twice")
    with desk.ledger.connect() as connection:
        failing = failing_feeds(connection)
    names = ", ".join(f"{state.feed} ({state.error_count} times: {state.last_error})" for state in failing)
    yield Finding(
        "feeds_answer", not failing, f"feeds that fail: {names}" if failing else "every feed answered", warning=True
    )


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    from trading_assets.ledger.news import failing_feeds

    with desk.ledger.connect() as connection:
        failing = len(failing_feeds(connection))
    found: dict[str, Any] = {"stories": rows["cluster_id"].n_unique(), "feeds_failing": failing}
    if rows.height:
        newest = rows.sort("fetched_at", descending=True)
        found |= lag(scope, cast("datetime | None", rows["published_at"].max()))
        found["headlines"] = table(
            newest.head(5).to_dicts(), {"fetched_at": "fetched (New York)", "source": "source", "title": "title"}
        )
    return found


news = frame_asset(
    Product(
        name="news",
        group=NEWS,
        description=(
            "Articles of the configured RSS and Atom feeds, one row per story, identified by the hash of its guid. "
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
            "feeds_answer": "Every configured feed answered at its last attempt (a warning, never a block).",
        },
        check=_check,
        numbers=_numbers,
        missing="a story without a usable date has a null `published_at`; a feed that fails adds nothing and is named",
    )
)
