"""One job of one account in a process of its own, as the scheduler would start it; it may be killed on its way.

``warm`` is what the nursery does before it forks any: imports, the settings, the drawn market.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr

from trading_assets.domain import crashpoints
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.exchange import markets
from trading_assets.exchange.config import load_config
from trading_assets.exchange.server import serve
from trading_assets.jobs.entering import dispatch_account
from trading_assets.jobs.managing import manage_account
from trading_assets.ledger import schema
from trading_assets.ledger.engine import ledger_url
from trading_assets.resources.desk import Desk
from trading_assets.settings import Settings, load_settings
from trading_assets.simulation import market, paths
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.practice import PracticeExchange, read_config, read_keys
from trading_assets.world.runtime import Runtime
from trading_assets_tests.chaos.deeds import Deed, do

#: Time-outs so short that a lost answer costs little of the wall's time.
QUICK = {"connect_timeout_seconds": 2.0, "read_timeout_seconds": 0.4}
FAILED = 3
#: What a job imports only once it needs it.
_LATE = (
    "alpaca.trading.client",
    "alpaca.data.historical.option",
    "alpaca.data.historical.stock",
    "sqlalchemy.dialects.postgresql.psycopg",
    "trading_assets.defaults",
)
#: Settings by the text of the accounts.yaml they come from; every sequence has the template's.
_settings: dict[str, Settings] = {}


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do, one job after the other, and where it may die. ``point`` None: nowhere."""

    home: Path
    world: str
    ledger: str
    start_id: str
    jobs: tuple[str | Deed, ...]
    account: str
    run_id: str
    result: Path
    point: str | None = None
    passage: int = 1
    what: str = "die"


def warm(world: World) -> None:
    """Get everything ready that a process of any sequence of the prepared ``world`` would get ready for itself."""
    for name in _LATE:
        import_module(name)
    schema.head()
    _settings_of(world)
    # Drawing a market takes seconds and depends on the configuration alone.
    vars(market)["draw_paths"] = cache(paths.draw_paths)
    config = load_config(world.exchange)
    markets.simulated_port(config, config.session)


def _settings_of(world: World) -> Settings:
    text = (world.directory / "accounts.yaml").read_text()
    if text not in _settings:
        found = load_settings(world=world, kind=WorldKind.PRACTICE, env={})
        broker = found.strategy.broker.model_copy(update=QUICK)
        _settings[text] = replace(found, strategy=found.strategy.model_copy(update={"broker": broker}))
    return replace(_settings[text], world=world)


def open_desk(home: Path, world: str, ledger: str, start_id: str) -> Desk:
    """The desk of a copied world: its settings, its database, the exchange that answers for it."""
    place = World(home, world)
    settings = _settings_of(place)
    found = json.loads((place.exchange / "exchange.json").read_text())
    exchange = PracticeExchange(
        f"http://{found['host']}:{found['port']}",
        int(found["pid"]),
        SecretStr(read_config(place.exchange)["control_token"]),
        read_keys(place.exchange),
    )
    runtime = Runtime(
        world=place,
        kind=WorldKind.PRACTICE,
        start_id=start_id,
        ledger_url=ledger,
        dagster_url="",
        ticket_secret=b"",
        exchange=exchange,
    )
    return Desk(lambda: settings, lambda _: runtime)


def work(task: Task) -> None:
    """Do the jobs of ``task``, write what it reported and warned of, and exit; 3 if it failed in a typed error."""
    log = logging.getLogger("chaos")
    said: list[str] = []
    logging.basicConfig(level=logging.WARNING, handlers=[_Lines(said)], force=True)
    desk = open_desk(task.home, task.world, task.ledger, task.start_id)
    if task.point is not None:
        crashpoints.install(_hook(task))
    status, reports, trouble = 0, [], ""
    try:
        for name in task.jobs:
            reports.append(_do(name, desk, task, log))
    except TradingAssetsError as error:
        status, trouble = FAILED, f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001
        # An error nobody foresaw ends a run visibly, too; the judge decides whether it may.
        status, trouble = FAILED + 1, traceback.format_exc()
    task.result.write_text(json.dumps({"reports": reports, "said": said, "trouble": trouble}, default=str))
    sys.stdout.flush()
    os._exit(status)


def _do(job: str | Deed, desk: Desk, task: Task, log: logging.Logger) -> dict[str, Any]:
    if isinstance(job, Deed):
        return do(desk, task.account, task.run_id, log, job).as_json()
    run: Any = {"dispatch": dispatch_account, "manage": manage_account}[job]
    report: dict[str, Any] = run(desk, task.account, task.run_id, log).as_json()
    return report


def serve_exchange(directory: Path, log: Path) -> None:
    """Run an exchange until it is killed; what it says goes to ``log``."""
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    serve(directory)


class _Lines(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{record.levelname} {record.name}: {record.getMessage()}")


def _hook(task: Task) -> Any:
    seen = 0

    def reached(name: str) -> None:
        nonlocal seen
        if name != task.point:
            return
        seen += 1
        if seen != task.passage:
            return
        if task.what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        sever(task.ledger)

    return reached


def sever(ledger: str) -> None:
    """Cut every other connection to the database, as a restarted server would."""
    address = ledger_url(ledger).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
