"""The calendar of sessions against outside calendars: every day, every open and every close."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.sessions import holidays, is_session, session_of, sessions_between

#: The data file's first and last day: outside them a question is refused.
FIRST, LAST = date(1990, 1, 1), date(2030, 12, 31)


def told(first: date, last: date) -> dict[date, tuple[datetime, datetime]]:
    return {session.day: (session.open, session.close) for session in sessions_between(first, last)}


def test_the_data_file_is_what_exchange_calendars_says() -> None:
    import exchange_calendars

    calendar = exchange_calendars.get_calendar("XNYS", start=FIRST.isoformat(), end=LAST.isoformat())
    theirs = {
        stamp.date(): (row["open"].to_pydatetime(), row["close"].to_pydatetime())
        for stamp, row in calendar.schedule.iterrows()
    }
    assert told(FIRST, LAST) == theirs


def test_days_outside_the_data_file_are_refused() -> None:
    for day in (FIRST - timedelta(days=1), LAST + timedelta(days=1)):
        with pytest.raises(ValueError, match="outside the calendar"):
            is_session(day)


@pytest.mark.recorded
def test_sessions_of_1990_to_january_2023_are_the_recorded_ones(recorded_data: Path) -> None:
    rows = pl.read_csv(recorded_data / "reference" / "R8_calendars" / "xnys.csv")
    opens, closes = (rows[name].str.to_datetime(time_zone="UTC").to_list() for name in ("open", "close"))
    theirs = {
        opened.astimezone(NEW_YORK).date(): (opened, closed) for opened, closed in zip(opens, closes, strict=True)
    }
    assert len(theirs) == rows.height > 8300
    assert told(FIRST, date(2023, 1, 13)) == theirs


@pytest.mark.recorded
def test_full_day_holidays_are_those_of_a_list_kept_since_1928(recorded_data: Path) -> None:
    text = (recorded_data / "reference" / "R8_calendars" / "nyse_all_full_day_holidays_since_1928.csv").read_text()
    days = {datetime.strptime(line.strip(), "%m/%d/%Y").date() for line in text.splitlines() if line.strip()}
    newest = max(days)
    listed = {day for day in days if day >= FIRST and day.weekday() < 5}
    ours = {day for day in holidays() if day <= newest}
    assert len(listed) > 270
    assert ours == listed


@pytest.mark.recorded
def test_sessions_to_2028_are_those_of_a_list_kept_by_others(recorded_data: Path) -> None:
    text = (recorded_data / "reference" / "R8_calendars" / "lean_us_equity_market_hours.json").read_text()
    entry: dict[str, Any] = json.loads(text)["entry"]

    def parsed(day: str) -> date:
        return datetime.strptime(day, "%m/%d/%Y").date()

    theirs = {parsed(day) for day in entry["holidays"]}
    first, last = date(1998, 1, 1), date(2028, 12, 31)
    ours = {day for day in holidays() if first <= day <= last}
    assert ours == {day for day in theirs if first <= day <= last and day.weekday() < 5}
    early = {parsed(day): time.fromisoformat(close) for day, close in entry["earlyCloses"].items()}
    for session in sessions_between(date(2000, 1, 1), max(early)):
        closes = early.get(session.day, time(16, 0))
        assert session.close.astimezone(NEW_YORK).time() == closes, session.key


def test_a_session_is_found_from_any_instant_of_its_new_york_date() -> None:
    assert session_of(datetime(2026, 3, 9, 3, 59, tzinfo=UTC)) is None  # still Sunday in New York
    monday = session_of(datetime(2026, 3, 9, 4, 0, tzinfo=UTC))
    assert monday is not None and monday.key == "2026-03-09" and monday.open.hour == 13
