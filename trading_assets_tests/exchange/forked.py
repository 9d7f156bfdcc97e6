"""Exchanges forked by a warm process: real ones, each on its port and killed for real, without the cost of a start.

Starting an interpreter, importing the exchange and drawing its market is two seconds of computing, and the tests of
these rooms start some eighty of them.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
from datetime import date
from functools import cache
from importlib import import_module
from pathlib import Path

from trading_assets_tests.chaos.nursery import Born, Nursery


class Forked:
    """A forked exchange with what is used of ``subprocess.Popen``."""

    def __init__(self, born: Born) -> None:
        self._born = born
        self.pid = born.pid

    @property
    def returncode(self) -> int | None:
        """Its exit status, negative for the signal that killed it; None while it lives."""
        return self._born.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._born.exitcode

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def wait(self, timeout: float) -> int:
        """Its exit status, once it has ended; raises ``subprocess.TimeoutExpired``."""
        status = self._born.join(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("exchange", timeout)
        return status

    def _signal(self, number: signal.Signals) -> None:
        if self._born.exitcode is None:
            os.kill(self.pid, number)


def fork_exchange(directory: Path, seed: int, session: date) -> Forked:
    """The exchange of ``directory``; the markets of most have this ``seed`` and begin with this ``session``."""
    return Forked(_nursery(seed, session).fork(_serve, directory))


@cache
def _nursery(seed: int, session: date) -> Nursery:
    """This worker's, as long as it lives."""
    started = Nursery(_warm, seed, session)
    atexit.register(started.close)
    return started


def _warm(seed: int, session: date) -> None:
    """Import everything and draw the market once: drawing depends on the configuration alone."""
    import_module("trading_assets.exchange.__main__")
    from trading_assets.exchange.markets import HISTORY_SESSIONS
    from trading_assets.simulation import market, paths

    vars(market)["draw_paths"] = cache(paths.draw_paths)
    market.SimulatedMarket(seed, session, history_sessions=HISTORY_SESSIONS)


def _serve(directory: Path) -> None:
    """The whole life of a forked exchange: the command line's own, its output in its log."""
    from trading_assets.exchange.__main__ import main

    log = os.open(directory / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(log, standard)
    sys.argv = ["trading_assets.exchange", "--directory", str(directory)]
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
