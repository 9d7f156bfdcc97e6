"""What stands in a feed's address for a key is used and never told: not by errors, logs, the ledger, checks or repr."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Engine, select

from trading_assets.ledger.news_tables import feed_attempts, feed_state, inbound_events_raw
from trading_assets.news.addresses import told
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.feed_health import failing_sentence, feed_health
from trading_assets.news.feed_schedule import configured
from trading_assets.news.ingest import ingest
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss

KEY = "s3cr3tk3y"


def test_F57_a_key_in_the_address_of_a_feed_is_told_nowhere(
    ledger: Engine, feeds: FeedServer, clock: SetClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = {
        "page": "<html><p>Log in</p></html>",
        "broken": "<rss version='2.0'><channel><item",
        "huge": "<html><p>" + "log in " * 20_000,
        "good": rss(item("A story that leads to its feed", guid="1", link="#story")),
    }
    for name, body in answers.items():
        feeds.serve(f"/{name}?apikey={KEY}&{KEY}", body)
    feeds.serve(f"/refused?apikey={KEY}&{KEY}", "", 403)
    names = [*answers, "refused"]
    urls = {name: feeds.url(f"/{name}?apikey={KEY}&{KEY}") for name in names}
    config = NewsConfig(feeds=tuple(FeedConfig(name=name, url=url, source="A") for name, url in urls.items()))
    report = ingest(ledger, config, clock)
    assert [one.status for one in report.outcomes] == ["failed", "failed", "failed", "fetched", "failed"]
    with ledger.connect() as connection:
        tables = [connection.execute(select(each)).all() for each in (feed_state, feed_attempts, inbound_events_raw)]
    health = feed_health(ledger, config)
    said = [report, tables, health, failing_sentence(health), caplog.text, config, configured(config.feeds, ())]
    assert [one for one in map(repr, said) if KEY in one] == []
    assert f"127.0.0.1:{feeds.port}/page?apikey=…&…" in repr(health), "where it failed is told all the same"


def test_a_feed_with_another_key_is_another_address(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    for key in ("one", "two"):
        feeds.serve(f"/rss?key={key}", rss(item("A story", guid="1")), ETag='"a"')
        ingest(ledger, NewsConfig(feeds=(FeedConfig(name="a", url=feeds.url(f"/rss?key={key}"), source="A"),)), clock)
        clock.advance(minutes=1)
    assert [headers.get("if-none-match") for _, headers in feeds.requests] == [None, None]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.com/rss", "https://example.com/rss"),
        ("https://user:pass@example.com:8443/a/b?x=1&y=&z#part", "https://example.com:8443/a/b?x=…&y=…&…"),
        ("https://[2001:db8::1]/rss?k=v", "https://[2001:db8::1]/rss?k=…"),
        ("https://[broken/rss?k=v", "an address that cannot be read"),
    ],
)
def test_an_address_is_told_without_what_may_be_secret(address: str, shown: str) -> None:
    assert told(address) == shown
