"""Reading what a page is made of: rows of the frames at one instant, rows of the ledger about one signal or position.

What belongs here: which rows. What does not: what they mean (``explain.moments``, ``explain.accounts``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import polars as pl
from sqlalchemy import Connection

from trading_assets.ledger import explanations

Row = dict[str, Any]


class Frames(Protocol):
    """The part of the frame store that is read."""

    def read(self, asset: str, partitions: Sequence[str]) -> pl.DataFrame:
        """All rows of the partitions in the order in which they became known."""
        ...

    def partitions(self, asset: str) -> list[str]:
        """Keys of the partitions that hold a file, in order."""
        ...


@dataclass(frozen=True, slots=True)
class MomentRows:
    """Rows of one ticker at one deciding instant; ``config_hashes`` are those of all decisions of that instant."""

    session: date
    ticker: str
    as_of: datetime
    bar: Row | None
    features: Row | None
    context: Row | None
    watched: Row | None
    decisions: tuple[Row, ...]
    config_hashes: frozenset[str]
    sentiment: pl.DataFrame
    news: Mapping[str, Row]


@dataclass(frozen=True, slots=True)
class PositionRows:
    """A position with everything that hangs on it."""

    position: Row
    orders: tuple[Row, ...]
    fills: tuple[Row, ...]
    events: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class SignalRows:
    """A signal's rows; ``published`` None: it is not in the ledger. ``payloads`` are the inputs of its decisions."""

    published: Row | None
    statuses: tuple[Row, ...]
    decisions: tuple[Row, ...]
    payloads: Mapping[str, Any]
    positions: tuple[PositionRows, ...]


def sessions_with_decisions(frames: Frames) -> list[str]:
    """Keys of the sessions in which anything was decided, oldest first."""
    return [key for key in frames.partitions("signals") if not frames.read("signals", [key]).is_empty()]


def deciding_instants(frames: Frames, session: date) -> list[datetime]:
    """Instants at which the session was decided upon or at least looked at, in order."""
    found = [frames.read(asset, [session.isoformat()])["as_of"] for asset in ("signals", "features")]
    return pl.concat(found).drop_nulls().unique().sort().to_list()


def known_tickers(frames: Frames, session: date) -> set[str]:
    """Tickers of which the session has bars, features, watchlist rows or decisions."""
    key = session.isoformat()
    return {
        ticker
        for asset in ("bars", "features", "watchlist", "signals")
        for ticker in frames.read(asset, [key])["ticker"].drop_nulls().unique()
    }


def read_moment(frames: Frames, session: date, ticker: str, as_of: datetime) -> MomentRows:
    """What the frames hold of ``ticker`` as it was known at ``as_of``."""
    key = session.isoformat()

    def of(asset: str) -> pl.DataFrame:
        return frames.read(asset, [key])

    signals = of("signals").filter(pl.col("as_of") == as_of)
    decided = signals.filter(pl.col("ticker") == ticker).to_dicts()
    features = of("features").filter((pl.col("as_of") == as_of) & (pl.col("ticker") == ticker))
    watchlist = of("watchlist").filter(pl.col("as_of") <= as_of)
    listed = watchlist.filter((pl.col("as_of") == watchlist["as_of"].max()) & (pl.col("ticker") == ticker))
    seen = _last(features)
    start = decided[0]["ts"] if decided else None if seen is None else seen["ts"]
    bars = of("bars").filter((pl.col("ticker") == ticker) & (pl.col("known_at") <= as_of))
    if start is not None:
        bars = bars.filter(pl.col("ts") == start)
    sentiment = of("sentiment").filter((pl.col("ticker") == ticker) & (pl.col("known_at") <= as_of))
    news = of("news").filter(pl.col("event_uid").is_in(sentiment["event_uid"].unique().implode()))
    return MomentRows(
        session=session,
        ticker=ticker,
        as_of=as_of,
        # Of a bar that was revised the version that was known last by then.
        bar=_last(bars.sort("ts", "known_at")),
        features=seen,
        context=_last(of("market_context").filter(pl.col("as_of") == as_of)),
        watched=_last(listed),
        decisions=tuple(decided),
        config_hashes=frozenset(signals["config_hash"].drop_nulls().to_list()),
        sentiment=sentiment,
        news={row["event_uid"]: row for row in news.to_dicts()},
    )


def read_signal(connection: Connection, signal_id: str) -> SignalRows:
    """What the ledger holds of a signal."""
    decisions = explanations.decisions_of(connection, signal_id)
    hashes = [identity for decision in decisions for identity in decision["inputs"].values()]
    return SignalRows(
        published=explanations.recommendation(connection, signal_id),
        statuses=tuple(explanations.statuses(connection, signal_id)),
        decisions=tuple(decisions),
        payloads=explanations.inputs(connection, hashes),
        positions=tuple(read_position(connection, row) for row in explanations.positions_of(connection, signal_id)),
    )


def read_position(connection: Connection, position: Row) -> PositionRows:
    """A position's row with its orders, fills and events."""
    identity = position["position_id"]
    return PositionRows(
        position=position,
        orders=tuple(explanations.orders_of(connection, identity)),
        fills=tuple(explanations.fills_of(connection, identity)),
        events=tuple(explanations.events_of(connection, identity)),
    )


def _last(frame: pl.DataFrame) -> Row | None:
    return None if frame.is_empty() else frame.tail(1).to_dicts()[0]
