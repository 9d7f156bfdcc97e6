"""Children of a world are found again after a crash, told from strangers, and ended in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from trading_assets.world.paths import World
from trading_assets.world.processes import Child, Children, ProcessError

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-uc",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    """The children of a fresh world; none is left afterwards."""
    world = World(tmp_path)
    world.create()
    children = Children(world)
    yield children
    children.stop_all(wait=5)


def test_a_child_leads_a_session_of_its_own_and_writes_to_its_log(children: Children) -> None:
    child = children.start("talker", [sys.executable, "-uc", "print('hello'); import time; time.sleep(600)"])
    assert os.getsid(child.pid) == child.pid
    log = children.world.logs / "talker.log"
    while "hello" not in log.read_text():
        assert children.is_alive(child)
    assert children.recorded() == {"talker": child}


def test_another_supervisor_adopts_and_ends_a_recorded_child(children: Children) -> None:
    child = children.start("sleeper", SLEEP)
    other = Children(children.world)
    assert other.adopt("sleeper") == child
    assert other.stop("sleeper") is True
    assert not children.is_alive(child)
    assert other.recorded() == {}
    assert other.stop("sleeper") is False


def test_a_child_heeds_the_request_to_end_although_its_parent_does_not(children: Children) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        child = children.start("sleeper", SLEEP)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    os.kill(child.pid, signal.SIGTERM)
    while children.is_alive(child):
        pass
    assert children.exit_status(child) == -signal.SIGTERM


def test_a_name_runs_once(children: Children) -> None:
    children.start("sleeper", SLEEP)
    with pytest.raises(ProcessError, match="already runs"):
        children.start("sleeper", SLEEP)


def test_a_reused_process_id_is_a_stranger_and_stays_untouched(children: Children) -> None:
    stranger = subprocess.Popen(SLEEP)
    row = {"name": "sleeper", "pid": stranger.pid, "started": psutil.Process(stranger.pid).create_time() - 100}
    children.world.pids.write_text(json.dumps({"sleeper": row}))
    assert children.adopt("sleeper") is None
    assert children.stop("sleeper") is False
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_ended_child_is_not_alive_and_its_exit_status_is_known(children: Children) -> None:
    child = children.start("short", [sys.executable, "-c", "raise SystemExit(3)"])
    while children.is_alive(child):
        pass
    assert children.exit_status(child) == 3
    assert children.adopt("short") is None


def test_a_child_that_ignores_the_request_to_end_is_killed_with_its_session(children: Children) -> None:
    child = children.start("stubborn", STUBBORN)
    while "ready" not in (children.world.logs / "stubborn.log").read_text():
        assert children.is_alive(child)
    assert children.stop("stubborn", wait=0.2) is True
    assert children.exit_status(child) == -signal.SIGKILL


def test_children_end_in_the_given_order_then_the_newest_first(children: Children) -> None:
    for name in ("exchange", "extra", "daemon", "webserver"):
        children.start(name, SLEEP)
    ended = children.stop_all(("webserver", "daemon"))
    assert ended[:2] == ["webserver", "daemon"]
    assert sorted(ended[2:]) == ["exchange", "extra"]


def test_a_program_that_does_not_exist_is_named(children: Children) -> None:
    with pytest.raises(ProcessError, match="cannot start ghost"):
        children.start("ghost", ["/nowhere/ghost"])
    assert children.recorded() == {}


def test_what_a_killed_supervisor_never_wrote_down_is_found_by_its_mark(children: Children) -> None:
    program = f"""
        import os, signal, sys
        from pathlib import Path
        from trading_assets.world.paths import World
        from trading_assets.world.processes import Children
        children = Children(World(Path({str(children.world.home)!r})))
        children._note = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        children.start("sleeper", {SLEEP!r})
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert children.recorded() == {}
    (stray,) = children.strays()
    assert children.stop_all() == []
    psutil.wait_procs([stray], timeout=10)
    assert children.strays() == []


def test_a_record_names_exactly_the_process_it_was_written_for(children: Children) -> None:
    child = children.start("sleeper", SLEEP)
    assert not children.is_alive(Child("sleeper", child.pid, child.started + 60))
