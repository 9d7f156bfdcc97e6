"""The one clock (protocol only). Implementations live outside the pure rooms.

Session logic, freshness, ``fetched_at`` and order waits all ask the clock that was passed in; nothing outside an
implementation of this protocol calls ``datetime.now``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


class Clock(Protocol):
    """Where 'now' comes from, and how to wait for a later one."""

    def now(self) -> datetime:
        """The current instant, timezone-aware UTC."""
        ...

    def wait_until(self, instant: datetime) -> None:
        """Return once ``now() >= instant``. In a stepped practice world this moves the exchange's time forward."""
        ...


def require_utc(instant: datetime) -> datetime:
    """Return ``instant`` in UTC; a naive instant is a programming error and raises ``ValueError``."""
    if instant.tzinfo is None:
        raise ValueError(f"expected a timezone-aware instant, saw the naive {instant.isoformat()}")
    return instant.astimezone(UTC)
