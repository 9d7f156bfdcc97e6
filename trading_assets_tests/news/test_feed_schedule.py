"""When a feed is asked again: rounds of real HTTP and a real ledger, and the pauses themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from trading_assets.ledger.feeds import FeedState, attempts_since, feed_states
from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.feed_health import FeedHealth, failing_sentence, feed_health
from trading_assets.news.feed_schedule import Feed, after_failure, is_due, is_gone
from trading_assets.news.ingest import FeedOutcome, ingest
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss, send

AT = datetime(2026, 3, 12, 14, 0, tzinfo=UTC)
FETCH = FetchConfig()


def config_of(feeds: FeedServer, *names: str, every_minutes: int = 1) -> NewsConfig:
    return NewsConfig(
        feeds=tuple(
            FeedConfig(name=name, url=feeds.url(f"/{name}"), source=name, every_minutes=every_minutes) for name in names
        )
    )


def failed(errors: int, status: int | None = 503, success: datetime | None = None, name: str = "cnbc") -> FeedState:
    return FeedState(name, "http://x/", None, None, AT, success, errors, "it failed", None, status)


def pause(state: FeedState, retry_after_s: int | None = None, every_minutes: int = 1) -> float:
    feed = Feed(state.feed, state.url, "Test", every_minutes)
    return (after_failure(state, feed, retry_after_s, FETCH) - AT).total_seconds() / 60


def test_pauses_double_up_to_the_longest_and_are_the_same_each_time() -> None:
    pauses = [pause(failed(errors)) for errors in (1, 2, 3, 4, 5, 6, 500)]
    for found, whole in zip(pauses, (1, 2, 4, 8, 15, 15, 15), strict=True):
        assert 0.75 * whole <= found <= whole
    assert pauses == [pause(failed(errors)) for errors in (1, 2, 3, 4, 5, 6, 500)]


def test_feeds_that_failed_together_do_not_all_come_back_together() -> None:
    assert len({pause(failed(9, name=f"feed{n}")) for n in range(20)}) == 20


def test_F39_retry_after_is_honoured_up_to_a_limit() -> None:
    assert pause(failed(1, 429), retry_after_s=1800) == 30
    assert pause(failed(1, 429), retry_after_s=9_999_999) == 6 * 60
    assert pause(failed(1, 429), retry_after_s=1) > 0.7


def test_a_failing_feed_is_not_asked_more_often_than_a_sound_one() -> None:
    assert pause(failed(1), every_minutes=60) == 59.5


@pytest.mark.parametrize(
    ("state", "gone"),
    [
        (failed(1, 410), True),
        (failed(19, 404), False),
        (failed(20, 404), True),
        (failed(20, 404, AT - timedelta(hours=23)), False),
        (failed(20, 404, AT - timedelta(hours=25)), True),
        (failed(500, 503), False),
    ],
)
def test_what_is_gone_for_good_is_asked_seldom(state: FeedState, gone: bool) -> None:
    assert is_gone(state) == gone
    assert (pause(state) > 15) == gone


def test_a_clock_that_was_set_back_silences_no_feed() -> None:
    feed = Feed("cnbc", "http://x/", "Test")
    waiting = FeedState("cnbc", feed.address, None, None, AT, None, 3, "no", AT + timedelta(minutes=4))
    assert not is_due(feed, waiting, AT + timedelta(minutes=3))
    assert is_due(feed, waiting, AT - timedelta(days=2))


def test_F39_a_failing_feed_is_left_alone_until_its_next_try_while_others_are_read(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/busy", "", 429, Retry_After="600")
    feeds.serve("/good", rss(item("Good story", guid="g")))
    config = config_of(feeds, "busy", "good")
    ingest(ledger, config, clock)
    begin = clock.now()
    for minute in range(1, 11):
        clock.advance(minutes=1)
        busy, good = ingest(ledger, config, clock).outcomes
        assert good.status == "fetched"
        if minute < 10:
            assert busy == FeedOutcome("busy", "waiting", next_attempt_at=begin + timedelta(minutes=10))
    assert (busy.status, len(feeds.headers_of("/busy")), len(feeds.headers_of("/good"))) == ("failed", 2, 11)
    sentence = failing_sentence(feed_health(ledger, config)) or ""
    assert "busy (2 times: HTTP 429 Too Many Requests" in sentence
    assert "never read; asked again 2026-03-12 10:20 New York" in sentence
    assert "good" not in sentence


def test_of_many_feeds_that_fail_the_first_are_named_and_all_are_counted() -> None:
    broken = [FeedHealth(f"yahoo.T{number}", AT, None, 1, "HTTP 503", None, False) for number in range(31)]
    sentence = failing_sentence([*broken, FeedHealth("cnbc", AT, AT, 0, None, None, False)]) or ""
    assert sentence.startswith("feeds that fail (31): yahoo.T0 (") and sentence.endswith(", and 11 more")
    assert "yahoo.T19 (" in sentence and "yahoo.T20 (" not in sentence and "cnbc" not in sentence
    assert failing_sentence(broken[:0]) is None


def test_a_feed_with_an_interval_of_its_own_is_not_asked_in_between(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/slow", rss(item("One", guid="1")))
    config = config_of(feeds, "slow", every_minutes=5)
    statuses = []
    for _ in range(6):
        statuses.append(ingest(ledger, config, clock).outcomes[0].status)
        # The rounds of a schedule come a little early or late.
        clock.advance(seconds=59)
    assert statuses == ["fetched", *["waiting"] * 4, "fetched"]


def test_a_new_address_is_asked_at_once(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    ingest(ledger, config_of(feeds, "cnbc"), clock)
    moved = NewsConfig(
        feeds=(FeedConfig(name="cnbc", url=feeds.serve("/new", rss(item("One", guid="1"))), source="C"),)
    )
    assert feed_health(ledger, moved)[0].condition == "new"
    assert ingest(ledger, moved, clock).outcomes[0].status == "fetched"
    assert feed_health(ledger, moved)[0].condition == "well"


def test_F39_a_feed_that_is_gone_is_told_to_be(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/cnbc", "", 410)
    config = config_of(feeds, "cnbc")
    ingest(ledger, config, clock)
    (health,) = feed_health(ledger, config)
    assert health.condition == "gone"
    assert "remove it from news.feeds" in health.sentence()


def test_every_attempt_is_remembered_for_a_while(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    body = rss(item("One", guid="1"), item("Two", guid="2"))
    feeds.serve("/cnbc", body, ETag='"1"')
    config = config_of(feeds, "cnbc", "missing")
    begin = clock.now()
    ingest(ledger, config, clock)
    feeds.answers["/cnbc"] = lambda handler: send(handler, b"", 304)
    clock.advance(minutes=1)
    ingest(ledger, config, clock)
    with ledger.connect() as connection:
        found = attempts_since(connection, begin)
        assert {name: state.last_status for name, state in feed_states(connection).items()} == {
            "cnbc": 304,
            "missing": 404,
        }
    told = [(each.feed, each.status, each.stories, each.new, each.bytes, each.error) for each in found]
    assert told == [
        ("cnbc", "fetched", 2, 2, len(body), None),
        ("missing", "failed", 0, 0, None, "HTTP 404 Not Found"),
        ("cnbc", "not_modified", 0, 0, None, None),
        ("missing", "failed", 0, 0, None, "HTTP 404 Not Found"),
    ]
    assert all(each.elapsed_ms is not None for each in found)
    clock.advance(days=14)
    ingest(ledger, config, clock)
    with ledger.connect() as connection:
        assert {each.at for each in attempts_since(connection, begin)} == {begin + timedelta(minutes=1), clock.now()}


def test_the_feed_that_was_asked_longest_ago_comes_first_when_the_round_is_short(
    ledger: Engine, feeds: FeedServer, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{feeds.port}")
    urls = [f"http://busy.example/{n}" for n in range(2)]
    for url in urls:
        feeds.serve(url, rss(item("One", guid=url)))
    config = NewsConfig(
        feeds=tuple(FeedConfig(name=f"f{n}", url=url, source="Test") for n, url in enumerate(urls)),
        fetch=FetchConfig(host_interval_s=60, round_s=5),
    )
    told = []
    for _ in range(2):
        told.append([outcome.status for outcome in ingest(ledger, config, clock).outcomes])
        clock.advance(minutes=1)
    assert told == [["fetched", "waiting"], ["waiting", "fetched"]]
