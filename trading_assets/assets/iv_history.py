"""``iv_history``: the 30-day at-the-money implied volatility of every followed ticker, by session."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import polars as pl

from trading_assets.assets.frame_asset import Observed, Product, followed, frame_asset
from trading_assets.assets.groups import MARKET_DATA
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.iv_history import iv_rows
from trading_assets.market.sessions import require_session
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    stored = desk.frames.read("iv_history", [scope.key])
    return Observed(_compute(desk, scope, set(stored.select("ticker", "chain_at").iter_rows())), desk.clock.now())


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_compute(desk, scope, ()), scope.now)


def _compute(desk: Desk, scope: Scope, stored: Collection[tuple[str, datetime]]) -> pl.DataFrame:
    session, strategy = require_session(scope.day), desk.settings.strategy
    offsets = strategy.collection.archive_minutes_after_open
    return iv_rows(
        desk.frames.read("option_chains", [scope.key]),
        session=session,
        due=[session.open + timedelta(minutes=offset) for offset in offsets],
        config=strategy.context,
        stored=stored,
    )


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, int]:
    if not rows.height:
        return {}
    known = set(rows.filter(pl.col("iv").is_not_null())["ticker"].to_list())
    return {"ivs": len(known), "ivs_unknown": len(set(followed(desk, scope)) - known)}


iv_history = frame_asset(
    Product(
        name="iv_history",
        group=MARKET_DATA,
        description=(
            "The archive behind the IV rank: from each archived chain the at-the-money implied volatility, "
            "interpolated in total variance to a constant 30 days. Of a session's figures the one known last counts."
        ),
        kinds=frozenset({"polars", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["option_chains"],
        numbers=_numbers,
        missing="a ticker whose chain was not archived has no row; a chain that gives no volatility has a null one",
    )
)
