"""Bodies of feeds are parsed within bounds: small ones here, all others in a process that can be ended.

``feedparser`` needs the square of what it reads for some documents: four megabytes of one item's categories, or of one
tag's attributes, take it minutes. A body that is small costs less than a second however it is made, and a process of
its own would take longer than an honest one of that size.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import datetime, tzinfo
from types import TracebackType
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from trading_assets.news.manners import RoundOver
from trading_assets.news.parse import FeedUnreadable, ParsedFeed, parse_feed
from trading_assets.news.reader_process import About, ReaderProcess, Unread
from trading_assets.news.reading_config import ReadingConfig

#: Larger bodies are parsed apart: feeds of news have 10 to 60 KiB, and the worst of this size takes half a second.
SMALL = 64 * 1024
_FEED: TypeAdapter[ParsedFeed] = TypeAdapter(ParsedFeed)


class BodyReader:
    """Parses the bodies of one round; a context manager."""

    def __init__(self, config: ReadingConfig) -> None:
        self._round_s, self._spent_s = config.round_s, 0.0
        self._apart = ReaderProcess(__name__, seconds=config.body_s, memory_mib=config.memory_mib)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._apart.__exit__(kind, problem, trace)

    def parse(self, body: bytes, *, content_type: str | None, where: str, base: str, zone: str | None) -> ParsedFeed:
        """As ``parse_feed``, and ``FeedUnreadable`` for a body that takes too long or too much memory.

        Raises ``RoundOver`` when the time of this round is used up.
        """
        if self._spent_s >= self._round_s:
            raise RoundOver
        began = time.monotonic()
        try:
            if len(body) <= SMALL:
                return parse_feed(body, content_type=content_type, where=where, base=base, zone=_zone(zone))
            about = {"content_type": content_type, "where": where, "base": base, "zone": zone}
            return self._parsed_apart(about, body, where)
        finally:
            self._spent_s += time.monotonic() - began

    def _parsed_apart(self, about: About, body: bytes, where: str) -> ParsedFeed:
        try:
            told = json.loads(self._apart.read(about, body))
            if "refused" not in told:
                return _FEED.validate_python(told["feed"])
            refusal = FeedUnreadable(told["refused"], where=where, mend=told["mend"])
        except Unread as problem:
            raise FeedUnreadable(f"its body {problem}", where=where) from problem
        except (ValueError, KeyError, TypeError) as problem:
            raise FeedUnreadable("what was read of its body makes no sense", where=where) from problem
        raise refusal


def answer(about: About, body: bytes) -> bytes:
    """In the process apart: the feed, or why it is refused."""
    where, zone = about["where"] or "", _zone(about["zone"])
    told: dict[str, Any]
    try:
        feed = parse_feed(body, content_type=about["content_type"], where=where, base=about["base"], zone=zone)
        told = {"feed": asdict(feed)}
    except FeedUnreadable as refusal:
        told = {"refused": refusal.what, "mend": refusal.mend}
    return json.dumps(told, default=_written).encode()


def _zone(name: str | None) -> tzinfo | None:
    return ZoneInfo(name) if name is not None else None


def _written(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"a feed holds no {type(value).__name__}")
    return value.isoformat()
