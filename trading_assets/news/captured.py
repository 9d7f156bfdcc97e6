"""How a recorded answer of a feed reads: which stories it has, and whether it is sound."""

from __future__ import annotations

from dataclasses import dataclass

from trading_assets.news.identity import event_uid
from trading_assets.news.parse import FeedUnreadable, parse_feed


@dataclass(frozen=True, slots=True)
class Reading:
    """``items`` are the identities of the stories; ``problem`` says why the body is no sound feed, None if it is."""

    items: frozenset[str]
    problem: str | None


def read_capture(body: bytes, content_type: str | None) -> Reading:
    """Read a body exactly as a fetched one is read. Never raises for what a body holds."""
    try:
        feed = parse_feed(body, content_type=content_type)
    except FeedUnreadable as refusal:
        return Reading(frozenset(), refusal.what)
    items = frozenset(event_uid(each.guid, each.link, each.title, each.published_at) for each in feed.stories)
    return Reading(items, None if feed.complete else "the document breaks off")
