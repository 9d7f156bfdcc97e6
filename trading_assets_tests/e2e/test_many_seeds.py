"""Whatever day the seed draws: it ends with ledger and exchange in agreement, and no run failed.

Run by ``make test-seeds``; each seed is a whole demo day.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from trading_assets_tests.e2e.demo_runs import DemoWorld

pytestmark = pytest.mark.seeds
DAYS = (
    [("normal", seed) for seed in range(100, 108)] + [("adverse", seed) for seed in range(100, 104)] + [("quiet", 100)]
)


@pytest.mark.parametrize(("scenario", "seed"), DAYS)
def test_a_day_of_any_seed_ends_consistent(world_home: Path, scenario: str, seed: int) -> None:
    world = DemoWorld(world_home, ["--seed", str(seed), "--scenario", scenario, "--step", "15"])
    summary = world.finish()
    assert summary["consistent"] is True, summary
    assert summary["failed_runs"] == {}
    account = summary["accounts"]["large"]
    assert account["differences"] == []
    assert sum(account["exits"].values()) >= account["entries"] - account["open_positions"]
