"""What the nursery forks are processes of their own, and none of them outlives their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from trading_assets_tests.chaos.nursery import Nursery

_warmed: list[str] = []


def remember(word: str) -> None:
    """What is done before the first fork."""
    _warmed.append(word)


def tell(file: Path) -> None:
    """Write down what was there at birth, and by whom."""
    file.write_text(f"{os.getpid()} {_warmed}")


def fail() -> None:
    """End in an error."""
    raise RuntimeError("on purpose")


def sleep() -> None:
    """Live until killed."""
    time.sleep(600)


def own_and_wait(file: Path) -> None:
    """Own a nursery with a living process and say which they are."""
    nursery = Nursery(remember, "warm")
    born = nursery.fork(sleep)
    temporary = file.with_suffix(".new")
    temporary.write_text(f"{born.pid} {psutil.Process(born.pid).ppid()}")
    temporary.replace(file)
    time.sleep(600)


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    warm = Nursery(remember, "warm")
    yield warm
    warm.close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in a minute"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that nobody has waited for yet has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_forked_process_has_what_was_warmed_and_its_end_is_told(nursery: Nursery, tmp_path: Path) -> None:
    first, second = nursery.fork(tell, tmp_path / "first"), nursery.fork(tell, tmp_path / "second")
    assert (first.join(60), second.join(60)) == (0, 0)
    assert (tmp_path / "first").read_text() == f"{first.pid} ['warm']"
    assert (tmp_path / "second").read_text() == f"{second.pid} ['warm']"
    assert nursery.fork(fail).join(60) == 1


def test_a_forked_process_is_really_killed(nursery: Nursery) -> None:
    born = nursery.fork(sleep)
    assert born.exitcode is None and born.join(0.05) is None
    born.kill()
    assert born.exitcode == -signal.SIGKILL
    assert gone(born.pid)


def test_closing_the_nursery_ends_what_it_forked() -> None:
    nursery = Nursery(remember, "warm")
    born = nursery.fork(sleep)
    nursery.close()
    until(lambda: gone(born.pid))


def test_an_owner_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    code = f"from pathlib import Path; from {__name__} import own_and_wait; own_and_wait(Path({str(file)!r}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    owner = subprocess.Popen([sys.executable, "-c", code], env=environment)
    until(file.exists)
    owner.kill()
    owner.wait()
    until(lambda: all(gone(int(pid)) for pid in file.read_text().split()))
