"""An open world loses its daemon, its code server, its database and its heartbeat, one after the other, and goes on.

``trading-assets up`` in a process of its own at ten times the wall's speed. Each test begins where the one before has
left the world; the last one compares ledger and exchange.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from sqlalchemy import func, select

from trading_assets.automation.names import MINUTE_JOB
from trading_assets.broker.consistency import compare
from trading_assets.ledger.tables import dispatcher_runs, order_intents
from trading_assets.resources.desk import Desk
from trading_assets.settings import load_settings
from trading_assets.world.paths import World
from trading_assets.world.processes import Children
from trading_assets.world.runtime import open_world
from trading_assets_tests.e2e.demo_runs import DemoWorld, kill
from trading_assets_tests.e2e.leftovers import until_nothing_runs
from trading_assets_tests.fault_suite import Figures

NAME = "faults"
#: For a machine that does other things, too; nothing here is measured.
PATIENCE = 900.0


@dataclass
class Opened:
    """The world, what ``up`` says, and Dagster's own records."""

    world: World
    log: Path
    desk: Desk
    instance: DagsterInstance

    def said(self, words: str) -> int:
        return self.log.read_text().count(words)

    def service(self, name: str) -> psutil.Process:
        if name == "postgres":
            return psutil.Process(int((self.world.server().data / "postmaster.pid").read_text().split()[0]))
        child = Children(self.world).adopt(name)
        assert child is not None, f"{name} does not run"
        return psutil.Process(child.pid)

    def minutes(self, status: DagsterRunStatus) -> set[str]:
        runs = self.instance.get_runs(RunsFilter(job_name=MINUTE_JOB, statuses=[status]))
        return {run.run_id for run in runs}

    def another_minute_succeeds(self) -> None:
        before = self.minutes(DagsterRunStatus.SUCCESS)
        waited_for(lambda: bool(self.minutes(DagsterRunStatus.SUCCESS) - before))

    def running_minute(self) -> DagsterRun:
        """A minute run that is in the middle of its work."""
        found: list[DagsterRun] = []

        def begun() -> bool:
            found[:] = self.instance.get_runs(RunsFilter(job_name=MINUTE_JOB, statuses=[DagsterRunStatus.STARTED]))
            return bool(found)

        waited_for(begun)
        return found[0]


def waited_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def opened(module_world_home: Path) -> Iterator[Opened]:
    demo = DemoWorld(module_world_home, [])
    log = module_world_home / "up.log"
    command = ["up", "--world", NAME, "--port", "0", "--speed", "10", "--seed", "5"]
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "trading_assets.cli", *command],
            cwd=module_world_home,
            env=demo.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    patch = pytest.MonkeyPatch()
    try:
        waited_for(lambda: process.poll() is not None or "Ctrl-C" in log.read_text())
        assert process.poll() is None, log.read_text()
        world = World(module_world_home, NAME)
        settings = load_settings(world=world, env={})
        runtime = open_world(settings)
        desk = Desk(lambda: settings, lambda _: runtime)
        patch.setenv("TRADING_ASSETS_DAGSTER_URL", runtime.dagster_url)
        with DagsterInstance.from_config(str(world.dagster)) as instance:
            found = Opened(world, log, desk, instance)
            found.another_minute_succeeds()
            yield found
        assert process.poll() is None, log.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=180) == 0
        until_nothing_runs(module_world_home)
    finally:
        patch.undo()
        kill(process)
        process.wait()
        demo.tool("down", "--world", NAME)


def test_F45_two_daemons_at_once_and_one_killed_in_mid_tick_do_nothing_twice(
    opened: Opened, scorecard: Figures
) -> None:
    first = opened.service("daemon")
    second = subprocess.Popen(
        [sys.executable, "-m", "dagster._daemon", "run", "-w", str(opened.world.dagster / "workspace.yaml")],
        env=first.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(2):
            opened.another_minute_succeeds()
        assert second.poll() is None, "both daemons ran"
        # In mid-tick: the run that it requested has just begun.
        opened.running_minute()
        restarts = opened.said("daemon       ended by itself, started again")
        first.kill()
        waited_for(lambda: opened.said("daemon       ended by itself, started again") > restarts)
    finally:
        os.killpg(second.pid, signal.SIGKILL)
        second.wait()
    opened.another_minute_succeeds()
    with opened.desk.ledger.connect() as connection:
        tickets = connection.execute(
            select(func.count(), func.count(dispatcher_runs.c.ticket.distinct())).select_from(dispatcher_runs)
        ).one()
        bought = connection.execute(
            select(
                order_intents.c.account, order_intents.c.signal_id, func.count(order_intents.c.position_id.distinct())
            )
            .where(order_intents.c.signal_id.is_not(None))
            .group_by(order_intents.c.account, order_intents.c.signal_id)
        ).all()
    assert tickets[0] == tickets[1] > 0
    doubled = [row for row in bought if row[2] != 1]
    scorecard.add(faults_injected=2, doubled=len(doubled))
    assert doubled == []


@pytest.mark.parametrize(
    "service",
    [pytest.param("code-server", id="F46-code-server"), pytest.param("postgres", id="F47-postgres")],
)
def test_F46_F47_a_service_killed_during_a_run_is_back_and_the_run_is_over(
    opened: Opened, service: str, scorecard: Figures
) -> None:
    victim = opened.running_minute()
    again = f"{service:<12} ended by itself, started again"
    restarts = opened.said(again)
    opened.service(service).kill()
    scorecard.add(faults_injected=1)
    waited_for(lambda: opened.said(again) > restarts)

    def over() -> bool:
        run = opened.instance.get_run_by_id(victim.run_id)
        return run is not None and run.is_finished

    waited_for(over)
    opened.another_minute_succeeds()


def test_F49_a_daemon_that_lives_and_does_nothing_is_noticed_from_outside(opened: Opened, scorecard: Figures) -> None:
    opened.another_minute_succeeds()
    daemon = opened.service("daemon")
    family = [daemon, *daemon.children(recursive=True)]
    for process in family:
        process.suspend()
    scorecard.add(faults_injected=1)
    try:
        waited_for(lambda: opened.said("heartbeat    SILENT") > 0)
        said = DemoWorld(opened.world.home, []).tool("doctor", "--world", NAME, "--json")
        assert said.returncode == 2, said.stdout
        (finding,) = [row for row in json.loads(said.stdout) if row["item"] == "heartbeat"]
        assert finding["state"] == "failed" and "due is every 60 s" in finding["seen"] and finding["mend"]
    finally:
        for process in family:
            process.resume()
    waited_for(lambda: opened.said("heartbeat    beats again") > 0)


def test_F45_F46_F47_after_all_of_it_ledger_and_exchange_agree(opened: Opened, scorecard: Figures) -> None:
    troubles: list[str] = []

    def agreed() -> bool:
        # Orders may be under way while the market goes on: what is lost or doubled stays so.
        troubles.clear()
        placed = 0
        for account in opened.desk.accounts:
            report = compare(opened.desk.ledger, opened.desk.broker(account.name), account.name)
            troubles.extend(f"account {account.name}: {difference}" for difference in report.differences)
            placed += report.figures["orders_broker"]
        scorecard.orders_placed = placed
        return not troubles

    try:
        waited_for(agreed)
    finally:
        scorecard.add(lost=len(troubles), doubled=0)
    stuck = [
        run.run_id
        for run in opened.instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.STARTING]))
        if run.job_name == MINUTE_JOB
    ]
    assert len(stuck) <= 1, "at most the run of this very minute"
