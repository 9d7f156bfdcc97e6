"""Every recorded feed through the whole of ingestion: real HTTP in, real PostgreSQL out, twice."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from trading_assets.ledger.news_tables import article_texts, inbound_events_raw
from trading_assets.news.charset import decode, xml_text
from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.ingest import FeedOutcome, ingest
from trading_assets.news.parse import FeedUnreadable, ParsedFeed, parse_feed
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer

pytestmark = [pytest.mark.recorded, pytest.mark.patient]

SETS = ("F1_feedparser_tests", "F3_finance_feeds_2026_05", "F4_sec_feeds_edgarkit")
BATCH = 430
#: Two thousand feeds on one busy machine: nothing here is about time.
UNHURRIED = FetchConfig(concurrency=16, connect_timeout_s=30, read_timeout_s=60, deadline_s=120, round_s=600)


def _text(body: bytes) -> str:
    """The document without its declaration, which names the charset in which it was recorded."""
    text = decode(body).text
    return text if text.lstrip().startswith("{") else xml_text(text)


#: The same content as other servers would send it: body and Content-Encoding.
WAYS: tuple[Callable[[bytes], tuple[bytes, str]], ...] = (
    lambda body: (gzip.compress(body, 1), "gzip"),
    lambda body: (_text(body).encode("utf-16"), "identity"),
    lambda body: (zlib.compress(_text(body).encode("utf-8-sig"), 1), "deflate"),
)


def recorded(folder: Path) -> list[Path]:
    found = [path for name in SETS for path in (folder / "feeds" / name).rglob("*") if path.suffix in KINDS]
    assert sum("F1_" in str(path) for path in found) == 2107
    return sorted(found)


KINDS = {".xml", ".rss", ".json", ".html"}


def counts(engine: Engine) -> int:
    with engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(article_texts)) == 0
        return connection.scalar(select(func.count()).select_from(inbound_events_raw)) or 0


def test_F39_every_recorded_feed_is_ingested_and_the_same_content_in_another_form_writes_nothing(
    ledger: Engine, feeds: FeedServer, clock: SetClock, recorded_data: Path
) -> None:
    bodies = {f"f{number}": path.read_bytes() for number, path in enumerate(recorded(recorded_data))}
    names = list(bodies)
    batches = [names[start : start + BATCH] for start in range(0, len(names), BATCH)]

    def round_of_all() -> list[FeedOutcome]:
        outcomes: list[FeedOutcome] = []
        for batch in batches:
            configured = tuple(FeedConfig(name=name, url=feeds.url(f"/{name}"), source=name) for name in batch)
            outcomes += ingest(ledger, NewsConfig(feeds=configured, fetch=UNHURRIED), clock).outcomes
        return outcomes

    for name, body in bodies.items():
        feeds.serve(f"/{name}", body)
    first = round_of_all()
    stored = counts(ledger)
    assert stored == sum(outcome.new for outcome in first) > 700
    assert sum(outcome.status == "fetched" for outcome in first) > 1500
    # What is refused is refused for what it is, and not for how it was asked.
    assert all("HTTP" not in (outcome.error or "") for outcome in first)

    for number, (name, body) in enumerate(bodies.items()):
        packed, encoding = WAYS[number % len(WAYS)](body)
        feeds.serve(f"/{name}", packed, Content_Encoding=encoding)
    # Pauses of those that failed are over by then.
    clock.advance(minutes=1)
    second = round_of_all()
    assert counts(ledger) == stored

    def plain(outcome: FeedOutcome) -> FeedOutcome:
        return replace(outcome, new=0, remark=None, next_attempt_at=None)

    assert list(map(plain, second)) == list(map(plain, first))


def test_a_recorded_feed_is_the_same_in_every_charset(recorded_data: Path) -> None:
    def read(body: bytes, content_type: str | None = None) -> ParsedFeed | str:
        try:
            return replace(parse_feed(body, content_type=content_type), complaint=None)
        except FeedUnreadable as problem:
            return str(problem)

    paths = [path for path in recorded(recorded_data) if "F1_" not in str(path)]
    assert len(paths) > 30
    for path in paths:
        body = path.read_bytes()
        as_it_came = read(body)
        assert read(_text(body).encode("utf-16")) == as_it_came, path
        assert read(_text(body).encode(), "text/xml; charset=ISO-8859-1") == as_it_came, path
        if not isinstance(as_it_came, str):
            assert "\ufffd" not in "".join(story.title for story in as_it_came.stories), path
