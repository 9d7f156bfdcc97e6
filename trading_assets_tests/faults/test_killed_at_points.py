"""kill -9 at each named point of the day: the same command continues it, and at its end ledger and exchange agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets.domain import crashpoints
from trading_assets_tests.e2e.demo_runs import DemoWorld

#: A seed whose day has many entries, so that every point is passed several times.
BUSY = "5"
#: No account of this world trades stocks: ``broker/test_bracket_crashes`` passes the points of protective orders.
POINTS = tuple(point for point in crashpoints.POINTS if not point.startswith(("protection.", "rolling.")))


@pytest.mark.parametrize("half", [POINTS[: len(POINTS) // 2], POINTS[len(POINTS) // 2 :]], ids=["entries", "exits"])
def test_F11_killed_at_every_named_point_in_turn_the_day_ends_consistent(
    world_home: Path, half: tuple[str, ...]
) -> None:
    world = DemoWorld(world_home, ["--seed", BUSY, "--step", "15"])
    reached = [point for point in half if world.killed_at(point)]
    summary = world.finish()
    assert summary["consistent"], summary
    assert summary["accounts"]["large"]["differences"] == []
    assert len(reached) >= len(half) - 1, f"only {reached} were reached"
