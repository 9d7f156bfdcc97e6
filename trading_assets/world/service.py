"""``up`` and ``down``: a world open for people, with the Dagster UI, until Ctrl-C; and reading a world's ledger."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from trading_assets.domain.errors import BrokerUnavailable, ConfigurationError
from trading_assets.world import practice
from trading_assets.world.clocks import SystemClock
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.lease import STOP_ORDER, stop_world
from trading_assets.world.paths import (
    HOME_VARIABLE,
    WORLD_VARIABLE,
    World,
    WorldKind,
    WorldRecord,
    WorldState,
    home_directory,
)
from trading_assets.world.processes import Children, ProcessError
from trading_assets.world.runtime import DEFAULT_PRACTICE, LEDGER_DATABASE, Runtime, open_world
from trading_assets.world.supervisor import Service, Supervisor

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trading_assets.domain.clock import Clock
    from trading_assets.market.sessions import Session
    from trading_assets.settings import Settings

#: From the settings, a world's record (None: a new one) and the arguments of a world that nobody gave any: the new
#: world's arguments (None: those of the record) and what to say.
Opening = Callable[["Settings", WorldRecord | None, Mapping[str, Any]], tuple[Mapping[str, Any] | None, Sequence[str]]]
#: From the ledger's address, the world's clock, its pace and where to say it: what listens while the world is open.
Listening = Callable[[str, "Clock", float, Callable[[str], None]], AbstractContextManager[None]]

_CODE = "trading_assets.definitions"
_STREAM = "trading_assets.trade_stream_service"
_NEWS = "trading_assets.news_stream_service"
_CLOCK_LOOK_SECONDS = 5.0


def serve(
    world_name: str | None,
    port: int,
    speed: float | None,
    prepare: Callable[[Settings, Runtime, Callable[[str, str], None]], None],
    mend: Callable[[Settings, Runtime], None],
    opening: Opening | None = None,
    last_session: Callable[[Mapping[str, Any]], Session | None] = lambda _: None,
    listening: Listening = lambda *_: nullcontext(),
) -> None:
    """Start the world's services, print one line for each, look after them until Ctrl-C (or SIGTERM), stop in order.

    ``speed`` moves a practice exchange's clock that many times as fast as the wall's; None leaves a finished demo where
    it ended, and lets any other practice world run with the wall. ``prepare`` ends what an earlier start left
    unfinished and loads what is missing; it runs before anything that acts is started. ``mend`` ends the runs that a
    dead code server took along. ``opening`` makes a practice
    world of a person's options or refuses them; ``last_session`` tells from a world's arguments where its recording
    ends, which is said once. ``listening`` hears, from this process, whether what is due comes.
    """
    from trading_assets.settings import load_settings

    settings = load_settings(world=world_name, kind=None if opening is None else WorldKind.PRACTICE)
    world = settings.world
    lock = world.lock()
    lock.acquire()
    children = Children(world)
    children.stop_all(STOP_ORDER)
    # Being asked to end (also by a service manager, also from a background job) ends the world in order.
    before = {asked: signal.signal(asked, signal.default_int_handler) for asked in (signal.SIGINT, signal.SIGTERM)}
    try:
        record = world.record()
        said: Sequence[str]
        made, said = (None, ()) if opening is None else opening(settings, record, DEFAULT_PRACTICE)
        finished = record is not None and record.state is WorldState.FINISHED
        pace = speed if speed is not None else 0.0 if finished else 1.0
        runtime = open_world(settings, arguments=made, begin=not finished, speed=pace)
        home = write_dagster_home(world)
        prepare(settings, runtime, _say)
        for account in settings.accounts:
            _say("account", f"{account.name}  {', '.join(account.strategies)}")
        for account in settings.idle_accounts:
            _say("account", f"{account.name}  does not trade: {account.key_variable} is not set")
        chosen = _free_port(port)
        services = _services(
            children,
            runtime,
            home,
            chosen,
            pace,
            lambda: mend(settings, runtime),
            news=settings.strategy.news.alpaca.stream,
        )
        supervisor = Supervisor(children, services, _say)
        supervisor.start()
        for line in said:
            _say("recording", line)
        over = _RecordingEnd(runtime, last_session)
        print(f"\nDagster UI: http://127.0.0.1:{chosen}\nCtrl-C stops the world.", flush=True)
        beat = pace if runtime.exchange is not None else 1.0
        with listening(runtime.ledger_url, runtime.clock(), beat, partial(_say, "heartbeat")):
            supervisor.watch(over.look)
    except KeyboardInterrupt:
        print("\nstopping ...", flush=True)
    finally:
        # A second Ctrl-C must not leave half of it running.
        for asked in before:
            signal.signal(asked, signal.SIG_IGN)
        print("stopped " + ", ".join(stop_world(world)), flush=True)
        lock.release()
        # Whatever this process starts later would inherit deafness to being asked to end.
        for asked, handler in before.items():
            signal.signal(asked, handler)


class _RecordingEnd:
    """Says once that the last session of a recording is over. The world stays open to be looked at."""

    def __init__(self, runtime: Runtime, last_session: Callable[[Mapping[str, Any]], Session | None]) -> None:
        record = runtime.world.record()
        self._last = last_session(record.arguments) if record is not None else None
        self._clock = runtime.clock()
        self._next_look = 0.0

    def look(self) -> bool:
        """Never a reason to end the world."""
        if self._last is None or time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _CLOCK_LOOK_SECONDS
        # An exchange that is just being started again is asked at the next look.
        with suppress(BrokerUnavailable):
            if self._clock.now() >= self._last.close:
                _say(
                    "recording",
                    f"over: {self._last.key} was the last session that it covers. Nothing more is traded; the UI stays "
                    "open until Ctrl-C.",
                )
                self._last = None
        return False


def _services(
    children: Children,
    runtime: Runtime,
    home: Path,
    port: int,
    pace: float,
    mend: Callable[[], None],
    *,
    news: bool = False,
) -> list[Service]:
    """What an open world consists of, in the order of starting: each needs those before it."""
    world, server = runtime.world, runtime.world.server()
    environment = {
        HOME_VARIABLE: str(world.home),
        WORLD_VARIABLE: world.name,
        "DAGSTER_HOME": str(home),
        "TRADING_ASSETS_DAGSTER_URL": runtime.dagster_url,
        # A file in the working directory must not pass for a library of the same name.
        "PYTHONSAFEPATH": "1",
    }
    code_port = _free_port(0)
    workspace = home / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {code_port}, location_name: trading_assets}}\n"
    )
    ui = f"http://127.0.0.1:{port}"

    def alive(name: str) -> Callable[[], bool]:
        return lambda: children.adopt(name) is not None

    def database() -> str:
        server.start()
        return "running"

    def exchange() -> str:
        found = practice.start(children)
        moved = f"at {pace:g} times the wall's speed" if pace else "its clock stands still"
        return f"{found.url}  {found.clock().now():%Y-%m-%d %H:%M} UTC, {moved}"

    def stream() -> str:
        _start(children, "trade-stream", [_STREAM])
        return "fills are heard of as they happen; without it they are learned by polling"

    def headlines() -> str:
        _start(children, "news-stream", [_NEWS])
        return "the broker's articles are heard of as they come; without it they are asked for"

    def code() -> str:
        _start(
            children, "code-server", ["dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(code_port), "-m", _CODE]
        )
        return f"127.0.0.1:{code_port}"

    def daemon() -> str:
        _start(children, "daemon", ["dagster._daemon", "run", "-w", str(workspace)])
        return "schedules and sensors as the world has them"

    def webserver() -> str:
        command = ["dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace), "--suppress-warnings"]
        _start(children, "webserver", command)
        _until_answers(children, f"{ui}/server_info")
        return ui

    def _start(children: Children, name: str, arguments: list[str]) -> None:
        if children.adopt(name) is None:
            children.start(name, [sys.executable, "-m", *arguments], env=environment)

    own = [Service("postgres", database, server.is_running)] if runtime.owns_database else []
    told = [Service("news-stream", headlines, alive("news-stream"), needed=False)] if news else []
    traded = [Service("exchange", exchange, alive("exchange"))] if runtime.exchange is not None else []
    return [
        *own,
        *traded,
        Service("trade-stream", stream, alive("trade-stream"), needed=False),
        *told,
        Service("code-server", code, alive("code-server"), mend),
        Service("daemon", daemon, alive("daemon")),
        Service("webserver", webserver, alive("webserver")),
    ]


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
    _require_record(world)
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


def clock_of(world_name: str | None) -> Clock:
    """The clock by which a world that exists decides: the exchange's in a practice world, else the system's.

    A practice world whose exchange does not run has no time of its own: :class:`ConfigurationError`.
    """
    world = _world(world_name)
    if _require_record(world).kind is not WorldKind.PRACTICE:
        return SystemClock()
    exchange = practice.running(world.exchange)
    if exchange is None:
        raise ConfigurationError(
            f"the practice exchange of the world {world.name!r} does not run, so it has no time",
            where=str(world.exchange),
            mend=f"Open the world first: 'trading-assets up --world {world.name}'.",
        )
    return exchange.clock()


def _require_record(world: World) -> WorldRecord:
    record = world.record()
    if record is None:
        raise ConfigurationError(
            f"there is no world {world.name!r}", where=str(world.directory), mend="Run 'trading-assets demo' first."
        )
    return record


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


def _until_answers(children: Children, address: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            if httpx.get(address, timeout=2, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        if children.adopt("webserver") is None or time.monotonic() > deadline:
            log = children.world.logs / "webserver.log"
            tail = " | ".join(log.read_text(errors="replace").splitlines()[-3:]) if log.exists() else "no log"
            raise ProcessError(f"the Dagster UI did not come up; its log ends with: {tail}", where=str(log))
        time.sleep(0.2)


def _free_port(port: int) -> int:
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
    print(f"{service:<12} {text}", flush=True)
