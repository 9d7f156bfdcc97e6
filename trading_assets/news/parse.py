"""From the bytes of a feed to stories. Nothing is fetched, stored or judged here.

``feedparser`` does the reading of XML; this module refuses what it accepts too kindly (an HTML page is "a feed with no
entries" to it) and what could hurt (entity declarations, of which real feeds have none).
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.news.charset import decode, xml_text
from trading_assets.news.dates import Dated, read_date
from trading_assets.news.identity import page_of
from trading_assets.news.json_feed import json_entries, looks_like_json
from trading_assets.news.prolog import DeclaresItsOwn, without_prolog
from trading_assets.news.text import plain, storable

TITLE_LIMIT = 1000
SUMMARY_LIMIT = 8000
LINK_LIMIT = 2000
_DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>'
#: So much of the end of a document is searched for its closing tag.
_TAIL = 20_000
#: A tag, or a CDATA section with all that looks like one in it.
_TAG = re.compile(r"<!\[CDATA\[(?:[^\]]|\](?!\]>))*+|</?[A-Za-z_][^<>]*>")
#: Feeds are a dozen deep; broken ones, with HTML that is not closed, some hundreds.
_DEEPEST = 3000
#: Comments are read one by one and never anew: each way to put hundreds of them together would be tried, else.
_END = re.compile(r"</\s*(?:[\w.-]+:)?(?:rss|feed|rdf)\s*>[^<]*+(?:<!--(?:[^-]|-(?!->))*+-->[^<]*+)*+\Z", re.IGNORECASE)
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
    ``unusable`` counts entries without any text or identity, ``undated`` stories without a usable date, ``zoneless``
    those among them whose date names no zone. ``complaint`` says what was untidy in the document itself."""

    version: str
    stories: tuple[ParsedStory, ...]
    complete: bool
    unusable: int
    complaint: str | None
    undated: int = 0
    zoneless: int = 0


def _without_declarations(text: str, where: str) -> str:
    try:
        return without_prolog(text)
    except DeclaresItsOwn:
        raise FeedUnreadable(
            "the feed declares XML entities or attributes, which can be made to expand without bound",
            where=where,
            mend="No news feed needs them: check the address.",
        ) from None


def _refuse_depth(text: str, where: str) -> None:
    """feedparser needs the square of the depth: a document of nothing but opening tags would take hours."""
    depth = 0
    for tag in _TAG.finditer(text):
        if tag[0].startswith("</"):
            depth = max(0, depth - 1)
        elif not tag[0].endswith("/>"):
            depth += not tag[0].startswith("<!")
        if depth > _DEEPEST:
            raise FeedUnreadable(f"more than {_DEEPEST} elements lie within each other", where=where)


def _dated(entry: dict[str, Any], zone: tzinfo | None) -> Dated:
    zoneless = False
    for key in ("published", "updated", "created"):
        # The plain look-up: feedparser's own would answer one date for another, with a warning.
        written = dict.get(entry, key)
        if not isinstance(written, str):
            continue
        found = read_date(written, zone)
        if found.instant is not None:
            return found
        zoneless = zoneless or found.zoneless
    return Dated(None, zoneless)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _story(entry: dict[str, Any], published_at: datetime | None) -> ParsedStory | None:
    title = plain(_text(entry.get("title")) or "", TITLE_LIMIT)
    summary = plain(_text(entry.get("summary")) or "", SUMMARY_LIMIT) or None
    guid = _text(entry.get("id"))
    raw_link = _text(entry.get("link"))
    link = storable(raw_link, LINK_LIMIT) if raw_link is not None else None
    if not title and summary is None:
        return None
    if guid is None and not title and not (page_of(link) or "").strip():
        return None
    return ParsedStory(guid, link or None, title, summary, published_at)


def parse_feed(
    body: bytes,
    *,
    content_type: str | None = None,
    where: str = "feed",
    base: str | None = None,
    zone: tzinfo | None = None,
) -> ParsedFeed:
    """Read one RSS, Atom or RDF document, or a JSON Feed. ``base`` is the address that relative links belong to,
    ``zone`` that of dates which name none.

    Raises ``FeedUnreadable`` when the body is empty, is no feed (an HTML page, other JSON), declares entities, or is
    broken in such a way that not one story could be read. A feed that is merely untidy is read, with ``complaint`` set.
    """
    if not body.strip():
        raise FeedUnreadable("the body is empty", where=where)
    decoded = decode(body, content_type)
    if looks_like_json(decoded.text):
        try:
            version, entries = json_entries(decoded.text)
        except ValueError as failure:
            raise FeedUnreadable(str(failure), where=where) from None
        return _feed(version, entries, zone, complete=True, complaint=decoded.remark)
    text = _without_declarations(xml_text(decoded.text), where)
    _refuse_depth(text, where)
    result = _read_xml(text, where, base)
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
    complete = complaint is None or bool(_END.search(text[-_TAIL:].rstrip()))
    if not complete and entries:
        # The last story of a document that breaks off may have lost half its title, and stories are stored for ever.
        entries.pop()
    told = "; ".join(each for each in (decoded.remark, complaint) if each is not None) or None
    feed = _feed(version, entries, zone, complete=complete, complaint=told)
    if not feed.stories and complaint is not None:
        raise FeedUnreadable(f"the feed is broken and holds no readable story: {complaint}", where=where)
    return feed


def _read_xml(text: str, where: str, base: str | None) -> dict[str, Any]:
    import feedparser

    headers = {"content-type": "application/xml; charset=utf-8"} | ({"content-location": base} if base else {})
    try:
        # A bare string would be tried as an address and as a file name first. Markup is removed afterwards anyhow.
        found: dict[str, Any] = feedparser.parse(
            io.BytesIO(_DECLARATION + text.encode("utf-8", "replace")),
            response_headers=headers,
            sanitize_html=False,
            resolve_relative_uris=False,
        )
        return found
    except _PARSER_ERRORS as failure:
        what = f"the feed cannot be parsed: {type(failure).__name__}: {failure}"
        raise FeedUnreadable(what, where=where) from failure


def _feed(
    version: str, entries: Sequence[dict[str, Any]], zone: tzinfo | None, *, complete: bool, complaint: str | None
) -> ParsedFeed:
    stories, undated, zoneless = [], 0, 0
    for entry in entries:
        dated = _dated(entry, zone)
        story = _story(entry, dated.instant)
        if story is not None:
            stories.append(story)
            undated += dated.instant is None
            zoneless += dated.zoneless
    unusable = len(entries) - len(stories)
    return ParsedFeed(version, tuple(stories), complete, unusable, complaint, undated, zoneless)
