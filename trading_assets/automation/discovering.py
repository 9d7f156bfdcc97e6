"""When tickers are discovered: every six hours by the clock, sooner after one that failed. A schedule (a Dagster
concept) that looks every five minutes whether it is due."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from dagster import (
    DefaultScheduleStatus,
    ResourceParam,
    RunRequest,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from trading_assets.automation.names import DISCOVERY_JOB, DISCOVERY_TICK
from trading_assets.automation.schedules import held_back
from trading_assets.automation.tags import LONGEST_RUN
from trading_assets.automation.tickets import AS_OF_TAG, SESSION_TAG
from trading_assets.domain.clock import NEW_YORK
from trading_assets.ledger.universe import CONFIGURED, UniverseRun, newest_run
from trading_assets.news.discovery.config import DiscoveryConfig
from trading_assets.resources.desk import Desk


def due_at(newest: UniverseRun | None, now: datetime, config: DiscoveryConfig) -> datetime:
    """When the next discovery is due: now if there was none or the configured tickers are followed, a while after one
    that failed, else at the first of the day's instants (2, 8, 14 and 20 o'clock in New York) after the newest."""
    if newest is None or newest.method == CONFIGURED:
        return now
    if newest.error is not None:
        return newest.known_at + timedelta(minutes=config.retry_minutes)
    day = newest.known_at.astimezone(NEW_YORK).date()
    instants = [
        datetime.combine(day + timedelta(days=ahead), time(hour), tzinfo=NEW_YORK)
        for ahead in (0, 1)
        for hour in range(config.first_hour % config.every_hours, 24, config.every_hours)
    ]
    return next(instant for instant in instants if instant > newest.known_at)


def discovery_schedule(status: DefaultScheduleStatus) -> ScheduleDefinition:
    """The schedule, RUNNING or STOPPED by default."""

    @schedule(
        name=DISCOVERY_TICK,
        job_name=DISCOVERY_JOB,
        cron_schedule="*/5 * * * *",
        execution_timezone=str(NEW_YORK),
        default_status=status,
        description="Discovers the tickers to follow every six hours, unless the configured ones are followed.",
    )
    def _discovery_schedule(context: ScheduleEvaluationContext, desk: ResourceParam[Desk]) -> RunRequest | SkipReason:
        if not desk.discovers:
            return SkipReason(
                "nobody is discovered: the configured tickers (universe.mode, universe.tickers) are followed"
            )
        held = held_back(context, desk, DISCOVERY_JOB)
        if held is not None:
            return held
        now = desk.clock.now()
        with desk.ledger.connect() as connection:
            due = due_at(newest_run(connection, counting=False), now, desk.settings.strategy.universe.discovery)
        if now < due:
            return SkipReason(f"the next discovery is due at {due.astimezone(NEW_YORK):%Y-%m-%d %H:%M} in New York")
        key = now.astimezone(NEW_YORK).date().isoformat()
        return RunRequest(
            run_key=f"{desk.start_id}:{DISCOVERY_JOB}:{now:%Y%m%dT%H%M%S}",
            partition_key=key,
            tags={**LONGEST_RUN, SESSION_TAG: key, AS_OF_TAG: now.isoformat()},
        )

    return _discovery_schedule
