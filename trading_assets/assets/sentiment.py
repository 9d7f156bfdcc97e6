"""``sentiment``: signed scores of the articles, one row per story and ticker, by New York calendar day.

A minute scores what no model has scored yet, for a bounded time, feeds by turns. What another model version has
scored is scored anew by a backfill alone, in a run of its own: the partitions are stale once the model is another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import polars as pl
from dagster import AssetsDefinition, get_dagster_logger

from trading_assets.assets.broker_list import broker_list
from trading_assets.assets.day_end import day_that_ended
from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.groups import NEWS
from trading_assets.assets.scope import Kind, Scope
from trading_assets.automation.names import NEWS_JOB, NEWS_TICK
from trading_assets.automation.partitions import DAYS
from trading_assets.resources.desk import Desk

#: A list that is older is told: new listings are not known by name.
_LIST_AGE = timedelta(hours=25)
#: A minute scores stories of so long ago at most: what is older can no longer be news to a decision.
_RECENT = timedelta(hours=6)
#: Stories that a minute looks at; its time ends before.
_LIMIT = 5_000
_VERSION = ["event_uid", "model", "revision"]


def _observe(desk: Desk, scope: Scope) -> Observed:
    from trading_assets.news.classify import classify_pending
    from trading_assets.news.listing import refresh_list
    from trading_assets.news.sentiment import ModelUnavailable

    listing = refresh_list(desk.ledger, lambda: broker_list(desk), desk.clock)
    desk.unlisted = listing.error
    config = desk.settings.strategy.news.model
    try:
        report = classify_pending(
            desk.ledger,
            desk.model,
            desk.tickers,
            desk.clock,
            _LIMIT,
            since=scope.now - _RECENT,
            infer=desk.inference(),
            seconds=config.minute_seconds,
        )
    except ModelUnavailable as problem:
        # Told by the check, which fails the run: nothing is scored, and nothing else is lost.
        desk.unscored = {"*": str(problem)}
        now = desk.clock.now()
        return Observed(_unseen(desk, scope, now), now, {f"all stories: {problem}": 1}, "unscored stories")
    desk.unscored = report.failures
    came_in = f"{report.pending} unscored stories: {report.scored} scored by {report.model} {report.revision}"
    if report.left:
        came_in += f", {report.left} left for the next minute"
    if listing.asked:
        came_in += f"; list of assets: {listing.error or f'{listing.symbols} companies read'}"
    ended = day_that_ended(desk, scope, "sentiment")
    if ended is not None and (late := _unseen(desk, ended, desk.clock.now())).height:
        desk.frames.append_settled("sentiment", ended.key, desk.clock, lambda at: _recorded(late, at))
        came_in += f"; {late.height} rows of the end of the day before, recorded in it"
    now = desk.clock.now()
    return Observed(_unseen(desk, scope, now), now, _why(report.failures), came_in)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    came_in, left_out = _score_day(desk, scope)
    now = desk.clock.now()
    return Observed(_stored(desk, scope, now), now, left_out, came_in)


def _complete(desk: Desk, scope: Scope, stored: pl.DataFrame) -> Observed:
    """What a backfill adds to a day that was observed live: the stories that the present model had not scored.

    They are known from now on, so that no decision of that day can see them; its own rows stay as they were.
    """
    came_in, left_out = _score_day(desk, scope)
    now = desk.clock.now()
    return Observed(_stored(desk, scope, now).join(stored, on=_VERSION, how="anti"), now, left_out, came_in)


def _score_day(desk: Desk, scope: Scope) -> tuple[str, dict[str, int]]:
    """Let the present model score what it has not scored of the day; what came of it in words, and what is left out."""
    from trading_assets.news.classify import classify_day
    from trading_assets.news.frames import day_bounds

    log = get_dagster_logger()
    report = classify_day(
        desk.ledger,
        desk.model,
        desk.tickers,
        desk.clock,
        *day_bounds(scope.day),
        tell=lambda progress: log.info(f"sentiment {scope.key}: {progress}"),
    )
    desk.unscored = report.failures
    return f"{report.scored} stories scored anew by {report.model} {report.revision}", _why(report.failures)


def _why(failures: dict[str, str]) -> dict[str, int]:
    """How many stories could not be scored for which reason, the commonest first."""
    reasons = Counter(failures.values())
    return {f"stories that could not be scored ({reason})": count for reason, count in reasons.most_common(10)}


def _unseen(desk: Desk, scope: Scope, now: datetime) -> pl.DataFrame:
    """Rows of the day's scored stories that no minute has recorded. A story is recorded with the score that was known
    first: scored anew, it is not news again."""
    seen = desk.frames.read("sentiment", [scope.key]).select("event_uid").unique()
    rows = _stored(desk, scope, now).join(seen, on="event_uid", how="anti")
    first = rows.select(_VERSION).unique("event_uid", keep="first", maintain_order=True)
    return rows.join(first, on=_VERSION, how="semi")


def _recorded(rows: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Known from ``at`` on, when they are recorded: a run of the session beside this one could not see a score that was
    made a while before, and its decisions, computed anew, must not either."""
    return rows.with_columns(known_at=pl.max_horizontal("known_at", pl.lit(at, rows.schema["known_at"])))


def _stored(desk: Desk, scope: Scope, as_of: datetime) -> pl.DataFrame:
    from trading_assets.news.frames import sentiment_frame

    return sentiment_frame(desk.ledger, scope.day, None, None, as_of)


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    odd = rows.filter(~pl.col("score").is_between(-1, 1) | ~pl.col("confidence").is_between(0, 1)).height
    yield Finding(
        "sentiment_in_range", odd == 0, f"{odd} scores lie outside [-1, 1] or their confidence outside [0, 1]"
    )
    from trading_assets.ledger.news import unscored_between
    from trading_assets.news.frames import day_bounds

    with desk.ledger.connect() as connection:
        waiting = unscored_between(connection, None, *day_bounds(scope.day))
    reasons = [reason for reason, _ in Counter(desk.unscored.values()).most_common(3)]
    unusable = "*" in desk.unscored
    told = f"{waiting} articles of the day still wait for a score" + (f": {'; '.join(reasons)}" if reasons else "")
    # A story that no model can read is a warning; a model that cannot be used is a failure.
    passed = waiting == 0 and not unusable
    yield Finding("every_article_scored", passed, told, {"waiting": waiting, "reasons": reasons}, not unusable)
    yield _listed(desk, scope)


def _listed(desk: Desk, scope: Scope) -> Finding:
    """Whether the names of the broker's list of assets are known, and of these days."""
    from trading_assets.ledger.companies import count_listed, last_seen

    with desk.ledger.connect() as connection:
        seen, symbols = last_seen(connection), count_listed(connection)
    if seen is None:
        said = "the broker's list of assets was never read: only followed companies are found, by names of our own"
        return Finding("companies_listed", False, said, {"listed_companies": 0}, warning=True)
    fresh = scope.kind is not Kind.LIVE or (desk.unlisted is None and scope.now - seen <= _LIST_AGE)
    said = f"{symbols} symbols of the broker's list of assets, read {seen:%Y-%m-%d %H:%M} UTC"
    if not fresh:
        said += f"; it stays: {desk.unlisted or 'no newer one was taken, and the run of a quarter of an hour says why'}"
    return Finding("companies_listed", fresh, said, {"listed_companies": symbols}, warning=True)


def _of_another_model(desk: Desk, scope: Scope) -> dict[str, int]:
    """How many of the day's stories were scored, but never by the present model. The day on which the model changed is
    not stale for long: its next minute is by the present code, though the stories before it are not."""
    from trading_assets.ledger.news import unscored_between
    from trading_assets.news.frames import day_bounds
    from trading_assets.news.sentiment import ModelUnavailable

    try:
        present = desk.model.name, desk.model.revision
    except ModelUnavailable:
        return {}
    begin, end = day_bounds(scope.day)
    with desk.ledger.connect() as connection:
        never = unscored_between(connection, None, begin, end)
        return {"stories_of_another_model": unscored_between(connection, present, begin, end) - never}


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    of_another = _of_another_model(desk, scope)
    if not rows.height:
        return of_another
    from trading_assets.news.frames import newest_scores

    waited = (rows["known_at"] - rows["fetched_at"]).max()
    scored_by = rows.group_by("model", "revision").agg(pl.col("event_uid").n_unique()).sort("model", "revision")
    return {
        **of_another,
        "stories": rows["event_uid"].n_unique(),
        "tickers": rows["ticker"].drop_nulls().n_unique(),
        "mean_score": round(cast("float", newest_scores(rows)["score"].mean()), 4),
        "scored_by": "; ".join(f"{model} {revision}: {count}" for model, revision, count in scored_by.iter_rows()),
        **({"lag_s": round(waited.total_seconds(), 3)} if scope.kind is Kind.LIVE and waited is not None else {}),  # type: ignore[union-attr]
    }


_PRODUCT = Product(
    name="sentiment",
    group=NEWS,
    description=(
        "Signed sentiment of each story, P(positive) - P(negative) in [-1, 1], with the model and revision that scored "
        "it, once per ticker the story names. An article that could not be scored stays unscored and is tried again; "
        "it is never stored as neutral. Another model makes the partitions stale: a backfill scores their stories "
        "anew, each then has rows of both versions, and those are known from the backfill on."
    ),
    kinds=frozenset({"huggingface", "parquet"}),
    code_version="3",
    partitions=DAYS,
    job=NEWS_JOB,
    tick=NEWS_TICK,
    observe=_observe,
    rebuild=_rebuild,
    complete=_complete,
    recorded=_recorded,
    deps=["news"],
    checks={
        "sentiment_in_range": "Scores lie in [-1, 1], confidences in [0, 1].",
        "every_article_scored": (
            "No article of the day waits for a score (a warning, never a block), and the model can be used (else the "
            "run fails)."
        ),
        "companies_listed": "The broker's list of assets was read whole within a day (a warning, never a block).",
    },
    check=_check,
    numbers=_numbers,
    missing="a story without a score has no row yet; a story that names no followed company has a null `ticker`",
)


def sentiment_by(model_version: str) -> AssetsDefinition:
    """The asset as the given model version makes it: another version makes its partitions stale."""
    return frame_asset(replace(_PRODUCT, code_version=f"{_PRODUCT.code_version} {model_version}"))


sentiment = frame_asset(_PRODUCT)
