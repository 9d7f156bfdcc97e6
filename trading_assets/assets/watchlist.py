"""``watchlist``: the tickers worth deciding on, scored on a five-minute grid, by session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, cast

import polars as pl

from trading_assets.assets.eligible import eligible_only
from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.groups import DECISIONS
from trading_assets.assets.history import instants
from trading_assets.assets.preview import table
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS, same_day_news
from trading_assets.market.frames import WATCHLIST, empty
from trading_assets.market.sessions import require_session
from trading_assets.resources.desk import Desk
from trading_assets.strategy.watchlist import grid, is_due, watchlist_over


def _observe(desk: Desk, scope: Scope) -> Observed:
    as_of = desk.frames.last_as_of("features", scope.key) or desk.clock.now()
    previous = desk.frames.read("watchlist", [scope.key])
    config = desk.settings.strategy.watchlist
    done = cast("datetime | None", previous["as_of"].max())
    if not is_due(done, as_of, require_session(scope.day), config):
        return Observed(
            empty(WATCHLIST), as_of, came_in="the clock: between two instants of the grid nothing is scored"
        )
    rows = _compute(desk, scope, [as_of], previous)
    if rows.height:
        from trading_assets.ledger.watchlist import replace_watchlist

        with desk.ledger.begin() as connection:
            replace_watchlist(connection, rows.filter("member").to_dicts(), scope.day)
    return Observed(rows, as_of)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    session = require_session(scope.day)
    decided = instants(session, as_ofs)
    return Observed(_compute(desk, scope, grid(decided, session, desk.settings.strategy.watchlist), None), scope.now)


def _compute(desk: Desk, scope: Scope, as_ofs: Sequence[datetime], previous: pl.DataFrame | None) -> pl.DataFrame:
    return watchlist_over(
        eligible_only(desk, scope.day, desk.frames.read("features", [scope.key])),
        desk.frames.read_settled("sentiment", scope.key),
        as_ofs=as_ofs,
        previous=previous,
        config=desk.settings.strategy.watchlist,
        signals=desk.settings.strategy.signals,
        news=desk.settings.strategy.news_view,
    )


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    odd = rows.filter(~pl.col("score").is_between(0, 1)).height
    yield Finding("watchlist_in_range", odd == 0, f"{odd} scores lie outside [0, 1]")


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    if not rows.height:
        return {}
    newest = rows.filter(pl.col("as_of") == pl.col("as_of").max()).sort("rank", nulls_last=True)
    entered = newest.filter(pl.col("member") & (pl.col("entered_at") == pl.col("as_of"))).height
    shown = {"rank": "rank", "ticker": "ticker", "score": "score", "direction": "direction", "reason": "why"}
    return {
        "tickers": newest["ticker"].n_unique(),
        "tickers_without_score": newest["score"].null_count(),
        "members": newest.filter("member").height,
        "members_entered": entered,
        "best": table(newest.filter("member").to_dicts(), shown),
    }


watchlist = frame_asset(
    Product(
        name="watchlist",
        group=DECISIONS,
        description=(
            "Every followed ticker scored from 0 to 1 by technical setup, relative volume, sentiment and performance; "
            "the best thirty are members. Each factor is stored, and why a ticker entered or left. One that is "
            "followed only because something is open in it is not scored."
        ),
        kinds=frozenset({"polars", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["features", same_day_news("sentiment"), same_day_news("universe")],
        checks={"watchlist_in_range": "Scores lie in [0, 1]."},
        check=_check,
        numbers=_numbers,
        missing="a ticker one of whose factors is unknown has no score and is no member",
        as_of_column="as_of",
    )
)
