"""An instant as feeds write it: RFC 822, RFC 3339, and what is written instead of them.

A date without a time of day or without a zone is no instant: taken for UTC it can be wrong by half a day, and an old
story would be news again. It is read only where the feed's own zone is configured. feedparser's reading of dates is not
used: it takes what names no zone for UTC, and of a Korean date it reads but the year.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_EASTERN, _CENTRAL = ZoneInfo("America/New_York"), ZoneInfo("America/Chicago")
_MOUNTAIN, _PACIFIC = ZoneInfo("America/Denver"), ZoneInfo("America/Los_Angeles")
_HOURS = (
    (0, "Z UT UTC GMT WET"),
    *((-5, "EST"), (-4, "EDT"), (-6, "CST"), (-5, "CDT"), (-7, "MST"), (-6, "MDT"), (-8, "PST"), (-7, "PDT")),
    *((-9, "AKST"), (-8, "AKDT"), (-10, "HST"), (1, "CET WEST"), (2, "CEST EET"), (3, "EEST")),
    *((8, "HKT SGT"), (9, "JST KST"), (10, "AEST"), (11, "AEDT")),
)
#: Names that mean one zone only. Others ("IST", "BST") mean several, and are as good as none.
_NAMED: dict[str, tzinfo] = {
    **{name: timezone(timedelta(hours=hours)) for hours, names in _HOURS for name in names.split()},
    "ET": _EASTERN,
    "CT": _CENTRAL,
    "MT": _MOUNTAIN,
    "PT": _PACIFIC,
}
#: Nothing on a news feed is older: earlier dates are what a program writes for "none" (1970, or the year 1).
_OLDEST_YEAR = 1980

_ZONE = r"(?P<zone>[A-Za-z]{1,5}(?![A-Za-z])|(?:GMT|UTC|UT)?\s*[+-]\d{1,2}:?(?:\d{2})?)?\s*(?:\([^)]*\))?"
_TIME = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d+)?)?\s*(?P<half>[AaPp]\.?[Mm]\.?(?![A-Za-z]))?"
)
_WEEKDAY = r"(?:[A-Za-z]{2,9}\.?(?:\s*,\s*|\s+))?"
_FORMS = tuple(
    re.compile(rf"\s*{form}\s*\Z")
    for form in (
        # 2026-03-12T09:30:00-04:00, also with a space and a named zone
        rf"(?P<year>\d{{4}})-(?P<month>\d{{2}})-(?P<day>\d{{2}})(?:T|t|\s+){_TIME}\s*{_ZONE}",
        # Thu, 12 Mar 2026 09:30:00 EST; Thursday, 12-Mar-26 09:30 GMT
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})[\s-]+(?P<name>[A-Za-z]{{3,9}})\.?,?[\s-]+(?P<year>\d{{4}}|\d{{2}}),?\s+"
        rf"(?:at\s+)?{_TIME}\s*{_ZONE}",
        # March 12, 2026 9:30 AM ET
        rf"{_WEEKDAY}(?P<name>[A-Za-z]{{3,9}})\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}),?\s+"
        rf"(?:at\s+)?{_TIME}\s*{_ZONE}",
        # 2026년 03월 12일 09:30:00
        rf"(?P<year>\d{{4}})년\s*(?P<month>\d{{1,2}})월\s*(?P<day>\d{{1,2}})일\s*{_TIME}\s*{_ZONE}",
        # Thu Mar 12 09:30:00 EST 2026
        rf"{_WEEKDAY}(?P<name>[A-Za-z]{{3}})\s+(?P<day>\d{{1,2}})\s+{_TIME}\s*{_ZONE}\s*(?P<year>\d{{4}})",
    )
)


@dataclass(frozen=True, slots=True)
class Dated:
    """What a date says. ``zoneless``: it names a time of day, but no zone that is known, and none is configured."""

    instant: datetime | None
    zoneless: bool = False


_NONE = Dated(None)


def read_date(written: str, zone: tzinfo | None = None) -> Dated:
    """The instant that ``written`` names, in UTC. ``zone`` is that of dates which name none."""
    if len(written) > 100:
        return _NONE
    # A run of spaces can be shared out between the parts of a form in a hundred thousand ways.
    written = " ".join(written.split())
    for form in _FORMS:
        if found := form.match(written):
            return _dated(found.groupdict(), zone)
    return _NONE


def _dated(parts: dict[str, str | None], default: tzinfo | None) -> Dated:
    minute, second = int(parts["minute"] or 0), int(parts["second"] or 0)
    try:
        zone = _zone(parts["zone"]) or default
        # A leap second is told as the last one before it.
        second = 59 if second == 60 else second
        hour = _hour(int(parts["hour"] or 0), parts["half"])
        month = int(parts["month"] or 0) if "month" in parts else _month(parts["name"] or "")
        day = _year(parts["year"] or ""), month, int(parts["day"] or 0)
        local = datetime(*day, hour, minute, second, tzinfo=zone or UTC)
    except (ValueError, OverflowError):
        return _NONE
    return Dated(None, zoneless=True) if zone is None else _sensible(local)


def _sensible(instant: datetime) -> Dated:
    # Compared before it is converted: the year 1 has no hours to give away.
    return Dated(instant.astimezone(UTC)) if _OLDEST_YEAR <= instant.year < 9999 else _NONE


def _month(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1


def _year(written: str) -> int:
    """Two digits as RFC 2822 reads them: up to 49 this century, from 50 the last."""
    number = int(written)
    if len(written) > 2:
        return number
    return number + (2000 if number < 50 else 1900)


def _hour(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError("no hour of a half day")
    return hour % 12 + (12 if half[0] in "pP" else 0)


def _zone(written: str | None) -> tzinfo | None:
    if not written:
        return None
    sign = max(written.find("+"), written.find("-"))
    if sign < 0:
        return _NAMED.get(written.upper())
    digits = written[sign + 1 :].replace(":", "")
    hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > timedelta(hours=14):
        raise ValueError("no offset of any zone")
    return timezone(-offset if written[sign] == "-" else offset)
