"""Recorded feeds on the wire: at every instant what was captured until then, as a real server would answer."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import feedparser
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.recorded_feeds import load_feeds
from trading_assets_tests.exchange.venue_process import MINUTE, OPEN, prepare

FEED = "cnbc"


def body(number: int) -> bytes:
    return f'<rss version="2.0"><channel><title>t</title><item><title>{number}</title></item></channel></rss>'.encode()


def write(directory: Path, rows: list[tuple[datetime, bytes, dict[str, Any]]]) -> None:
    """``feeds.json`` with one feed of these captures."""
    (directory / "feeds").mkdir(parents=True)
    captures = []
    for at, content, more in rows:
        digest = hashlib.sha256(content).hexdigest()
        (directory / "feeds" / digest).write_bytes(content)
        captures.append({"at": at.isoformat(), "body": digest, "content_type": "text/xml", "new_items": 1, **more})
    file = {"feeds": [{"name": FEED, "captures": captures}], "counts": {}}
    (directory / "feeds.json").write_text(json.dumps(file))


@given(
    minutes=st.sets(st.integers(0, 400), min_size=1, max_size=12),
    asked=st.lists(st.integers(-5, 420 * 60), min_size=1, max_size=20),
)
def test_at_no_instant_anything_younger_is_shown(minutes: set[int], asked: list[int]) -> None:
    # The body of each capture names its time.
    times = [OPEN + minute * MINUTE for minute in sorted(minutes)]
    with TemporaryDirectory() as folder:
        write(Path(folder), [(at, at.isoformat().encode(), {}) for at in times])
        feeds = load_feeds(Path(folder))
        shown_at = {seconds: feeds.at(FEED, OPEN + timedelta(seconds=seconds)) for seconds in asked}
    for seconds in asked:
        instant = OPEN + timedelta(seconds=seconds)
        shown = shown_at[seconds]
        public = [at for at in times if at <= instant]
        assert feeds.published(instant) == len(public)
        if not public:
            assert shown.since is None
            assert feedparser.parse(shown.body).entries == []
        else:
            assert datetime.fromisoformat(shown.body.decode()) == shown.since == public[-1]


def test_a_feed_answers_with_its_newest_capture_and_304_to_who_has_it(tmp_path: Path) -> None:
    running = prepare(tmp_path / "exchange", OPEN, recorded_feeds=True)
    html = b"<html>log in</html>"
    write(
        running.directory,
        [
            (OPEN + 5 * MINUTE, body(1), {}),
            (OPEN + 6 * MINUTE, body(1), {"new_items": 0}),
            (OPEN + 10 * MINUTE, body(2), {}),
            (OPEN + 15 * MINUTE, html, {"content_type": "text/html", "new_items": 0}),
            (OPEN + 20 * MINUTE, b"later", {"status": 503, "new_items": 0}),
        ],
    )
    running.start()
    try:
        (listed,) = httpx.get(f"{running.url}/rss/").json()["feeds"]
        address = running.url + listed["path"]
        before = httpx.get(address)
        parsed = feedparser.parse(before.content)
        assert (parsed.version, parsed.bozo, len(parsed.entries)) == ("rss20", False, 0)
        assert "Last-Modified" not in before.headers
        assert httpx.get(address, headers={"If-None-Match": before.headers["ETag"]}).status_code == 304

        running.advance(OPEN + 5 * MINUTE - timedelta(seconds=1))
        assert httpx.get(address).content == before.content
        running.advance(OPEN + 5 * MINUTE)
        first = httpx.get(address, headers={"If-None-Match": before.headers["ETag"]})
        assert (first.status_code, first.content, first.headers["Content-Type"]) == (200, body(1), "text/xml")
        assert first.headers["Last-Modified"] == "Fri, 13 Mar 2026 13:35:00 GMT"

        running.advance(OPEN + 7 * MINUTE)
        conditions = {"If-None-Match": first.headers["ETag"]}, {"If-Modified-Since": first.headers["Last-Modified"]}
        for headers in conditions:
            same = httpx.get(address, headers=headers)
            assert (same.status_code, same.content) == (304, b""), "captured again, unchanged"
        running.advance(OPEN + 10 * MINUTE)
        for headers in conditions:
            assert httpx.get(address, headers=headers).content == body(2)
        assert running.status()["headlines_published"] == 2

        running.kill()
        running.start()
        address = running.url + listed["path"]
        assert httpx.get(address).content == body(2), "a restarted exchange shows the same"
        running.advance(OPEN + 15 * MINUTE)
        broken = httpx.get(address)
        assert (broken.status_code, broken.content, broken.headers["Content-Type"]) == (200, html, "text/html")
        running.advance(OPEN + 20 * MINUTE)
        assert httpx.get(address).status_code == 503
        assert httpx.get(f"{running.url}/rss/generated.xml").status_code == 404
    finally:
        running.stop()


@pytest.mark.parametrize("damage", ["gone", "not JSON", "out of order"])
def test_feeds_that_cannot_be_read_are_refused(tmp_path: Path, damage: str) -> None:
    write(tmp_path, [(OPEN, body(1), {}), (OPEN - MINUTE, body(2), {})])
    file = tmp_path / "feeds.json"
    if damage == "gone":
        file.unlink()
    elif damage == "not JSON":
        file.write_text("{")
    with pytest.raises(ConfigurationError, match="recorded feeds cannot be read"):
        load_feeds(tmp_path)
