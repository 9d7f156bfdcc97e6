"""Running the demo as a person does, in a process (and process group) of its own, so that it can really be killed."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trading_assets.cli import main

#: Arguments of a day with entries, exits, denials by several gates, and holds.
EVENTFUL = ("--seed", "5", "--step", "15")


@dataclass
class DemoWorld:
    """A demo world in ``home``; ``arguments`` are the demo's own."""

    home: Path
    arguments: Sequence[str]

    def command(self, summary: Path) -> list[str]:
        return [
            sys.executable,
            "-m",
            "trading_assets.cli",
            "demo",
            "--quiet",
            "--json",
            str(summary),
            *self.arguments,
        ]

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRADING_ASSETS_", "DAGSTER"))}
        return kept | {"TRADING_ASSETS_HOME": str(self.home)} | more

    def start(self, **more: str) -> subprocess.Popen[str]:
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            self.command(self.home / "summary.json"),
            cwd=self.home,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, timeout: float = 420.0, **more: str) -> dict[str, Any]:
        """Run to the end; the summary. A day that does not end, or not well, fails the test with its output."""
        process = self.start(**more)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            raise AssertionError(f"the demo did not end within {timeout:.0f} s: {process.communicate()[0]}") from None
        assert process.returncode == 0, output
        summary: dict[str, Any] = json.loads((self.home / "summary.json").read_text())
        return summary

    def killed_at(self, point: str, timeout: float = 300.0) -> bool:
        """Run with a crash point armed; True if it was reached (the process then died by SIGKILL)."""
        process = self.start(TRADING_ASSETS_CRASH_AT=f"{point}:1:group")
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            kill(process)
            raise AssertionError(f"neither reached nor ended within {timeout:.0f} s") from None
        if process.returncode == -signal.SIGKILL:
            return True
        assert process.returncode == 0, output
        return False

    def killed_after(self, seconds: float) -> bool:
        """Run and kill the whole process group after ``seconds``; False if the day had ended before."""
        process = self.start()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                assert process.returncode == 0, process.communicate()[0]
                return False
            time.sleep(0.05)
        kill(process)
        process.communicate()
        return True

    def tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the command line on this world."""
        return subprocess.run(
            [sys.executable, "-m", "trading_assets.cli", *arguments],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def asked(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same within this process, which saves the start of one: for commands that end before they open anything.

        Whatever the command line would print and exit with comes back; environment and working directory are as before.
        """
        said, complained = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(said), redirect_stderr(complained):
            for name in set(os.environ) - set(self.environment()):
                patch.delenv(name)
            patch.setenv("TRADING_ASSETS_HOME", str(self.home))
            patch.chdir(self.home)
            patch.setattr(sys, "argv", ["trading-assets", *arguments])
            try:
                main()
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
        return subprocess.CompletedProcess(arguments, code, said.getvalue(), complained.getvalue())


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the demo's whole process group: driver and everything that shares its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def without_wall_clock(summary: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in summary.items() if key != "wall_clock"}
