"""Which processes belong to a home of worlds: nothing may be left behind."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil


def processes_of(home: Path) -> list[str]:
    """Command lines of the living processes that were started for a world in ``home``, except this one."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            command = " ".join(process.cmdline())
            if str(home) in command or process.environ().get("TRADING_ASSETS_HOME") == str(home):
                found.append(f"{process.pid}: {command[:150]}")
    return found


def until_nothing_runs(home: Path, patience: float = 120.0) -> None:
    """Wait until no process of ``home`` lives; fails with what does."""
    deadline = time.monotonic() + patience
    while left := processes_of(home):
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
