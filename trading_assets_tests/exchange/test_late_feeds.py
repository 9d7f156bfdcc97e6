"""Feeds that are late: each item is shown when it is due, with the date that it always had. REST is never late."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from xml.etree import ElementTree

import httpx

from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.venue_process import MINUTE, OPEN, Exchange

DELAYS = {
    "market-wire": {"seconds": 900, "straggler_one_in": 3, "straggler_seconds": 5400},
    "street-desk": {"opens_at": (OPEN + 30 * MINUTE).isoformat()},
}
STEP = 15 * MINUTE


def feed(exchange: Exchange, name: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{exchange.url}/rss/{name}.xml", headers=headers, trust_env=False)


def dates(exchange: Exchange, name: str) -> dict[str, datetime]:
    """Dates of the shown items by their identity."""
    items = ElementTree.fromstring(feed(exchange, name).content).iter("item")
    return {str(item.findtext("guid")): parsedate_to_datetime(str(item.findtext("pubDate"))) for item in items}


def published(exchange: Exchange, name: str, since: datetime) -> dict[str, datetime]:
    """The same of all that is public since then, as REST tells it at once."""
    answer = exchange.get("/v1beta1/news", start=since.isoformat(), limit=50).json()
    assert answer["next_page_token"] is None
    return {
        str(row["url"]).rpartition("/")[2]: datetime.fromisoformat(row["created_at"]).replace(microsecond=0)
        for row in answer["news"]
        if row["source"] == name
    }


def test_a_late_feed_shows_each_item_when_it_is_due_and_one_that_opens_late_its_backlog_at_once(
    start_exchange: Starter,
) -> None:
    exchange = start_exchange(OPEN, feed_delays=DELAYS)
    today: dict[str, datetime] = {}
    first_seen: dict[str, datetime] = {}
    closed = feed(exchange, "street-desk")
    for number in range(11):
        now = exchange.advance(OPEN + number * STEP)
        today |= published(exchange, "market-wire", now - STEP)
        for uid, at in dates(exchange, "market-wire").items():
            first_seen.setdefault(uid, now)
            assert uid not in today or today[uid] == at, "its date is not late"
        if now < OPEN + 30 * MINUTE:
            assert dates(exchange, "street-desk") == {}
            assert feed(exchange, "street-desk", **{"If-None-Match": closed.headers["ETag"]}).status_code == 304
        elif now == OPEN + 30 * MINUTE:
            shown = feed(exchange, "street-desk", **{"If-None-Match": closed.headers["ETag"]})
            assert parsedate_to_datetime(shown.headers["Last-Modified"]) == now, "when it was shown, not its date"
            assert min(dates(exchange, "street-desk").values()) < now - timedelta(hours=2), "a backlog"
    straggling = {uid for uid in today if int(uid[:8], 16) % 3 == 0}
    assert straggling & first_seen.keys() and (today.keys() & first_seen.keys()) - straggling
    for uid, at in today.items():
        due = at + timedelta(seconds=5400 if uid in straggling else 900)
        assert uid not in first_seen or due <= first_seen[uid] < due + STEP + MINUTE
        assert uid in first_seen or due + MINUTE > now
