"""50,000 articles the whole way: asked of 100 feeds over HTTP, parsed, identified, clustered and stored; and again.

The server is a process of its own and says nothing of what has changed, so that the second time reads everything again.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from sqlalchemy import func, select

from news_bench._wires import articles
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.ledger.schema import upgrade
from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.ingest import ingest
from trading_assets.news.reading_config import ReadingConfig
from trading_assets.news.storing import Arrival
from trading_assets.world.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from bench_news import Options

COUNT, FEEDS = 50_000, 100
START = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)


@dataclass
class _Clock:
    instant: datetime

    def now(self) -> datetime:
        return self.instant

    def wait_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)


def run(options: Options) -> dict[str, Any]:
    """Seconds of the wall (``s``) and of this process (``cpu_s``). Fsync is on, as in production."""
    count = COUNT // 10 if options.quick else COUNT
    told = [each.arrival for each in articles(count, START, timedelta(hours=23))]
    bodies = [_rss(told[number::FEEDS]) for number in range(FEEDS)]
    clock = _Clock(START + timedelta(days=1))
    figures: dict[str, Any] = {"articles": count, "feeds": FEEDS, "mib": round(sum(map(len, bodies)) / 2**20, 1)}
    with tempfile.TemporaryDirectory(prefix="ta-bench-") as folder, _served(bodies) as address:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "pg", own=Path(folder))
        server.start()
        try:
            server.ensure_database("whole")
            ledger = open_ledger(server.url("whole"))
            upgrade(ledger)
            feeds = tuple(FeedConfig(name=f"f{n}", url=f"{address}/{n}", source=f"F{n}") for n in range(FEEDS))
            # One round takes them all: in a world that runs, what has not had its turn waits for the next one.
            config = NewsConfig(
                feeds=feeds, fetch=FetchConfig(round_s=600, deadline_s=120), reading=ReadingConfig(round_s=600)
            )
            for name in ("first", "again"):
                began, computed = time.perf_counter(), time.process_time()
                report = ingest(ledger, config, clock)
                figures[name] = {
                    "s": round(time.perf_counter() - began, 1),
                    "cpu_s": round(time.process_time() - computed, 1),
                    "seen": sum(outcome.stories for outcome in report.outcomes),
                    "stored": report.stored,
                    "feeds_failed": len(report.failed),
                }
                clock.instant += timedelta(minutes=1)
            with ledger.connect() as connection:
                figures["events"] = connection.scalar(select(func.count(inbound_events_raw.c.cluster_id.distinct())))
            ledger.dispose()
        finally:
            server.stop()
    return figures


def _rss(told: list[Arrival]) -> bytes:
    items = "".join(
        f"<item><title>{escape(each.title)}</title><link>{escape(each.link or '')}</link>"
        f"<guid>{escape(each.guid or '')}</guid><description>{escape(each.summary or '')}</description>"
        f"<pubDate>{format_datetime(each.published_at or START)}</pubDate></item>"
        for each in told
    )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>wire</title>{items}</channel></rss>'.encode()


@contextmanager
def _served(bodies: list[bytes]) -> Iterator[str]:
    here, there = multiprocessing.get_context("fork").Pipe()
    server = multiprocessing.get_context("fork").Process(target=_serve, args=(bodies, there), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.terminate()
        server.join()


def _serve(bodies: list[bytes], told: Connection) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = bodies[int(self.path[1:])]
            self.send_response(200)
            self.send_header("Content-Type", "application/rss+xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.send(server.server_address[1])
    server.serve_forever()
