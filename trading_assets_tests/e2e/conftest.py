"""One finished day, played once for all workers of a test run; each looks at a copy of its own."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trading_assets.world.lock import hold
from trading_assets_tests.e2e.demo_runs import EVENTFUL, DemoWorld

#: Longer than a day takes on a machine that is busy.
_PATIENCE = 900.0


@pytest.fixture(scope="session")
def eventful_day(session_world_home: Path, run_folder: Path) -> tuple[DemoWorld, dict[str, Any]]:
    """The world of a finished day and its summary. Whoever asks for it must leave it as it is."""
    played, home = run_folder / "eventful", session_world_home / "eventful"
    with hold(run_folder / "eventful.lock", wait=_PATIENCE):
        if not (played / "finished").exists():
            DemoWorld(played, EVENTFUL).finish()
            (played / "finished").touch()
    # Copying the directory of a stopped world copies the world.
    subprocess.run(["cp", "-a", str(played), str(home)], check=True)
    return DemoWorld(home, EVENTFUL), json.loads((home / "summary.json").read_text())
