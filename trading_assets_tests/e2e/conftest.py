"""One finished day, shared by the modules that only look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trading_assets_tests.e2e.demo_runs import EVENTFUL, DemoWorld


@pytest.fixture(scope="session")
def eventful_day(session_world_home: Path) -> tuple[DemoWorld, dict[str, Any]]:
    """The world of a finished day and its summary. Whoever asks for it must leave it as it is."""
    world = DemoWorld(session_world_home / "eventful", EVENTFUL)
    return world, world.finish()
