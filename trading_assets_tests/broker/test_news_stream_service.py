"""The news service as the real process of a real world: killed with SIGKILL, started again, ended in order."""

from __future__ import annotations

import os
import signal
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from trading_assets.broker.news_wire import NewsWire
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.news_tables import inbound_events_raw
from trading_assets.settings import load_settings
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.lease import STOP_ORDER
from trading_assets.world.paths import HOME_VARIABLE, WORLD_VARIABLE, World, WorldKind
from trading_assets.world.processes import Children
from trading_assets.world.runtime import open_world
from trading_assets.world.service import _services
from trading_assets.world.supervisor import Supervisor
from trading_assets_tests.broker.stream_desk import until

_ON = "news: {alpaca: {stream: true, first_hours: 96}}\n"


def _links(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(inbound_events_raw.c.link).order_by(inbound_events_raw.c.link)))


@pytest.mark.patient
def test_F11_F17_a_news_service_killed_with_9_is_started_again_and_reads_what_it_missed(
    world_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(world_home))
    monkeypatch.setenv(WORLD_VARIABLE, "wires")
    world = World(world_home, "wires")
    world.create()
    (world.directory / "strategy.yaml").write_text(_ON)
    settings = load_settings(world="wires", kind=WorldKind.PRACTICE)
    assert settings.strategy.news.alpaca.stream
    lock = settings.world.lock()
    lock.acquire()
    children, done = Children(settings.world), threading.Event()
    runtime = open_world(settings, begin=True)
    engine, clock = open_ledger(runtime.ledger_url), runtime.clock()
    wire = NewsWire(runtime.connection(settings.accounts[0]), clock, settings.strategy.broker)

    def public() -> list[str]:
        answer = wire.articles(clock.now() - timedelta(hours=96), 100, 60)
        assert answer.complete
        return sorted(str(row["url"]) for row in answer.rows)

    try:
        home = write_dagster_home(settings.world)
        assert "news-stream" not in {
            service.name for service in _services(children, runtime, home, 0, 0.0, lambda: None)
        }
        services = _services(children, runtime, home, 0, 0.0, lambda: None, news=True)
        [stream] = [service for service in services if service.name == "news-stream"]
        supervisor = Supervisor(children, [stream], lambda name, text: None)
        supervisor.start()
        watching = threading.Thread(target=supervisor.watch, args=(done.is_set,))
        watching.start()
        log = settings.world.logs / "news-stream.log"
        until(lambda: "listens at" in log.read_text() and _links(engine) == public(), log.read_text, patience=180)
        first = children.recorded()["news-stream"]
        before = _links(engine)
        os.kill(first.pid, signal.SIGSTOP)
        clock.wait_until(clock.now() + timedelta(hours=2))
        assert _links(engine) == before != public()
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: _links(engine) == public(), log.read_text, patience=180)
        assert children.recorded()["news-stream"].pid != first.pid
        clock.wait_until(clock.now() + timedelta(hours=1))
        until(lambda: _links(engine) == public(), log.read_text, patience=60)
        done.set()
        watching.join()
        children.stop("news-stream")
        assert runtime.exchange is not None
        assert not any(pair.secret.get_secret_value() in log.read_text() for pair in runtime.exchange.keys.values())
    finally:
        done.set()
        children.stop_all(STOP_ORDER)
        wire.close()
        engine.dispose()
        settings.world.server().stop()
        lock.release()
