"""Several accounts with many signals at once, in processes of their own, before an exchange that counts requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.domain.values import SignalStatus
from trading_assets_tests.e2e.many_accounts import dispatched, outcome, running_world, undecided
from trading_assets_tests.e2e.playground import Playground

ACCOUNTS, PER_ACCOUNT, PROCESSES = 4, 12, 2


@pytest.fixture
def world(world_home: Path) -> Iterator[Playground]:
    with running_world(world_home, ACCOUNTS) as opened:
        yield opened


def test_F06_a_load_of_signals_meets_no_rate_limit_exceeds_no_limit_and_doubles_nothing(
    world: Playground, tmp_path: Path
) -> None:
    found = dispatched(world, PROCESSES, 240, tmp_path / "go", PER_ACCOUNT)
    assert {name: one["statuses"].get("429", 0) for name, one in found.items()} == dict.fromkeys(found, 0)
    assert {name: one["troubles"] for name, one in found.items()} == {name: [] for name in found}
    came_of_it = outcome(world)
    assert came_of_it.signals == ACCOUNTS * PER_ACCOUNT
    assert came_of_it.broken == []
    assert undecided(came_of_it) == 0
    assert came_of_it.statuses.get(SignalStatus.FAILED.value, 0) == 0
    assert came_of_it.statuses[SignalStatus.EXECUTED.value] >= 1, "nothing was bought: the load proves nothing"
