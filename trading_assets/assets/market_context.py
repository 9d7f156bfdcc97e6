"""``market_context``: the index's trend and the volatility regime at each decision, by session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl

from trading_assets.assets.frame_asset import Observed, Product, frame_asset, lag
from trading_assets.assets.groups import ANALYSIS
from trading_assets.assets.history import instants
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.context import market_context as compute_context
from trading_assets.market.sessions import require_session, shift
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    as_of = desk.frames.last_as_of("features", scope.key) or desk.clock.now()
    return Observed(_compute(desk, scope, [as_of]), as_of)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_compute(desk, scope, instants(require_session(scope.day), as_ofs)), scope.now)


def _compute(desk: Desk, scope: Scope, as_ofs: Sequence[datetime]) -> pl.DataFrame:
    previous = shift(scope.day, -1)
    return compute_context(
        desk.frames.read("features", [scope.key]),
        desk.frames.read("option_chains", [previous.key, scope.key]),
        session=require_session(scope.day),
        previous_session=previous,
        as_ofs=as_ofs,
        config=desk.settings.strategy.context,
    )


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, Any]:
    if not rows.height:
        return {}
    newest = rows.row(-1, named=True)
    found = {name: newest[name] for name in ("regime", "regime_reason", "vix", "index_close", "index_trend_1d")}
    return {name: value for name, value in found.items() if value is not None} | lag(scope, newest["vix_at"])


market_context = frame_asset(
    Product(
        name="market_context",
        group=ANALYSIS,
        description=(
            "Trend of the index and the volatility regime. Without a VIX feed the level is the index's 30-day "
            "at-the-money implied volatility and is named as such; an unknown level counts as elevated."
        ),
        kinds=frozenset({"polars", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["features", "option_chains"],
        numbers=_numbers,
        missing="without a chain of the index the level is null, and the regime counts as elevated",
        as_of_column="as_of",
    )
)
