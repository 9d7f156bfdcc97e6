"""``sentiment``: signed scores of the articles, one row per story and ticker, by New York calendar day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.groups import NEWS
from trading_assets.assets.scope import Kind, Scope
from trading_assets.automation.names import NEWS_JOB, NEWS_TICK
from trading_assets.automation.partitions import DAYS
from trading_assets.resources.desk import Desk

#: A list that is older is told: new listings are not known by name.
_LIST_AGE = timedelta(days=2)


def _observe(desk: Desk, scope: Scope) -> Observed:
    from trading_assets.news.classify import classify_pending
    from trading_assets.news.listing import refresh_list

    listing = refresh_list(desk.ledger, lambda: desk.broker(desk.accounts[0].name).assets(), desk.clock)
    report = classify_pending(desk.ledger, desk.model, desk.tickers, desk.clock)
    seen = desk.frames.read("sentiment", [scope.key]).select("event_uid").unique()
    now = desk.clock.now()
    came_in = f"{report.pending} unscored stories: {report.scored} scored by {report.model}"
    if listing.asked:
        came_in += f"; list of assets: {listing.error or f'{listing.symbols} companies read'}"
    rows = _stored(desk, scope).join(seen, on="event_uid", how="anti")
    return Observed(rows, now, {"stories that could not be scored": report.failed}, came_in)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_stored(desk, scope), scope.now)


def _stored(desk: Desk, scope: Scope) -> pl.DataFrame:
    from trading_assets.news.frames import sentiment_frame

    return sentiment_frame(desk.ledger, scope.day, desk.model.name, desk.model.revision, desk.clock.now())


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    odd = rows.filter(~pl.col("score").is_between(-1, 1) | ~pl.col("confidence").is_between(0, 1)).height
    yield Finding(
        "sentiment_in_range", odd == 0, f"{odd} scores lie outside [-1, 1] or their confidence outside [0, 1]"
    )
    from trading_assets.ledger.news import unscored_count

    with desk.ledger.connect() as connection:
        waiting = unscored_count(connection, desk.model.name, desk.model.revision)
    yield Finding(
        "every_article_scored", waiting == 0, f"{waiting} articles still wait for a score", {"waiting": waiting}, True
    )
    yield _listed(desk, scope)


def _listed(desk: Desk, scope: Scope) -> Finding:
    """Whether the names of the broker's list of assets are known, and of these days."""
    from trading_assets.ledger.companies import current_list, last_seen

    with desk.ledger.connect() as connection:
        seen, symbols = last_seen(connection), len(current_list(connection))
    if seen is None:
        said = "the broker's list of assets was never read: only followed companies are found, by names of our own"
        return Finding("companies_listed", False, said, {"listed_companies": 0}, warning=True)
    fresh = scope.kind is not Kind.LIVE or scope.now - seen <= _LIST_AGE
    said = f"{symbols} symbols of the broker's list of assets, read {seen:%Y-%m-%d %H:%M} UTC"
    return Finding("companies_listed", fresh, said, {"listed_companies": symbols}, warning=True)


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    if not rows.height:
        return {}
    waited = (rows["known_at"] - rows["fetched_at"]).max()
    return {
        "stories": rows["event_uid"].n_unique(),
        "tickers": rows["ticker"].drop_nulls().n_unique(),
        "mean_score": round(cast("float", rows["score"].mean()), 4),
        **({"lag_s": round(waited.total_seconds(), 3)} if scope.kind is Kind.LIVE and waited is not None else {}),  # type: ignore[union-attr]
    }


sentiment = frame_asset(
    Product(
        name="sentiment",
        group=NEWS,
        description=(
            "Signed sentiment of each story, P(positive) - P(negative) in [-1, 1], with the model and revision that "
            "scored it, once per ticker the story names. An article that could not be scored stays unscored and is "
            "tried again; it is never stored as neutral."
        ),
        kinds=frozenset({"huggingface", "parquet"}),
        code_version="2",
        partitions=DAYS,
        job=NEWS_JOB,
        tick=NEWS_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["news"],
        checks={
            "sentiment_in_range": "Scores lie in [-1, 1], confidences in [0, 1].",
            "every_article_scored": "No article waits for a score (a warning, never a block).",
            "companies_listed": "The broker's list of assets was read within two days (a warning, never a block).",
        },
        check=_check,
        numbers=_numbers,
        missing="a story without a score has no row yet; a story that names no followed company has a null `ticker`",
    )
)
