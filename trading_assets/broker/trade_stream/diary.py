"""The health of one account's stream as it is written to the ledger: what is counted, and when it is stored.

What belongs here: keeping the row of ``trade_streams``, and frames that made no sense. What does not: judging the row
(``health``). A ledger that does not answer must not end a stream: the row is written again with the next beat.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from trading_assets.broker.trade_stream.health import WRITE_SECONDS
from trading_assets.ledger import trade_streams
from trading_assets.ledger.trade_streams import CONNECTING, LISTENING, STOPPED, StreamHealth

log = logging.getLogger(__name__)


def wall_now() -> datetime:
    """The machine's time, UTC."""
    return datetime.now(UTC)


class Diary:
    """One account's row. Counts go on where the last service left them."""

    def __init__(self, engine: Engine, account: str) -> None:
        self._engine = engine
        self._account = account
        self._next_write = 0.0
        now = wall_now()
        self.row = StreamHealth(account, CONNECTING, now, now, unhealthy_since=now)
        self._known = False

    def note(self, **changes: Any) -> None:
        """Change the row; it is stored with the next beat."""
        self.row = replace(self.row, **changes)

    def count(self, name: str, more: int = 1) -> None:
        """Add to a count, and store it at once."""
        self.note(**{name: getattr(self.row, name) + more})
        self._next_write = 0.0

    def enter(self, state: str, trouble: str | None = None) -> None:
        """Go over to another state and store that. ``trouble`` None keeps what was wrong last."""
        now = wall_now()
        changes: dict[str, Any] = {"connected_at": now if state == LISTENING else None}
        if state != self.row.state:
            changes["changed_at"] = now
        if trouble is not None:
            changes["trouble"] = trouble
        if state not in (LISTENING, STOPPED) and self.row.unhealthy_since is None:
            changes["unhealthy_since"] = now
        if state == LISTENING:
            changes |= {"pong_at": None, "compared_at": None, "connections": self.row.connections + 1}
        self.note(state=state, **changes)
        self._next_write = 0.0
        self.beat()

    def well(self) -> None:
        """Frames and lists told the same."""
        self.note(compared_at=wall_now(), unhealthy_since=None, trouble=None)

    def unwell(self, trouble: str) -> None:
        """Something is wrong although it listens."""
        self.note(trouble=trouble, unhealthy_since=self.row.unhealthy_since or wall_now())

    def beat(self) -> None:
        """Store the row if it is time to."""
        if time.monotonic() < self._next_write:
            return
        self._next_write = time.monotonic() + WRITE_SECONDS
        self._try(self._store)

    def keep_oddity(self, frame: str, reason: str, at: Callable[[], datetime]) -> None:
        """Keep a frame that could not be used; one that is new is told in the log."""
        self.count("odd_frames")

        def keep() -> None:
            with self._engine.begin() as connection:
                new = trade_streams.keep_oddity(connection, self._account, frame, reason, at())
            if new:
                log.error("account %s: a frame of the trade stream was kept and not used: %s", self._account, reason)

        self._try(keep)

    def _store(self) -> None:
        with self._engine.begin() as connection:
            if not self._known:
                self._continue(trade_streams.read(connection).get(self._account))
            self.note(seen_at=wall_now())
            trade_streams.store(connection, self.row)
        self._known = True

    def _continue(self, earlier: StreamHealth | None) -> None:
        if earlier is None:
            return
        counts = ("connections", "frames", "odd_frames", "suspicions", "backfills", "backfilled_fills")
        self.note(**{name: getattr(self.row, name) + getattr(earlier, name) for name in counts})
        if earlier.state not in (STOPPED,) and earlier.unhealthy_since is not None:
            self.note(unhealthy_since=earlier.unhealthy_since)

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except SQLAlchemyError as error:
            log.error("account %s: the stream's health cannot be written: %s", self._account, type(error).__name__)
