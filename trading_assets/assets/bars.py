"""``bars``: one-minute bars as they became known, by session. A revised bar is a further row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast

import polars as pl

from trading_assets.assets.entrants import complete, lately, waiting
from trading_assets.assets.frame_asset import Finding, Observed, Product, coverage, frame_asset, lag
from trading_assets.assets.groups import MARKET_DATA
from trading_assets.assets.scope import Kind, Scope
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK
from trading_assets.automation.partitions import SESSIONS
from trading_assets.market.bars import clean_bars
from trading_assets.market.frames import BARS
from trading_assets.market.sessions import Session, require_session
from trading_assets.resources.desk import Desk

#: Bars are asked for again for this long, because the feed revises them about half a minute after their end.
REVISION_WINDOW = timedelta(minutes=6)
MINUTE = timedelta(minutes=1)
_VALUES = ["open", "high", "low", "close", "volume", "trade_count", "vwap"]


def _observe(desk: Desk, scope: Scope) -> Observed:
    session = require_session(scope.day)
    stored = desk.frames.read("bars", [scope.key])
    newest = cast("datetime | None", stored["ts"].max())
    start = session.open if newest is None else max(session.open, newest - REVISION_WINDOW)
    finished = _newest(desk, session, stored, start, min(scope.now, session.close))
    received = desk.clock.now()
    known = finished.with_columns(known_at=pl.lit(received).cast(BARS["known_at"]), known_how=pl.lit("observed"))
    clean, left_out = clean_bars(known.select(list(BARS)))
    latest = stored.unique(["ticker", "ts"], keep="last", maintain_order=True)
    new = clean.join(latest, on=["ticker", "ts", *_VALUES], how="anti", nulls_equal=True)
    known_already = f"; {clean.height - new.height} were stored before and are unchanged"
    return Observed(new, received, left_out, _told(finished) + known_already)


def _rebuild(desk: Desk, scope: Scope, as_ofs: Sequence[datetime] | None) -> Observed:
    session = require_session(scope.day)
    finished = _finished(desk, desk.universe_in(scope.day), session.open, session.close)
    known = finished.with_columns(known_at=(pl.col("ts") + MINUTE).cast(BARS["known_at"]), known_how=pl.lit("assumed"))
    clean, left_out = clean_bars(known.select(list(BARS)))
    return Observed(clean, scope.now, left_out, _told(finished))


def _newest(desk: Desk, session: Session, stored: pl.DataFrame, start: datetime, until: datetime) -> pl.DataFrame:
    """What there is since ``start``; of a ticker that entered lately everything since the open, once."""
    # First who is followed, then who of them entered, then who waits: one that a discovery adds in between is left to
    # the next minute. The other way round it would be asked for as if it had been followed since the open.
    universe = desk.universe
    entered = lately(desk, session)
    held_back = waiting(desk, session)
    last = dict(stored.filter(pl.col("ticker").is_in(list(entered))).group_by("ticker").agg(pl.col("ts").max()).rows())
    able = [name for name in universe if name not in held_back]
    behind = [name for name in able if name in entered and (name not in last or last[name] < start)]
    followed = [name for name in able if name not in behind]
    fresh = [name for name in behind if name not in last]
    whole = complete(desk, session, fresh)
    behind = [name for name in behind if name in last or name in whole]
    found = _finished(desk, followed, start, until)
    return pl.concat([found, _finished(desk, behind, session.open, until)]) if behind else found


def _finished(desk: Desk, tickers: Sequence[str], start: datetime, until: datetime) -> pl.DataFrame:
    """The broker's bars of ``tickers`` that start at or after ``start`` and end by ``until``."""
    return desk.data.stock_bars(tickers, start, until).filter(pl.col("ts") + MINUTE <= until)


def _told(finished: pl.DataFrame) -> str:
    if not finished.height:
        return "no finished minute at all"
    first, last = cast("datetime", finished["ts"].min()), cast("datetime", finished["ts"].max())
    tickers = finished["ticker"].n_unique()
    return f"{finished.height} bars of {tickers} tickers, {first:%H:%M} to {last + MINUTE:%H:%M} UTC"


def _numbers(desk: Desk, scope: Scope, rows: pl.DataFrame) -> dict[str, float]:
    if not rows.height:
        return {}
    newest = cast("datetime", rows["ts"].max())
    revised = rows.height - rows.select("ticker", "ts").n_unique()
    return {**coverage(desk, scope, rows), "minutes": rows["ts"].n_unique(), "rows_revised": revised} | lag(
        scope, newest + MINUTE
    )


def _check(desk: Desk, scope: Scope, rows: pl.DataFrame) -> Iterable[Finding]:
    session = require_session(scope.day)
    doubled = rows.height - rows.select("ticker", "ts", "known_at").n_unique()
    yield Finding("bars_unique", doubled == 0, f"{doubled} rows repeat a ticker, minute and instant of knowledge")
    odd = rows.filter(
        (pl.col("low") > pl.min_horizontal("open", "close"))
        | (pl.col("high") < pl.max_horizontal("open", "close"))
        | (pl.col("low") <= 0)
        | (pl.col("volume") < 0)
    ).height
    yield Finding("bars_in_range", odd == 0, f"{odd} bars have impossible prices or volumes")
    beyond = rows.filter(~pl.col("ts").is_between(session.open, session.close, closed="left")).height
    per_ticker = rows.group_by("ticker").agg(pl.col("ts").n_unique().alias("minutes"))["minutes"]
    most = cast("int | None", per_ticker.max()) or 0
    fits = beyond == 0 and most <= session.minutes
    yield Finding(
        "bars_fit_the_calendar",
        fits,
        f"{beyond} bars lie outside the session; at most {most} of {session.minutes} minutes for one ticker",
    )
    yield _freshness(desk, scope, rows, session)


def _freshness(desk: Desk, scope: Scope, rows: pl.DataFrame, session: Session) -> Finding:
    name = "bars_fresh"
    if scope.kind is not Kind.LIVE:
        return Finding(name, True, "not the current minute: freshness does not apply")
    newest = cast("datetime | None", desk.frames.read("bars", [scope.key])["ts"].max())
    limit = desk.settings.strategy.gates.max_bar_age_s
    if newest is None:
        waited = (scope.now - session.open).total_seconds()
        return Finding(name, waited <= limit, f"no bar has been received, {waited:.0f} s after the open")
    age = (min(scope.now, session.close) - (newest + MINUTE)).total_seconds()
    return Finding(name, age <= limit, f"the newest bar ended {age:.0f} s ago (limit {limit:.0f} s)", {"age_s": age})


bars = frame_asset(
    Product(
        name="bars",
        group=MARKET_DATA,
        description=(
            "One-minute bars of all followed tickers, labelled by their start, with the instant at which each version "
            "became known. A bar that the feed revises is a further row."
        ),
        kinds=frozenset({"alpaca", "parquet"}),
        code_version="1",
        partitions=SESSIONS,
        job=MINUTE_JOB,
        tick=MINUTE_TICK,
        observe=_observe,
        rebuild=_rebuild,
        checks={
            "bars_unique": "No version of a bar is stored twice.",
            "bars_in_range": "Prices are positive and ordered, volumes not negative.",
            "bars_fit_the_calendar": "Bars lie inside the session, at most one per ticker and minute of it.",
            "bars_fresh": "In the current session the newest bar ended within the freshness limit.",
        },
        check=_check,
        numbers=_numbers,
        missing="a minute without a trade has no row; gaps are normal for thin names and are not filled",
    )
)
