"""The watchlist as it stands now: one row per member, replaced with each decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from trading_assets.ledger.tables import watchlist_state

_FACTORS = ("technical", "volume_factor", "sentiment_factor", "performance_factor")


def replace_watchlist(connection: Connection, members: Sequence[Mapping[str, Any]], session: date) -> None:
    """Make ``members`` (rows of the watchlist frame) the current watchlist."""
    connection.execute(delete(watchlist_state))
    if not members:
        return
    connection.execute(
        insert(watchlist_state),
        [
            {
                "ticker": row["ticker"],
                "session": session,
                "as_of": row["as_of"],
                "rank": row["rank"],
                "score": row["score"],
                "direction": row["direction"],
                "factors": {name: row[name] for name in _FACTORS},
                "entered_at": row["entered_at"],
            }
            for row in members
        ],
    )


def members_of(connection: Connection, session: date) -> frozenset[str]:
    """The tickers that are on the watchlist now; none if it was last decided in another session."""
    return frozenset(connection.scalars(select(watchlist_state.c.ticker).where(watchlist_state.c.session == session)))
