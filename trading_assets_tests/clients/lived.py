"""One client's day: the process that lived it, what it reports, and what the exchange knew of it at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trading_assets_tests.clients.plan import START, plan
from trading_assets_tests.exchange.venue_process import configuration, prepare

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CLIENTS = ("alpaca-py", "alpaca-trade-api", "@alpacahq/alpaca-trade-api")
_DAYS = "trading_assets_tests.clients.days"
_OTHER_PYTHON = ROOT / ".venv-clients" / "bin" / "python"
_MODULES = HERE / "node" / "node_modules" / "@alpacahq"
_PATIENCE_SECONDS = 900


def _command(client: str) -> list[str]:
    """How the script of a client is started; without its environment the suite says what makes it."""
    if client == "alpaca-py":
        return [sys.executable, "-m", f"{_DAYS}.alpaca_py_day"]
    needed = _OTHER_PYTHON if client == "alpaca-trade-api" else _MODULES
    assert needed.exists(), f"{needed} is missing: run `make test-clients`, which makes it"
    if client == "alpaca-trade-api":
        return [str(_OTHER_PYTHON), "-m", f"{_DAYS}.alpaca_trade_api_day"]
    return ["node", str(HERE / "node" / "day.mjs")]


@dataclass(frozen=True)
class Lived:
    """``answers`` are the client's, by label of the step; ``kept`` is what the exchange itself answers at the end."""

    client: str
    version: str
    steps: dict[str, dict[str, Any]]
    answers: dict[str, Any]
    kept: dict[str, Any]


def live(client: str, directory: Path, change: Callable[[dict[str, Any]], None] = lambda plan: None) -> Lived:
    """The day through ``client`` on an exchange of its own; ``change`` may alter the plan before it is lived."""
    one, two = configuration(START)["accounts"]
    exchange = prepare(directory, START, accounts=[{**one, "options_level": 3}, two]).start()
    try:
        day = plan(exchange)
        change(day)
        wanted, report = directory / "plan.json", directory / "report.json"
        wanted.write_text(json.dumps(day))
        done = subprocess.run(
            [*_command(client), str(wanted), str(report)],
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
        )
        assert done.returncode == 0, f"{client}:\n{done.stdout}\n{done.stderr}\n{exchange.log()[-2000:]}"
        told = json.loads(report.read_text())
        activities = exchange.get("/v2/account/activities/FILL", page_size=100).json()
        kept = {**exchange.picture(), "fills": activities}
    finally:
        exchange.stop()
    steps = {step["label"]: step for step in day["steps"]}
    return Lived(told["client"], told["version"], steps, told["answers"], kept)


def _environment() -> dict[str, str]:
    """No proxy, no credentials or addresses of the outside: what a script knows is in its plan."""
    own = {name: value for name, value in os.environ.items() if not name.upper().startswith(("APCA_", "ALPACA_"))}
    own = {name: value for name, value in own.items() if not name.lower().endswith("_proxy")}
    return {**own, "PYTHONPATH": str(ROOT)}
