"""The sockets of a recorded world: its own bars, its silent minutes, its halts, and the items of its recorded feeds."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from trading_assets.market.sessions import require_session
from trading_assets_tests.exchange.stream_clients import instant, listening
from trading_assets_tests.exchange.test_recorded_feeds import write
from trading_assets_tests.exchange.venue_process import MINUTE, Exchange, prepare
from trading_assets_tests.simulation.test_recorded import DAY, recording

SESSION = require_session(DAY)
ANYTHING = {"action": "subscribe", "bars": []}


def prepared(directory: Path, **changes: Any) -> Exchange:
    ready = prepare(directory, SESSION.open - MINUTE, session=DAY.isoformat(), recorded=True, **changes)
    recording(gap=(60, 75)).write_parquet(directory / "recording.parquet")
    return ready


def test_recorded_bars_are_told_and_a_halt_with_its_end(tmp_path: Path) -> None:
    started = prepared(tmp_path / "recorded").start()
    try:
        with listening(started, "iex") as client:
            client.subscribe(bars=["*"], statuses=["*"], quotes=["HALT"], trades=["HALT"], dailyBars=["HALT"])
            started.advance(SESSION.open + 90 * MINUTE)
            told = client.until_answer(ANYTHING)
        known = started.get("/v2/stocks/bars", symbols="HALT,LIQ", start=SESSION.open.isoformat()).json()["bars"]
        bars: dict[str, list[Any]] = {"HALT": [], "LIQ": []}
        for message in told:
            if message["T"] == "b":
                bars[message["S"]].append({key: value for key, value in message.items() if key not in "TS"})
        assert bars == known
        assert (len(bars["HALT"]), len(bars["LIQ"])) == (75, 90)
        assert len([message for message in told if message["T"] == "d"]) == 75, "no trade, no new bar of the day"
        gap = (SESSION.open + 60 * MINUTE, SESSION.open + 75 * MINUTE)
        for letter in "qt":
            silent = [m for m in told if m["T"] == letter and gap[0] < instant(m["t"]) < gap[1]]
            assert silent == [], "a quote that grows old is not made again"
        statuses = [(m["S"], m["sc"], minutes(m["t"])) for m in told if m["T"] == "s"]
        assert statuses == [("HALT", "T", 0), ("LIQ", "T", 0), ("HALT", "H", 65), ("HALT", "T", 75)]
    finally:
        started.stop()


def minutes(stamp: str) -> int:
    return int((instant(stamp) - SESSION.open) / MINUTE)


def feed(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{t}</title><guid>{t}</guid><link>https://n.example/{t}</link>"
        f"<pubDate>Fri, 05 Jul 2024 12:00:00 GMT</pubDate><description>About {t}</description></item>"
        for t in titles
    )
    return f'<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'.encode()


def test_items_of_recorded_feeds_are_told_when_they_were_first_captured_as_rest_has_them(tmp_path: Path) -> None:
    ready = prepared(tmp_path / "feeds", recorded_feeds=True)
    at = [SESSION.open + number * MINUTE for number in range(9)]
    rows: list[tuple[datetime, bytes, dict[str, Any]]] = [
        (at[0], feed("old"), {}),
        (at[2], feed("second", "first", "old"), {"new_items": 2}),
        (at[3], feed("second", "first", "old"), {"new_items": 0}),
        (at[4], b"<html>log in</html>", {}),
        (at[5], b"gone", {"status": 503}),
        (at[6], b'{"version": "https://jsonfeed.org/version/1.1", "items": [{"id": "x", "title": "json"}, 7]}', {}),
        (at[8], feed("later"), {}),
    ]
    write(ready.directory, rows)
    ready.start()
    try:
        ready.advance(at[1])
        with listening(ready, "news") as client:
            client.subscribe(news=["*"])
            ready.advance(at[7])
            told = client.until_answer({"action": "subscribe", "news": []})
        assert [(m["headline"], instant(m["created_at"]), m["source"]) for m in told] == [
            ("first", at[2], "cnbc"),
            ("second", at[2], "cnbc"),
            ("json", at[6], "cnbc"),
        ]
        assert told[0]["summary"] == "About first" and told[0]["symbols"] == [] and told[2]["url"] is None
        known = ready.get("/v1beta1/news", start=at[1].isoformat(), sort="asc", include_content="true").json()["news"]
        assert sorted(row["id"] for row in known) == sorted(message["id"] for message in told)
        assert [row["headline"] for row in ready.get("/v1beta1/news").json()["news"]][-1] == "old"
    finally:
        ready.stop()
