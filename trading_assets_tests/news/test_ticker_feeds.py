"""One configured feed that stands for one of each followed ticker."""

from __future__ import annotations

from sqlalchemy import Engine, select

from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.feed_health import feed_health
from trading_assets.news.ingest import ingest
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss

TICKERS = ("AMD", "BRK.B", "NVDA", "SPY", "TSLA")


def template(feeds: FeedServer, *, names: bool = False, per_round: int = 2) -> NewsConfig:
    url = feeds.url("/rss?s={ticker}")
    feed = FeedConfig(name="yahoo", url=url, source="Y", tickers_per_round=per_round, names_ticker=names)
    feeds.serve("/plain", rss(item("Markets rise", guid="m")))
    return NewsConfig(feeds=(feed, FeedConfig(name="plain", url=feeds.url("/plain"), source="P")))


def symbols(engine: Engine) -> dict[str, list[str]]:
    with engine.connect() as connection:
        rows = connection.execute(select(inbound_events_raw.c.title, inbound_events_raw.c.symbols))
        return {row.title: row.symbols for row in rows}


def test_tickers_take_turns_and_each_has_a_state_of_its_own(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    for ticker in TICKERS:
        feeds.serve(f"/rss?s={ticker}", rss(item(f"About {ticker}", guid=ticker)), ETag=f'"{ticker}"')
    config = template(feeds)
    rounds = []
    for _ in range(4):
        outcomes = ingest(ledger, config, clock, TICKERS).outcomes
        assert [outcome.feed for outcome in outcomes] == [*(f"yahoo.{ticker}" for ticker in TICKERS), "plain"]
        rounds.append([one.feed.removeprefix("yahoo.") for one in outcomes if one.status != "waiting"])
        clock.advance(minutes=1)
    assert rounds == [
        ["AMD", "BRK.B", "plain"],
        ["NVDA", "SPY", "plain"],
        ["AMD", "TSLA", "plain"],
        ["BRK.B", "NVDA", "plain"],
    ]
    assert [headers.get("if-none-match") for headers in feeds.headers_of("/rss?s=AMD")] == [None, '"AMD"']
    health = {each.feed: each.condition for each in feed_health(ledger, config, TICKERS)}
    assert health == {**{f"yahoo.{ticker}": "well" for ticker in TICKERS}, "plain": "well"}
    # It stands in the feed of a ticker: that does not make it a story about it.
    assert set(map(tuple, symbols(ledger).values())) == {()}


def test_a_ticker_that_is_no_longer_followed_is_neither_asked_nor_told(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    config = template(feeds)
    ingest(ledger, config, clock, ("AMD", "NVDA"))
    assert sum(each.failing for each in feed_health(ledger, config, ("AMD", "NVDA"))) == 2
    clock.advance(minutes=1)
    outcomes = ingest(ledger, config, clock, ("NVDA",)).outcomes
    assert [outcome.feed for outcome in outcomes] == ["yahoo.NVDA", "plain"]
    assert [each.feed for each in feed_health(ledger, config, ("NVDA",)) if each.failing] == ["yahoo.NVDA"]


def test_a_ticker_with_a_special_character_stays_one_part_of_the_address(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    feeds.serve("/rss?s=A%2FB%26x%3D1", rss(item("One", guid="1")))
    assert ingest(ledger, template(feeds), clock, ("A/B&x=1",)).outcomes[0].status == "fetched"


def test_where_it_is_configured_a_story_is_about_the_tickers_in_whose_feeds_it_stands(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    both = item("Chip makers rise", guid="both")
    feeds.serve("/rss?s=AMD", rss(both, item("AMD alone", guid="1")))
    feeds.serve("/rss?s=NVDA", rss(both))
    ingest(ledger, template(feeds, names=True), clock, ("AMD", "NVDA"))
    assert symbols(ledger) == {"Chip makers rise": ["AMD", "NVDA"], "AMD alone": ["AMD"], "Markets rise": []}
