"""Services that end by themselves are started again, with what they left behind gone; a hopeless one ends the world."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from trading_assets.world.paths import World
from trading_assets.world.processes import Children, ProcessError
from trading_assets.world.supervisor import Service, Supervisor

#: A service with a child process of its own, which notes its id and then waits for ever.
_PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open(sys.argv[1], 'a').write(f'{child.pid}\\n')\n"
    "time.sleep(600)\n"
)


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, service: str, text: str) -> None:
        self.lines.append((service, text))


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path / "home", "watched")
    found.create()
    return found


def service(children: Children, name: str, command: list[str]) -> Service:
    def start() -> str:
        children.start(name, command)
        return "running"

    return Service(name, start, lambda: children.adopt(name) is not None)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def test_F45_F46_a_killed_service_is_started_again_and_its_orphans_are_gone(world: World, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    children, log, done = Children(world), Log(), threading.Event()
    supervisor = Supervisor(children, [service(children, "daemon", [sys.executable, "-c", _PARENT, str(noted)])], log)
    supervisor.start()
    watching = threading.Thread(target=supervisor.watch, args=(done.is_set,))
    watching.start()
    try:
        wait_for(lambda: noted.exists() and len(noted.read_text().split()) == 1)
        first = children.recorded()["daemon"]
        os.kill(first.pid, signal.SIGKILL)
        wait_for(lambda: len(noted.read_text().split()) == 2)
        orphan = int(noted.read_text().split()[0])
        wait_for(lambda: not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE)
        assert children.recorded()["daemon"].pid != first.pid
    finally:
        done.set()
        watching.join()
        children.stop_all()
    assert [text for _, text in log.lines] == ["running", "ended by itself, started again: running"]


def test_a_service_that_keeps_ending_is_given_up_and_named(world: World) -> None:
    children = Children(world)
    supervisor = Supervisor(children, [service(children, "daemon", [sys.executable, "-c", "pass"])], Log())
    supervisor.start()
    with pytest.raises(ProcessError, match="daemon ended 6 times"):
        supervisor.watch()


def test_one_that_cannot_start_yet_is_tried_again(world: World) -> None:
    tries: list[int] = []

    def start() -> str:
        tries.append(1)
        if len(tries) == 2:
            raise ProcessError("what it needs is not there yet")
        return "running"

    log = Log()
    supervisor = Supervisor(Children(world), [Service("exchange", start, lambda: len(tries) in (0, 3))], log)
    supervisor.start()
    supervisor.watch(lambda: len(tries) == 3)
    assert [text.split(":")[0] for _, text in log.lines] == [
        "running",
        "ended by itself and does not start yet",
        "ended by itself, started again",
    ]


def test_what_a_dead_service_left_is_mended_before_it_starts_again(world: World) -> None:
    told: list[str] = []

    def start() -> str:
        told.append("start")
        return "running"

    def mend() -> None:
        told.append("mend")
        if told.count("mend") == 1:
            raise ProcessError("the database does not answer")

    watched = Service("code-server", start, lambda: told.count("start") == 2, mend)
    supervisor = Supervisor(Children(world), [watched], Log())
    supervisor.start()
    supervisor.watch(lambda: told.count("start") == 2)
    assert told == ["start", "mend", "mend", "start"]
