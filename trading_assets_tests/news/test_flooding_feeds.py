"""Feeds that tell more new stories than are stored of one at a time: the rest waits, others do not."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from trading_assets.ledger import news as store
from trading_assets.ledger.feeds import FeedState, feed_states
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.feed_health import feed_health, flooding_sentence
from trading_assets.news.ingest import FeedOutcome, ingest
from trading_assets.news.storing import Arrival, store_arrivals
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss, send


def config_of(feeds: FeedServer, *names: str, per_round: int = 3, per_day: int = 100) -> NewsConfig:
    fetch = FetchConfig(stories_per_round=per_round, stories_per_day=per_day, host_interval_s=0.2)
    configured = (FeedConfig(name=name, url=feeds.url(f"/{name}"), source=name.upper()) for name in names)
    return NewsConfig(feeds=tuple(configured), fetch=fetch)


def told(number: int, at: datetime | None, feed: str = "flood") -> str:
    date = None if at is None else f"{at:%a, %d %b %Y %H:%M:%S} GMT"
    return item(f"Story number {number} of {feed}", guid=f"{feed}-{number}", date=date)


def stored(engine: Engine, feed: str) -> set[str]:
    raw = inbound_events_raw.c
    with engine.connect() as connection:
        return set(connection.scalars(select(raw.title).where(raw.feed.startswith(feed))))


def numbers(engine: Engine, feed: str) -> set[int]:
    return {int(title.split()[2]) for title in stored(engine, feed)}


def a_round(engine: Engine, config: NewsConfig, clock: SetClock) -> tuple[FeedOutcome, ...]:
    clock.advance(minutes=1)
    return ingest(engine, config, clock).outcomes


def state(engine: Engine, feed: str) -> FeedState:
    with engine.connect() as connection:
        return feed_states(connection)[feed]


def test_F39_what_a_flood_tells_is_stored_round_by_round_the_newest_first_and_none_is_lost(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    start = clock.now()
    # The oldest stands first, one has no date, and one comes twice.
    body = rss(told(0, None), *(told(n, start + timedelta(seconds=n)) for n in range(1, 7)), told(6, start))
    tagged = '"1"'
    feeds.answers["/flood"] = lambda handler: (
        send(handler, b"", 304)
        if handler.headers.get("If-None-Match") == tagged
        else send(handler, body.encode(), ETag=tagged)
    )
    feeds.serve("/calm", rss(*(told(n, start, "calm") for n in range(3))))
    config = config_of(feeds, "flood", "calm")

    flood, calm = a_round(ledger, config, clock)
    assert (flood.new, calm.new) == (3, 3)
    assert numbers(ledger, "flood") == {4, 5, 6}
    assert flood.remark is not None
    assert flood.remark.startswith("new stories that wait: 4 (of one feed 3 are stored in a round and 100 in a day); ")
    assert calm.remark is None
    assert (state(ledger, "flood").waiting, state(ledger, "flood").etag) == (4, None)
    health = feed_health(ledger, config)
    assert [(each.feed, each.condition) for each in health] == [("flood", "flooding"), ("calm", "well")]
    expected = "feeds that tell more than is stored of one (1): flood (4 new stories wait)"
    assert flooding_sentence(health) == expected

    a_round(ledger, config, clock)
    assert numbers(ledger, "flood") == {1, 2, 3, 4, 5, 6}
    flood, _ = a_round(ledger, config, clock)
    assert (flood.new, flood.remark) == (1, "identities that were repeated: 1; stories without a usable date: 1")
    assert (state(ledger, "flood").waiting, state(ledger, "flood").etag) == (0, tagged)
    assert numbers(ledger, "flood") == set(range(7))
    assert flooding_sentence(feed_health(ledger, config)) is None
    flood, _ = a_round(ledger, config, clock)
    assert flood.status == "not_modified"


def test_F39_a_flood_that_repeats_the_stories_of_another_feed_does_not_keep_them_waiting(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    start = clock.now()
    copies = [told(n, start - timedelta(days=1), "calm") for n in range(3)]
    feeds.serve("/flood", rss(*copies, *copies, *(told(n, start + timedelta(seconds=n)) for n in range(9))))
    feeds.serve("/calm", rss(*(told(n, start, "calm") for n in range(3))))
    flood, calm = a_round(ledger, config_of(feeds, "flood", "calm"), clock)
    assert (flood.new, calm.new) == (3, 3)
    assert numbers(ledger, "flood") == {6, 7, 8}
    assert numbers(ledger, "calm") == {0, 1, 2}


def test_what_is_stored_already_takes_no_room(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    start = clock.now()
    page = "https://calm.example/{}"
    with ledger.begin() as connection:
        store.lock_store(connection)
        broker = [
            Arrival("alpaca", "Wire", f"alpaca:{n}", page.format(n), f"Story number {n} of flood", None, start)
            for n in range(5)
        ]
        store_arrivals(connection, broker, start, config_of(feeds).clusters)
    items = [item(f"Story number {n} of flood", guid=f"f{n}", link=page.format(n)) for n in range(8)]
    feeds.serve("/flood", rss(*items))
    (flood,) = a_round(ledger, config_of(feeds, "flood"), clock)
    assert (flood.stories, flood.new, state(ledger, "flood").waiting) == (8, 3, 0)


def test_F39_all_tickers_of_one_address_have_the_room_of_one_feed_also_in_a_day(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    start = clock.now()
    tickers = ("AMD", "NVDA")
    for place, ticker in enumerate(tickers):
        items = (told(n, start - timedelta(minutes=2 * n + place), f"yahoo.{ticker}") for n in range(4))
        feeds.serve(f"/rss?s={ticker}", rss(*items))
    fetch = FetchConfig(stories_per_round=3, stories_per_day=5, host_interval_s=0.2)
    template = FeedConfig(name="yahoo", url=feeds.url("/rss?s={ticker}"), source="Y")
    config = NewsConfig(feeds=(template,), fetch=fetch)
    rounds = []
    for minutes in (1, 1, 1, 24 * 60 - 2):
        clock.advance(minutes=minutes)
        outcomes = ingest(ledger, config, clock, tickers).outcomes
        rounds.append([(one.new, state(ledger, one.feed).waiting) for one in outcomes])
    # A day after the first of them there is room again.
    assert rounds == [[(2, 2), (1, 3)], [(1, 1), (1, 2)], [(0, 1), (0, 2)], [(1, 0), (2, 0)]]
