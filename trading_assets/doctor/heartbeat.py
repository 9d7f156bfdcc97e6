"""The heartbeat, listened to from outside: did the runs that an open world owes really come?

It asks the clock what is due and the ledger what was begun, and neither Dagster, its daemon nor the code server: those
may be what has stopped, with every service alive and every status green. ``up`` listens all the time, ``doctor`` once.
What does not belong here: runs that come and fail (``automation.failures`` says those).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from trading_assets.automation.names import MINUTE_JOB, NEWS_JOB, POSITION_MANAGER_JOB
from trading_assets.automation.tickets import issued_at
from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import runs
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.positions import accounts_with_open_work
from trading_assets.market.sessions import open_session
from trading_assets.world.clocks import SystemClock
from trading_assets.world.doctor import Finding, failed, ok, one_line

#: A beat is due every minute of the wall. This long without one is silence: a slow run may cost the next minute its
#: beat, not two. With ``LOOK_SECONDS`` silence is told within three minutes.
SILENT_AFTER = timedelta(seconds=140)
LOOK_SECONDS = 20.0
#: Silence that lasts is told again after this.
AGAIN = timedelta(minutes=15)
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MEND = (
    "Look at the schedules and sensors and at the daemon in the Dagster UI, and at logs/daemon.log and "
    "logs/code-server.log; then start the world again. Open positions are looked after by nobody meanwhile."
)


def silences(connection: Connection, *, now: datetime, wall: datetime, pace: float, since: datetime) -> list[str]:
    """What should have come and did not, in sentences; empty if all is as it should be.

    ``now`` is the market's time, ``wall`` the machine's, ``pace`` how fast the first runs by the second (0: it stands
    still and nothing is due), ``since`` from when on, on the wall, the world has been open. What never came in this
    world was never switched on: that is no silence.
    """
    if pace <= 0:
        return []
    due: list[tuple[str, str, str | None, datetime]] = [("news were read", NEWS_JOB, None, since)]
    session = open_session(now)
    if session is not None:
        opened = max(since, wall - (now - session.open) / pace)
        due.append((f"a minute of the session {session.key} was decided", MINUTE_JOB, None, opened))
        due += [
            (f"the positions and orders of account {account} were looked after", POSITION_MANAGER_JOB, account, opened)
            for account in sorted(accounts_with_open_work(connection))
        ]
    found = []
    for what, job, account, begin in due:
        last = runs.last_ticket(connection, job, account)
        if last is None:
            continue
        silent = wall - max(issued_at(last), begin)
        if silent > SILENT_AFTER:
            found.append(f"it is {silent.total_seconds():.0f} s since {what}; due is every 60 s")
    return found


class Heartbeat:
    """Listens to an open world; ``say`` gets one line when silence begins, lasts or ends.

    ``look`` never raises for want of an answer: that for too long nobody could tell is itself told.
    """

    def __init__(self, ledger_url: str, clock: Clock, wall: Clock, pace: float, say: Callable[[str], None]) -> None:
        self._engine = open_ledger(ledger_url, application_name="trading-assets heartbeat", pool_size=1)
        self._clock, self._wall, self._pace, self._say = clock, wall, pace, say
        self._since = self._answered = wall.now()
        self._told: list[str] = []
        self._told_at = self._since

    def look(self) -> None:
        """Ask, and tell what changed."""
        wall = self._wall.now()
        found = self._heard(wall)
        lasts = wall - self._told_at >= AGAIN
        if len(found) > len(self._told) or (found and lasts):
            self._told_at = wall
            for sentence in found:
                self._say(f"SILENT: {sentence}. {MEND}")
        elif self._told and not found:
            self._say("beats again")
        self._told = found

    def close(self) -> None:
        """Close the connection to the ledger."""
        self._engine.dispose()

    def _heard(self, wall: datetime) -> list[str]:
        try:
            now = self._clock.now()
            with self._engine.connect() as connection:
                found = silences(connection, now=now, wall=wall, pace=self._pace, since=self._since)
        except (SQLAlchemyError, TradingAssetsError) as error:
            # The database or the exchange may just be starting again.
            if wall - self._answered <= SILENT_AFTER:
                return self._told
            return [f"for {(wall - self._answered).total_seconds():.0f} s nobody could tell: {one_line(error)}"]
        self._answered = wall
        return found


@contextmanager
def listening(ledger_url: str, clock: Clock, pace: float, say: Callable[[str], None]) -> Iterator[None]:
    """Listen in a thread of this process until the block ends. ``pace`` 0: the clock stands still, nothing is due."""
    done = threading.Event()
    heartbeat = Heartbeat(ledger_url, clock, SystemClock(), pace, say)

    def listen() -> None:
        while not done.wait(LOOK_SECONDS):
            heartbeat.look()

    thread = threading.Thread(target=listen, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(LOOK_SECONDS)
        heartbeat.close()


def check_heartbeat(ledger_url: str, clock: Clock, pace: float, since: datetime | None) -> Finding:
    """The doctor's item: one look. ``since``: from when on the world has been open, None if nobody runs it."""
    item = "heartbeat"
    if pace <= 0:
        return ok(item, "the world's clock stands still: nothing is due")
    wall = SystemClock().now()
    engine = open_ledger(ledger_url, application_name="trading-assets heartbeat", pool_size=1)
    try:
        now = clock.now()
        with engine.connect() as connection:
            found = silences(connection, now=now, wall=wall, pace=pace, since=since or _LONG_AGO)
    except (SQLAlchemyError, TradingAssetsError) as error:
        return failed(item, error, MEND)
    finally:
        engine.dispose()
    return failed(item, "; ".join(found), MEND) if found else ok(item, "everything that is due came")
