"""50,000 articles stored in a PostgreSQL of its own: at once, by rounds, again, and the minute with a full window.

``s`` are seconds of the wall, ``cpu_s`` those that this process itself computed: beside other work the wall tells less.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, func, select

from news_bench._wires import Told, articles
from trading_assets.ledger import news as store
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.ledger.schema import upgrade
from trading_assets.news.config import ClusterConfig
from trading_assets.news.storing import Arrival, store_arrivals
from trading_assets.world.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from bench_news import Options

COUNT = 50_000
WINDOW = 20_000
ROUND = 500
START = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
CONFIG = ClusterConfig()


def run(options: Options) -> dict[str, Any]:
    """Seconds of each case. Fsync is on, as in production."""
    count, window = (COUNT // 10, WINDOW // 10) if options.quick else (COUNT, WINDOW)
    day = articles(count, START, timedelta(hours=23))
    days = articles(count, START, timedelta(days=4))
    figures: dict[str, Any] = {"articles": count}
    with tempfile.TemporaryDirectory(prefix="ta-bench-") as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "pg", own=Path(folder))
        server.start()
        try:
            with _ledger(server, "once") as ledger:
                came = [told.arrival for told in day]
                figures["one_day_at_once"] = _timed(ledger, came, START + timedelta(days=1))
                figures["stored"] = _count(ledger)
                figures["again"] = _timed(ledger, came, START + timedelta(days=1, minutes=1))
                figures["stored_again"] = _count(ledger) - figures["stored"]
            with _ledger(server, "rounds") as ledger:
                figures["four_days_in_rounds_of_500"] = _rounds(ledger, days)
                figures["rounds_again"] = _rounds(ledger, days)
                figures["stored_by_rounds"] = _count(ledger)
            with _ledger(server, "minute") as ledger:
                figures["minute"] = _minute(ledger, server.url("minute"), day, window)
        finally:
            server.stop()
    return figures


@contextmanager
def _ledger(server: EmbeddedPostgres, name: str) -> Iterator[Engine]:
    server.ensure_database(name)
    engine = open_ledger(server.url(name))
    upgrade(engine)
    yield engine
    engine.dispose()


def _timed(ledger: Engine, came: Sequence[Arrival], fetched_at: datetime) -> dict[str, float]:
    began, computed = time.perf_counter(), time.process_time()
    with ledger.begin() as connection:
        store.lock_store(connection)
        store_arrivals(connection, came, fetched_at, CONFIG)
    return {"s": round(time.perf_counter() - began, 3), "cpu_s": round(time.process_time() - computed, 3)}


def _rounds(ledger: Engine, told: Sequence[Told]) -> dict[str, float]:
    rounds = []
    for start in range(0, len(told), ROUND):
        some = [each.arrival for each in told[start : start + ROUND]]
        rounds.append(_timed(ledger, some, max(each.published_at or START for each in some)))
    return {key: round(sum(each[key] for each in rounds), 3) for key in ("s", "cpu_s")}


def _minute(ledger: Engine, url: str, told: Sequence[Told], window: int) -> dict[str, Any]:
    """One minute's 30 new articles with ``window`` stories in the window: by a process that stored before, and by one
    that has just begun (a new engine remembers nothing)."""
    _timed(ledger, [each.arrival for each in told[:window]], START + timedelta(days=1))
    rest = [each.arrival for each in told[window:]]
    warm = [_timed(ledger, rest[n * 30 : n * 30 + 30], START + timedelta(days=1, minutes=n)) for n in range(1, 6)]
    cold = []
    for n in range(6, 11):
        fresh = open_ledger(url)
        with fresh.connect():
            pass
        cold.append(_timed(fresh, rest[n * 30 : n * 30 + 30], START + timedelta(days=1, minutes=n)))
        fresh.dispose()
    figures: dict[str, Any] = {"stories_in_window": window}
    for name, rounds in (("warm", warm), ("cold", cold)):
        figures[name] = {key: sorted(each[key] for each in rounds)[2] for key in ("s", "cpu_s")}
    return figures


def _count(ledger: Engine) -> int:
    with ledger.connect() as connection:
        return connection.scalar(select(func.count()).select_from(inbound_events_raw)) or 0
