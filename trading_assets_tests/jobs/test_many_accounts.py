"""Several accounts with many signals at once, in processes of their own, before an exchange that counts requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from trading_assets.domain.values import SignalStatus
from trading_assets.jobs.screening import BURST, OF_THE_MARKET
from trading_assets.ledger.tables import decisions
from trading_assets_tests.e2e.many_accounts import dispatched, outcome, running_world, undecided
from trading_assets_tests.e2e.playground import Playground

ACCOUNTS, SIGNALS, PROCESSES = 3, 60, 2


@pytest.fixture
def world(world_home: Path) -> Iterator[Playground]:
    with running_world(world_home, ACCOUNTS) as opened:
        yield opened


def test_F06_a_burst_of_signals_meets_no_rate_limit_exceeds_no_limit_and_doubles_nothing(
    world: Playground, tmp_path: Path
) -> None:
    assert SIGNALS > BURST, "what is no burst is not screened"
    found = dispatched(world, PROCESSES, 240, tmp_path / "go", SIGNALS)
    assert {name: one["statuses"].get("429", 0) for name, one in found.items()} == dict.fromkeys(found, 0)
    assert {name: one["troubles"] for name, one in found.items()} == {name: [] for name in found}
    came_of_it = outcome(world)
    assert came_of_it.pairs == ACCOUNTS * SIGNALS
    assert came_of_it.broken == []
    assert undecided(came_of_it) == 0
    assert came_of_it.statuses.get(SignalStatus.FAILED.value, 0) == 0
    assert came_of_it.statuses[SignalStatus.EXECUTED.value] >= 1, "nothing was bought: the load proves nothing"
    # Everything was decided, nothing merely grew too old, and the decision says by what.
    assert came_of_it.decisions == came_of_it.pairs
    skipped = [row for row in judgements(world) if row["outcome"] == "SKIP"]
    assert all(any(not gate["passed"] for gate in row["gates"]) and row["reason"] for row in skipped)
    unseen = [row for row in skipped if row["selection"] is None]
    assert unseen, "no signal was screened: the load was no burst"
    # Who was not weighed was denied by something that needs no market.
    for row in unseen:
        assert {gate["gate"] for gate in row["gates"] if not gate["passed"]} - OF_THE_MARKET, row["reason"]
    assert {row["account"] for row in unseen} == set(found)


def judgements(world: Playground) -> list[Any]:
    with world.desk.ledger.connect() as connection:
        return list(connection.execute(select(decisions)).mappings())
