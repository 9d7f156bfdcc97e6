"""Whole rounds of news: real HTTP in, real PostgreSQL out, and frames that tell what was known when."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError

from trading_assets.ledger import news as store
from trading_assets.ledger.feeds import FeedState, feed_states
from trading_assets.ledger.news_tables import inbound_events_classified, inbound_events_raw
from trading_assets.market.frames import NEWS, SENTIMENT
from trading_assets.news.classify import classify_pending
from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.feed_health import feed_health
from trading_assets.news.frames import day_bounds, news_frame, sentiment_frame
from trading_assets.news.identity import event_uid
from trading_assets.news.ingest import ingest
from trading_assets.news.lexicon import LexiconModel
from trading_assets.news.sentiment import ModelUnavailable, Score, ScoringError
from trading_assets.news.tickers import TickerExtractor, curated_companies
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss, send

EXTRACTOR = TickerExtractor(curated_companies())
MODEL = LexiconModel()
DAY = date(2026, 3, 12)


def news_config(feeds: FeedServer, *names: str) -> NewsConfig:
    return NewsConfig(
        feeds=tuple(FeedConfig(name=name, url=feeds.url(f"/rss/{name}.xml"), source=name.upper()) for name in names),
        fetch=FetchConfig(read_timeout_s=1, deadline_s=2, max_bytes=100_000),
    )


def state(engine: Engine, feed: str) -> FeedState:
    with engine.connect() as connection:
        return feed_states(connection)[feed]


def failing(engine: Engine, config: NewsConfig) -> list[str]:
    return sorted(each.feed for each in feed_health(engine, config) if each.failing)


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(inbound_events_raw)) or 0


def test_a_round_stores_each_story_once_with_all_it_told(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    story = item(
        "Nvidia beats estimates",
        guid="n1",
        link="https://example.com/n1",
        date="Thu, 12 Mar 2026 13:55:00 GMT",
        summary="Sales doubled.",
    )
    feeds.serve("/rss/cnbc.xml", rss(story), ETag='"1"')
    config = news_config(feeds, "cnbc")
    first = ingest(ledger, config, clock)
    assert (first.stored, first.failed) == (1, ())
    frame = news_frame(ledger, DAY, clock.now())
    assert dict(frame.schema) == NEWS
    uid = event_uid("n1", None, "", None)
    assert frame.to_dicts() == [
        {
            "event_uid": uid,
            "cluster_id": uid,
            "feed": "cnbc",
            "source": "CNBC",
            "title": "Nvidia beats estimates",
            "summary": "Sales doubled.",
            "link": "https://example.com/n1",
            "published_at": datetime(2026, 3, 12, 13, 55, tzinfo=UTC),
            "fetched_at": clock.now(),
        }
    ]
    clock.advance(minutes=1)
    assert ingest(ledger, config, clock).stored == 0
    assert count(ledger) == 1


def test_F39_the_etag_of_the_last_round_is_sent_and_304_is_a_success(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss/cnbc.xml", rss(item("One", guid="1")), ETag='"1"', Last_Modified="Thu, 12 Mar 2026 13:00:00 GMT")
    config = news_config(feeds, "cnbc")
    ingest(ledger, config, clock)
    feeds.answers["/rss/cnbc.xml"] = lambda handler: send(handler, b"", 304)
    clock.advance(minutes=1)
    (outcome,) = ingest(ledger, config, clock).outcomes
    assert outcome.status == "not_modified"
    sent = feeds.headers_of("/rss/cnbc.xml")[1]
    assert (sent["if-none-match"], sent["if-modified-since"]) == ('"1"', "Thu, 12 Mar 2026 13:00:00 GMT")
    after = state(ledger, "cnbc")
    assert (after.etag, after.last_modified) == ('"1"', "Thu, 12 Mar 2026 13:00:00 GMT")
    assert (after.error_count, after.last_success_at) == (0, clock.now())


def test_F39_a_bad_feed_never_stops_the_others_and_its_failures_are_counted(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    def silent(handler: object) -> None:
        feeds.stopping.wait(30)

    feeds.serve("/rss/good.xml", rss(item("Good story", guid="g")))
    feeds.serve("/rss/forbidden.xml", "", 403)
    feeds.serve("/rss/busy.xml", "", 429, Retry_After="60")
    feeds.serve("/rss/huge.xml", b"x" * 10_000_000)
    feeds.answers["/rss/slow.xml"] = silent
    feeds.serve("/rss/page.xml", "<html><body>Consent</body></html>", Content_Type="text/html")
    feeds.serve("/rss/loop.xml", "", 302, Location="/rss/loop.xml")
    feeds.serve("/rss/laughs.xml", '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "b">]><rss/>')
    bad = ("forbidden", "busy", "huge", "slow", "page", "loop", "laughs", "missing")
    config = news_config(feeds, *bad[:4], "good", *bad[4:])
    report = ingest(ledger, config, clock)
    assert report.stored == 1
    assert {outcome.feed for outcome in report.failed} == set(bad)
    clock.advance(minutes=1)
    ingest(ledger, config, clock)
    assert {name: state(ledger, name).error_count for name in bad} == dict.fromkeys(bad, 2)
    assert state(ledger, "busy").last_error == "HTTP 429 Too Many Requests; asked to wait 60 s"
    assert state(ledger, "busy").last_success_at is None
    assert failing(ledger, config) == sorted(bad)
    assert state(ledger, "good").error_count == 0


def test_F39_a_feed_that_recovers_is_whole_again(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    config = news_config(feeds, "cnbc")
    feeds.serve("/rss/cnbc.xml", rss(item("One", guid="1")), ETag='"1"')
    ingest(ledger, config, clock)
    good = clock.now()
    feeds.serve("/rss/cnbc.xml", "<html></html>", ETag='"poison"')
    clock.advance(minutes=1)
    ingest(ledger, config, clock)
    broken = state(ledger, "cnbc")
    assert (broken.etag, broken.error_count, broken.last_success_at) == ('"1"', 1, good)
    feeds.serve("/rss/cnbc.xml", rss(item("One", guid="1"), item("Two", guid="2")), ETag='"2"')
    clock.advance(minutes=1)
    assert ingest(ledger, config, clock).stored == 1
    assert state(ledger, "cnbc").last_error is None
    assert feeds.headers_of("/rss/cnbc.xml")[2]["if-none-match"] == '"1"'


def test_F39_a_document_that_broke_off_is_asked_for_again_in_full(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    whole = rss(item("First story", guid="1"), item("Second story is longer", guid="2"))
    config = news_config(feeds, "cnbc")
    feeds.serve("/rss/cnbc.xml", whole[: whole.index("is longer")], ETag='"1"')
    (outcome,) = ingest(ledger, config, clock).outcomes
    assert (outcome.new, outcome.status) == (1, "fetched")
    assert "breaks off" in (outcome.remark or "")
    feeds.serve("/rss/cnbc.xml", whole, ETag='"1"')
    clock.advance(minutes=1)
    assert ingest(ledger, config, clock).stored == 1
    assert "if-none-match" not in feeds.headers_of("/rss/cnbc.xml")[1]
    assert "Second story is longer" in news_frame(ledger, DAY, clock.now())["title"].to_list()


def test_validators_of_another_address_are_not_sent(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/rss/cnbc.xml", rss(item("One", guid="1")), ETag='"1"')
    ingest(ledger, news_config(feeds, "cnbc"), clock)
    url = feeds.serve("/moved.xml", rss(item("Two", guid="2")))
    moved = NewsConfig(feeds=(FeedConfig(name="cnbc", url=url, source="CNBC"),))
    assert ingest(ledger, moved, clock).stored == 1
    assert "if-none-match" not in feeds.headers_of("/moved.xml")[0]
    assert state(ledger, "cnbc").etag is None


def test_F39_duplicate_ids_within_and_across_feeds_are_one_story(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss/a.xml", rss(item("Same id, first text", guid="x"), item("Same id, second text", guid="x")))
    feeds.serve("/rss/b.xml", rss(item("Same id, third text", guid="x")))
    config = news_config(feeds, "a", "b")
    one_publisher = tuple(feed.model_copy(update={"source": "One"}) for feed in config.feeds)
    report = ingest(ledger, config.model_copy(update={"feeds": one_publisher}), clock)
    assert [outcome.new for outcome in report.outcomes] == [1, 0]
    assert report.outcomes[0].remark == "identities that were repeated: 1; stories without a usable date: 2"
    assert news_frame(ledger, DAY, clock.now())["title"].to_list() == ["Same id, first text"]


def test_F39_stories_without_a_date_or_with_a_future_one_are_stored_as_they_are(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    future = item("Tomorrow", guid="2", date="Fri, 13 Mar 2026 14:00:00 GMT")
    feeds.serve("/rss/a.xml", rss(item("Never", guid="1"), future))
    (outcome,) = ingest(ledger, news_config(feeds, "a"), clock).outcomes
    assert outcome.remark == "stories without a usable date: 1; stories dated in the future: 1"
    dates = dict(news_frame(ledger, DAY, clock.now()).select("title", "published_at").iter_rows())
    assert dates == {"Never": None, "Tomorrow": datetime(2026, 3, 13, 14, 0, tzinfo=UTC)}


def test_F39_a_feed_without_zones_is_dated_by_its_own(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    url = feeds.serve("/rss/a.xml", rss(item("Nine thirty", guid="1", date="2026-03-12 09:30:00")))
    local = NewsConfig(feeds=(FeedConfig(name="a", url=url, source="A", zone="America/New_York"),))
    assert ingest(ledger, local, clock).outcomes[0].remark is None
    (story,) = news_frame(ledger, DAY, clock.now()).to_dicts()
    assert story["published_at"] == datetime(2026, 3, 12, 13, 30, tzinfo=UTC)


def test_a_relative_link_belongs_to_its_feed(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/rss/a.xml", rss(item("One", link="/news/1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    assert news_frame(ledger, DAY, clock.now())["link"].to_list() == [feeds.url("/news/1")]


def test_one_event_over_two_feeds_and_two_rounds_is_one_cluster(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    def told(guid: str, title: str, minute: int) -> str:
        return rss(item(title, guid=guid, date=f"Thu, 12 Mar 2026 13:{minute:02}:00 GMT"))

    feeds.serve("/rss/a.xml", told("a", "Nvidia beats estimates as data center sales surge", 40))
    feeds.serve("/rss/b.xml", told("b", "Nvidia beats estimates as data center sales surge - Reuters", 30))
    config = news_config(feeds, "a", "b")
    ingest(ledger, config, clock)
    clock.advance(minutes=5)
    feeds.serve("/rss/a.xml", told("c", "UPDATE 1-Nvidia beats estimates as data-center sales surge", 59))
    feeds.serve("/rss/b.xml", told("d", "AMD misses estimates as data center sales slump", 59))
    ingest(ledger, config, clock)
    clusters = dict(news_frame(ledger, DAY, clock.now()).select("event_uid", "cluster_id").iter_rows())
    uid = {key: event_uid(key, None, "", None) for key in "abcd"}
    # The earliest publication opens the cluster, whichever feed is configured first.
    assert clusters == {uid["a"]: uid["b"], uid["b"]: uid["b"], uid["c"]: uid["b"], uid["d"]: uid["d"]}


def test_two_rounds_at_once_store_each_story_and_cluster_once(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    titles = [f"Company {letter} number {n} wins a large contract in spring" for n, letter in enumerate("ABCDEFGH")]
    feeds.serve("/rss/a.xml", rss(*(item(title, guid=f"a{n}") for n, title in enumerate(titles))))
    feeds.serve("/rss/b.xml", rss(*(item(f"{title} - Wire", guid=f"b{n}") for n, title in enumerate(titles))))
    with ThreadPoolExecutor(4) as pool:
        rounds = [pool.submit(ingest, ledger, news_config(feeds, name), clock) for name in "abab"]
        stored = sum(each.result().stored for each in rounds)
    frame = news_frame(ledger, DAY, clock.now())
    assert stored == count(ledger) == 16
    assert sorted(frame["cluster_id"].value_counts()["count"].to_list()) == [2] * 8


def test_F59_a_hostile_story_is_stored_as_text(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    title = "'); DROP TABLE inbound_events_raw; --"
    feeds.serve("/rss/a.xml", rss(item(title, guid="'; SELECT 1; --", link="javascript:alert(1)")))
    ingest(ledger, news_config(feeds, "a"), clock)
    assert news_frame(ledger, DAY, clock.now())["title"].to_list() == [title]


def classified(ledger: Engine, clock: SetClock, limit: int = 100) -> tuple[int, int, int]:
    report = classify_pending(ledger, MODEL, EXTRACTOR, clock, limit)
    return report.pending, report.scored, report.failed


def test_stories_are_scored_once_and_become_one_row_per_ticker(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve(
        "/rss/a.xml",
        rss(item("Nvidia and AMD soar to record highs", guid="1"), item("Weather is nice", guid="2")),
    )
    ingest(ledger, news_config(feeds, "a"), clock)
    fetched = clock.now()
    clock.advance(seconds=20)
    assert classified(ledger, clock) == (2, 2, 0)
    assert classified(ledger, clock) == (0, 0, 0)
    frame = sentiment_frame(ledger, DAY, MODEL.name, MODEL.revision, clock.now())
    assert dict(frame.schema) == SENTIMENT
    assert {(row["title"], row["ticker"]) for row in frame.to_dicts()} == {
        ("Nvidia and AMD soar to record highs", "NVDA"),
        ("Nvidia and AMD soar to record highs", "AMD"),
        ("Weather is nice", None),
    }
    assert set(frame["fetched_at"]) == {fetched}
    assert set(frame["known_at"]) == set(frame["scored_at"]) == {clock.now()}
    assert all(-1 <= score <= 1 for score in frame["score"])
    assert frame.filter(frame["ticker"] == "NVDA")["label"].to_list() == ["positive"]


def test_frames_tell_only_what_was_known_at_their_instant(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/rss/a.xml", rss(item("Tesla falls", guid="1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    fetched = clock.now()
    clock.advance(minutes=3)
    classified(ledger, clock)
    just_before = fetched - timedelta(microseconds=1)
    assert news_frame(ledger, DAY, just_before).is_empty()
    assert news_frame(ledger, DAY, fetched).height == 1
    version = (MODEL.name, MODEL.revision)
    assert sentiment_frame(ledger, DAY, *version, clock.now() - timedelta(microseconds=1)).is_empty()
    assert sentiment_frame(ledger, DAY, *version, clock.now()).height == 1
    assert sentiment_frame(ledger, DAY, MODEL.name, "another revision", clock.now()).is_empty()


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 3, 12, 3, 59, 59, tzinfo=UTC), date(2026, 3, 11)),
        (datetime(2026, 3, 12, 4, 0, tzinfo=UTC), date(2026, 3, 12)),
        (datetime(2026, 1, 12, 4, 59, tzinfo=UTC), date(2026, 1, 11)),
    ],
)
def test_a_story_belongs_to_the_new_york_day_of_its_receipt(
    ledger: Engine, feeds: FeedServer, clock: SetClock, instant: datetime, day: date
) -> None:
    clock.instant = instant
    feeds.serve("/rss/a.xml", rss(item("Late news", guid="1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    assert news_frame(ledger, day, instant).height == 1
    assert news_frame(ledger, day + timedelta(days=1), instant).is_empty()
    assert news_frame(ledger, day - timedelta(days=1), instant).is_empty()


def test_a_day_on_which_the_clocks_change_has_23_or_25_hours() -> None:
    for day, hours in ((date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (DAY, 24)):
        start, end = day_bounds(day)
        assert end - start == timedelta(hours=hours)


class Moody:
    """A model that cannot score some texts until it is mended."""

    name, revision = "moody", "1"

    def __init__(self) -> None:
        self.broken = "Broken"
        self.missing = False

    def score(self, texts: Sequence[str]) -> list[Score]:
        if self.missing:
            raise ModelUnavailable("the weights are gone")
        if any(self.broken in each for each in texts):
            raise ScoringError("NaN")
        return [Score(1.0, 0.0, 0.0) for _ in texts]


def test_F42_a_story_that_cannot_be_scored_stays_unscored_and_is_tried_again(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss/a.xml", rss(item("Fine one", guid="1"), item("Broken one", guid="2"), item("Fine two", guid="3")))
    ingest(ledger, news_config(feeds, "a"), clock)
    model = Moody()
    report = classify_pending(ledger, model, EXTRACTOR, clock, 10)
    assert (report.pending, report.scored, report.failures) == (3, 2, {event_uid("2", None, "", None): "NaN"})
    with ledger.connect() as connection:
        labels = connection.scalars(select(inbound_events_classified.c.sentiment_label)).all()
    assert labels == ["positive", "positive"]
    model.broken = "never"
    again = classify_pending(ledger, model, EXTRACTOR, clock, 10)
    assert (again.pending, again.scored, again.failed) == (1, 1, 0)


def test_F42_a_model_that_is_gone_is_an_error_and_stores_nothing(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss/a.xml", rss(item("One", guid="1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    model = Moody()
    model.missing = True
    with pytest.raises(ModelUnavailable):
        classify_pending(ledger, model, EXTRACTOR, clock, 10)
    model.missing = False
    assert classify_pending(ledger, model, EXTRACTOR, clock, 10).scored == 1


def test_the_newest_stories_are_scored_first_and_the_limit_holds(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    for number in range(3):
        feeds.serve("/rss/a.xml", rss(item(f"Story {number}", guid=str(number))))
        ingest(ledger, news_config(feeds, "a"), clock)
        clock.advance(minutes=1)
    assert classified(ledger, clock, limit=2) == (2, 2, 0)
    with ledger.connect() as connection:
        waiting = store.unscored_stories(connection, MODEL.name, MODEL.revision, 10)
    assert [story.title for story in waiting] == ["Story 0"]
    frame = sentiment_frame(ledger, DAY, MODEL.name, MODEL.revision, clock.now())
    assert set(frame["title"]) == {"Story 1", "Story 2"}


def test_a_feed_that_is_no_longer_configured_no_longer_counts_as_failing(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss/good.xml", rss(item("Good story", guid="g")))
    ingest(ledger, news_config(feeds, "good", "gone"), clock)
    clock.advance(minutes=1)
    ingest(ledger, news_config(feeds, "good"), clock)
    assert state(ledger, "gone").error_count == 1
    assert failing(ledger, news_config(feeds, "good")) == []


def test_each_model_version_scores_for_itself(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/rss/a.xml", rss(item("Tesla falls", guid="1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    assert classified(ledger, clock) == (1, 1, 0)
    assert classify_pending(ledger, Moody(), EXTRACTOR, clock, 10).scored == 1
    assert sentiment_frame(ledger, DAY, "moody", "1", clock.now())["score"].to_list() == [1.0]


def test_stored_stories_and_scores_cannot_be_changed(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    feeds.serve("/rss/a.xml", rss(item("Tesla falls", guid="1")))
    ingest(ledger, news_config(feeds, "a"), clock)
    classified(ledger, clock)
    for table in ("inbound_events_raw", "inbound_events_classified"):
        with pytest.raises(DBAPIError, match=table), ledger.begin() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
