"""What an acting run cannot do is seen where a person looks: checks and metadata, the command line, the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey

from trading_assets.assets.standing_checks import WAITING_CHECK
from trading_assets.automation.names import POSITION_MANAGER_TICK
from trading_assets.jobs import managing
from trading_assets.ledger import listings
from trading_assets.ledger.account_lock import account_lock
from trading_assets_tests.broker.fault_proxy import Fault
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground
from trading_assets_tests.jobs.test_unknown_is_seen import ACCOUNT, command, through_a_proxy

QUARTER = timedelta(minutes=15)


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """One day for all tests of this file: each goes on where the one before stopped."""
    with playground(module_world_home, accounts=ONE_ACCOUNT, history=0) as opened:
        opened.desk.clock.wait_until(opened.session.open + QUARTER)
        yield opened


def managed(world: Playground) -> str:
    """The next run of the position manager of an account that holds nothing; its id."""
    world.desk.clock.wait_until(world.desk.clock.now() + QUARTER)
    (outcome,) = world.ticker.sensor(POSITION_MANAGER_TICK)
    assert outcome.success
    return outcome.run_id


def check_in_the_ui(world: Playground) -> AssetCheckEvaluation | None:
    """The newest evaluation, None if there was none."""
    key = AssetCheckKey(AssetKey("positions"), WAITING_CHECK)
    found = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    return found[0].event.asset_check_evaluation if found and found[0].event is not None else None


def story(world: Playground, run_id: str) -> list[str]:
    return [one.user_message for one in world.instance.all_logs(run_id) if one.dagster_event is None]


def test_F12_an_account_whose_exits_wait_for_more_than_one_cycle_is_seen_until_they_do_not(
    world: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(managing, "MANAGER_WAIT_SECONDS", 0.1)
    managed(world)
    assert check_in_the_ui(world) is None
    with account_lock(world.desk.runtime.ledger_url, ACCOUNT):
        managed(world)
        once = check_in_the_ui(world)
        assert once is not None and once.passed, "one cycle is no trouble"
        run_id = managed(world)
        twice = check_in_the_ui(world)
        assert twice is not None and not twice.passed
        assert ACCOUNT in (twice.description or "") and "position_manager" in (twice.description or "")
        assert any(WAITING_CHECK in line and ACCOUNT in line for line in story(world, run_id))
        standing = json.loads(command(world, "alerts", "--json"))
        assert [row["account"] for row in standing if row["kind"] == "waiting"] == [ACCOUNT]
        assert any("exits wait" in row["text"] for row in standing if row["kind"] == "told")
    managed(world)
    after = check_in_the_ui(world)
    assert after is not None and after.passed
    assert json.loads(command(world, "alerts", "--json")) == []


def test_F28_what_a_room_logs_as_an_error_is_in_the_runs_metadata_the_command_line_and_the_days_alerts(
    world: Playground,
) -> None:
    with through_a_proxy(world) as proxy:
        proxy.faults.append(Fault("GET", "/account/activities.*CSD", "answer", status=503, times=99))
        run_id = managed(world)
    sentence = "cash flows cannot be read"
    event: Any = world.instance.get_latest_materialization_event(AssetKey("positions"))
    assert event.run_id == run_id
    told = event.asset_materialization.metadata["alerts"].value
    assert sentence in told and ACCOUNT in told
    assert any(sentence in line and ACCOUNT in line for line in story(world, run_id))
    assert sentence in command(world, "alerts")
    with world.desk.ledger.connect() as connection:
        rows = [row for row in listings.alerts(connection, SESSION) if sentence in row["reason"]]
    assert [row["account"] for row in rows] == [ACCOUNT]
    managed(world)
    assert sentence not in command(world, "alerts")
