"""Timeframes of bars: what a request may ask for, and longer bars made of minutes or of days."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange.bars import Bar, merged, midnight
from trading_assets.market.sessions import session_on

_FRAME = re.compile(r"(\d{1,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)")
_UNITS = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
#: How many of a unit a bar may be of.
_COUNTS = {
    "Min": range(1, 60),
    "Hour": range(1, 24),
    "Day": range(1, 2),
    "Week": range(1, 2),
    "Month": (1, 2, 3, 4, 6, 12),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """``count`` units a bar. ``daily``: whether it is made of days."""

    count: int
    unit: str

    @property
    def daily(self) -> bool:
        return self.unit in ("Day", "Week", "Month")

    @property
    def plain(self) -> bool:
        """Whether it is a bar as the market has it."""
        return self.count == 1 and self.unit in ("Min", "Day")

    @property
    def length(self) -> timedelta:
        """How long a bar of minutes or hours is."""
        return timedelta(minutes=self.count * (60 if self.unit == "Hour" else 1))

    def begin(self, at: datetime) -> datetime:
        """The beginning of the bar that the instant ``at`` belongs to: by the clock of New York."""
        local = at.astimezone(NEW_YORK)
        day = local.date()
        if self.unit == "Week":
            return midnight(day - timedelta(days=day.weekday()))
        if self.unit == "Month":
            return midnight(day.replace(day=1, month=(day.month - 1) // self.count * self.count + 1))
        if self.unit == "Day":
            return midnight(day)
        size = self.length // timedelta(minutes=1)
        passed = (local.hour * 60 + local.minute) // size * size
        return local.replace(hour=passed // 60, minute=passed % 60, second=0, microsecond=0).astimezone(at.tzinfo)


def read_frame(given: str) -> Frame | None:
    """The timeframe of that name, None if there is none."""
    found = _FRAME.fullmatch(given)
    if found is None:
        return None
    frame = Frame(int(found[1]), _UNITS.get(found[2], found[2]))
    return frame if frame.count in _COUNTS[frame.unit] else None


def framed(bars: Iterable[Bar], frame: Frame, now: datetime) -> Iterator[Bar]:
    """Bars of ``frame`` made of minutes or days in order. One of minutes appears when it is over or its session is; a
    week or a month has the days that are over."""
    if frame.plain:
        yield from bars
        return

    def begin(bar: Bar) -> datetime:
        return frame.begin(bar["t"])

    for at, group in groupby(bars, key=begin):
        last = list(group)
        session = session_on(at.astimezone(NEW_YORK).date())
        if frame.daily or at + frame.length <= now or (session is not None and session.close <= now):
            yield merged(last, at)
