"""The pictures of the news are small, the same for the same day, and are drawn for one story and for hundreds."""

from __future__ import annotations

import struct
from datetime import date, datetime, timedelta

import pytest

from trading_assets.assets.news_charts import LANES, Attempt, Lane, Told, draw_health, draw_sentiment, draw_volume
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
    assert size(draw_sentiment(str(day), *bounds, [lane("NVDA", stories, day)]))[0] == WIDTH
    assert size(draw_volume(str(day), *bounds, arrived, stories))[0] == WIDTH
    assert size(draw_health(str(day), *bounds, feeds))[0] == WIDTH


def test_a_picture_has_a_lane_for_each_ticker_up_to_its_limit() -> None:
    bounds = day_bounds(DAY)
    heights = [
        size(draw_sentiment("", *bounds, [lane(f"T{n}", 3) for n in range(count)]))[1] for count in (1, 2, 8, 30)
    ]
    assert heights[0] < heights[1] < heights[2] == heights[3]
    assert LANES == 8


def test_equal_days_give_equal_pictures_and_what_differs_is_seen() -> None:
    bounds = day_bounds(DAY)
    up, down = lane("NVDA", 5), lane("NVDA", 5, sign=-1)
    assert draw_sentiment("", *bounds, [up]) == draw_sentiment("", *bounds, [up])
    assert draw_sentiment("", *bounds, [up]) != draw_sentiment("", *bounds, [down])
    at = bounds[0] + timedelta(hours=3)
    answers = {status: draw_health("", *bounds, {"f": [Attempt(at, status)]}) for status in ("fetched", "failed")}
    assert answers["fetched"] != answers["failed"]


def test_the_feed_that_fails_most_stands_on_top_and_is_not_left_out() -> None:
    bounds = day_bounds(DAY)
    fine = {f"a{n}": [Attempt(at, "not_modified") for at in minutes(DAY, 9)] for n in range(LANES)}
    without = draw_health("", *bounds, fine)
    assert draw_health("", *bounds, {**fine, "z": [Attempt(bounds[0], "failed")]}) != without
    assert draw_health("", *bounds, {**fine, "z": [Attempt(bounds[0], "fetched")]}) == without
