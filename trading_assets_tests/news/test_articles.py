"""Articles behind the links of stories: real pages over HTTP, texts in a real ledger, each asked for once."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, select

from trading_assets.ledger.article_texts import texts_of
from trading_assets.ledger.news_tables import article_texts
from trading_assets.news import articles
from trading_assets.news.articles import ArticlesReport, read_articles
from trading_assets.news.articles_config import ArticlesConfig
from trading_assets.news.config import FeedConfig, NewsConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.ingest import ingest
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss

WORDS = "Nvidia’s sales doubled in the quarter, and the company raised its forecast for the rest of the year. " * 3
PAGE = (
    "<!doctype html><html><head><title>Nvidia</title><script>alert(1)</script></head><body><nav>Home | Markets</nav>"
    f"<article><h1>Nvidia beats estimates</h1><p>{WORDS}</p><p>{WORDS}</p></article>"
    "<footer>Cookies</footer></body></html>"
)
LOOPBACK = ArticlesConfig(enabled=True, hosts=("127.0.0.1",), per_round=20)


def stored(engine: Engine) -> dict[str, tuple[str | None, str | None]]:
    with engine.connect() as connection:
        rows = connection.execute(select(article_texts)).all()
    return {row.event_uid: (row.text, row.error) for row in rows}


def told(feeds: FeedServer, *links: str, limits: ArticlesConfig = LOOPBACK) -> NewsConfig:
    """A feed whose stories lead to these addresses, the address being the story's id, too."""
    url = feeds.serve("/rss", rss(*(item(f"Story number {n}", guid=link, link=link) for n, link in enumerate(links))))
    return NewsConfig(feeds=(FeedConfig(name="a", url=url, source="A"),), articles=limits)


def uid(link: str) -> str:
    return event_uid(link, None, "", None)


def read(ledger: Engine, config: NewsConfig, clock: SetClock) -> ArticlesReport:
    ingest(ledger, config, clock)
    return read_articles(ledger, config, clock)


def test_nothing_is_asked_for_unless_it_is_configured(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    link = feeds.serve("/article", PAGE, Content_Type="text/html")
    assert read(ledger, told(feeds, link, limits=ArticlesConfig()), clock) == ArticlesReport()
    assert feeds.headers_of("/article") == []


def test_without_what_it_needs_nothing_is_asked_for_or_stored(
    ledger: Engine, feeds: FeedServer, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = feeds.serve("/article", PAGE, Content_Type="text/html")
    monkeypatch.setattr(articles, "_NEEDED", ("trafilatura", "no_such_library"))
    report = read(ledger, told(feeds, link), clock)
    assert report.sentence() == "articles: none is read without the extra 'articles' (no_such_library is missing)"
    assert (stored(ledger), feeds.headers_of("/article")) == ({}, [])


def test_F39_an_article_is_asked_for_once_and_what_came_of_it_is_stored(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        feeds.stopping.wait(30)

    good = feeds.serve("/good", PAGE.encode("cp1252"), Content_Type="text/html; charset=windows-1252")
    bad = {
        feeds.serve("/pdf", b"%PDF-1.7", Content_Type="application/pdf"): "application/pdf and not HTML",
        feeds.serve("/gone", "", 404): "HTTP 404",
        feeds.serve("/huge", b"x" * 10_000_000, Content_Type="text/html"): "10000000 bytes",
        feeds.serve("/empty", "<html><body></body></html>", Content_Type="text/html"): "holds no article",
        feeds.serve("/file", "", 302, Location="file:///etc/passwd"): "scheme",
        feeds.url("/slow"): "within 5 s",
    }
    feeds.answers["/slow"] = silent
    config = told(feeds, good, *bad, limits=LOOPBACK.model_copy(update={"deadline_s": 5.0, "extract_s": 60.0}))
    first = read(ledger, config, clock)
    assert (first.read, first.waiting) == (1, 0)
    found = stored(ledger)
    text = found[uid(good)][0] or ""
    assert "Nvidia’s sales doubled" in text
    assert "alert" not in text
    assert "Cookies" not in text
    for link, reason in bad.items():
        assert found[uid(link)][0] is None
        assert reason in (found[uid(link)][1] or "")
    asked = len(feeds.requests)
    clock.advance(minutes=1)
    again = read(ledger, config, clock)
    assert (again.read, again.waiting, len(feeds.requests)) == (0, 0, asked + 1), "the feed alone was asked again"
    with ledger.connect() as connection:
        assert texts_of(connection, [uid(good)], clock.now()) == {uid(good): text}


@pytest.mark.parametrize("hosts", [(), ("example.com",), ("localhost.example",)])
def test_F39_a_story_cannot_make_the_reader_ask_the_private_network(
    ledger: Engine, feeds: FeedServer, clock: SetClock, hosts: tuple[str, ...]
) -> None:
    inside = [feeds.serve("/article", PAGE, Content_Type="text/html"), f"http://localhost:{feeds.port}/article"]
    config = told(feeds, *inside, limits=ArticlesConfig(enabled=True, hosts=hosts))
    report = read(ledger, config, clock)
    assert (report.read, feeds.headers_of("/article")) == (0, [])
    reasons = [error for _, error in stored(ledger).values()]
    # A host that is not on the list is not even tried.
    assert reasons == ([] if hosts else ["the address lies in a private network"] * 2)


def test_only_so_many_articles_are_fetched_in_a_round_and_old_stories_are_left_alone(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    links = [feeds.serve(f"/{n}", "gone", 404) for n in range(5)]
    config = told(feeds, *links, limits=LOOPBACK.model_copy(update={"per_round": 2}))
    first = read(ledger, config, clock)
    assert (sum((first.reasons or {}).values()), first.waiting) == (2, 3)
    assert "HTTP 404 Not Found (2)" in first.sentence()
    clock.advance(minutes=179)
    assert read_articles(ledger, config, clock).waiting == 1
    clock.advance(minutes=2)
    assert read_articles(ledger, config, clock) == ArticlesReport()


def test_F39_a_page_that_takes_too_long_to_read_is_given_up(ledger: Engine, feeds: FeedServer, clock: SetClock) -> None:
    link = feeds.serve("/article", PAGE, Content_Type="text/html")
    # No process starts in a hundredth of a second.
    config = told(feeds, link, limits=LOOPBACK.model_copy(update={"extract_s": 0.01}))
    assert read(ledger, config, clock).read == 0
    assert stored(ledger) == {uid(link): (None, "the page takes longer than 0.01 s to read")}


def test_F39_a_machine_on_which_no_process_can_be_started_for_a_while_loses_no_article(
    ledger: Engine, feeds: FeedServer, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = feeds.serve("/article", PAGE, Content_Type="text/html")
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", "/nowhere/python")
        report = read(ledger, told(feeds, link), clock)
    assert (report.read, report.waiting, stored(ledger)) == (0, 1, {})
    assert read_articles(ledger, told(feeds, link), clock).read == 1


def test_a_host_is_written_without_scheme() -> None:
    with pytest.raises(ValidationError, match="is no host"):
        ArticlesConfig(hosts=("https://example.com",))
