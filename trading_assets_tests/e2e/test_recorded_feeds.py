"""Recorded feeds beside recorded bars: played by the demo, and left open by ``up`` from start to start."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from trading_assets.market.sessions import require_session
from trading_assets.simulation.market import SimulatedMarket
from trading_assets.world import practice
from trading_assets.world.frames import FrameStore
from trading_assets.world.paths import World
from trading_assets_tests.e2e.demo_runs import DemoWorld, kill
from trading_assets_tests.e2e.leftovers import until_nothing_runs
from trading_assets_tests.world.feed_captures import capture, rss

DAY = date(2026, 3, 13)
SESSION = require_session(DAY)
MINUTE = timedelta(minutes=1)
CAPTURED = datetime(2026, 3, 13, 14, 5, tzinfo=UTC)  # 10:05 in New York
TICKERS = ("AAPL", "NVDA", "SPY")
BEATS = "Nvidia (NASDAQ: NVDA) beats estimates and raises its outlook, shares surge"
FALLS = "Apple shares plunge after weak quarterly results"
TOMORROW = "Tesla shares soar on record deliveries"


@pytest.fixture(scope="module")
def bars(module_world_home: Path) -> Path:
    """Three sessions of three names."""
    market = SimulatedMarket(5, DAY, history_sessions=2)
    parts = [
        market.minute_bars(ticker, session.day).with_columns(ticker=pl.lit(ticker))
        for session in market.sessions
        for ticker in TICKERS
    ]
    path = module_world_home / "bars.parquet"
    module_world_home.mkdir(parents=True, exist_ok=True)
    pl.concat(parts).select("ticker", "ts", "open", "high", "low", "close", "volume").write_parquet(path)
    return path


@pytest.fixture(scope="module")
def feeds(module_world_home: Path) -> Path:
    """A headline before the session, one captured at 10:05, and one of the day after."""
    return captured(module_world_home / "captured")


@pytest.fixture(scope="module")
def untidy(module_world_home: Path) -> Path:
    """The same, and a capture at 11:05 that is no feed."""
    folder = captured(module_world_home / "untidy")
    capture(folder, "wire", CAPTURED + 60 * MINUTE, "<html>log in</html>")
    return folder


def captured(folder: Path) -> Path:
    early = (FALLS, SESSION.open - 30 * MINUTE)
    beats = (BEATS, CAPTURED - MINUTE)
    capture(folder, "wire", SESSION.open - 20 * MINUTE, rss(early))
    capture(folder, "wire", CAPTURED, rss(beats, early))
    capture(folder, "wire", SESSION.close + timedelta(hours=20), rss((TOMORROW, SESSION.close), beats))
    return folder


def options(bars: Path, feeds: Path) -> list[str]:
    return ["--bars", str(bars), "--session", DAY.isoformat(), "--feeds", str(feeds)]


def read(world: DemoWorld, name: str, asset: str) -> pl.DataFrame:
    return FrameStore(World(world.home, name).frames).read(asset, [DAY.isoformat()])


@pytest.mark.patient
def test_a_headline_is_news_from_its_capture_on_and_is_scored(
    bars: Path, untidy: Path, module_world_home: Path
) -> None:
    world = DemoWorld(module_world_home / "demo", [*options(bars, untidy), "--step", "30"])
    summary = world.finish()
    assert summary["consistent"] is True
    found = summary["feeds"]
    assert (found["feeds"], found["captures"], found["broken"], found["items_served"]) == (1, 4, 1, 2)
    assert summary["articles"] == 2

    news = {row["title"]: row for row in read(world, "demo", "news").to_dicts()}
    assert set(news) == {BEATS, FALLS}, "nothing of tomorrow is known"
    assert CAPTURED <= news[BEATS]["fetched_at"] <= CAPTURED + 30 * MINUTE
    assert news[BEATS]["published_at"] == CAPTURED - MINUTE
    scored = {row["title"]: row for row in read(world, "demo", "sentiment").to_dicts()}
    assert (scored[BEATS]["ticker"], scored[FALLS]["ticker"]) == ("NVDA", "AAPL")
    assert scored[BEATS]["score"] > 0 > scored[FALLS]["score"]
    assert all(row["known_at"] >= row["fetched_at"] for row in scored.values())

    later = world.tool("demo", "--quiet", "--bars", str(bars), "--session", "2026-03-11", "--feeds", str(untidy))
    assert later.returncode == 2
    assert "every capture was made after the last session, 2026-03-11" in later.stderr
    assert "--feeds-shift-days -2" in later.stderr
    assert read(world, "demo", "news").height == 2, "the finished day is still there"


@pytest.mark.recorded
@pytest.mark.patient
def test_recorded_bars_and_recorded_feeds_of_one_day_are_played_together(recorded_data: Path, world_home: Path) -> None:
    bars = recorded_data / "bars_1m" / "S1_yahoo_2026_tech100" / "bars.parquet"
    folder = recorded_data / "feeds" / "F3_finance_feeds_2026_05"
    given = ["--bars", str(bars), "--session", "2026-05-01", "--feeds", str(folder), "--step", "30"]
    world = DemoWorld(world_home, given)
    summary = world.finish()
    assert summary["consistent"] is True
    assert summary["failed_runs"] == {}
    found = summary["feeds"]
    assert (found["feeds"], found["items_served"], found["broken"]) == (3, 89, 0)
    assert "yahoo-finance-news" in found["refused_feeds"], "captured in July"
    news = FrameStore(World(world_home, "demo").frames).read("news", ["2026-05-01"])
    # Served items are counted by their guid; one filing of two filers has one, and is two articles.
    assert summary["articles"] == news.height == 90
    first = dict(news.group_by("feed").agg(pl.col("fetched_at").min()).iter_rows())
    assert set(first) == {"cnbc-top-news", "fomc-rss", "sec-edgar-8k"}
    assert first["cnbc-top-news"] >= datetime(2026, 5, 1, 15, 15, 47, tzinfo=UTC) > first["sec-edgar-8k"]
    named = FrameStore(World(world_home, "demo").frames).read("sentiment", ["2026-05-01"])["ticker"].drop_nulls()
    assert "AAPL" in set(named)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--feeds", "nowhere"], "there is no folder nowhere"),
        (["--feeds-shift-days", "3"], "belongs to --feeds"),
        (["--bars-tz", "UTC"], "belongs to --bars"),
    ],
    ids=["no folder", "shift of nothing", "zone of nothing"],
)
@pytest.mark.parametrize("command", ["demo", "up"])
def test_options_that_cannot_be_meant_are_refused_in_one_line(
    world_home: Path, command: str, more: list[str], says: str
) -> None:
    result = DemoWorld(world_home, []).asked(command, "--session", DAY.isoformat(), *more)
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


# --- up ---------------------------------------------------------------------------------------------------------------


def waited_for(condition: Callable[[], bool], patience: float = 480.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


@contextmanager
def opened(world: DemoWorld, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """``up`` once it says where its UI is: the process, and what it has said so far."""
    log = world.home / "up.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_assets.cli", "up", "--port", "0", "--speed", "60", *arguments],
            cwd=world.home,
            env=world.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        waited_for(lambda: process.poll() is not None or "Ctrl-C" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield process, log.read_text
    finally:
        kill(process)
        process.wait()
        world.tool("down")


def exchange(home: Path) -> practice.PracticeExchange:
    found = practice.running(World(home).exchange)
    assert found is not None
    return found


def ended(process: subprocess.Popen[str], home: Path) -> None:
    """Ctrl-C."""
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 0
    until_nothing_runs(home)


@pytest.mark.patient
def test_up_opens_a_recorded_world_continues_it_and_says_when_the_recording_is_over(
    bars: Path, feeds: Path, world_home: Path
) -> None:
    world = DemoWorld(world_home, [])
    given = options(bars, feeds)
    with opened(world, *given) as (process, said):
        assert re.search(r"^recording +captured: 1 feeds, 3 captures", said(), re.MULTILINE), said()
        assert "bars.parquet is played until 2026-03-13" in said()
        clock = exchange(world.home).clock()
        before = clock.now()
        waited_for(lambda: clock.now() >= before + 3 * MINUTE)
        assert list(practice.feeds(exchange(world.home))) == ["wire"]
        reached = clock.now()
        ended(process, world.home)

    record: dict[str, Any] = json.loads((World(world.home).record_file).read_text())
    assert record["arguments"]["sessions"] == 1
    for other in (
        ["--bars", str(bars), "--session", "2026-03-12"],
        [*given, "--feeds-shift-days", "1"],
        [*given, "--seed", "9"],
    ):
        refused = world.tool("up", "--port", "0", *other)
        assert refused.returncode == 2, refused.stdout
        assert "was made with another" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1

    with opened(world) as (process, said):
        clock = exchange(world.home).clock()
        assert clock.now() >= reached
        assert "over:" not in said()
        clock.wait_until(CAPTURED)
        waited_for(lambda: BEATS in {row["title"] for row in read(world, "default", "news").to_dicts()})
        (row,) = (row for row in read(world, "default", "news").to_dicts() if row["title"] == BEATS)
        assert row["fetched_at"] >= CAPTURED
        clock._ask("POST", "/clock", {"advance_to": (SESSION.close + MINUTE).isoformat()})
        waited_for(lambda: "over: 2026-03-13 was the last session" in said())
        assert said().count("over:") == 1
        assert "ended by itself" not in said()
        assert process.poll() is None, "it stays open to be looked at"
        ended(process, world.home)
