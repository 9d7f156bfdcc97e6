"""A warm process that forks the processes of sequences: real ones, killed for real, without the cost of their imports.

It holds no connection, no thread and no lock that a fork would share; what it has warmed (modules, packaged
settings, the drawn market) is only ever read. ``python -m trading_assets_tests.chaos.nursery FD`` is its process.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

#: Wall seconds that the nursery may take to import everything.
_WARM_SECONDS = 120.0


class Born:
    """A process that the nursery forked."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid

    @property
    def exitcode(self) -> int | None:
        """Its exit status, negative for the signal that killed it; None while it lives."""
        return self._nursery.exitcode(self.pid)

    def join(self, timeout: float | None = None) -> int | None:
        """Wait for its end; its exit status, None if it still lives."""
        return self._nursery.exitcode(self.pid, timeout)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.exitcode is None:
            os.kill(self.pid, signal.SIGKILL)
            self.join()


class Nursery:
    """The owner's side. Used from one thread; ends, with everything it forked, when closed or when its owner dies."""

    def __init__(self, warm: Callable[..., None], *args: Any) -> None:
        """Start it; ``warm`` is called there once, before the first fork."""
        self._line, other = Pipe()
        self._exits: dict[int, int] = {}
        self._born: int | None = None
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(other.fileno())], pass_fds=[other.fileno()], env=environment
        )
        other.close()
        self._line.send((warm, args))
        if not self._line.poll(_WARM_SECONDS):
            raise AssertionError("the nursery did not get warm")
        self._line.recv()

    def fork(self, target: Callable[..., None], *args: Any) -> Born:
        """A new process that calls ``target``, which has to be importable; it ends with 0, or with 1 if that raises."""
        self._line.send((target, args))
        self._born = None
        while self._born is None:
            self._hear()
        return Born(self, self._born)

    def exitcode(self, pid: int, timeout: float | None = 0.0) -> int | None:
        """The exit status of a forked process, None if it lives after ``timeout`` seconds (None: without end)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while pid not in self._exits:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._line.poll(left):
                return None
            self._hear()
        return self._exits[pid]

    def close(self) -> None:
        """End it and everything it forked."""
        self._line.close()
        self._process.wait()

    def _hear(self) -> None:
        pid, status = self._line.recv()
        if status is None:
            self._born = pid
        else:
            self._exits[pid] = status


def main() -> None:
    """Warm up, then fork what is asked for and tell what ended, until the owner is gone."""
    line: Connection = Connection(int(sys.argv[1]))
    os.set_inheritable(line.fileno(), False)
    warm, args = line.recv()
    warm(*args)
    # What is there now is never collected: a forked process does not copy pages only to count references.
    gc.collect()
    gc.freeze()
    woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    line.send(None)
    living: set[int] = set()
    while True:
        for ready in wait([line, woken]):
            if ready is line:
                try:
                    target, args = line.recv()
                except (EOFError, ConnectionError):
                    _end(living)
                    return
                pid = os.fork()
                if pid == 0:
                    line.close()
                    _live(target, args)
                living.add(pid)
                line.send((pid, None))
            else:
                os.read(woken, 4096)
                for pid, status in _ended():
                    living.discard(pid)
                    line.send((pid, status))


def _live(target: Callable[..., None], args: tuple[Any, ...]) -> None:
    """The whole life of a forked process."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed()
        target(*args)
        status = 0
    except BaseException:  # noqa: BLE001 - nothing may return into the nursery's loop
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _ended() -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        found.append((pid, os.waitstatus_to_exitcode(status)))


def _end(living: set[int]) -> None:
    for pid in living:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
