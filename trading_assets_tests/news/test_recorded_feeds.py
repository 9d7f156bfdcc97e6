"""Feeds as they were recorded: all are read, and every story has an identity and plain text."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.news.identity import event_uid
from trading_assets.news.parse import FeedUnreadable, parse_feed

pytestmark = pytest.mark.recorded


def recorded(folder: Path, *sets: str) -> list[Path]:
    found = [path for name in sets for path in (folder / "feeds" / name).rglob("*") if path.suffix in (".xml", ".rss")]
    assert found
    return sorted(found)


def test_every_recorded_finance_feed_is_read(recorded_data: Path) -> None:
    stories = 0
    for path in recorded(recorded_data, "F3_finance_feeds_2026_05", "F4_sec_feeds_edgarkit"):
        feed = parse_feed(path.read_bytes(), where=str(path))
        assert feed.stories, path
        assert feed.complete, path
        assert feed.unusable == 0, path
        # Speeches that were never dated say 1899-12-30, the zero of a spreadsheet.
        undated = 3 if path.name == "testimony.xml" and "fed-speech" in path.parent.name else 0
        assert (feed.undated, feed.zoneless) == (undated, 0), path
        for story in feed.stories:
            assert len(event_uid(story.guid, story.link, story.title, story.published_at)) == 64
            assert "<p>" not in (story.summary or "")
            stories += 1
    assert stories > 600


def test_known_counts_of_two_recorded_feeds(recorded_data: Path) -> None:
    folder = recorded_data / "feeds" / "F3_finance_feeds_2026_05"
    for name, stories, identities in (("yahoo-finance-news", 48, 47), ("sec-edgar-8k", 40, 39)):
        feed = parse_feed((folder / name / "feed.xml").read_bytes())
        uids = {event_uid(each.guid, each.link, each.title, each.published_at) for each in feed.stories}
        assert (len(feed.stories), len(uids)) == (stories, identities)


def test_F39_nothing_in_two_thousand_odd_documents_raises_anything_but_a_refusal(recorded_data: Path) -> None:
    read = refused = 0
    for path in sorted((recorded_data / "feeds" / "F1_feedparser_tests").rglob("*")):
        if not path.is_file():
            continue
        try:
            parse_feed(path.read_bytes())
            read += 1
        except FeedUnreadable:
            refused += 1
    assert read > 1500
    assert refused > 0
