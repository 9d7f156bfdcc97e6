"""Fires the real schedules and sensors against the instance and runs what they request, one after the other.

This is the daemon's part, played in lockstep: the same evaluation functions, the same tags, the same rule that a run
key is never used twice. Only the order of things is fixed, so that a day repeats exactly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from dagster import (
    DagsterInstance,
    Definitions,
    RunRequest,
    RunsFilter,
    build_schedule_context,
    build_sensor_context,
)

from trading_assets.jobs.backfill import QUIET, failures

if TYPE_CHECKING:
    from dagster import ScheduleDefinition, SensorDefinition

    from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)
_RUN_KEY = "dagster/run_key"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One requested run: its job, id, and whether it succeeded."""

    job: str
    run_id: str
    success: bool


class Ticker:
    """Evaluates ticks of one world's definitions."""

    def __init__(self, definitions: Definitions, instance: DagsterInstance, desk: Desk) -> None:
        self._definitions = definitions
        self._repository = definitions.get_repository_def()
        self._instance = instance
        self._desk = desk

    def schedule(self, name: str, due: datetime) -> Sequence[Outcome]:
        """Evaluate a schedule's tick that was due at ``due`` (wall time) and run what it requests."""
        definition: ScheduleDefinition = self._repository.get_schedule_def(name)
        with build_schedule_context(
            instance=self._instance,
            scheduled_execution_time=due,
            repository_def=self._repository,
            resources={"desk": self._desk},
        ) as context:
            # Otherwise the context opens an instance of its own for every tick.
            context._instance = self._instance  # type: ignore[assignment]
            data = definition.evaluate_tick(context)
        requests = data.run_requests or []
        if not requests:
            _log.debug("%s skipped: %s", name, data.skip_message)
        return [self._run(request, str(definition.job_name), "dagster/schedule_name", name) for request in requests]

    def sensor(self, name: str) -> Sequence[Outcome]:
        """Evaluate a sensor's tick and run what it requests, except run keys that were used before."""
        definition: SensorDefinition = self._repository.get_sensor_def(name)
        with build_sensor_context(
            instance=self._instance,
            repository_def=self._repository,
            resources={"desk": self._desk},
            sensor_name=name,
        ) as context:
            data = definition.evaluate_tick(context)
        outcomes = []
        for request in data.run_requests or []:
            if request.run_key is not None and self._used(name, request.run_key):
                continue
            outcomes.append(
                self._run(request, request.job_name or str(definition.job_name), "dagster/sensor_name", name)
            )
        return outcomes

    def _used(self, sensor: str, run_key: str) -> bool:
        filters = RunsFilter(tags={_RUN_KEY: run_key, "dagster/sensor_name": sensor})
        return self._instance.get_runs_count(filters) > 0

    def _run(self, request: RunRequest, job_name: str, origin_tag: str, origin: str) -> Outcome:
        job = self._definitions.resolve_job_def(job_name)
        tags = {**request.tags, origin_tag: origin}
        if request.run_key is not None:
            tags[_RUN_KEY] = request.run_key
        result = job.execute_in_process(
            run_config={**dict(request.run_config), **QUIET},
            tags=tags,
            partition_key=request.partition_key,
            instance=self._instance,
            raise_on_error=False,
        )
        if not result.success:
            _log.error("run %s of %s failed: %s", result.run_id, job_name, failures(result.all_events))
        return Outcome(job_name, result.run_id, result.success)
