"""Moving the dates that a captured feed names by whole days, with everything else of it left as it was recorded.

Only the day is rewritten (and its weekday's name): hours, minutes and zone stay as the feed wrote them.
"""

from __future__ import annotations

import codecs
import re
from datetime import date, timedelta

_ELEMENT = re.compile(
    rb"(<(?:[\w.-]+:)?(?:pubDate|published|updated|lastBuildDate|date|created|modified|issued)(?:\s[^<>]*)?>)"
    rb"(<!\[CDATA\[[^<]*|[^<]*)(?=<|\]\]>)",
    re.IGNORECASE,
)
_JSON = re.compile(rb'("date_(?:published|modified)"\s*:\s*")([^"]*)(?=")')
_ISO = re.compile(rb"(\d{4})(-?)(\d{2})\2(\d{2})(?!\d)")
_WRITTEN = re.compile(
    rb"(?:(Mon|Tue|Wed|Thu|Fri|Sat|Sun)([a-z]*)(,?\s+))?(\d{1,2})([\s-]+)(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|"
    rb"Dec)([a-z]*)([\s-]+)(\d{4})(?!\d)"
)
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_LONG_DAYS = (b"Monday", b"Tuesday", b"Wednesday", b"Thursday", b"Friday", b"Saturday", b"Sunday")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_LONG_MONTHS = (
    b"January", b"February", b"March", b"April", b"May", b"June", b"July", b"August", b"September", b"October",
    b"November", b"December",
)  # fmt: skip
#: The longer marks first: the one of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def shift_dates(body: bytes, days: int) -> tuple[bytes, int]:
    """The body with the dates of feed and items ``days`` later, and how many dates could not be read and stay."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            try:
                plain = body[len(mark) :].decode(encoding).encode()
                moved, left = shift_dates(plain, days)
                return mark + moved.decode().encode(encoding), left
            except UnicodeError:
                return body, 1
    left = 0

    def moved_element(found: re.Match[bytes]) -> bytes:
        nonlocal left
        written = found.group(2)
        moved = _moved(written, days)
        if moved is None:
            left += 1 if written.strip() else 0
            return found.group()
        return found.group(1) + moved

    for pattern in (_ELEMENT, _JSON):
        body = pattern.sub(moved_element, body)
    return body, left


def _moved(written: bytes, days: int) -> bytes | None:
    try:
        iso = _ISO.search(written)
        if iso is not None:
            day = date(int(iso[1]), int(iso[3]), int(iso[4])) + timedelta(days=days)
            sign = iso[2].decode()
            return written[: iso.start()] + day.strftime(f"%Y{sign}%m{sign}%d").encode() + written[iso.end() :]
        found = _WRITTEN.search(written)
        if found is None:
            return None
        day = date(int(found[9]), _MONTHS.index(found[6]) + 1, int(found[4])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    weekday = b""
    if found[1] is not None:
        weekday = (_LONG_DAYS if found[2] else _DAYS)[day.weekday()] + found[3]
    number = b"%0*d" % (len(found[4]), day.day)
    month = (_LONG_MONTHS if found[7] else _MONTHS)[day.month - 1]
    return b"".join(
        (
            written[: found.start()],
            weekday,
            number,
            found[5],
            month,
            found[8],
            b"%04d" % day.year,
            written[found.end() :],
        )
    )
