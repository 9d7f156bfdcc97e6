"""The command line as a person uses it around a day: look, open, close, and be told what is not possible."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from trading_assets.cli import app
from trading_assets_tests.e2e.demo_runs import EVENTFUL, DemoWorld, kill
from trading_assets_tests.e2e.leftovers import processes_of, until_nothing_runs
from trading_assets_tests.e2e.open_world import opened, waited_for

SESSION = ["--session", "2026-03-11", "--world", "demo"]


@pytest.fixture(scope="module")
def finished(eventful_day: tuple[DemoWorld, dict[str, Any]], module_world_home: Path) -> DemoWorld:
    """A finished day to open and close, and nothing running."""
    home = module_world_home / "finished"
    subprocess.run(["cp", "-a", str(eventful_day[0].home), str(home)], check=True)
    world = DemoWorld(home, EVENTFUL)
    assert processes_of(world.home) == []
    return world


@pytest.fixture
def copied(finished: DemoWorld, world_home: Path) -> DemoWorld:
    """A copy of the finished world in a home of its own: copying its directory copies the world."""
    home = world_home / "copy"
    subprocess.run(["cp", "-a", str(finished.home), str(home)], check=True)
    return DemoWorld(home, EVENTFUL)


def refused(result: subprocess.CompletedProcess[str], *says: str) -> None:
    """Exit code 2 and one line that says what, where and how to mend."""
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert result.stderr.startswith("trading-assets: "), result.stderr
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for text in says:
        assert text in result.stderr


def commands() -> list[tuple[str, ...]]:
    """Every command and group there is, found by walking the command line itself."""
    found: list[tuple[str, ...]] = []
    waiting: list[tuple[tuple[str, ...], Any]] = [((), get_command(app))]
    while waiting:
        path, command = waiting.pop()
        found.append(path)
        waiting += [((*path, name), below) for name, below in getattr(command, "commands", {}).items()]
    return sorted(found)


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage" in result.output


@pytest.mark.parametrize("arguments", [["version"], ["config", "show"], ["config", "check"], ["down"]], ids=" ".join)
def test_json_is_json_without_any_world(world_home: Path, arguments: list[str]) -> None:
    result = DemoWorld(world_home, []).asked(*arguments, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)
    assert list(world_home.iterdir()) == [], "looking creates nothing"


@pytest.mark.parametrize("kind", ["executions", "positions", "signals"])
def test_what_a_day_brought_is_listed_as_its_summary_counts_it(finished: DemoWorld, kind: str) -> None:
    summary = json.loads((finished.home / "summary.json").read_text())
    accounts = summary["accounts"].values()
    expected = {
        "executions": sum(account["fills"] for account in accounts),
        "positions": sum(account["entries"] for account in accounts),
        "signals": sum(sum(account["statuses"].values()) for account in accounts),
    }
    result = finished.tool("data", kind, *SESSION, "--json")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)) == expected[kind]
    assert processes_of(finished.home) == [], "a database that was started to be read is stopped again"


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="a service manager", marks=pytest.mark.patient),
    ],
)
def test_a_world_opens_for_one_owner_answers_and_ends_in_order(finished: DemoWorld, asked: signal.Signals) -> None:
    with opened(finished) as (process, address):
        said = (finished.home / "up.log").read_text()
        for service in ("postgres", "exchange", "trade-stream", "webserver", "daemon"):
            assert len([line for line in said.splitlines() if line.startswith(service)]) == 1, said
        answer = httpx.post(f"{address}/graphql", json={"query": "{version}"}, timeout=120, trust_env=False)
        assert answer.json()["data"]["version"]
        refused(finished.tool("up", "--world", "demo", "--port", "0"), "already in use by pid", "trading-assets down")
        refused(finished.tool("demo", *EVENTFUL), "already in use by pid")
        refused(finished.tool("down", "--world", "demo"), "already in use by pid")
        listed = finished.tool("data", "executions", *SESSION, "--json")
        assert listed.returncode == 0, listed.stderr
        assert isinstance(json.loads(listed.stdout), list), "a world that is open can be read"
        assert process.poll() is None, "none of that ended it"

        process.send_signal(asked)
        assert process.wait(timeout=120) == 0
        stopped = (finished.home / "up.log").read_text().strip().splitlines()[-1]
        assert stopped == "stopped webserver, daemon, code-server, trade-stream, exchange, postgres"
        until_nothing_runs(finished.home)


@pytest.mark.patient
def test_what_a_killed_world_left_running_is_ended_by_down_and_nothing_is_lost(copied: DemoWorld) -> None:
    before = copied.tool("data", "executions", *SESSION, "--json").stdout
    with opened(copied) as (process, _):
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert processes_of(copied.home), "a killed owner cannot tidy up"
        result = copied.tool("down", "--world", "demo", "--json")
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == {
            "stopped": ["webserver", "daemon", "code-server", "trade-stream", "exchange", "postgres"]
        }
        until_nothing_runs(copied.home)
        assert json.loads(copied.tool("down", "--world", "demo", "--json").stdout) == {"stopped": []}
    assert copied.tool("data", "executions", *SESSION, "--json").stdout == before


@pytest.mark.patient
def test_a_finished_demo_is_replaced_and_an_unfinished_one_is_not_overwritten_or_run_twice(copied: DemoWorld) -> None:
    record = copied.home / "worlds" / "demo" / "world.json"
    running = DemoWorld(copied.home, ["--step", "30", "--seed", "2"])
    process = running.start()
    try:
        waited_for(lambda: process.poll() is not None or (record.exists() and '"seed": 2' in record.read_text()))
        assert process.poll() is None, process.communicate()[0]
        assert json.loads(record.read_text())["state"] == "unfinished"
        refused(running.tool("demo", *running.arguments), f"already in use by pid {process.pid}")
        refused(running.tool("demo", *EVENTFUL, "--fresh"), f"already in use by pid {process.pid}")
        assert process.poll() is None
    finally:
        kill(process)
        process.communicate()
    refused(running.tool("demo", *EVENTFUL), "an unfinished demo with other arguments", "--fresh")
    assert json.loads(record.read_text())["arguments"]["seed"] == 2
    assert running.tool("down", "--world", "demo").returncode == 0
    until_nothing_runs(running.home)


@pytest.mark.parametrize(
    "arguments",
    [
        ["up", "--port", "99999"],
        ["data", "executions"],
        ["data", "signals", "--session", "yesterday"],
        ["why", "INTC", "10:40", "--session", "yesterday"],
        ["why"],
        ["demo", "--step", "0"],
        ["demo", "--json", "no/such/folder/summary.json"],
        ["trade"],
    ],
    ids=" ".join,
)
def test_a_usage_error_exits_with_2_and_touches_nothing(world_home: Path, arguments: list[str]) -> None:
    result = DemoWorld(world_home, []).asked(*arguments)
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert "Traceback" not in result.stderr
    assert list(world_home.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "executions", *SESSION], "there is no world 'demo'"),
        (["why", "INTC", "10:40", *SESSION], "there is no world 'demo'"),
        (["up", "--world", "../elsewhere"], "no name for a world"),
        (["down", "--world", "Über"], "no name for a world"),
    ],
    ids=["no such world", "nothing to explain", "a path", "other letters"],
)
def test_a_refusal_is_one_line(world_home: Path, arguments: list[str], says: str) -> None:
    refused(DemoWorld(world_home, []).asked(*arguments), says)
    assert list(world_home.iterdir()) == []
