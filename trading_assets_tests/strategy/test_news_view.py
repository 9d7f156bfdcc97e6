"""What counts as news at an instant, and with what weight."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import pytest

from trading_assets.market.frames import SENTIMENT, empty
from trading_assets.strategy.config_signals import NewsViewConfig
from trading_assets.strategy.news_view import aggregate_sentiment, stories_at
from trading_assets_tests.strategy.signal_builders import AS_OF, MINUTE, stories, story


def view(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return aggregate_sentiment(stories(rows), [AS_OF], NewsViewConfig()).to_dicts()


def test_scores_are_weighed_by_confidence_and_stories_counted() -> None:
    (row,) = view(
        story(ago=30, score=0.8, confidence=0.9), story(ago=5, score=-0.4, confidence=0.3), story("BBB", ago=1)
    )[:1]
    assert row["ticker"] == "AAA" and row["news_count"] == 2
    assert row["sentiment"] == pytest.approx((0.8 * 0.9 - 0.4 * 0.3) / 1.2)
    assert row["news_age_s"] == 300


def test_a_cluster_counts_once_however_often_it_is_told() -> None:
    copies = [story(ago=20 - n, score=0.5, cluster_id="c", event_uid=f"e{n}") for n in range(8)]
    (row,) = view(*copies, story(ago=3, score=-0.5))
    assert row["news_count"] == 2 and row["sentiment"] == pytest.approx(0)


@pytest.mark.parametrize(
    "change",
    [
        {"known_at": AS_OF + timedelta(seconds=1)},
        {"known_at": AS_OF - 61 * MINUTE},
        {"published_at": AS_OF - 181 * MINUTE},
        {"published_at": AS_OF + MINUTE},
        {"published_at": None},
        {"score": None},
        {"confidence": None},
        {"confidence": 0.0},
        {"ticker": None},
    ],
    ids=[
        "known later",
        "known over an hour ago",
        "published over three hours ago",
        "published in the future",
        "published at no known time",
        "not scored",
        "scored without confidence",
        "scored with none",
        "about no ticker",
    ],
)
def test_a_story_does_not_count_that_is(change: dict[str, Any]) -> None:
    assert view(story() | change) == []


def test_a_story_published_hours_ago_but_known_only_now_counts_within_three_hours() -> None:
    (row,) = view(story() | {"published_at": AS_OF - 170 * MINUTE})
    assert row["news_count"] == 1


def test_each_instant_sees_its_own_hour() -> None:
    told = stories([story(ago=30), story(ago=90)])
    moments = [AS_OF - n * MINUTE for n in (100, 90, 40, 30, 0)]
    seen = aggregate_sentiment(told, moments, NewsViewConfig())
    counts = {row["as_of"]: row["news_count"] for row in seen.to_dicts()}
    assert [counts.get(moment) for moment in moments] == [None, 1, 1, 1, 1]


def test_what_is_told_later_changes_nothing_seen_before() -> None:
    before = stories([story(ago=30), story(ago=20, cluster_id="c")])
    after = pl.concat([before, stories([story(ago=5, cluster_id="c", score=-1.0), story(ago=1)])])
    moment = [AS_OF - 10 * MINUTE]
    assert aggregate_sentiment(before, moment, NewsViewConfig()).equals(
        aggregate_sentiment(after, moment, NewsViewConfig())
    )


def test_the_order_of_stories_does_not_matter() -> None:
    told = stories([story(ago=n, score=0.1 * (n % 7 - 3), cluster_id=f"c{n % 4}") for n in range(1, 40)])
    straight = aggregate_sentiment(told, [AS_OF], NewsViewConfig())
    assert aggregate_sentiment(told.reverse(), [AS_OF], NewsViewConfig()).equals(straight)


def test_no_stories_give_no_rows() -> None:
    assert aggregate_sentiment(empty(SENTIMENT), [AS_OF], NewsViewConfig()).is_empty()
    assert aggregate_sentiment(stories([story()]), [], NewsViewConfig()).is_empty()


def test_the_stories_that_count_are_those_that_are_weighed_and_the_others_say_why_not() -> None:
    config = NewsViewConfig()
    rows = stories(
        [
            story(ago=20, event_uid="a", cluster_id="a", score=0.8, confidence=0.5),
            story(ago=1, event_uid="b", cluster_id="a"),
            story(event_uid="c", cluster_id="c") | {"published_at": None},
            story(event_uid="d", cluster_id="d") | {"score": None},
            story(event_uid="e", cluster_id="e") | {"known_at": AS_OF - 60 * MINUTE},
            story(event_uid="f", cluster_id="f") | {"published_at": AS_OF + MINUTE},
            story(event_uid="g", cluster_id="g") | {"published_at": AS_OF - 180 * MINUTE},
            story(event_uid="h", cluster_id="h") | {"known_at": AS_OF + MINUTE},
            story("BBB", event_uid="i", cluster_id="i"),
        ]
    )
    told = stories_at(rows, AS_OF, "AAA", config)
    assert {row["event_uid"]: row["why"] for row in told.to_dicts()} == {
        "a": "counts",
        "b": "another story of its event was known first",
        "c": "no publication date",
        "d": "no usable score or confidence",
        "e": "known for 60 min or longer",
        "f": "published in the future",
        "g": "published 180 min before or earlier",
    }
    assert told.filter("counts")["event_uid"].to_list() == ["a"]
    (weighed,) = aggregate_sentiment(rows, [AS_OF], config).filter(pl.col("ticker") == "AAA").to_dicts()
    assert (weighed["news_count"], weighed["sentiment"]) == (1, pytest.approx(0.8))
