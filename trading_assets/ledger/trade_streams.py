"""How the trade stream of each account fares, and the frames that made no sense.

What belongs here: reading and writing ``trade_streams`` and ``trade_stream_oddities``. What does not: when a stream is
well (``broker.trade_stream.health``). Instants of ``trade_streams`` are the machine's own time: a heartbeat is one of
a process, not of a market.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.tables import trade_stream_oddities, trade_streams

CONNECTING, LISTENING, REFUSED, STOPPED = "connecting", "listening", "refused", "stopped"
#: So much of a frame is kept.
LONGEST_FRAME = 20_000


@dataclass(frozen=True, slots=True)
class StreamHealth:
    """One row of ``trade_streams``; the counts are over the account's whole life. None: it has not happened (yet)."""

    account: str
    state: str
    changed_at: datetime
    seen_at: datetime
    connected_at: datetime | None = None
    frame_at: datetime | None = None
    pong_at: datetime | None = None
    compared_at: datetime | None = None
    unhealthy_since: datetime | None = None
    trouble: str | None = None
    connections: int = 0
    frames: int = 0
    odd_frames: int = 0
    suspicions: int = 0
    backfills: int = 0
    backfilled_fills: int = 0


def store(connection: Connection, health: StreamHealth) -> None:
    """Write the account's row as a whole."""
    values = asdict(health)
    statement = insert(trade_streams).values(**values)
    values.pop("account")
    connection.execute(statement.on_conflict_do_update(index_elements=["account"], set_=values))


def read(connection: Connection) -> Mapping[str, StreamHealth]:
    """Every account's row by name; an account without one never had a stream here."""
    names = [field.name for field in fields(StreamHealth)]
    rows = connection.execute(select(*(trade_streams.c[name] for name in names))).mappings()
    return {row["account"]: StreamHealth(**{name: row[name] for name in names}) for row in rows}


def keep_oddity(connection: Connection, account: str, frame: str, reason: str, at: datetime) -> bool:
    """Keep a frame that could not be used. True the first time that exactly this frame comes."""
    kept = frame.replace("\x00", "")[:LONGEST_FRAME]
    digest = hashlib.sha256(frame.encode()).hexdigest()
    row: dict[str, Any] = {"account": account, "digest": digest, "frame": kept, "reason": reason, "seen_at": at}
    statement = insert(trade_stream_oddities).values(**row, times=1)
    times = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["account", "digest"], set_={"times": trade_stream_oddities.c.times + 1}
        ).returning(trade_stream_oddities.c.times)
    ).scalar_one()
    return int(times) == 1
