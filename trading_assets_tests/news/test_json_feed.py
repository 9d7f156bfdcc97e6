"""JSON Feeds are read as feeds; other JSON is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from trading_assets.news.captured import read_capture
from trading_assets.news.identity import event_uid
from trading_assets.news.parse import FeedUnreadable, parse_feed

VERSION = "https://jsonfeed.org/version/1.1"


def document(*items: object, version: object = VERSION) -> bytes:
    return json.dumps({"version": version, "title": "t", "items": list(items)}).encode()


def test_an_item_becomes_a_story_in_plain_text() -> None:
    item = {
        "id": 7,
        "url": "https://example.com/7",
        "title": "AT&T <b>beats</b> estimates",
        "content_html": "<p>First.</p><script>alert(1)</script>",
        "date_published": "2026-03-12T09:30:00-04:00",
    }
    feed = parse_feed(b"\xef\xbb\xbf \n" + document(item), content_type="application/feed+json")
    (story,) = feed.stories
    assert (story.guid, story.link, story.summary) == ("7", "https://example.com/7", "First.")
    assert story.title.startswith("AT&T")
    assert story.published_at == datetime(2026, 3, 12, 13, 30, tzinfo=UTC)
    assert (feed.version, feed.complete, feed.unusable) == ("json11", True, 0)


def test_untidy_items_are_counted_and_half_a_character_has_an_identity() -> None:
    half = {"id": "\ud83d", "title": "Nvidia \ud83d falls", "date_published": "2026-03-12T09:30:00"}
    feed = parse_feed(document(half, {"id": "x"}, "no item", None, {"id": [], "title": 3, "url": {}}))
    (story,) = feed.stories
    assert story.published_at is None, "a time without a zone is no instant"
    assert len(event_uid(story.guid, story.link, story.title, story.published_at)) == 64
    assert feed.unusable == 4


@pytest.mark.parametrize("link", ["?utm_source=x", "#utm_source=x"])
def test_F39_a_link_that_only_tracks_identifies_no_story_and_ends_no_round(link: str) -> None:
    feed = parse_feed(document({"url": link, "content_text": "Words"}, {"id": "1", "title": "Nvidia beats"}))
    assert [event_uid(each.guid, each.link, each.title, each.published_at) for each in feed.stories] == [
        event_uid("1", None, "", None)
    ]
    assert feed.unusable == 1


@pytest.mark.parametrize(
    "body",
    [document(version="1"), document(version=None), b'{"version": "https://jsonfeed.org/version/1"}', b"{}", b"{"],
)
def test_other_or_broken_json_is_refused(body: bytes) -> None:
    with pytest.raises(FeedUnreadable):
        parse_feed(body)
    assert read_capture(body, None).problem is not None


def test_json_that_breaks_off_is_refused() -> None:
    whole = document({"id": "1", "title": "One"})
    assert read_capture(whole, None).problem is None
    assert "JSON cannot be parsed" in str(read_capture(whole[:-9], None).problem)
