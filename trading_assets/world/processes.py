"""Child processes of a world: started in sessions of their own, written down, found again after a crash.

A process is identified by its id *and* its start time. Each also carries a mark in its environment, which its own
children inherit: so whatever a killed supervisor left running is found even if it died before writing anything down.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import psutil

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.world.lock import hold
from trading_assets.world.paths import World, write_private

#: Set in every child: "<world directory>\n<name of the child>".
MARK_VARIABLE = "TRADING_ASSETS_CHILD"
_CLOCK_TOLERANCE = 2.0


class ProcessError(TradingAssetsError):
    """A child process did not start or did not end."""


@dataclass(frozen=True, slots=True)
class Child:
    """A recorded child: its name in the world, process id, and start time (seconds since the epoch)."""

    name: str
    pid: int
    started: float


@contextlib.contextmanager
def _heeding_requests_to_end() -> Iterator[None]:
    """What is started here ends on SIGTERM, also where this process ignores it: a child inherits that deafness.

    Dagster gives SIGTERM the handler of SIGINT after a run in the process, and a shell starts background jobs with
    SIGINT ignored. Only the main thread may change this; elsewhere a child is killed when it does not end.
    """
    deaf = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    if not deaf or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Children:
    """The child processes of ``world``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._own: dict[int, subprocess.Popen[bytes]] = {}

    # --- record -----------------------------------------------------------------------------------------------------

    def recorded(self) -> dict[str, Child]:
        """Every recorded child by name, alive or not."""
        try:
            raw = json.loads(self.world.pids.read_text())
        except FileNotFoundError:
            return {}
        return {name: Child(**row) for name, row in raw.items()}

    def _note(self, name: str, child: Child | None) -> None:
        with hold(self.world.pids.with_suffix(".lock"), wait=10):
            rows = {key: asdict(value) for key, value in self.recorded().items() if key != name}
            if child is not None:
                rows[name] = asdict(child)
            write_private(self.world.pids, json.dumps(rows, indent=2, sort_keys=True) + "\n")

    # --- life -------------------------------------------------------------------------------------------------------

    def start(self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None) -> Child:
        """Start ``command`` as the world's child ``name`` with output appended to ``logs/<name>.log``.

        ``env`` is added to the current environment. A live child of that name raises :class:`ProcessError`.
        """
        running = self.adopt(name)
        if running is not None:
            raise ProcessError(
                f"{name} of this world already runs as process {running.pid}",
                where=str(self.world.pids),
                mend="Stop the world first (trading-assets down).",
            )
        self.world.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = {MARK_VARIABLE: self._mark(name)}
        log = os.open(self.world.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with _heeding_requests_to_end():
                process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env={**os.environ, **(env or {}), **mark},
                )
        except OSError as error:
            raise ProcessError(f"cannot start {name}: {error}", where=command[0]) from None
        finally:
            os.close(log)
        self._own[process.pid] = process
        try:
            child = Child(name, process.pid, psutil.Process(process.pid).create_time())
        except psutil.NoSuchProcess:
            raise ProcessError(f"{name} ended at once; see {self.world.logs / (name + '.log')}") from None
        self._note(name, child)
        return child

    def adopt(self, name: str) -> Child | None:
        """The recorded child ``name`` if exactly that process still runs, else None."""
        child = self.recorded().get(name)
        return child if child is not None and self.is_alive(child) else None

    def is_alive(self, child: Child) -> bool:
        """True if the process of that id is the recorded one and has not ended (a zombie has)."""
        self._reap(child.pid)
        return self._process(child) is not None

    def exit_status(self, child: Child) -> int | None:
        """Exit status of a child that this object started and that ended, else None."""
        process = self._own.get(child.pid)
        return None if process is None else process.poll()

    def stop(self, name: str, *, wait: float = 20.0) -> bool:
        """End the child ``name``: SIGTERM, after ``wait`` seconds SIGKILL to its whole session. False if none ran."""
        child = self.recorded().get(name)
        if child is None:
            return False
        process = self._process(child)
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
            if not self._ended(child, wait):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                if not self._ended(child, 10):
                    raise ProcessError(f"{name} (process {child.pid}) does not end", where=str(self.world.pids))
        self._note(name, None)
        return process is not None

    def stop_all(self, order: Iterable[str] = (), *, wait: float = 20.0) -> list[str]:
        """End every recorded child, those of ``order`` first and in that order, then every marked stray.

        Returns the names that were running.
        """
        names = [name for name in order if name in self.recorded()]
        names += [name for name in reversed(self.recorded()) if name not in names]
        stopped = [name for name in names if self.stop(name, wait=wait)]
        for process in self.strays():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        return stopped

    def strays(self) -> list[psutil.Process]:
        """Live processes that carry this world's mark and are neither recorded nor part of a recorded child's session,
        nor this process or a parent of it."""
        sessions = {child.pid for child in self.recorded().values() if self.is_alive(child)}
        mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid in mine or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                mark = process.environ().get(MARK_VARIABLE, "")
                if mark.split("\n")[0] == str(self.world.directory) and os.getsid(process.pid) not in sessions:
                    found.append(process)
        return found

    def end_remains(self, name: str) -> None:
        """Kill what the ended child ``name`` left behind, found by its mark: its process id may be another's by now."""
        for process in self.strays():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get(MARK_VARIABLE) == self._mark(name):
                    process.kill()

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _mark(self, name: str) -> str:
        return f"{self.world.directory}\n{name}"

    def _process(self, child: Child) -> psutil.Process | None:
        try:
            process = psutil.Process(child.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return process if abs(process.create_time() - child.started) < _CLOCK_TOLERANCE else None
        except psutil.NoSuchProcess:
            return None

    def _ended(self, child: Child, wait: float) -> bool:
        deadline = time.monotonic() + wait
        while self.is_alive(child):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True

    def _reap(self, pid: int) -> None:
        process = self._own.get(pid)
        if process is not None:
            process.poll()
