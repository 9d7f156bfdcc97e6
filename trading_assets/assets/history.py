"""Which instants of a session are decided, and which stored frames a decision reads. Shared by the decision assets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import polars as pl

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.sessions import Session, require_session, sessions_between, shift
from trading_assets.resources.desk import Desk

MINUTE = timedelta(minutes=1)


def every_minute(session: Session) -> list[datetime]:
    """The decision instants of a session that was not decided live: the end of each of its bars."""
    return [session.open + MINUTE * (index + 1) for index in range(session.minutes)]


def instants(session: Session, as_ofs: Sequence[datetime] | None) -> list[datetime]:
    """The stored instants of a live day, else every minute."""
    return every_minute(session) if as_ofs is None else list(as_ofs)


def window(desk: Desk, day: date) -> list[Session]:
    """The sessions whose minute bars feed the features of ``day``, itself last. The same for the whole session."""
    count = desk.settings.strategy.collection.history_sessions
    return sessions_between(shift(day, -count).day, require_session(day).day)


def minute_bars(desk: Desk, sessions: Sequence[Session]) -> pl.DataFrame:
    """Stored bars of the sessions; those without any add nothing (features that need them stay null)."""
    return desk.frames.read("bars", [session.key for session in sessions])


def known_splits(desk: Desk, day: date) -> pl.DataFrame:
    """The splits that a decision in the session ``day`` knows of: what that session and the one before it saw.

    The list of a session reaches some sessions ahead, so that one of both suffices. Raises ``TradingAssetsError`` if it
    was read in neither: whose prices are of which shares is not known then, and nothing may be decided on them.
    """
    keys = [shift(day, -1).key, require_session(day).key]
    if not any(desk.frames.exists("splits", key) for key in keys):
        raise TradingAssetsError(
            "the list of splits was read neither in this session nor in the one before, so it is not known which "
            "prices are of which shares, and nothing is decided on them",
            where=f"splits {keys[0]} and {keys[1]}",
            mend="a live session asks the broker again each minute; of a past one materialize splits first",
        )
    return desk.frames.read("splits", keys)
