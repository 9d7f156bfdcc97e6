"""Dagster's own commands from a fresh checkout: they work without any preparation and leave no process behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from trading_assets.resources.dagster_storage import WorldStorage
from trading_assets.world.paths import World
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.leftovers import processes_of, until_nothing_runs

ROOT = Path(__file__).resolve().parents[2]
ASSETS = {
    "bars", "daily_bars", "executions", "features", "iv_history", "market_context", "news", "news_report",
    "option_chains", "orders", "positions", "reconciliation", "sentiment", "signals", "splits", "universe", "watchlist",
}  # fmt: skip
QUERY = """{ repositoriesOrError { __typename ... on RepositoryConnection { nodes {
    location { name } assetNodes { assetKey { path } } schedules { name } sensors { name } } } } }"""


@pytest.fixture
def checkout(world_home: Path) -> Path:
    """The files of a checkout that Dagster looks at, in a folder where nothing was ever run."""
    folder = world_home / "checkout"
    folder.mkdir()
    for name in ("dagster.yaml", "workspace.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    return folder


def start(checkout: Path, *arguments: str) -> subprocess.Popen[str]:
    """``dagster ...`` in the checkout, in a process group of its own as a terminal would make it."""
    # Where the tests run in the background, Ctrl-C is ignored, which a child would inherit.
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (checkout / "output.log").open("w") as log:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "dagster", *arguments],
                cwd=checkout,
                env=DemoWorld(checkout / "home", []).environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
    finally:
        signal.signal(signal.SIGINT, kept)


def finished(checkout: Path, *arguments: str) -> str:
    """Run to the end, which must be a good one; what was printed."""
    process = start(checkout, *arguments)
    try:
        status = process.wait(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    output = (checkout / "output.log").read_text()
    assert status == 0, output
    return output


def test_definitions_validate(checkout: Path) -> None:
    assert "All code locations passed validation" in finished(checkout, "definitions", "validate")
    until_nothing_runs(checkout / "home")


def test_a_partition_is_materialized_by_one_command_which_stops_what_it_started(checkout: Path) -> None:
    bars = ["asset", "materialize", "-m", "trading_assets.definitions", "--select", "bars"]
    output = finished(checkout, *bars, "--partition", "2026-03-10")
    assert "RUN_SUCCESS" in output
    assert processes_of(checkout / "home") == []
    (file,) = (checkout / "home" / "worlds" / "default" / "frames" / "bars" / "2026-03-10").glob("*.parquet")
    stored = pl.read_parquet(file)
    assert stored["ts"].n_unique() == 390
    run_id = output.split("__ASSET_JOB - ")[1].split()[0]
    server = World(checkout / "home").server()
    server.start()
    try:
        storage = WorldStorage(server.dagster_url("dagster"))
        assert [run.run_id for run in storage.run_storage.get_runs()] == [run_id], "kept in the world's own database"
    finally:
        server.stop()


@pytest.mark.patient
def test_the_development_server_shows_the_assets_and_ends_whole_on_ctrl_c(checkout: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start(checkout, "dev", "-h", "127.0.0.1", "-p", str(port))
    try:
        (repository,) = _repositories(process, port, checkout)
        assert repository["location"]["name"] == "trading_assets", "the name under which 'up' loads it, too"
        assert {node["assetKey"]["path"][0] for node in repository["assetNodes"]} == ASSETS
        assert len(repository["schedules"]) == 5
        assert len(repository["sensors"]) >= 2
    finally:
        # Ctrl-C reaches the whole group of the terminal, not the first process alone.
        os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=180) == 0
    until_nothing_runs(checkout / "home")


def _repositories(process: subprocess.Popen[str], port: int, checkout: Path) -> list[dict[str, Any]]:
    """What GraphQL says is loaded, once it answers."""
    deadline = time.monotonic() + 240
    while True:
        assert process.poll() is None, (checkout / "output.log").read_text()
        assert time.monotonic() < deadline, (checkout / "output.log").read_text()
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{port}/graphql", json={"query": QUERY}, timeout=60, trust_env=False
            ).json()
            nodes: list[dict[str, Any]] = answer["data"]["repositoriesOrError"]["nodes"]
            if nodes:
                return nodes
        except (httpx.HTTPError, ValueError):
            pass
        time.sleep(0.3)


def test_the_loaded_definitions_open_nothing_and_import_nothing_heavy(checkout: Path) -> None:
    """Building the code location, not only importing its module."""
    heavy = ["torch", "transformers", "pandas", "alpaca", "boto3", "dagster_aws", "exchange_calendars"]
    script = (
        "import json, sys\n"
        "from trading_assets.definitions import defs\n"
        "built = defs()\n"
        "names = sorted(key.to_user_string() for key in built.resolve_all_asset_keys())\n"
        f"print(json.dumps([names, [name for name in {heavy!r} if name in sys.modules]]))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script],
        cwd=checkout,
        env=DemoWorld(checkout / "home", []).environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    names, loaded = json.loads(shown.stdout)
    assert set(names) == ASSETS
    assert loaded == []
    assert not (checkout / "home").exists()
