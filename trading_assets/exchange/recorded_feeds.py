"""Feeds as they were captured: at an instant each shows its newest capture that is not younger. Nothing is made up.

``feeds.json`` beside the exchange's configuration lists the captures; their bodies lie in ``feeds/`` under the name of
their SHA-256. A capture is answered as it was recorded, status and all, also one that no reader understands.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from trading_assets.domain.clock import require_utc
from trading_assets.domain.errors import ConfigurationError

FEEDS_FILE, BODIES = "feeds.json", "feeds"
_REPEAT = "Begin the world anew with its feeds."
#: Bodies kept in memory: a feed is asked for every minute and changes seldom.
_CACHED = 64
_EMPTY_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rss version="2.0"><channel><title>{name}</title>'
    "<link>https://news.practice.example/</link><description>Nothing was captured yet</description></channel></rss>\n"
)
_EMPTY_JSON = '{{"version": "https://jsonfeed.org/version/1.1", "title": "{name}", "items": []}}\n'


class Capture(BaseModel):
    """One answer of a feed. ``new_items`` counts its items that no earlier capture of this feed had."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: AwareDatetime = Field(description="when it was captured; nobody sees it before")
    body: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the body, which is its file's name")
    content_type: str = Field(min_length=1, max_length=200, description="Content-Type that it is served with")
    status: int = Field(200, ge=200, le=599, description="HTTP status of the recorded answer")
    new_items: int = Field(0, ge=0, description="items that were not in an earlier capture")


class RecordedFeed(BaseModel):
    """The captures of one feed, the oldest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="name of the feed")
    json_format: bool = Field(False, description="JSON Feed instead of RSS or Atom")
    captures: tuple[Capture, ...] = Field(min_length=1, description="captures by time")

    @field_validator("captures")
    @classmethod
    def _in_order(cls, captures: tuple[Capture, ...]) -> tuple[Capture, ...]:
        if any(later.at <= earlier.at for earlier, later in pairwise(captures)):
            raise ValueError("captures must be in order of time, no two at the same instant")
        return captures


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    feeds: tuple[RecordedFeed, ...]


class Shown:
    """What a feed answers with at an instant. ``since`` is when it first did; None before the first capture."""

    def __init__(self, body: bytes, content_type: str, status: int, since: datetime | None) -> None:
        self.body, self.content_type, self.status, self.since = body, content_type, status, since


class RecordedFeeds:
    """The recorded feeds of one world. ``folder`` holds the bodies."""

    def __init__(self, feeds: tuple[RecordedFeed, ...], folder: Path) -> None:
        self._feeds = {feed.name: feed for feed in feeds}
        self._times = {feed.name: [require_utc(capture.at) for capture in feed.captures] for feed in feeds}
        self._items = {feed.name: list(accumulate(capture.new_items for capture in feed.captures)) for feed in feeds}
        self._since = {feed.name: _since(feed) for feed in feeds}
        self._folder = folder
        self._body = lru_cache(maxsize=_CACHED)(self._read)

    @property
    def names(self) -> tuple[str, ...]:
        """The feeds, sorted."""
        return tuple(sorted(self._feeds))

    def at(self, name: str, instant: datetime) -> Shown:
        """What the feed shows at ``instant``: its newest capture that is not younger, or an empty feed before the
        first. ``KeyError`` for a feed that is not recorded; raises ``ConfigurationError`` if a body is gone."""
        feed = self._feeds[name]
        place = self._place(name, instant)
        if place < 0:
            empty = (_EMPTY_JSON if feed.json_format else _EMPTY_XML).format(name=name)
            kind = "application/feed+json" if feed.json_format else "application/rss+xml"
            return Shown(empty.encode(), kind, 200, None)
        capture = feed.captures[place]
        return Shown(self._body(capture.body), capture.content_type, capture.status, self._since[name][place])

    def captures(self, name: str) -> tuple[Capture, ...]:
        """Every capture of a feed, the future too, the oldest first. ``KeyError`` for a feed that is not recorded."""
        return self._feeds[name].captures

    def body(self, capture: Capture) -> bytes:
        """What a capture was answered with; raises ``ConfigurationError`` if it is gone."""
        return self._body(capture.body)

    def published(self, instant: datetime) -> int:
        """How many different items the feeds have shown up to ``instant``."""
        places = ((name, self._place(name, instant)) for name in self._feeds)
        return sum(self._items[name][place] for name, place in places if place >= 0)

    def _place(self, name: str, instant: datetime) -> int:
        return bisect_right(self._times[name], require_utc(instant)) - 1

    def _read(self, digest: str) -> bytes:
        path = self._folder / digest
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"a recorded feed's body cannot be read: {type(error).__name__}", where=str(path), mend=_REPEAT
            ) from error


def load_feeds(directory: Path) -> RecordedFeeds:
    """The recorded feeds kept in ``directory``; raises ``ConfigurationError`` if they cannot be read."""
    path = directory / FEEDS_FILE
    try:
        found = _File.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            f"the recorded feeds cannot be read: {type(error).__name__}", where=str(path), mend=_REPEAT
        ) from error
    return RecordedFeeds(found.feeds, directory / BODIES)


def _since(feed: RecordedFeed) -> list[datetime]:
    """For each capture, since when its body stands without a change: what a server calls last modified."""
    since: list[datetime] = []
    for place, capture in enumerate(feed.captures):
        same = place > 0 and (feed.captures[place - 1].body, feed.captures[place - 1].status) == (
            capture.body,
            capture.status,
        )
        since.append(since[-1] if same else require_utc(capture.at))
    return since
