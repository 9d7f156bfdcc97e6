"""A world opened as a person opens it: ``trading-assets up`` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from trading_assets_tests.e2e.demo_runs import DemoWorld, kill


@contextmanager
def opened(
    world: DemoWorld, *, name: str = "demo", options: Sequence[str] = ()
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``trading-assets up`` on a world, once it says where its UI is; yields the process and the address."""
    log = world.home / "up.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_assets.cli", "up", "--world", name, "--port", "0", *options],
            cwd=world.home,
            env=world.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        waited_for(lambda: process.poll() is not None or "Ctrl-C" in log.read_text())
        assert process.poll() is None, log.read_text()
        yield process, log.read_text().split("Dagster UI: ")[1].split()[0]
    finally:
        kill(process)
        process.wait()
        world.tool("down", "--world", name)


def waited_for(condition: Callable[[], bool], patience: float = 240.0, every: float = 0.1) -> None:
    """Return once ``condition`` holds, asked for every so many seconds; fail when patience ends."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(every)
