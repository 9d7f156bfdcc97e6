"""Dates as feeds write them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from trading_assets.news.dates import Dated, read_date
from trading_assets.news.parse import parse_feed
from trading_assets_tests.news.feed_server import item, rss

NINE_THIRTY = datetime(2026, 3, 12, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "Thu, 12 Mar 2026 09:30:00 EDT",
        "Thu, 12 Mar 2026 08:30:00 EST",
        "Thu, 12 Mar 2026 13:30:00 GMT",
        "Thu, 12 Mar 2026 13:30 UT",
        "Thu, 12 Mar 2026 13:30:00 Z",
        "12 Mar 2026 09:30:00 -0400",
        "Thursday, 12-Mar-26 13:30:00 GMT",
        "Thu,12 Mar 26 09:30:00 -04:00",
        "Fri, 12 March 2026 09:30:00 -0400 (EDT)",
        "Thu, 12 Mar 2026 22:30:00 KST",
        "Thu, 12 Mar 2026 22:30:00 GMT+0900",
        "Thu, 12 Mar 2026 13:30:00 -0000",
        "2026-03-12T09:30:00-04:00",
        "2026-03-12T13:30:00Z",
        "2026-03-12T13:30:00.123456Z",
        "2026-03-12 13:30:00 UTC",
        "2026-03-12T13:30+00:00",
        "2026-03-12 09:30:00 ET",
        "March 12, 2026 9:30 AM ET",
        "Thu, Mar 12, 2026 at 09:30 am EDT",
        "Thu Mar 12 09:30:00 EDT 2026",
        "  Thu, 12 Mar 2026 09:30:00 EDT\n",
    ],
)
def test_F39_an_instant_is_read_however_it_is_written(written: str) -> None:
    assert read_date(written) == Dated(NINE_THIRTY)
    assert parse_feed(rss(item("x", guid="1", date=written)).encode()).stories[0].published_at == NINE_THIRTY


@pytest.mark.parametrize(
    "written",
    ["2026-03-12T09:30:00", "Thu, 12 Mar 2026 09:30:00", "2026-03-12 09:30", "Thu, 12 Mar 2026 09:30:00 IST"],
)
def test_F39_a_date_without_a_zone_is_missing_unless_the_feeds_zone_is_configured(written: str) -> None:
    assert read_date(written) == Dated(None, zoneless=True)
    assert read_date(written, ZoneInfo("America/New_York")) == Dated(NINE_THIRTY)
    feed = parse_feed(rss(item("x", guid="1", date=written)).encode())
    assert (feed.undated, feed.zoneless, feed.stories[0].published_at) == (1, 1, None)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "yesterday",
        "2026-03-12",
        "Thu, 12 Mar 2026",
        "2026",
        "0",
        "2026-13-45T00:00:00Z",
        "Thu, 31 Feb 2026 09:30:00 GMT",
        "Thu, 12 Foo 2026 09:30:00 GMT",
        "Thu, 12 Mar 2026 25:30:00 GMT",
        "Thu, 12 Mar 2026 09:30:00 +9900",
        "March 12, 2026 13:30 PM ET",
        "Sat, 30 Dec 1899 15:00:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "1773322200",
        "9" * 1000,
    ],
)
def test_F39_what_is_no_instant_is_missing(written: str) -> None:
    assert read_date(written, ZoneInfo("America/New_York")) == Dated(None)


def test_years_of_two_digits_and_leap_seconds_are_read() -> None:
    assert read_date("12 Mar 99 09:30:00 GMT") == Dated(datetime(1999, 3, 12, 9, 30, tzinfo=UTC))
    assert read_date("31 Dec 2016 23:59:60 GMT") == Dated(datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC))


def test_a_korean_date_is_read() -> None:
    written = "2026년 03월 12일  22:30:00"
    assert read_date(written) == Dated(None, zoneless=True)
    feed = parse_feed(rss(item("x", guid="1", date=written)).encode(), zone=ZoneInfo("Asia/Seoul"))
    assert feed.stories[0].published_at == NINE_THIRTY
