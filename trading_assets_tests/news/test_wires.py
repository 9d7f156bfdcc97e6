"""The broker's news interface as a source: the real exchange over HTTP, the real SDK, real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.news_wire import NewsWire, SharedNewsWire
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.newswire import WireAnswer
from trading_assets.ledger import wires as remembered
from trading_assets.ledger.news_tables import feed_attempts, inbound_events_raw
from trading_assets.ledger.wires import WIRE
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.ingest import ingest
from trading_assets.news.wire_config import WireConfig
from trading_assets.news.wire_health import wire_health, wire_troubles
from trading_assets.news.wire_round import WireRound, ask_wire, store_told
from trading_assets.news.wires import told_articles
from trading_assets.world.clocks import ExchangeClock
from trading_assets_tests.broker.fault_proxy import HTML, Fault, FaultProxy, proxied
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, TOKEN, Exchange, prepare
from trading_assets_tests.news.conftest import SetClock

QUICK = BrokerConfig(connect_timeout_seconds=2, read_timeout_seconds=5)
#: Everything that the exchange has, from the session before on.
ALL = WireConfig(api=True, first_hours=96)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("exchange"), OPEN + timedelta(hours=2)).start()
    yield running
    running.stop()


def wire(url: str, clock: Any, budget: Path | None = None) -> NewsWire:
    return NewsWire(BrokerConnection("PRACTICE", url, url, KEY, SECRET, budget=budget), clock, QUICK)


def config(exchange: Exchange, **changes: Any) -> NewsConfig:
    """All feeds of the exchange, and its news interface."""
    names = [row["name"] for row in exchange.get("/rss/").json()["feeds"]]
    feeds = tuple(FeedConfig(name=name, url=f"{exchange.url}/rss/{name}.xml", source=name) for name in names)
    return NewsConfig(feeds=feeds, alpaca=ALL.model_copy(update=changes))


def stored(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(inbound_events_raw).order_by(inbound_events_raw.c.event_uid)))


def attempts(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        query = select(feed_attempts).where(feed_attempts.c.feed == WIRE).order_by(feed_attempts.c.at)
        return list(connection.execute(query))


def everything(exchange: Exchange, clock: ExchangeClock) -> dict[str, Any]:
    """Every public article by its address."""
    answer = wire(exchange.url, clock).articles(OPEN - timedelta(days=4), 100, 60)
    assert answer.complete and answer.error is None
    return {str(row["url"]): row for row in answer.rows}


def until_complete(ask: Callable[[], WireRound]) -> list[WireRound]:
    rounds = [ask()]
    while not rounds[-1].complete:
        assert len(rounds) < 100
        rounds.append(ask())
    return rounds


def test_an_article_of_a_feed_and_of_the_interface_is_one_story_whichever_came_first(
    exchange: Exchange, ledger: Engine, clock: SetClock
) -> None:
    real = ExchangeClock(exchange.url, TOKEN)
    news, asked = config(exchange), wire(exchange.url, real)
    public = everything(exchange, real)
    assert len(public) > 60, "more than a page"
    by_feeds = ingest(ledger, news, real).stored
    assert 0 < by_feeds < len(public), "the feeds show their newest"
    first = ask_wire(ledger, news, real, asked)
    assert (first.stories, first.new) == (len(public), len(public) - by_feeds)
    exchange.advance(exchange.now() + timedelta(minutes=45))
    later = ask_wire(ledger, news, real, asked)
    assert later.new > 0, "now the interface was first"
    assert ingest(ledger, news, real).stored == 0
    told = stored(ledger)
    assert sorted(row.link for row in told) == sorted(everything(exchange, real)), "each once, none missing"
    named = {row.link: tuple(row.symbols) for row in told if row.feed == WIRE}
    assert any(named.values()) and all(
        named[link] == tuple(public[link]["symbols"]) for link in named if link in public
    )


def test_pages_are_bounded_and_what_waits_is_read_in_the_next_rounds(exchange: Exchange, ledger: Engine) -> None:
    clock = ExchangeClock(exchange.url, TOKEN)
    news, asked = config(exchange, max_pages=1), wire(exchange.url, clock)
    rounds = until_complete(lambda: ask_wire(ledger, news, clock, asked))
    assert len(rounds) > 1 and all(found.stories <= 50 for found in rounds)
    assert sorted(row.link for row in stored(ledger)) == sorted(everything(exchange, clock))
    again = ask_wire(ledger, news, clock, asked)
    assert again.new == 0 and again.stories < 50, "asked since the newest, a little before it"


_FAILURES = {
    "429": Fault("GET", "/news", "answer", status=429, body=b'{"message": "too many requests"}'),
    "503": Fault("GET", "/news", "answer", status=503, body=b"{}"),
    "html": Fault("GET", "/news", "answer", status=200, body=HTML),
    "no-list": Fault("GET", "/news", "answer", status=200, body=b'{"news": null}'),
    "reset": Fault("GET", "/news", "reset_after"),
    "truncated": Fault("GET", "page_token", "truncate"),
    "refused": Fault("GET", "/news", "answer", status=403, body=b'{"code": 42210000, "message": "no"}'),
}


@pytest.fixture
def proxy(exchange: Exchange) -> Iterator[FaultProxy]:
    with proxied(exchange.url) as running:
        yield running


@pytest.mark.parametrize("name", sorted(_FAILURES))
def test_F39_an_interface_that_fails_is_named_left_alone_and_read_to_the_end_later_while_the_feeds_go_on(
    exchange: Exchange, ledger: Engine, proxy: FaultProxy, name: str
) -> None:
    real = ExchangeClock(exchange.url, TOKEN)
    news, asked = config(exchange), wire(proxy.url, real)
    clock = SetClock(real.now())
    fault = _FAILURES[name]
    proxy.faults = [Fault(fault.method, fault.path, fault.kind, 1, fault.status, fault.body)]
    failed = ask_wire(ledger, news, clock, asked)
    assert failed.error and failed.next_attempt_at is not None and failed.next_attempt_at > clock.now()
    assert failed.stories == (50 if fault.path == "page_token" else 0), "what came before it counts"
    assert any(WIRE in said for said in wire_troubles(ledger, news))
    (shown,) = wire_health(ledger, news)
    assert (shown.feed, shown.condition, shown.next_attempt_at) == (WIRE, "failing", failed.next_attempt_at)
    seen = len(proxy.seen)
    assert not ask_wire(ledger, news, clock, asked).asked and len(proxy.seen) == seen
    feeds = ingest(ledger, news, clock)
    assert feeds.stored > 0 and not feeds.failed
    clock.instant = failed.next_attempt_at
    until_complete(lambda: ask_wire(ledger, news, clock, asked))
    assert sorted(row.link for row in stored(ledger)) == sorted(everything(exchange, real))
    assert wire_troubles(ledger, news) == []
    assert [row.status for row in attempts(ledger)][:1] == ["failed"] and attempts(ledger)[-1].status == "fetched"


def test_an_account_whose_keys_are_refused_is_passed_over(exchange: Exchange, tmp_path: Path) -> None:
    clock = ExchangeClock(exchange.url, TOKEN)
    wrong = NewsWire(BrokerConnection("PRACTICE", exchange.url, exchange.url, "nobody", "none"), clock, QUICK)
    right = wire(exchange.url, clock, tmp_path / "budget")
    since = OPEN - timedelta(hours=1)
    answer = SharedNewsWire([("a", lambda: wrong), ("b", lambda: right)]).articles(since, 1, 60)
    assert answer.error is None and answer.rows
    assert (tmp_path / "budget" / "data").exists(), "counted with the account's other questions for data"
    alone = SharedNewsWire([("a", lambda: wrong)]).articles(since, 1, 60)
    assert alone.error is not None and "credentials" in alone.error and "none" not in alone.error


RAW = {
    "id": 7,
    "headline": "Nvidia &amp; Apple <b>agree</b>",
    "author": "A",
    "created_at": "2026-03-12T13:59:00Z",
    "updated_at": "2026-03-12T13:59:30.123456789Z",
    "summary": "<p>They said so.</p>",
    "content": "<p>Long.</p>",
    "url": "https://example.com/a/7",
    "symbols": ["NVDA", "AAPL", "NVDA"],
    "source": "benzinga",
    "a_field_nobody_knows": {"x": 1},
}


def test_an_article_may_lack_what_does_not_say_which_it_is(ledger: Engine, clock: SetClock) -> None:
    [article], _ = told_articles([RAW])
    arrival = article.arrival
    assert (arrival.title, arrival.summary) == ("Nvidia & Apple agree", "They said so.")
    assert (arrival.symbols, arrival.source) == (("NVDA", "AAPL"), "benzinga")
    bare = {"id": 8, "headline": "Bare", "url": None, "symbols": None, "summary": "", "created_at": "soon"}
    odd: list[dict[str, Any]] = [{}, {"id": None, "headline": "x"}, {"id": 9}, {"id": True, "headline": "x"}]
    good, unusable = told_articles([bare, *odd])
    assert unusable == len(odd)
    [found] = good
    assert (found.arrival.link, found.arrival.summary, found.arrival.published_at) == (None, None, None)
    assert found.arrival.symbols == () and found.updated_at is None
    store_told(ledger, NewsConfig(), clock, [RAW, bare, *odd, bare])
    assert len(stored(ledger)) == 2


def test_a_changed_headline_of_the_same_article_leaves_the_story_as_it_was_first_told(
    ledger: Engine, clock: SetClock
) -> None:
    store_told(ledger, NewsConfig(), clock, [RAW])
    clock.advance(minutes=5)
    moved = {**RAW, "headline": "Nvidia and Apple do not agree after all", "url": "https://example.com/b/7"}
    store_told(ledger, NewsConfig(), clock, [moved, RAW])
    [story] = stored(ledger)
    assert story.title == "Nvidia & Apple agree" and story.fetched_at < clock.now()


def test_the_front_page_as_address_makes_no_two_articles_one(ledger: Engine, clock: SetClock) -> None:
    first = {**RAW, "url": "https://example.com/"}
    second = {"id": 11, "headline": "Something else altogether happened", "url": "https://example.com/"}
    store_told(ledger, NewsConfig(), clock, [first, second])
    assert len(stored(ledger)) == 2


def test_a_change_dated_in_the_future_does_not_keep_later_ones_from_being_asked_for(
    ledger: Engine, clock: SetClock
) -> None:
    class Future:
        def articles(self, since: datetime, most_pages: int, deadline_seconds: float) -> Any:
            return WireAnswer(({**RAW, "updated_at": "2099-01-01T00:00:00Z"},), complete=True)

    ask_wire(ledger, NewsConfig(), clock, Future())
    with ledger.connect() as connection:
        assert remembered.state(connection, WIRE).read_until == clock.now()
        assert connection.scalar(select(func.count()).select_from(inbound_events_raw)) == 1


class _Told:
    """Answers what it is given, the last for ever, and remembers since when it was asked."""

    def __init__(self, *answers: WireAnswer) -> None:
        self.answers, self.since = list(answers), list[datetime]()

    def articles(self, since: datetime, most_pages: int, deadline_seconds: float) -> WireAnswer:
        self.since.append(since)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def test_a_clock_that_was_set_back_neither_silences_the_interface_nor_hides_what_came_between(
    ledger: Engine, clock: SetClock
) -> None:
    news = NewsConfig()
    first = timedelta(hours=news.alpaca.first_hours)
    latest = {**RAW, "updated_at": clock.now().isoformat()}
    wire = _Told(
        WireAnswer((latest,), False), WireAnswer((), False, error="no", wait_seconds=600), WireAnswer((), True)
    )
    ask_wire(ledger, news, clock, wire)
    assert ask_wire(ledger, news, clock, wire).next_attempt_at is not None
    clock.advance(minutes=-300)
    again = ask_wire(ledger, news, clock, wire)
    assert (again.asked, wire.since[-1]) == (True, clock.now() - first), "as if it were asked for the first time"
    clock.advance(minutes=90)
    ask_wire(ledger, news, clock, wire)
    assert wire.since[-1] == clock.now() - first, "nothing was told since, and what was read later is forgotten"
