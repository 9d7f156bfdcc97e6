"""The news socket: what it tells is stored at once, and what it keeps quiet about, loses or garbles is read later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack
import pytest
from sqlalchemy import Engine, select

from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.news_stream.follower import NewsFollower
from trading_assets.broker.news_stream.session import news_url, read_frame
from trading_assets.broker.news_wire import NewsWire
from trading_assets.domain.connections import BrokerConnection
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.ingest import ingest
from trading_assets.news.wire_config import WireConfig
from trading_assets.news.wire_health import wire_troubles
from trading_assets.news.wire_listening import Listening
from trading_assets.news.wires import told_articles
from trading_assets.world.clocks import ExchangeClock
from trading_assets_tests.broker.news_server import NewsServer, news_server
from trading_assets_tests.broker.stream_desk import SOON, until
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, TOKEN, Exchange, prepare

QUICK = BrokerConfig(connect_timeout_seconds=2, read_timeout_seconds=5)
NEWS = NewsConfig(alpaca=WireConfig(stream=True, first_hours=96))
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("exchange"), OPEN + 60 * MINUTE).start()
    yield running
    running.stop()


def place(exchange: Exchange, engine: Engine, socket_url: str | None = None) -> Listening:
    """The exchange's news; the socket is elsewhere if an address is given."""
    clock = ExchangeClock(exchange.url, TOKEN)
    connection = BrokerConnection("PRACTICE", exchange.url, exchange.url, KEY, SECRET)
    wire = NewsWire(connection, clock, QUICK)
    heard_at = connection if socket_url is None else replace(connection, trading_url=socket_url, data_url=socket_url)
    return Listening(heard_at, engine, NEWS, clock, wire, wire.close)


@contextmanager
def following(where: Callable[[], Listening], compare_seconds: float = 600.0) -> Iterator[NewsFollower]:
    """Without a comparison in between: what is stored then came by frames, or by the question after connecting."""
    stop = threading.Event()
    follower = NewsFollower(where, SOON, compare_seconds, stop)
    thread = threading.Thread(target=follower.run)
    thread.start()
    try:
        yield follower
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive(), "it ends when it is asked to"


def stored(engine: Engine) -> dict[str, Any]:
    with engine.connect() as connection:
        rows = connection.execute(select(inbound_events_raw)).all()
    assert len({row.link for row in rows}) == len(rows), "no article twice"
    return {row.link: row for row in rows}


def public(exchange: Exchange) -> set[str]:
    wire = NewsWire(
        BrokerConnection("PRACTICE", exchange.url, exchange.url, KEY, SECRET), ExchangeClock(exchange.url, TOKEN), QUICK
    )
    answer = wire.articles(OPEN - timedelta(days=4), 100, 60)
    assert answer.complete
    return {str(row["url"]) for row in answer.rows}


def move_until_news(exchange: Exchange) -> set[str]:
    """Let the exchange's time go on until something was published; what it was."""
    before = public(exchange)
    for _ in range(60):
        exchange.step(300)
        if fresh := public(exchange) - before:
            return fresh
    raise AssertionError("nothing was published in five hours")


def test_an_article_is_stored_as_it_is_told_with_the_instant_of_its_receipt_and_is_one_with_the_feeds(
    exchange: Exchange, ledger: Engine
) -> None:
    with following(lambda: place(exchange, ledger)) as follower:
        until(lambda: public(exchange) <= stored(ledger).keys())
        assert follower.counts.frames == 0, "what was published before was asked for"
        fresh = move_until_news(exchange)
        until(lambda: fresh <= stored(ledger).keys())
        assert follower.counts.frames > 0
        now = exchange.now()
        for link in fresh:
            row = stored(ledger)[link]
            assert row.published_at <= row.fetched_at <= now
    names = [row["name"] for row in exchange.get("/rss/").json()["feeds"]]
    feeds = tuple(FeedConfig(name=name, url=f"{exchange.url}/rss/{name}.xml", source=name) for name in names)
    assert ingest(ledger, NewsConfig(feeds=feeds), ExchangeClock(exchange.url, TOKEN)).stored == 0
    assert wire_troubles(ledger, NEWS) == []


def test_F17_what_was_published_while_the_exchange_was_away_or_nobody_listened_is_read_afterwards(
    exchange: Exchange, ledger: Engine
) -> None:
    with following(lambda: place(exchange, ledger)) as follower:
        until(lambda: public(exchange) <= stored(ledger).keys())
        connections = follower.counts.connections
        exchange.kill()
        exchange.start()
        until(lambda: follower.counts.connections > connections)
        fresh = move_until_news(exchange)
        until(lambda: fresh <= stored(ledger).keys())
    missed = move_until_news(exchange)
    assert not missed & stored(ledger).keys()
    with following(lambda: place(exchange, ledger)):
        until(lambda: missed <= stored(ledger).keys())
        until(lambda: wire_troubles(ledger, NEWS) == [])
    assert stored(ledger).keys() == public(exchange)


@pytest.fixture
def elsewhere() -> Iterator[NewsServer]:
    with news_server() as running:
        yield running


def message(number: int, title: str, at: datetime) -> dict[str, Any]:
    return {
        "T": "n",
        "id": number,
        "headline": title,
        "summary": "",
        "author": "",
        "created_at": at,
        "updated_at": at,
        "url": f"https://example.com/{number}",
        "content": "",
        "symbols": ["NVDA"],
        "source": "benzinga",
    }


def test_F18_F22_a_frame_that_makes_no_sense_costs_itself_alone_and_one_that_comes_twice_nothing(
    exchange: Exchange, ledger: Engine, elsewhere: NewsServer
) -> None:
    at = exchange.now()
    with following(lambda: place(exchange, ledger, elsewhere.url)) as follower:
        until(lambda: bool(elsewhere.live) and public(exchange) <= stored(ledger).keys())
        elsewhere.say(message(1, "One", at), message(1, "One", at), {"T": "n"}, {"T": "something new"})
        elsewhere.say_raw(b"\xc1")
        elsewhere.say_raw("{}")
        elsewhere.say(message(1, "One, changed", at), message(2, "Two", at) | {"url": None, "symbols": None})
        until(lambda: None in stored(ledger))
        assert stored(ledger)["https://example.com/1"].title == "One"
        assert (follower.counts.odd_frames, follower.counts.connections) == (2, 1)


def test_F15_a_socket_that_is_connected_and_mute_is_found_out_and_left_and_nothing_is_lost(
    exchange: Exchange, ledger: Engine, elsewhere: NewsServer
) -> None:
    with following(lambda: place(exchange, ledger, elsewhere.url), compare_seconds=0.3) as follower:
        until(lambda: bool(elsewhere.live) and public(exchange) <= stored(ledger).keys())
        fresh = move_until_news(exchange)
        until(lambda: fresh <= stored(ledger).keys())
        until(lambda: follower.counts.suspicions > 0 and elsewhere.connected > 1)
    assert stored(ledger).keys() == public(exchange)


def test_F19_a_socket_without_a_welcome_is_waited_for_only_so_long_and_named(
    exchange: Exchange, ledger: Engine, elsewhere: NewsServer
) -> None:
    elsewhere.welcome = None
    with following(lambda: place(exchange, ledger, elsewhere.url)):
        until(lambda: elsewhere.connected > 1)
        until(lambda: any("welcome" in said for said in wire_troubles(ledger, NEWS)))
        elsewhere.welcome = {"T": "error", "code": 406, "msg": f"connection limit exceeded for {SECRET}"}
        until(lambda: any("406" in said for said in wire_troubles(ledger, NEWS)))
        assert not any(SECRET in said for said in wire_troubles(ledger, NEWS))


def test_what_the_socket_packs_means_what_the_interface_writes() -> None:
    at = datetime(2026, 3, 12, 13, 59, 30, 123456, tzinfo=UTC)
    told = message(7, "Headline", at)
    [packed] = read_frame(msgpack.packb([told], datetime=True))
    [written] = read_frame(
        '[{"T": "n", "id": 7, "headline": "Headline", "created_at": "2026-03-12T13:59:30.123456789Z", '
        '"updated_at": "2026-03-12T13:59:30.123456Z", "url": "https://example.com/7", "symbols": ["NVDA"], '
        '"source": "benzinga"}]'
    )
    assert told_articles([packed]) == told_articles([written])
    with pytest.raises(ValueError, match="in a frame of"):
        read_frame(msgpack.packb([{"created_at": msgpack.Timestamp(2**40, 0)}]))


def test_outside_a_practice_world_the_socket_has_a_host_of_its_own() -> None:
    paper = BrokerConnection("PAPER", "https://paper-api.alpaca.markets", "https://data.alpaca.markets", "PKX", "s")
    assert news_url(paper) == "wss://stream.data.alpaca.markets/v1beta1/news"
