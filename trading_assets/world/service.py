"""``up`` and ``down``: a world open for people, with the Dagster UI, until Ctrl-C; and reading a world's ledger."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.lease import STOP_ORDER, stop_world
from trading_assets.world.paths import HOME_VARIABLE, WORLD_VARIABLE, World, home_directory
from trading_assets.world.processes import Children, ProcessError
from trading_assets.world.runtime import LEDGER_DATABASE, Runtime, open_world

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trading_assets.settings import Settings

_CODE = "trading_assets.definitions"


def serve(world_name: str | None, port: int, recover: Callable[[Settings, Runtime], None]) -> None:
    """Start the world's services, print one line for each, wait for Ctrl-C (or SIGTERM), stop them in order.

    ``recover`` ends what an earlier start left unfinished; it runs before anything that acts is started.
    """
    from trading_assets.ledger.engine import open_ledger
    from trading_assets.settings import load_settings

    settings = load_settings(world=world_name)
    world = settings.world
    lock = world.lock()
    lock.acquire()
    children = Children(world)
    children.stop_all(STOP_ORDER)
    # Being asked to end (also by a service manager, also from a background job) ends the world in order.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.default_int_handler)
    try:
        record = world.record()
        runtime = open_world(settings, begin=record is None or record.state.value == "unfinished")
        open_ledger(runtime.ledger_url).dispose()
        _say("postgres", "running")
        if runtime.exchange is not None:
            _say("exchange", f"{runtime.exchange.url}  at {runtime.clock().now():%Y-%m-%d %H:%M} UTC")
        environment = {
            HOME_VARIABLE: str(world.home),
            WORLD_VARIABLE: world.name,
            "DAGSTER_HOME": str(write_dagster_home(world)),
            "TRADING_ASSETS_DAGSTER_URL": runtime.dagster_url,
        }
        recover(settings, runtime)
        chosen = _port(port)
        _start_dagster(children, environment, chosen)
        print(f"\nDagster UI: http://127.0.0.1:{chosen}\nCtrl-C stops the world.", flush=True)
        _wait(children)
    except KeyboardInterrupt:
        print("\nstopping ...", flush=True)
    finally:
        # A second Ctrl-C must not leave half of it running.
        for asked in (signal.SIGINT, signal.SIGTERM):
            signal.signal(asked, signal.SIG_IGN)
        print("stopped " + ", ".join(stop_world(world)), flush=True)
        lock.release()


def stop(world_name: str | None) -> list[str]:
    """End whatever runs in the world, unless a living ``up`` or demo owns it."""
    world = _world(world_name)
    if world.record() is None:
        return []
    with _owned(world):
        return stop_world(world)


@contextmanager
def reading(world_name: str | None) -> Iterator[Engine]:
    """The ledger of a world that exists, its database started if need be."""
    from trading_assets.ledger.engine import open_ledger
    from trading_assets.ledger.schema import require_current
    from trading_assets.settings import load_settings

    world = _world(world_name)
    if world.record() is None:
        raise ConfigurationError(
            f"there is no world {world.name!r}", where=str(world.directory), mend="Run 'trading-assets demo' first."
        )
    settings: Settings = load_settings(world=world.name)
    server = None
    started = False
    if settings.database_url is None:
        server = world.server()
        started = server.start()
        url = server.url(LEDGER_DATABASE)
    else:
        url = settings.ledger_database_url()
    engine = open_ledger(url)
    try:
        require_current(engine)
        yield engine
    finally:
        engine.dispose()
        if server is not None and started:
            server.stop()


def _world(name: str | None) -> World:
    return World(home_directory(), name or os.environ.get(WORLD_VARIABLE) or "default")


@contextmanager
def _owned(world: World) -> Iterator[None]:
    lock = world.lock()
    lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _start_dagster(children: Children, environment: dict[str, str], port: int) -> None:
    python = sys.executable
    children.start(
        "webserver",
        [python, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", _CODE, "--suppress-warnings"],
        env=environment,
    )
    children.start("daemon", [python, "-m", "dagster._daemon", "run", "-m", _CODE], env=environment)
    deadline = time.monotonic() + 90
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/server_info", timeout=2, trust_env=False).status_code == 200:
                break
        except httpx.HTTPError:
            pass
        child = children.adopt("webserver")
        if child is None or time.monotonic() > deadline:
            log = children.world.logs / "webserver.log"
            tail = " | ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "no log"
            raise ProcessError(f"the Dagster UI did not come up; its log ends with: {tail}", where=str(log))
        time.sleep(0.2)
    for name in ("webserver", "daemon"):
        _say(name, "running")


def _wait(children: Children) -> None:
    """Until Ctrl-C, or until a service ends by itself, which is said and ends the rest."""
    while True:
        for name in ("webserver", "daemon"):
            if children.adopt(name) is None:
                raise ProcessError(
                    f"{name} ended by itself", where=str(children.world.logs / f"{name}.log"), mend="Start it again."
                )
        time.sleep(1)


def _port(port: int) -> int:
    """``port`` if it is free, else one that is; 0 asks for any."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ConfigurationError("no free port on loopback", where=f"--port {port}")


def _say(service: str, text: str) -> None:
    print(f"{service:<10} {text}", flush=True)
