"""XNYS sessions: which days trade, when they open and close. Regular sessions only, 1990 to 2030.

The calendar comes from a generated data file (``tools/make_sessions.py``) and a test holds it against
``exchange_calendars``: definitions must load without pandas. Days outside the file's range raise ``ValueError``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files

from trading_assets.domain.clock import NEW_YORK, require_utc

_OPEN, _CLOSE = time(9, 30), time(16, 0)
MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, order=True)
class Session:
    """One trading day: its New York date, and its open and close in UTC. Bars start in [open, close)."""

    day: date
    open: datetime
    close: datetime

    @property
    def minutes(self) -> int:
        """Number of regular minute bars: 390, or 210 on a usual half day."""
        return int((self.close - self.open) / MINUTE)

    @property
    def is_early_close(self) -> bool:
        """True when the session closes before 16:00 New York."""
        return self.close.astimezone(NEW_YORK).time() < _CLOSE

    @property
    def key(self) -> str:
        """Partition key, ``YYYY-MM-DD``."""
        return self.day.isoformat()

    def contains(self, instant: datetime) -> bool:
        """Whether ``instant`` lies in [open, close)."""
        return self.open <= require_utc(instant) < self.close


@dataclass(frozen=True, slots=True)
class _Calendar:
    first: date
    last: date
    holidays: frozenset[date]
    unusual: dict[date, tuple[time, time]]


@lru_cache(maxsize=1)
def _calendar() -> _Calendar:
    raw = json.loads(files("trading_assets.market").joinpath("data/xnys.json").read_text())
    return _Calendar(
        first=date.fromisoformat(raw["first"]),
        last=date.fromisoformat(raw["last"]),
        holidays=frozenset(date.fromisoformat(day) for day in raw["holidays"]),
        unusual={
            date.fromisoformat(day): (time.fromisoformat(opened), time.fromisoformat(closed))
            for day, (opened, closed) in raw["unusual"].items()
        },
    )


def holidays() -> frozenset[date]:
    """Weekdays without a session."""
    return _calendar().holidays


def is_session(day: date) -> bool:
    """Whether XNYS trades on ``day``."""
    calendar = _calendar()
    if not calendar.first <= day <= calendar.last:
        raise ValueError(f"{day} is outside the calendar {calendar.first}..{calendar.last}")
    return day.weekday() < 5 and day not in calendar.holidays


@lru_cache(maxsize=4096)
def session_on(day: date) -> Session | None:
    """The session of ``day``, or None if the exchange is closed."""
    if not is_session(day):
        return None
    opened, closed = _calendar().unusual.get(day, (_OPEN, _CLOSE))
    return Session(
        day,
        datetime.combine(day, opened, NEW_YORK).astimezone(UTC),
        datetime.combine(day, closed, NEW_YORK).astimezone(UTC),
    )


def require_session(day: date) -> Session:
    """The session of ``day``; raises ``ValueError`` if the exchange is closed."""
    session = session_on(day)
    if session is None:
        raise ValueError(f"{day} is not an XNYS session")
    return session


def session_of(instant: datetime) -> Session | None:
    """The session whose New York date is that of ``instant`` (before its open and after its close too), or None."""
    return session_on(require_utc(instant).astimezone(NEW_YORK).date())


def open_session(instant: datetime) -> Session | None:
    """The session that is open at ``instant`` ([open, close)), or None."""
    session = session_of(instant)
    return session if session is not None and session.contains(instant) else None


def shift(day: date, count: int) -> Session:
    """The session ``count`` sessions after (or, negative, before) ``day``; ``day`` itself need not be a session.

    ``shift(day, 0)`` is the session on or after ``day``.
    """
    step = timedelta(days=1 if count >= 0 else -1)
    if count == 0:
        while not is_session(day):
            day += step
        return require_session(day)
    for _ in range(abs(count)):
        day += step
        while not is_session(day):
            day += step
    return require_session(day)


def sessions_between(first: date, last: date) -> list[Session]:
    """All sessions from ``first`` to ``last``, both included, in order."""
    result: list[Session] = []
    day = first
    while day <= last:
        session = session_on(day)
        if session is not None:
            result.append(session)
        day += timedelta(days=1)
    return result


def sessions_until_expiry(day: date, expiry: date) -> int:
    """Number of sessions after ``day`` up to and including ``expiry``."""
    return len(sessions_between(day + timedelta(days=1), expiry))
