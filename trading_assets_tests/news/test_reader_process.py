"""Bodies that are made to cost minutes or gigabytes: read by a real process, ended, and told as what they are."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest
from sqlalchemy import Engine

from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.identity import event_uid
from trading_assets.news.ingest import ingest
from trading_assets.news.parse import FeedUnreadable, parse_feed
from trading_assets.news.parse_apart import SMALL, BodyReader
from trading_assets.news.reader_process import ReaderProcess, Unread
from trading_assets.news.reading_config import ReadingConfig
from trading_assets_tests.news.conftest import SetClock
from trading_assets_tests.news.feed_server import FeedServer, item, rss

ODD = "trading_assets_tests.news.odd_reader"
#: A start tag with a hundred thousand attributes: feedparser needs minutes for it.
ENDLESS = rss("<item " + " ".join(f"a{n}='1'" for n in range(100_000)) + "><title>x</title></item>")
LARGE = rss(*(item(f"Story number {n} of “many”", guid=str(n), link=f"https://a.example/{n}") for n in range(1000)))


def test_F39_a_body_that_takes_minutes_to_read_is_a_failed_feed_and_the_others_are_read(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    bodies = {"endless": ENDLESS, "large": LARGE, "small": rss(item("A small feed", guid="s"))}
    assert min(len(ENDLESS), len(LARGE)) > SMALL
    config = NewsConfig(
        feeds=tuple(
            FeedConfig(name=name, url=feeds.serve(f"/{name}", body), source=name) for name, body in bodies.items()
        ),
        fetch=FetchConfig(stories_per_round=1000),
        reading=ReadingConfig(body_s=3),
    )
    report = ingest(ledger, config, clock)
    assert {one.feed: (one.status, one.new) for one in report.outcomes} == {
        "endless": ("failed", 0),
        "large": ("fetched", 1000),
        "small": ("fetched", 1),
    }
    (failed,) = report.failed
    assert "its body takes longer than 3 s to read" in (failed.error or "")
    assert failed.next_attempt_at is not None
    assert failed.next_attempt_at > clock.now(), "it is left alone for a while"


def test_F39_what_a_round_has_no_time_to_read_waits_for_the_next_one(
    ledger: Engine, feeds: FeedServer, clock: SetClock
) -> None:
    urls = [feeds.serve(f"/{n}", rss(item(f"Words of feed {n}", guid=str(n)))) for n in range(2)]
    found = tuple(FeedConfig(name=f"f{n}", url=url, source="A") for n, url in enumerate(urls))
    config = NewsConfig(feeds=found, reading=ReadingConfig(round_s=1e-6))
    assert [one.status for one in ingest(ledger, config, clock).outcomes] == ["fetched", "waiting"]
    clock.advance(minutes=1)
    assert [one.status for one in ingest(ledger, config, clock).outcomes] == ["waiting", "fetched"]


def test_a_body_reads_the_same_here_and_apart() -> None:
    untidy = LARGE.replace("Story number 7 ", "Story & number 7 ").replace("</channel>", "")
    with BodyReader(ReadingConfig()) as bodies:
        for body in (LARGE, untidy):
            kind, base = "text/xml; charset=latin-1", "https://a.example/rss"
            here = parse_feed(body.encode(), content_type=kind, where="here", base=base)
            apart = bodies.parse(body.encode(), content_type=kind, where="here", base=base, zone=None)
            assert apart == here
            assert [event_uid(None, None, one.title, one.published_at) for one in apart.stories] == [
                event_uid(None, None, one.title, one.published_at) for one in here.stories
            ]
        page = b"<html><p>" + b"consent " * SMALL
        with pytest.raises(FeedUnreadable) as apart_refused:
            bodies.parse(page, content_type=None, where="here", base="https://a.example/rss", zone="America/New_York")
    with pytest.raises(FeedUnreadable) as refused:
        parse_feed(page, where="here")
    assert str(apart_refused.value) == str(refused.value)


def test_F57_a_process_that_reads_what_strangers_sent_has_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_LARGE_SECRET", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    with ReaderProcess(ODD, seconds=30, memory_mib=512) as apart:
        seen = json.loads(apart.read({"do": "environment"}, b""))
    assert set(seen) <= {"PYTHONPATH", "LD_LIBRARY_PATH", "TRADING_ASSETS_CHILD", "LC_CTYPE"}


def test_F39_where_no_process_can_be_started_a_large_body_is_a_failed_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with BodyReader(ReadingConfig()) as bodies, pytest.raises(FeedUnreadable, match="no process could be started"):
        bodies.parse(LARGE.encode(), content_type=None, where="here", base="https://a.example", zone=None)


@pytest.mark.patient
def test_a_process_whose_asker_was_killed_ends_by_itself() -> None:
    asking = (
        "from trading_assets.news.reader_process import ReaderProcess\n"
        f"apart = ReaderProcess({ODD!r}, seconds=1, memory_mib=512)\n"
        "apart.read({'do': 'remember'}, b'')\n"
        "print(apart._process.pid, flush=True)\n"
        "apart._seconds = 60\n"
        "apart.read({'do': 'loop'}, b'')\n"
    )
    asker = subprocess.Popen([sys.executable, "-c", asking], stdout=subprocess.PIPE, text=True)
    assert asker.stdout is not None
    reader = psutil.Process(int(asker.stdout.readline()))
    with asker:
        asker.kill()
    ended, alive = psutil.wait_procs([reader], timeout=60)
    for process in alive:
        process.kill()
    assert (ended, alive) == ([reader], [])


def test_F39_a_process_that_was_ended_or_failed_is_replaced_and_else_kept() -> None:
    with ReaderProcess(ODD, seconds=30, memory_mib=512) as apart:
        first = apart.read({"do": "remember"}, b"")
        assert apart.read({"do": "remember"}, b"") == first
        for broken, said in {
            "grow": "takes more memory than 512 MiB to read",
            "no such thing": r"cannot be read \(exit code 1\)",
            "flood": r"cannot be read \(exit code ",
        }.items():
            with pytest.raises(Unread, match=said):
                apart.read({"do": broken}, b"body")
        assert apart.read({"do": "remember"}, b"") != first
    with ReaderProcess(ODD, seconds=0.5, memory_mib=512) as apart, pytest.raises(Unread, match="takes longer"):
        apart.read({"do": "loop"}, b"")
