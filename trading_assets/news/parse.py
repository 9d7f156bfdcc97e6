"""From the bytes of a feed to stories. Nothing is fetched, stored or judged here.

``feedparser`` does the reading of XML; this module refuses what it accepts too kindly (an HTML page is "a feed with no
entries" to it) and what could hurt (entity declarations, of which real feeds have none).
"""

from __future__ import annotations

import calendar
import io
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.json_feed import json_entries, looks_like_json
from trading_assets.news.text import plain, storable

TITLE_LIMIT = 1000
SUMMARY_LIMIT = 8000
LINK_LIMIT = 2000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_ELEMENT = re.compile(rb"<[A-Za-z_:]")
_ISO_DAY = re.compile(r"\s*(\d{4})-(\d{2})-(\d{2})(?!\d)")
_ENTITY = re.compile(rb"<!\s*ENTITY", re.IGNORECASE)
_END = re.compile(rb"</\s*(?:[\w.-]+:)?(?:rss|feed|rdf)\s*>[^<]*(?:<!--.*?-->\s*)*\Z", re.IGNORECASE | re.DOTALL)
#: What feedparser and the parsers under it raise on input they cannot follow.
_PARSER_ERRORS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError, RecursionError)


class FeedUnreadable(TradingAssetsError):
    """A body is no feed, or is one that must not be read."""


@dataclass(frozen=True, slots=True)
class ParsedStory:
    """One story as the feed tells it, in plain text. ``published_at`` is None when the feed gives no usable date;
    a date in the future is kept as it is."""

    guid: str | None
    link: str | None
    title: str
    summary: str | None
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class ParsedFeed:
    """The stories of one body. ``complete`` is False for a document that breaks off: it must be fetched again.
    ``unusable`` counts entries without any text or identity; ``complaint`` is the parser's, if it had one."""

    version: str
    stories: tuple[ParsedStory, ...]
    complete: bool
    unusable: int
    complaint: str | None


def _refuse_entities(body: bytes, where: str) -> None:
    # UTF-16 and UTF-32 only put NUL bytes between the letters of a prolog.
    letters = body.replace(b"\0", b"")
    first = _FIRST_ELEMENT.search(letters)
    if _ENTITY.search(letters[: first.start()] if first else letters):
        raise FeedUnreadable(
            "the feed declares XML entities, which can be made to expand without bound",
            where=where,
            mend="No news feed needs them: check the address.",
        )


def _in_calendar(written: object) -> bool:
    """False for "2026-13-45", from which feedparser makes a day of the next year."""
    found = _ISO_DAY.match(written) if isinstance(written, str) else None
    if found is None:
        return True
    try:
        date(*map(int, found.groups()))
    except ValueError:
        return False
    return True


def _instant(entry: dict[str, Any]) -> datetime | None:
    for key in ("published", "updated", "created"):
        # The plain look-up: feedparser's own would answer one date for another, with a warning.
        parsed = dict.get(entry, f"{key}_parsed")
        if parsed is None or not _in_calendar(dict.get(entry, key)):
            continue
        try:
            return _EPOCH + timedelta(seconds=calendar.timegm(parsed))
        except (ValueError, OverflowError, TypeError):
            continue
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _story(entry: dict[str, Any]) -> ParsedStory | None:
    title = plain(_text(entry.get("title")) or "", TITLE_LIMIT)
    summary = plain(_text(entry.get("summary")) or "", SUMMARY_LIMIT) or None
    guid = _text(entry.get("id"))
    raw_link = _text(entry.get("link"))
    link = storable(raw_link, LINK_LIMIT) if raw_link is not None else None
    if not title and summary is None:
        return None
    if guid is None and not link and not title:
        return None
    return ParsedStory(guid, link or None, title, summary, _instant(entry))


def parse_feed(body: bytes, *, content_type: str | None = None, where: str = "feed") -> ParsedFeed:
    """Read one RSS, Atom or RDF document, or a JSON Feed.

    Raises ``FeedUnreadable`` when the body is empty, is no feed (an HTML page, other JSON), declares entities, or is
    broken in such a way that not one story could be read. A feed that is merely untidy is read, with ``complaint`` set.
    """
    import feedparser

    if not body.strip():
        raise FeedUnreadable("the body is empty", where=where)
    if looks_like_json(body):
        try:
            version, entries = json_entries(body)
        except ValueError as failure:
            raise FeedUnreadable(str(failure), where=where) from None
        read = [_story(entry) for entry in entries]
        kept = tuple(story for story in read if story is not None)
        return ParsedFeed(version, kept, complete=True, unusable=len(read) - len(kept), complaint=None)
    _refuse_entities(body, where)
    headers = {"content-type": content_type} if content_type else {}
    try:
        # A bare bytes argument would be tried as an address and as a file name first.
        result = feedparser.parse(io.BytesIO(body), response_headers=headers)
    except _PARSER_ERRORS as failure:
        what = f"the feed cannot be parsed: {type(failure).__name__}: {failure}"
        raise FeedUnreadable(what, where=where) from failure
    problem = result.get("bozo_exception") if result.get("bozo") else None
    complaint = storable(f"{type(problem).__name__}: {problem}", 500) if problem is not None else None
    version = result.get("version") or ""
    if not version:
        raise FeedUnreadable(
            "the body is not an RSS or Atom feed",
            where=where,
            mend="Open the address in a browser: a login, consent or error page may have taken its place.",
        )
    entries = list(result.get("entries", ()))
    complete = complaint is None or bool(_END.search(body.replace(b"\0", b"").rstrip()))
    if not complete and entries:
        # The last story of a document that breaks off may have lost half its title, and stories are stored for ever.
        entries.pop()
    stories = [_story(entry) for entry in entries]
    if not any(stories) and complaint is not None and not _harmless(problem):
        raise FeedUnreadable(f"the feed is broken and holds no readable story: {complaint}", where=where)
    usable = tuple(story for story in stories if story is not None)
    return ParsedFeed(version, usable, complete, len(stories) - len(usable), complaint)


def _harmless(problem: object) -> bool:
    """Whether the complaint is about the transport (content type, charset label) and not about the document."""
    return type(problem).__name__ in {"NonXMLContentType", "CharacterEncodingOverride"}
