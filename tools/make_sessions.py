"""Generate ``trading_assets/market/data/xnys.json`` from exchange_calendars: holidays and early closes of XNYS.

Run ``python tools/make_sessions.py`` after the exchange announces a change. A test compares the file with the
calendar, so a forgotten run is noticed.
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import exchange_calendars

FIRST, LAST = date(1990, 1, 1), date(2030, 12, 31)
TARGET = Path(__file__).parent.parent / "trading_assets" / "market" / "data" / "xnys.json"


def main() -> None:
    """Write the file: weekdays without a session, and sessions whose open or close is not 09:30-16:00."""
    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST.isoformat(), end=LAST.isoformat())
    schedule = calendar.schedule
    days = {stamp.date() for stamp in schedule.index}
    weekday = FIRST
    holidays: list[str] = []
    while weekday <= LAST:
        if weekday.weekday() < 5 and weekday not in days:
            holidays.append(weekday.isoformat())
        weekday += timedelta(days=1)
    unusual: dict[str, list[str]] = {}
    for stamp, row in schedule.iterrows():
        opened = row["open"].tz_convert("America/New_York").strftime("%H:%M")
        closed = row["close"].tz_convert("America/New_York").strftime("%H:%M")
        if (opened, closed) != ("09:30", "16:00"):
            unusual[stamp.date().isoformat()] = [opened, closed]
    weekend = sorted(day.isoformat() for day in days if day.weekday() >= 5)
    if weekend:
        raise SystemExit(f"sessions on a weekend are not expected: {weekend}")
    TARGET.write_text(
        json.dumps(
            {"first": FIRST.isoformat(), "last": LAST.isoformat(), "holidays": holidays, "unusual": unusual},
            indent=0,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
