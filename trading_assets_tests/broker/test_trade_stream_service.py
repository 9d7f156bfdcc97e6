"""The service as the real process of a real world: killed with SIGKILL, started again, ended in order."""

from __future__ import annotations

import os
import signal
import threading
from datetime import date, timedelta
from pathlib import Path

import pytest

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import OrderState
from trading_assets.ledger import trade_streams
from trading_assets.ledger.engine import open_ledger
from trading_assets.market.sessions import require_session
from trading_assets.settings import load_settings
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.lease import STOP_ORDER
from trading_assets.world.paths import HOME_VARIABLE, WORLD_VARIABLE, WorldKind
from trading_assets.world.processes import Children
from trading_assets.world.runtime import DEFAULT_PRACTICE, open_world
from trading_assets.world.service import _services
from trading_assets.world.supervisor import Supervisor
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT
from trading_assets_tests.broker.stream_desk import CONFIG, fills, health, send, stored, until


def test_F17_F11_a_service_killed_with_9_is_started_again_books_what_it_missed_and_ends_in_order(
    world_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, str(world_home))
    monkeypatch.setenv(WORLD_VARIABLE, "streams")
    settings = load_settings(world="streams", kind=WorldKind.PRACTICE)
    lock = settings.world.lock()
    lock.acquire()
    children, done = Children(settings.world), threading.Event()
    runtime = open_world(settings, begin=True)
    engine, clock = open_ledger(runtime.ledger_url), runtime.clock()
    names = [account.name for account in settings.accounts]
    [account] = [account for account in settings.accounts if account.name == ACCOUNT]
    broker = AlpacaBroker(runtime.connection(account), clock, CONFIG)
    try:
        services = _services(children, runtime, write_dagster_home(settings.world), 0, 0.0, lambda: None)
        [stream] = [service for service in services if service.name == "trade-stream"]
        said: list[tuple[str, str]] = []
        supervisor = Supervisor(children, [stream], lambda name, text: said.append((name, text)))
        supervisor.start()
        watching = threading.Thread(target=supervisor.watch, args=(done.is_set,))
        watching.start()

        def listening() -> bool:
            with engine.connect() as connection:
                rows = trade_streams.read(connection)
            return all(name in rows and rows[name].compared_at is not None for name in names)

        until(listening, (settings.world.logs / "trade-stream.log").read_text, patience=180)
        first = children.recorded()["trade-stream"]
        os.kill(first.pid, signal.SIGSTOP)
        clock.wait_until(require_session(date.fromisoformat(DEFAULT_PRACTICE["session"])).open + timedelta(minutes=5))
        with engine.begin() as connection:
            desk.publish(connection, "s1", "KO")
        intent = send(engine, broker, clock, "KO", 2)
        clock.wait_until(clock.now() + timedelta(seconds=30))
        assert fills(engine) == ()
        os.kill(first.pid, signal.SIGKILL)
        until(lambda: stored(engine, intent).state is OrderState.FILLED, patience=180)
        assert children.recorded()["trade-stream"].pid != first.pid
        assert sum(fill.quantity for fill in fills(engine)) == 2
        assert [name for name, _ in said] == ["trade-stream", "trade-stream"]
        done.set()
        watching.join()
        children.stop("trade-stream")
        assert health(engine).state == "stopped" and health(engine).connections >= 2
        log = (settings.world.logs / "trade-stream.log").read_text()
        assert runtime.exchange is not None
        assert not any(pair.secret.get_secret_value() in log for pair in runtime.exchange.keys.values())
    finally:
        done.set()
        children.stop_all(STOP_ORDER)
        broker.close()
        engine.dispose()
        settings.world.server().stop()
        lock.release()
