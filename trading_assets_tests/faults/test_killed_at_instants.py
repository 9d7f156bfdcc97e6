"""kill -9 at any instant of the day: the same command continues it, and at its end ledger and exchange agree."""

from __future__ import annotations

import random
from pathlib import Path

from trading_assets_tests.e2e.demo_runs import DemoWorld

#: A seed whose day has many entries.
BUSY = "5"


def test_F11_killed_at_six_seeded_instants_the_day_ends_consistent(world_home: Path) -> None:
    world = DemoWorld(world_home, ["--seed", BUSY, "--step", "15"])
    draw = random.Random(20260311)
    killed = sum(world.killed_after(draw.uniform(2.0, 14.0)) for _ in range(6))
    summary = world.finish()
    assert killed >= 4, "the day ended too early for the kills to mean anything"
    assert summary["consistent"], summary
    assert summary["accounts"]["large"]["differences"] == []
    assert summary["accounts"]["large"]["orders"] > 0
