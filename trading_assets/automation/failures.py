"""A failed run is said once, in one way: a sensor (a Dagster concept) that watches every run of the instance.

It writes one line of JSON to ``failures.jsonl`` among the world's logs, says the same as an error in its tick's log,
and tags the run with the error's first line, so that the list of runs shows it. It starts nothing and repairs nothing:
the next tick of the failed job covers its work. Saying a failure twice changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dagster import (
    DagsterEvent,
    DagsterInstance,
    DagsterRun,
    DefaultSensorStatus,
    ResourceParam,
    RunFailureSensorContext,
    SensorDefinition,
    run_failure_sensor,
)

from trading_assets.automation.names import FAILURE_TICK
from trading_assets.automation.tags import FAILURE_TAG
from trading_assets.automation.tickets import ACCOUNT_TAG, SESSION_TAG
from trading_assets.resources.desk import Desk

FAILURES_FILE = "failures.jsonl"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed run. ``account``, ``session`` and ``step`` are None where the run had none."""

    failed_at: str
    run_id: str
    job: str
    account: str | None
    session: str | None
    step: str | None
    error: str
    look: str

    def sentence(self) -> str:
        """For a person: which job, for whom, why, and where to look."""
        whom = "".join(
            f", {name} {value}" for name, value in (("account", self.account), ("session", self.session)) if value
        )
        return f"{self.job} failed{whom}{f', at {self.step}' if self.step else ''}: {self.error} Look at {self.look}"


def failure_of(
    run: DagsterRun, steps: Sequence[DagsterEvent], message: str | None, at: datetime, world: str
) -> Failure:
    """What is said of a run that failed: the root cause of its first failed step, else what ended the run."""
    step, error = None, _first_line(message)
    if steps:
        step, cause = steps[0].step_key, steps[0].step_failure_data.error
        while cause is not None and cause.cause is not None:
            cause = cause.cause
        error = _first_line(cause.message) if cause is not None else error
    return Failure(
        failed_at=at.astimezone(UTC).isoformat(timespec="seconds"),
        run_id=run.run_id,
        job=run.job_name,
        account=run.tags.get(ACCOUNT_TAG),
        session=run.tags.get(SESSION_TAG) or run.tags.get("dagster/partition"),
        step=step,
        error=error,
        look=f"/runs/{run.run_id} in the Dagster UI (trading-assets up --world {world})",
    )


def announce(failure: Failure, instance: DagsterInstance, logs: Path) -> bool:
    """Write the failure down and tag its run; False if it was written down before."""
    target = logs / FAILURES_FILE
    said = target.exists() and f'"run_id": "{failure.run_id}"' in target.read_text()
    if not said:
        logs.mkdir(parents=True, exist_ok=True)
        with target.open("a") as file:
            file.write(json.dumps(asdict(failure)) + "\n")
    instance.add_run_tags(failure.run_id, {FAILURE_TAG: failure.error})
    return not said


def failure_sensor() -> SensorDefinition:
    """The sensor, running by default in every world: it only tells."""

    # Also runs of a command line, which belong to no code location, must not fail unheard.
    @run_failure_sensor(
        name=FAILURE_TICK,
        minimum_interval_seconds=10,
        monitor_all_code_locations=True,
        default_status=DefaultSensorStatus.RUNNING,
        description=(
            f"Says every failed run once: a line in `logs/{FAILURES_FILE}` of the world, an error in this tick's log, "
            f"and the tag `{FAILURE_TAG}` on the run. Starts nothing."
        ),
    )
    def failed_run_sensor(context: RunFailureSensorContext, desk: ResourceParam[Desk]) -> None:
        world = desk.settings.world
        failure = failure_of(
            context.dagster_run,
            context.get_step_failure_events(),
            context.failure_event.message,
            datetime.now(UTC),
            world.name,
        )
        if announce(failure, context.instance, world.logs):
            context.log.error(failure.sentence())

    return failed_run_sensor


def _first_line(message: str | None) -> str:
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    return lines[0][:_LONGEST] if lines else "no error was recorded"
