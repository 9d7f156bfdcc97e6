"""F45, F46: a daemon that dies in mid-tick beside a second one, and a code server that dies under a run.

A world in the middle of its session, with a fresh signal that nobody has taken, is opened as a person opens it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from trading_assets.automation.names import DISPATCHER_JOB, MINUTE_JOB, POSITION_MANAGER_JOB
from trading_assets.automation.schedules import UNFINISHED
from trading_assets.broker.consistency import compare
from trading_assets.ledger import dispatch, orders, positions
from trading_assets.resources.desk import Desk
from trading_assets.settings import load_settings
from trading_assets.world.paths import World
from trading_assets.world.processes import Children
from trading_assets.world.runtime import open_world
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.open_world import opened, waited_for
from trading_assets_tests.e2e.playground import playground
from trading_assets_tests.fault_suite import Figures

#: Slow enough that the signal is still young when the services have come up on a busy machine.
_SPEED = "2"
_ACTING = (DISPATCHER_JOB, POSITION_MANAGER_JOB)


@contextmanager
def watching(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Desk, DagsterInstance]]:
    """The open world's own ledger, broker and runs, as a bystander reads them."""
    settings = load_settings(world=world, env={})
    runtime = open_world(settings)
    monkeypatch.setenv("TRADING_ASSETS_DAGSTER_URL", runtime.dagster_url)
    with DagsterInstance.from_config(str(world.dagster)) as instance:
        yield Desk(lambda: settings, lambda _: runtime), instance


@contextmanager
def second_daemon(world: World, runtime_url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another daemon on the same instance and workspace, which nobody looks after."""
    environment = {
        **os.environ,
        "TRADING_ASSETS_HOME": str(world.home),
        "TRADING_ASSETS_WORLD": world.name,
        "DAGSTER_HOME": str(world.dagster),
        "TRADING_ASSETS_DAGSTER_URL": runtime_url,
    }
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(world.dagster / "workspace.yaml")]
    with log.open("ab") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def service(world: World, name: str) -> psutil.Process:
    return psutil.Process(Children(world).recorded()[name].pid)


def runs_of(instance: DagsterInstance, *jobs: str, statuses: Sequence[DagsterRunStatus] = ()) -> list[str]:
    """Ids of the runs of these jobs, oldest first."""
    found = [
        run
        for job in jobs
        for run in instance.get_run_records(RunsFilter(job_name=job, statuses=list(statuses) or None))
    ]
    return [record.dagster_run.run_id for record in sorted(found, key=lambda record: record.create_timestamp)]


def test_F45_F46_two_daemons_one_killed_in_mid_tick_and_a_code_server_killed_under_a_run_double_nothing(
    world_home: Path, monkeypatch: pytest.MonkeyPatch, scorecard: Figures
) -> None:
    with playground(world_home) as played:
        played.until_a_signal()
    world = World(world_home, "play")
    person = DemoWorld(world_home, [])
    with opened(person, name=world.name, options=("--speed", _SPEED)), watching(world, monkeypatch) as (desk, instance):
        first = service(world, "daemon")
        with second_daemon(world, os.environ["TRADING_ASSETS_DAGSTER_URL"], world_home / "second.log") as second:
            waited_for(lambda: bool(runs_of(instance, DISPATCHER_JOB)), every=0.005)
            first.kill()
            waited_for(lambda: lives_again(world, "daemon", first.pid))
            waited_for(lambda: settled(desk, instance))
            # Dagster itself says so, in its log and in the UI; what acts here must bear it all the same.
            waited_for(lambda: "multiple daemon processes" in (world_home / "second.log").read_text())
            assert second.poll() is None

        waited_for(lambda: bool(started(instance)), every=0.005)
        under = started(instance)
        service(world, "code-server").kill()
        waited_for(lambda: all(ended(instance, run) for run in under))
        seen = set(runs_of(instance, MINUTE_JOB, *_ACTING))
        waited_for(lambda: any(succeeded(instance, run) for run in set(runs_of(instance, MINUTE_JOB)) - seen))
        waited_for(lambda: settled(desk, instance))
        judge(desk, scorecard)
    scorecard.add(faults_injected=3)


def started(instance: DagsterInstance) -> list[str]:
    return runs_of(instance, MINUTE_JOB, *_ACTING, statuses=(DagsterRunStatus.STARTED,))


def lives_again(world: World, name: str, before: int) -> bool:
    child = Children(world).recorded().get(name)
    return child is not None and child.pid != before and psutil.pid_exists(child.pid)


def ended(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_finished


def succeeded(instance: DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is not None and run.is_success


def settled(desk: Desk, instance: DagsterInstance) -> bool:
    """No signal waits, no acting run works and no order is under way."""
    limit = timedelta(seconds=desk.settings.strategy.gates.max_signal_age_s)
    with desk.ledger.connect() as connection:
        waiting = list(dispatch.pending_work(connection, desk.clock.now(), limit))
        live = [one for account in desk.accounts for one in orders.live_intents(connection, account.name)]
    working = runs_of(instance, *_ACTING, statuses=UNFINISHED)
    return bool(runs_of(instance, DISPATCHER_JOB)) and not waiting and not live and not working


def judge(desk: Desk, scorecard: Figures) -> None:
    """Ledger and exchange agree; no order is there twice; no signal was bought twice for an account."""
    placed = 0
    for account in desk.accounts:
        report = compare(desk.ledger, desk.broker(account.name), account.name)
        assert report.consistent, report.differences
        ids = Counter(order.client_order_id for order in desk.broker(account.name).orders("all"))
        assert not [name for name, count in ids.items() if count > 1]
        placed += len(ids)
        with desk.ledger.connect() as connection:
            held = Counter(one.underlying for one in positions.live_positions(connection, account.name))
        assert not [name for name, count in held.items() if count > 1], "a second position in the same ticker"
    assert placed, "a signal that waited should have been bought by some account"
    scorecard.add(orders_placed=placed, lost=0, doubled=0)
