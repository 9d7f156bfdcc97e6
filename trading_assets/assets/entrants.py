"""Tickers that come to be followed: their material is fetched before anything is decided on them.

Minute bars of the sessions before are fetched by the discovery, before its universe becomes known. The minute runs
fetch the rest: daily bars and splits first, then minute bars of earlier sessions that are still missing (a ticker that
was bought by hand, or added to the configured list, was never discovered), then the session's from its open.
Without bars a ticker has no features, and without features nothing is decided on it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

import polars as pl

from trading_assets.assets.history import window
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.bars import clean_bars
from trading_assets.market.frames import BARS
from trading_assets.market.sessions import Session, session_of, shift
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def load_minutes(desk: Desk, tickers: Iterable[str]) -> int:
    """Fetch and store the minute bars of ``tickers`` for the sessions that the features of the next decision look back
    on, as far as they are not stored; how many sessions were added to. They become known now: no earlier decision sees
    them.

    A session of which nothing at all is stored is left to what loads it whole. Raises what the broker raises.
    """
    wanted, added = sorted(set(tickers)), 0
    for session in window(desk, _deciding(desk.clock.now()).day)[:-1] if wanted else ():
        if not desk.frames.exists("bars", session.key):
            continue
        received = desk.data.stock_bars(wanted, session.open, session.close)
        known_at = desk.clock.now()
        known = received.with_columns(known_at=pl.lit(known_at).cast(BARS["known_at"]), known_how=pl.lit("observed"))
        clean, _ = clean_bars(known.select(list(BARS)))
        # One that was followed in a part of the session has some of them.
        new = clean.join(desk.frames.read("bars", [session.key]), on=["ticker", "ts"], how="anti")
        if new.height:
            desk.frames.append("bars", session.key, new, known_at)
            added += 1
    return added


def _deciding(now: datetime) -> Session:
    """The session that runs or comes next; one that is over is history already."""
    session = session_of(now)
    return session if session is not None and now < session.close else shift(now.astimezone(NEW_YORK).date(), 1)


def lately(desk: Desk, session: Session) -> Mapping[str, datetime]:
    """Who entered since the session before ``session`` opened, each with the instant since which it is followed: what
    was read then may lack them."""
    return desk.entered(shift(session.day, -1).open)


def waiting(desk: Desk, session: Session) -> frozenset[str]:
    """Tickers that entered lately and whose daily bars or splits are not there yet: their minutes wait.

    Bars are read in the shares of today only if the splits are known, so that no minute of theirs is decided before.
    Daily bars that do not reach the session before are missing.
    """
    entered = lately(desk, session)
    if not entered:
        return frozenset()
    read_at = _splits_read_at(desk, session)
    daily = _traded(desk, session, shift(session.day, -1))
    return frozenset(
        ticker for ticker, since in entered.items() if ticker not in daily or read_at is None or read_at <= since
    )


def complete(desk: Desk, session: Session, tickers: Iterable[str]) -> frozenset[str]:
    """Those of ``tickers`` whose minutes of earlier sessions are there, fetched now where they are missing; one whose
    minutes cannot be fetched waits for the next minute, and the others do not wait for it."""
    wanted, lacking = frozenset(tickers), set[str]()
    for before in window(desk, session.day)[:-1] if wanted else ():
        if desk.frames.exists("bars", before.key):
            there = set(desk.frames.read("bars", [before.key])["ticker"].unique().to_list())
            lacking |= (wanted & _traded(desk, session, before)) - there
    try:
        load_minutes(desk, lacking)
    except TradingAssetsError as error:
        _log.error("minute bars of earlier sessions cannot be read for %s: %s", ", ".join(sorted(lacking)), error)
        return wanted - lacking
    return wanted


def _traded(desk: Desk, session: Session, before: Session) -> frozenset[str]:
    """Tickers whose daily bar of the session ``before`` is known in ``session``."""
    daily = desk.frames.read("daily_bars", [session.key]).filter(pl.col("session") == before.day)
    return frozenset(daily["ticker"].to_list())


def _splits_read_at(desk: Desk, session: Session) -> datetime | None:
    """When the list of splits by which ``session`` is decided was read; until its own is, that of the session before.

    That one knows nobody who entered after its close, also if it was rebuilt later.
    """
    own = desk.frames.last_as_of("splits", session.key)
    if own is not None:
        return own
    before = shift(session.day, -1)
    read_at = desk.frames.last_as_of("splits", before.key)
    return None if read_at is None else min(read_at, before.close)
