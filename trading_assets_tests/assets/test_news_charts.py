"""The pictures of the news are small, the same for the same day, and are drawn for one story and for hundreds."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from trading_assets.assets.news_charts import (
    FEED_LANES,
    LANES,
    Attempt,
    Lane,
    Told,
    draw_health,
    draw_sentiment,
    draw_volume,
    numbers_of,
)
from trading_assets.assets.news_report import ROWS, numbered
from trading_assets.news.frames import day_bounds

DAY = date(2026, 3, 11)
LONG_DAY, SHORT_DAY = date(2026, 11, 1), date(2026, 3, 8)
WIDTH = 1000


def minutes(day: date, count: int) -> list[datetime]:
    begin, end = day_bounds(day)
    return [begin + (end - begin) * step / (count + 1) for step in range(1, count + 1)]


def lane(ticker: str, stories: int, day: date = DAY, sign: int = 1) -> Lane:
    told = [Told(at, sign * (n % 3 - 1) * 0.8, 0.5, n) for n, at in enumerate(minutes(day, stories), 1)]
    seen = [(at, None if n % 2 else 0.3) for n, at in enumerate(minutes(day, 40))]
    return Lane(ticker, told, seen)


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000
    wide, tall = struct.unpack(">II", png[16:24])
    return wide, tall


@pytest.mark.parametrize("day", [DAY, LONG_DAY, SHORT_DAY], ids=str)
@pytest.mark.parametrize("stories", [1, 60])
def test_a_day_of_stories_is_a_small_png_also_when_the_clocks_change(day: date, stories: int) -> None:
    bounds = day_bounds(day)
    arrived = [(at, f"feed-{n % 9}") for n, at in enumerate(minutes(day, stories * 5))]
    feeds = {f"feed-{n}": [Attempt(at, "not_modified") for at in minutes(day, 300)] for n in range(12)}
    assert size(draw_sentiment(str(day), *bounds, [lane("NVDA", stories, day)], 1))[0] == WIDTH
    assert size(draw_volume(str(day), *bounds, arrived, stories))[0] == WIDTH
    assert size(draw_health(str(day), *bounds, feeds))[0] == WIDTH


def test_a_picture_has_a_lane_for_each_ticker_up_to_its_limit() -> None:
    bounds = day_bounds(DAY)
    heights = [
        size(draw_sentiment("", *bounds, [lane(f"T{n}", 3) for n in range(count)], count))[1] for count in (1, 2, 8, 30)
    ]
    assert heights[0] < heights[1] < heights[2] == heights[3]
    assert LANES == 8


def test_equal_days_give_equal_pictures_and_what_differs_is_seen() -> None:
    bounds = day_bounds(DAY)
    up, down = lane("NVDA", 5), lane("NVDA", 5, sign=-1)
    assert draw_sentiment("", *bounds, [up], 1) == draw_sentiment("", *bounds, [up], 1)
    assert draw_sentiment("", *bounds, [up], 1) != draw_sentiment("", *bounds, [down], 1)
    assert draw_sentiment("", *bounds, [up], 1) != draw_sentiment("", *bounds, [up], 9), "that there are more is said"
    at = bounds[0] + timedelta(hours=3)
    answers = {status: draw_health("", *bounds, {"f": [Attempt(at, status)]}) for status in ("fetched", "failed")}
    assert answers["fetched"] != answers["failed"]


def test_the_feed_that_fails_most_stands_on_top_and_is_not_left_out() -> None:
    bounds = day_bounds(DAY)
    fine = {f"a{n}": [Attempt(at, "not_modified") for at in minutes(DAY, 9)] for n in range(FEED_LANES)}
    without = draw_health("", *bounds, fine | {"y": [Attempt(bounds[0], "fetched")]})
    assert draw_health("", *bounds, fine | {"z": [Attempt(bounds[0], "failed")]}) != without
    assert draw_health("", *bounds, fine | {"z": [Attempt(bounds[0], "fetched")]}) == without
    assert draw_health("", *bounds, fine) != without, "that there are more is said"


def test_numbers_that_would_lie_on_each_other_are_written_once_and_the_others_where_they_belong() -> None:
    begin = day_bounds(DAY)[0]

    def told(number: int | None, hour: float, score: float) -> Told:
        return Told(begin + timedelta(hours=hour), score, 0.9, number)

    at_once = [told(n, 10, 0.5) for n in (1, 2, 3)]
    assert numbers_of(begin, at_once) == [(10, 0.5, "1-3")]
    assert [text for *_, text in numbers_of(begin, at_once[:2])] == ["1, 2"]
    apart = [told(1, 10, 0.5), told(2, 10.2, -0.5), told(None, 10, 0.5), told(4, 10.4, 0.6), told(7, 10.5, 0.4)]
    assert [text for *_, text in numbers_of(begin, [*apart, told(8, 13, 0.5)])] == ["1 +2", "2", "8"]


def test_a_story_has_a_number_if_and_only_if_the_table_has_room_for_it() -> None:
    told = minutes(DAY, ROWS + 40)
    scored = pl.DataFrame(
        {
            "event_uid": [f"e{n:03}" for n in range(len(told))],
            "cluster_id": [f"c{n:03}" for n in range(len(told))],
            "ticker": ["NVDA" if n % 2 else "AMD" for n in range(len(told))],
            "known_at": told,
            "score": [0.01 if n < 40 else -0.9 for n in range(len(told))],
            "confidence": [0.8] * len(told),
        }
    )
    heard = numbered(scored.sample(fraction=1, shuffle=True, seed=1), ["NVDA", "AMD"])
    assert heard["known_at"].to_list() == told
    assert heard["number"].to_list() == [None] * 40 + list(range(1, ROWS + 1)), "what says most is numbered, as it came"
    assert numbered(scored, ["NVDA"])["number"].to_list() == list(range(1, ROWS // 2 + 21))
