"""Nothing that a person starts can trade: not Materialize All, not the Launchpad, no re-execution, no backfill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRunStatus, RunsFilter, build_sensor_context

from trading_assets.automation.names import (
    DISPATCHER_JOB,
    DISPATCHER_TICK,
    MINUTE_JOB,
    POSITION_MANAGER_JOB,
)
from trading_assets.automation.tickets import ACCOUNT_TAG, TICKET_TAG
from trading_assets.jobs.backfill import QUIET, failures, run_range
from trading_assets.market.sessions import shift
from trading_assets_tests.e2e.playground import SESSION, Playground, playground


@pytest.fixture(scope="module")
def waiting(module_world_home: Path) -> Iterator[Playground]:
    """A world in the middle of its session, with a fresh signal that nobody has taken yet."""
    with playground(module_world_home) as world:
        world.until_a_signal()
        yield world


def run_by_hand(world: Playground, job: str, tags: dict[str, str], **more: Any) -> str:
    """Run a job as the Launchpad would and return why it failed; it must not have succeeded."""
    result = world.definitions.resolve_job_def(job).execute_in_process(
        instance=world.instance, tags=tags, run_config=QUIET, raise_on_error=False, **more
    )
    assert not result.success
    return failures(result.all_events)


def sensor_request(world: Playground) -> Any:
    """The first run the dispatcher's sensor asks for right now."""
    requests = sensor_requests(world)
    assert requests, "the sensor should see the waiting signal"
    return requests[0]


def sensor_requests(world: Playground) -> list[Any]:
    """What the dispatcher's sensor asks for right now. Evaluating it changes nothing."""
    definition = world.definitions.get_repository_def().get_sensor_def(DISPATCHER_TICK)
    with build_sensor_context(
        instance=world.instance,
        repository_def=world.definitions.get_repository_def(),
        resources={"desk": world.desk},
        sensor_name=DISPATCHER_TICK,
    ) as context:
        data = definition.evaluate_tick(context)
    return list(data.run_requests or [])


def test_no_second_run_is_requested_while_one_of_the_same_account_still_works(waiting: Playground) -> None:
    request = sensor_request(waiting)
    tags = {ACCOUNT_TAG: request.tags[ACCOUNT_TAG]}
    job = waiting.definitions.resolve_job_def(DISPATCHER_JOB)
    run = waiting.instance.create_run_for_job(job, tags=tags, status=DagsterRunStatus.STARTED)
    other = {found.tags[ACCOUNT_TAG] for found in sensor_requests(waiting)}
    assert tags[ACCOUNT_TAG] not in other, "it would only wait for the account"
    waiting.instance.report_run_failed(run)
    assert tags[ACCOUNT_TAG] in {found.tags[ACCOUNT_TAG] for found in sensor_requests(waiting)}


@pytest.mark.parametrize("job", [DISPATCHER_JOB, POSITION_MANAGER_JOB])
def test_F13_the_launchpad_cannot_trade(waiting: Playground, job: str) -> None:
    before = waiting.ledger_counts()
    assert "started by hand" in run_by_hand(waiting, job, {})
    assert waiting.ledger_counts() == before
    assert waiting.broker_orders() == []


def test_F13_the_launchpad_cannot_trade_with_tags_that_pretend_to_be_the_sensor(waiting: Playground) -> None:
    before = waiting.ledger_counts()
    said = run_by_hand(waiting, DISPATCHER_JOB, {"dagster/sensor_name": DISPATCHER_TICK})
    assert "no ticket" in said
    said = run_by_hand(
        waiting, DISPATCHER_JOB, {"dagster/sensor_name": DISPATCHER_TICK, TICKET_TAG: "dispatcher|large|x|y|0|abc"}
    )
    assert "not issued by this world" in said
    assert waiting.ledger_counts() == before


def test_F13_a_re_execution_cannot_trade_even_with_a_ticket_nobody_used(waiting: Playground) -> None:
    request = sensor_request(waiting)
    before = waiting.ledger_counts()
    tags = {
        **request.tags,
        "dagster/sensor_name": DISPATCHER_TICK,
        "dagster/parent_run_id": "a",
        "dagster/root_run_id": "a",
    }
    assert "re-executed" in run_by_hand(waiting, DISPATCHER_JOB, tags)
    assert waiting.ledger_counts() == before
    assert waiting.broker_orders() == []


def test_F13_materialize_all_on_the_current_session_writes_nothing_and_publishes_nothing(waiting: Playground) -> None:
    frames, ledger = waiting.frame_bytes(), waiting.ledger_counts()
    result = waiting.definitions.resolve_job_def(MINUTE_JOB).execute_in_process(
        instance=waiting.instance, partition_key=SESSION.isoformat(), run_config=QUIET, raise_on_error=False
    )
    assert result.success, failures(result.all_events)
    assert waiting.frame_bytes() == frames
    assert waiting.ledger_counts() == ledger
    notes = [
        event.materialization.metadata["note"].value
        for event in result.all_events
        if event.is_step_materialization and event.materialization.asset_key == AssetKey("signals")
    ]
    assert len(notes) == 1
    assert "written by its minute runs only" in str(notes[0])


@pytest.mark.patient
def test_F13_a_backfill_of_twenty_past_sessions_is_one_run_and_leaves_the_ledger_untouched(waiting: Playground) -> None:
    ledger = waiting.ledger_counts()
    runs = waiting.instance.get_runs_count()
    first, last = shift(SESSION, -20), shift(SESSION, -1)
    names = ("daily_bars", "splits", "bars", "features", "market_context", "watchlist", "signals")
    run_id = run_range(waiting.definitions, waiting.instance, [AssetKey(name) for name in names], first.key, last.key)
    assert waiting.instance.get_runs_count() == runs + 1
    run = waiting.instance.get_run_by_id(run_id)
    assert run is not None
    assert run.status is DagsterRunStatus.SUCCESS
    stored = waiting.desk.frames.partitions("signals")
    assert len([key for key in stored if first.key <= key <= last.key]) == 20
    rows = waiting.desk.frames.read("signals", [last.key])
    assert rows.height > 0
    assert not rows["live"].any()
    assert waiting.ledger_counts() == ledger
    assert waiting.broker_orders() == []


def test_the_sensors_own_run_trades_once_and_its_ticket_never_works_again(waiting: Playground) -> None:
    [outcome] = waiting.ticker.sensor(DISPATCHER_TICK)
    assert outcome.success
    acted = waiting.instance.get_run_by_id(outcome.run_id)
    assert acted is not None
    tags = {TICKET_TAG: acted.tags[TICKET_TAG], "dagster/sensor_name": DISPATCHER_TICK}
    orders = len(waiting.broker_orders())
    counts = waiting.ledger_counts()
    assert counts["dispatch_recommendations"] >= 1
    assert counts["decisions"] >= 1
    assert "already used" in run_by_hand(waiting, DISPATCHER_JOB, tags)
    assert len(waiting.broker_orders()) == orders
    assert not waiting.instance.get_runs(RunsFilter(job_name=DISPATCHER_JOB, statuses=[DagsterRunStatus.STARTED]))
