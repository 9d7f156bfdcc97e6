"""``daily_bars``: for each session, the daily bars of the sessions before it, as known before it opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import cast

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, frame_asset
from trading_assets.assets.scope import Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.frames import DAILY_BARS, empty
from trading_assets.market.sessions import shift
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    stored = desk.frames.read("daily_bars", [scope.key])
    if stored.height and stored["session"].max() == shift(scope.day, -1).day:
        return Observed(empty(DAILY_BARS), scope.now)
    # Fetched before the previous session's bars were there, or not yet: what is missing is added.
    fetched = _fetch(desk, scope, known_how="observed")
    return Observed(fetched.join(stored, on=["ticker", "session"], how="anti"), desk.clock.now())


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    return Observed(_fetch(desk, scope, known_how="assumed"), scope.now)


def _fetch(desk: Desk, scope: Scope, *, known_how: str) -> pl.DataFrame:
    count = desk.settings.strategy.collection.daily_sessions
    first, last = shift(scope.day, -count), shift(scope.day, -1)
    rows = desk.data.daily_bars(desk.universe, first.day, last.day)
    known = pl.lit(desk.clock.now()) if known_how == "observed" else pl.lit(last.close)
    return (
        rows.with_columns(known_at=known.cast(DAILY_BARS["known_at"]), known_how=pl.lit(known_how))
        .select(list(DAILY_BARS))
        .sort("ticker", "session")
    )


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    stored = desk.frames.read("daily_bars", [scope.key]) if not rows.height else rows
    doubled = stored.height - stored.select("ticker", "session").n_unique()
    yield Finding("daily_bars_unique", doubled == 0, f"{doubled} rows repeat a ticker and session")
    newest = cast("date | None", stored["session"].max())
    expected = shift(scope.day, -1).day
    yield Finding(
        "daily_bars_reach_the_previous_session",
        newest == expected,
        f"the newest daily bar is of {newest}, the previous session was {expected}",
    )


daily_bars = frame_asset(
    Product(
        name="daily_bars",
        group="market_data",
        description=(
            "Daily bars of up to 300 sessions before the partition's session, for the one-day trend, correlation and "
            "volatility rank. Fetched once per session, before its first decision."
        ),
        kinds=frozenset({"alpaca", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        checks={
            "daily_bars_unique": "One row per ticker and session.",
            "daily_bars_reach_the_previous_session": "The newest daily bar is the previous session's.",
        },
        check=_check,
        numbers=lambda rows: {"tickers": rows["ticker"].n_unique()},
        column_notes={"session": "the day the bar covers", "volume": "shares"},
    )
)
