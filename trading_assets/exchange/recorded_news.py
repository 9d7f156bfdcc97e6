"""The items of recorded feeds as headlines. One is public when its feed was first captured with it: nothing is known of
when it was published before that, and a later date in the item would be a look ahead.

Bodies are read when somebody asks for news, each once, and those only that brought something new. What no parser
understands has no items. A feed names no stocks, so its headlines name none.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from trading_assets.domain.clock import require_utc
from trading_assets.exchange.market_port import Headline
from trading_assets.exchange.recorded_feeds import RecordedFeeds

_log = logging.getLogger(__name__)
_LARGEST_BODY = 5 * 1024 * 1024


class RecordedNews:
    """The headlines of the recorded feeds of one world."""

    def __init__(self, feeds: RecordedFeeds) -> None:
        self._feeds = feeds
        self._read: dict[str, int] = dict.fromkeys(feeds.names, 0)
        self._known: dict[str, set[str]] = {name: set() for name in feeds.names}
        self._headlines: list[Headline] = []

    def until(self, now: datetime) -> Sequence[Headline]:
        """The items that were captured by ``now`` (and, once asked for, later ones), in order of capture."""
        found = [headline for name in self._feeds.names for headline in self._next(name, now)]
        if found:
            self._headlines = sorted([*self._headlines, *found], key=lambda item: (item.published_at, item.feed))
        return self._headlines

    def _next(self, name: str, now: datetime) -> Iterator[Headline]:
        captures = self._feeds.captures(name)
        while self._read[name] < len(captures) and captures[self._read[name]].at <= now:
            capture = captures[self._read[name]]
            self._read[name] += 1
            if not capture.new_items or capture.status != 200:
                continue
            for item in _items(name, self._feeds.body(capture)):
                identity = hashlib.sha256(f"{name}\n{item['id']}".encode()).hexdigest()
                if identity not in self._known[name]:
                    self._known[name].add(identity)
                    yield Headline(
                        identity, require_utc(capture.at), name, item["title"], item["summary"], item["link"], ()
                    )


def _items(name: str, body: bytes) -> list[dict[str, str]]:
    """The items of a captured body that have a title, the oldest first; none if it is no feed."""
    if len(body) > _LARGEST_BODY:
        _log.warning("a capture of %s is too large to be read as a feed: %d bytes", name, len(body))
        return []
    raw = _json_items(body) if body.lstrip()[:1] == b"{" else _xml_items(body)
    found = []
    for item in reversed(raw):
        title, link = _text(item.get("title")), _text(item.get("link") or item.get("url"))
        identity = _text(item.get("id")) or link or title
        summary = _text(item.get("summary") or item.get("content_text"))
        if title:
            found.append({"id": identity, "title": title, "link": link, "summary": summary})
    return found


def _json_items(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    items = document.get("items") if isinstance(document, dict) else None
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _xml_items(body: bytes) -> list[Any]:
    # Read here alone: most worlds draw their news and start without a feed parser.
    import feedparser

    return list(feedparser.parse(body).entries)


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
