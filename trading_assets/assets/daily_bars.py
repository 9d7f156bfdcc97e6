"""``daily_bars``: for each session, the daily bars of the sessions before it, as known before it opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import cast

import polars as pl

from trading_assets.assets.frame_asset import Finding, Observed, Product, coverage, frame_asset
from trading_assets.assets.groups import MARKET_DATA
from trading_assets.assets.scope import Kind, Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.frames import DAILY_BARS, empty
from trading_assets.market.sessions import require_session, shift
from trading_assets.resources.desk import Desk


def _observe(desk: Desk, scope: Scope) -> Observed:
    stored = desk.frames.read("daily_bars", [scope.key])
    wanted: Sequence[str] = desk.universe
    if stored.height and stored["session"].max() == shift(scope.day, -1).day:
        there = set(stored["ticker"].unique().to_list())
        wanted = [ticker for ticker in desk.entered(require_session(scope.day).open) if ticker not in there]
        if not wanted:
            return Observed(empty(DAILY_BARS), scope.now)
    # Fetched before the previous session's bars were there, or not yet, or of a ticker that entered since.
    fetched = _fetch(desk, scope, wanted, known_how="observed")
    new = fetched.join(stored, on=["ticker", "session"], how="anti")
    known_already = f"; {fetched.height - new.height} were stored before"
    return Observed(new, desk.clock.now(), came_in=_told(fetched) + known_already)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    rows = _fetch(desk, scope, desk.universe_in(scope.day), known_how="assumed")
    return Observed(rows, scope.now, came_in=_told(rows))


def _told(rows: pl.DataFrame) -> str:
    first, last = cast("date | None", rows["session"].min()), cast("date | None", rows["session"].max())
    return f"daily bars of {rows['ticker'].n_unique()} tickers, {first} to {last}"


def _fetch(desk: Desk, scope: Scope, tickers: Sequence[str], *, known_how: str) -> pl.DataFrame:
    count = desk.settings.strategy.collection.daily_sessions
    first, last = shift(scope.day, -count), shift(scope.day, -1)
    rows = desk.data.daily_bars(tickers, first.day, last.day)
    known = pl.lit(desk.clock.now()) if known_how == "observed" else pl.lit(last.close)
    return (
        rows.with_columns(known_at=known.cast(DAILY_BARS["known_at"]), known_how=pl.lit(known_how))
        .select(list(DAILY_BARS))
        .sort("ticker", "session")
    )


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    stored = _stored(desk, scope, rows)
    doubled = stored.height - stored.select("ticker", "session").n_unique()
    yield Finding("daily_bars_unique", doubled == 0, f"{doubled} rows repeat a ticker and session")
    newest = cast("date | None", stored["session"].max())
    expected = shift(scope.day, -1).day
    yield Finding(
        "daily_bars_reach_the_previous_session",
        newest == expected,
        f"the newest daily bar is of {newest}, the previous session was {expected}",
    )


def _stored(desk: Desk, scope: Scope, rows: pl.DataFrame) -> pl.DataFrame:
    """The whole partition: after the first minute of a session a run adds nothing to it, or only who entered. One of
    these that lacks the newest bars is left out alone (``entrants.waiting``) and keeps no other from being decided."""
    return rows if rows.height and scope.kind is Kind.PAST else desk.frames.read("daily_bars", [scope.key])


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, int]:
    stored = _stored(desk, scope, rows)
    return coverage(desk, scope, stored) | (_extended(desk, rows) if rows.height else {})


def _extended(desk: Desk, rows: pl.DataFrame) -> dict[str, int]:
    """``bars_extended``: bars that lie before their ticker's recording begins, and so are modelled and not recorded.
    Only where a recording is played, and only by the run that fetched them."""
    since = desk.runtime.recorded_since()
    if since is None:
        return {}
    begins = pl.DataFrame({"ticker": list(since), "begins": list(since.values())})
    known = rows.join(begins, on="ticker", how="left")
    return {"bars_extended": known.filter(pl.col("session") < pl.col("begins")).height}


daily_bars = frame_asset(
    Product(
        name="daily_bars",
        group=MARKET_DATA,
        description=(
            "Daily bars of up to 300 sessions before the partition's session, for the one-day trend, correlation and "
            "volatility rank. Fetched once per session, before its first decision. Where a recording is played, "
            "`bars_extended` counts those that lie before it begins and are modelled."
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
        numbers=_numbers,
        missing="a session without trades has no row; a ticker that is too young has fewer rows",
    )
)
