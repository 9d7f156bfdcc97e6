"""What a weighing reads from the archive of implied volatilities: the past sessions' and the ticker's own now."""

from __future__ import annotations

from datetime import datetime

from trading_assets.market.iv_history import past_and_present
from trading_assets.market.sessions import Session
from trading_assets.world.frames import FrameStore


def archived_iv(
    frames: FrameStore, ticker: str, session: Session, *, sessions: int, known_by: datetime
) -> tuple[tuple[float | None, ...], float | None]:
    """30-day volatilities of the ``sessions`` sessions before this one, oldest first, and the newest one of today.

    None where a session's chain gave none; a session whose chain was not archived is absent. Nothing that became known
    after ``known_by`` counts.
    """
    keys = [key for key in frames.partitions("iv_history") if key <= session.key]
    rows = frames.read("iv_history", keys[-sessions - 1 :])
    return past_and_present(rows, ticker, session=session, known_by=known_by)
