"""Leave a practice world open for a while, kill its services on the way, and say what came of it.

``python tools/soak.py --minutes 30 --speed 10 --kill`` opens a fresh world with ``trading-assets up``, watches the
memory of each service, kills daemon, code server, exchange and PostgreSQL in turn with SIGKILL, and then checks what a
person trusts the world with: no minute left out, no run stuck, nothing lost or doubled at the exchange.
The exit code is 1 if any of that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

WORLD = "soak"
VICTIMS = ("daemon", "code-server", "trade-stream", "exchange", "postgres")
_SAMPLE_SECONDS = 10.0
#: A run that has not ended after this, on the wall, is stuck.
_STUCK = timedelta(minutes=3)
#: How long a killed world may take to work again before its runs and minutes are judged.
_SETTLE_SECONDS = 90.0
#: An exchange that was killed is back before.
_STANDSTILL_SECONDS = 60.0
#: How long after a blow a run may still meet a service that is coming back.
_RECOVERY = timedelta(seconds=60)


def main() -> None:
    """Run, judge, print; exit 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="of the wall (default 30)")
    parser.add_argument("--speed", type=float, default=10.0, help="of the exchange's clock (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="of the practice market (default 1)")
    parser.add_argument("--kill", action="store_true", help="kill the services in turn, spread over the time")
    parser.add_argument("--home", type=Path, help="folder for the world (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="also write the findings to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        home = arguments.home or Path(temporary)
        os.environ["TRADING_ASSETS_HOME"] = str(home)
        with opened(home, arguments.speed, arguments.seed) as process:
            memory, killed, still = watched(process, arguments.minutes * 60, VICTIMS if arguments.kill else ())
            findings = {"speed": arguments.speed, "killed": killed, **judged(killed), "memory_mib": memory}
            findings["clock_stood_still_seconds"] = still
            if still > _STANDSTILL_SECONDS:
                findings["troubles"].append(f"the exchange's clock stood still for {still:.0f} s of the wall")
    text = json.dumps(findings, indent=2)
    print(text)
    if arguments.json is not None:
        arguments.json.write_text(text + "\n")
    if findings["troubles"]:
        raise SystemExit(1)


@contextmanager
def opened(home: Path, speed: float, seed: int) -> Iterator[subprocess.Popen[str]]:
    """``trading-assets up`` on a fresh world, until the block ends; then Ctrl-C, in order."""
    log = home / "up.log"
    chosen = ["--world", WORLD, "--port", "0", "--speed", str(speed), "--seed", str(seed)]
    command = [sys.executable, "-m", "trading_assets.cli", "up", *chosen]
    with log.open("w") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    try:
        while "Ctrl-C stops" not in log.read_text():
            if process.poll() is not None:
                raise SystemExit(f"the world did not open:\n{log.read_text()}")
            time.sleep(0.5)
        print(log.read_text(), file=sys.stderr, flush=True)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)
        print(log.read_text().splitlines()[-1], file=sys.stderr)


def watched(
    process: subprocess.Popen[str], seconds: float, victims: tuple[str, ...]
) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
    """Memory of each service in MiB, what was killed when, and for how long (s) the clock stood still."""
    began = time.monotonic()
    still, (shown, since) = 0.0, (clock(), began)
    due = [(seconds * (number + 1) / (len(victims) + 2), name) for number, name in enumerate(victims)]
    samples: dict[str, list[tuple[float, float]]] = {}
    killed: list[dict[str, Any]] = []
    while (passed := time.monotonic() - began) < seconds:
        if process.poll() is not None:
            raise SystemExit("the world ended by itself")
        if due and passed >= due[0][0]:
            _, name = due.pop(0)
            services()[name].kill()
            killed.append({"service": name, "after_seconds": round(passed), "at": datetime.now(UTC).isoformat()})
            print(f"{passed:6.0f} s  killed {name}", file=sys.stderr, flush=True)
        for name, service in services().items():
            try:
                samples.setdefault(name, []).append((passed, service.memory_info().rss / 2**20))
            except psutil.NoSuchProcess:
                continue
        if (now := clock()) not in (None, shown):
            shown, since = now, time.monotonic()
        still = max(still, time.monotonic() - since)
        time.sleep(_SAMPLE_SECONDS)
    if killed:
        time.sleep(_SETTLE_SECONDS)
    return {name: _course(found) for name, found in sorted(samples.items())}, killed, round(still, 1)


def clock() -> datetime | None:
    """The exchange's time; None while it does not answer."""
    from trading_assets.domain.errors import TradingAssetsError
    from trading_assets.world import practice
    from trading_assets.world.paths import World, home_directory

    found = practice.running(World(home_directory(), WORLD).exchange)
    try:
        return None if found is None else found.clock().now()
    except TradingAssetsError:
        return None


def services() -> dict[str, psutil.Process]:
    """The living services of the world by name."""
    from trading_assets.world.paths import World, home_directory
    from trading_assets.world.processes import Children

    world = World(home_directory(), WORLD)
    found = {}
    for name, child in Children(world).recorded().items():
        if psutil.pid_exists(child.pid):
            found[name] = psutil.Process(child.pid)
    postmaster = world.server().data / "postmaster.pid"
    if postmaster.exists() and psutil.pid_exists(pid := int(postmaster.read_text().split()[0])):
        found["postgres"] = psutil.Process(pid)
    return found


def _course(samples: list[tuple[float, float]]) -> dict[str, Any]:
    """The median of each tenth of the time, and the highest."""
    values = [value for _, value in samples]
    tenth = max(1, len(values) // 10)
    return {
        "tenths": [round(median(values[start : start + tenth]), 1) for start in range(0, len(values), tenth)],
        "highest": round(max(values), 1),
    }


def judged(killed: list[dict[str, Any]]) -> dict[str, Any]:
    """What the ledger, the frames, the runs and the exchange say, while the world is still open."""
    from dagster import DagsterInstance

    from trading_assets.broker.consistency import compare
    from trading_assets.ledger import listings
    from trading_assets.market.sessions import MINUTE, session_of
    from trading_assets.resources.desk import Desk
    from trading_assets.settings import load_settings
    from trading_assets.world.runtime import open_world

    settings = load_settings(world=WORLD)
    runtime = open_world(settings)
    desk = Desk(lambda: settings, lambda _: runtime)
    os.environ["TRADING_ASSETS_DAGSTER_URL"] = runtime.dagster_url
    troubles: list[str] = []
    now = desk.clock.now()
    session = session_of(now)
    if session is None:
        raise SystemExit(f"the exchange's clock says {now}: no session")
    until = min(now - 30 * MINUTE, session.close)
    stored = set(desk.frames.read("bars", [session.key])["ts"].unique())
    minutes = [session.open + MINUTE * count for count in range(int((until - session.open) / MINUTE))]
    missing = [minute for minute in minutes if minute not in stored]
    if missing:
        troubles.append(f"{len(missing)} minutes have no bar, the first is {missing[0]:%H:%M}")
    decided = desk.frames.read("signals", [session.key])["as_of"].unique().sort().to_list()
    with DagsterInstance.from_config(str(runtime.world.dagster)) as instance:
        runs = _runs(instance, killed, troubles)
    with desk.ledger.connect() as connection:
        latency = listings.latency(connection, session.day)
        signals = listings.signals(connection, session.day)
        fills = listings.executions(connection, session.day)
    accounts = {}
    for account in settings.accounts:
        report = compare(desk.ledger, desk.broker(account.name), account.name)
        accounts[account.name] = {
            "fills": sum(fill["account"] == account.name for fill in fills),
            "statuses": dict(Counter(row["status"] for row in signals if row["account"] == account.name)),
            "consistent": report.consistent,
        }
        troubles += [f"account {account.name}: {difference}" for difference in report.differences]
    return {
        "troubles": troubles,
        "world_time": now.isoformat(),
        "minutes": len(minutes),
        "minutes_without_a_bar": len(missing),
        "deciding_instants": len(decided),
        "widest_gap_between_decisions_minutes": _widest(decided),
        "runs": runs,
        "latency_world_seconds": latency,
        "accounts": accounts,
    }


def _runs(instance: Any, killed: list[dict[str, Any]], troubles: list[str]) -> dict[str, Any]:
    """Runs by job and status; what failed and what hangs is a trouble unless a killed service took it along."""
    counts: dict[str, Counter[str]] = {}
    failed: list[dict[str, Any]] = []
    blows = [datetime.fromisoformat(blow["at"]) for blow in killed]
    for record in instance.get_run_records():
        run = record.dagster_run
        counts.setdefault(run.job_name, Counter())[run.status.value] += 1
        if run.is_failure:
            failed.append({"job": run.job_name, "at": record.create_timestamp.isoformat(), "why": _why(instance, run)})
            ended = datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp
            if not any(record.create_timestamp - _RECOVERY <= blow <= ended for blow in blows):
                troubles.append(f"run {run.run_id} of {run.job_name} failed, and no service was killed under it")
        age = datetime.now(UTC) - record.create_timestamp
        if not run.is_finished and age > _STUCK:
            troubles.append(f"run {run.run_id} of {run.job_name} has been {run.status.value} for {age}")
    return {"by_job": {job: dict(found) for job, found in sorted(counts.items())}, "failed": failed}


def _why(instance: Any, run: Any) -> list[str]:
    """The first words of each failure event of a run, innermost cause last."""
    said = []
    for entry in instance.all_logs(run.run_id):
        event = entry.dagster_event
        if event is None or not event.is_failure:
            continue
        error = getattr(event.event_specific_data, "error", None)
        while error is not None:
            said.append(error.message.strip()[:300])
            error = error.cause
    return said


def _widest(instants: list[datetime]) -> float | None:
    gaps = [(after - before).total_seconds() / 60 for before, after in pairwise(instants)]
    return round(max(gaps), 1) if gaps else None


if __name__ == "__main__":
    main()
