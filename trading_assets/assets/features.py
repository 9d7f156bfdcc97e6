"""``features``: technical features per ticker and deciding bar, by session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import cast

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, coverage, frame_asset, lag
from trading_assets.assets.groups import ANALYSIS
from trading_assets.assets.history import MINUTE, instants, known_splits, minute_bars, window
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.features import compute_features
from trading_assets.market.sessions import require_session
from trading_assets.market.splits import known_too_late
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    as_of = desk.clock.now()
    rows = _compute(desk, scope, [as_of])
    return Observed(
        rows, as_of, came_in=f"the minute bars of {len(window(desk, scope.day))} sessions up to this minute"
    )


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_compute(desk, scope, instants(require_session(scope.day), as_ofs)), scope.now)


def _compute(desk: Desk, scope: Scope, as_ofs: Sequence[datetime]) -> pl.DataFrame:
    sessions = window(desk, scope.day)
    splits = known_splits(desk, scope.day)
    rows = compute_features(
        minute_bars(desk, sessions),
        desk.frames.read("daily_bars", [scope.key]),
        sessions=sessions,
        as_ofs=as_ofs,
        config=desk.settings.strategy.features,
        splits=splits,
    )
    late = known_too_late(splits, sessions[-1])
    if late.is_empty():
        return rows
    # Its earlier bars are of other shares than today's: no feature is better than one across the jump.
    told = rows.join(late.rename({"known_at": "_late"}), on="ticker", how="left", maintain_order="left")
    return told.filter(pl.col("_late").is_null() | (pl.col("as_of") < pl.col("_late"))).drop("_late")


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    doubled = rows.height - rows.select("ticker", "as_of").n_unique()
    yield Finding("features_unique", doubled == 0, f"{doubled} rows repeat a ticker and instant")
    numeric = [column for column, dtype in rows.schema.items() if dtype == pl.Float64]
    unreal = rows.select(pl.sum_horizontal((~pl.col(c).is_finite()).sum() for c in numeric)).item() if numeric else 0
    odd = rows.filter(~pl.col("rsi14").is_between(0, 100) | (pl.col("atr14") < 0)).height
    yield Finding(
        "features_in_range",
        unreal == 0 and odd == 0,
        f"{unreal} values are NaN or infinite; {odd} rows have an impossible RSI or ATR",
    )


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, float]:
    if not rows.height:
        return {}
    return {
        **coverage(desk, scope, rows),
        "instants": rows["as_of"].n_unique(),
        "rows_without_trend": rows["trend_state"].null_count(),
        **lag(scope, cast("datetime", rows["ts"].max()) + MINUTE),
    }


features = frame_asset(
    Product(
        name="features",
        group=ANALYSIS,
        description=(
            "Technical features per ticker and deciding minute: moving averages, RSI, ATR, MACD, Bollinger, Donchian "
            "bands, relative volume, volatility and the trend on five timeframes."
        ),
        kinds=frozenset({"polars", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        deps=["bars", "daily_bars", "splits"],
        checks={
            "features_unique": "One row per ticker and instant.",
            "features_in_range": "No NaN or infinity; RSI in 0..100, ATR not negative.",
        },
        check=_check,
        numbers=_numbers,
        missing="a value whose window has too few bars is null; a ticker without a bar has no row",
        as_of_column="as_of",
    )
)
