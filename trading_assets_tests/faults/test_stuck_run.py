"""F50: a run that hangs is ended by Dagster's own monitoring, and the account that it held is free again.

A code server and a daemon of this test's own, with the instance settings of every world but shorter times.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from trading_assets.ledger.account_lock import AccountBusy, account_lock
from trading_assets.world.dagster_home import instance_settings
from trading_assets_tests.fault_suite import Figures

_CODE = """
import os
import time
from pathlib import Path

import dagster as dg

from trading_assets.ledger.account_lock import account_lock


@dg.op
def hang() -> None:
    with account_lock(os.environ["LEDGER"], "tiny"):
        Path(os.environ["NOTED"]).write_text(str(os.getpid()))
        while True:
            time.sleep(1)


@dg.job(executor_def=dg.in_process_executor)
def stuck() -> None:
    hang()


defs = dg.Definitions(jobs=[stuck])
"""


@contextmanager
def running(folder: Path, environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "output.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", *arguments],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def waited_for(condition: Callable[[], bool], log: Path, patience: float = 180.0) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.1)


def is_free(url: str) -> bool:
    try:
        with account_lock(url, "tiny"):
            return True
    except AccountBusy:
        return False


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_F50_a_run_that_hangs_is_ended_its_process_is_gone_and_its_account_free(
    tmp_path: Path,
    database_url: str,
    empty_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    scorecard: Figures,
) -> None:
    settings = instance_settings()
    for usual, short in (
        ("max_runtime_seconds: 900", "max_runtime_seconds: 15"),
        ("poll_interval_seconds: 10", "poll_interval_seconds: 1"),
    ):
        assert usual in settings
        settings = settings.replace(usual, short)
    (tmp_path / "dagster.yaml").write_text(settings)
    (tmp_path / "stuck_code.py").write_text(_CODE)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(f"load_from:\n  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: stuck}}\n")
    noted, log = tmp_path / "pid", tmp_path / "output.log"
    monkeypatch.setenv("TRADING_ASSETS_DAGSTER_URL", empty_database_url)
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(tmp_path),
        "LEDGER": database_url,
        "NOTED": str(noted),
    }
    server = ("dagster", "api", "grpc", "-h", "127.0.0.1", "-p", str(port), "-f", str(tmp_path / "stuck_code.py"))
    with (
        DagsterInstance.from_config(str(tmp_path)) as instance,
        running(tmp_path, environment, *server),
        running(tmp_path, environment, "dagster._daemon", "run", "-w", str(workspace)),
    ):
        launch = ("dagster", "job", "launch", "-w", str(workspace), "-j", "stuck")

        def launched() -> bool:
            command = [sys.executable, "-W", "ignore", "-m", *launch]
            return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True).returncode == 0

        waited_for(launched, log)
        waited_for(lambda: noted.exists() and bool(noted.read_text()), log)
        pid = int(noted.read_text())
        assert not is_free(database_url), "it holds the account"
        scorecard.add(faults_injected=1)
        (run,) = instance.get_runs()

        def ended() -> bool:
            found = instance.get_run_by_id(run.run_id)
            return found is not None and found.is_finished

        waited_for(ended, log)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None and found.status is not DagsterRunStatus.SUCCESS
        waited_for(lambda: not lives(pid), log)
        waited_for(lambda: is_free(database_url), log)
        said = [entry.dagster_event.message or "" for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        assert any("maximum runtime" in line for line in said), said
