"""Schedules (a Dagster concept): the minute's heartbeat. Ticks fire on wall time and decide by the clock.

A tick skips if the market is closed, if it is stale (the daemon was down and fires its backlog), or if the last run of
its job still runs; the next run covers the minutes that were missed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultScheduleStatus,
    ResourceParam,
    RunRequest,
    RunsFilter,
    ScheduleDefinition,
    ScheduleEvaluationContext,
    SkipReason,
    schedule,
)

from trading_assets.assets.scope import LATE_MINUTES
from trading_assets.automation.names import (
    CLOSING_JOB,
    CLOSING_TICK,
    MINUTE_JOB,
    MINUTE_TICK,
    NEWS_JOB,
    NEWS_REPORT_JOB,
    NEWS_REPORT_TICK,
    NEWS_TICK,
)
from trading_assets.automation.tags import LONGEST_RUN
from trading_assets.automation.tickets import ACCOUNT_TAG, AS_OF_TAG, SESSION_TAG, TICKET_TAG, issue
from trading_assets.domain.clock import NEW_YORK
from trading_assets.market.sessions import session_of
from trading_assets.resources.desk import Desk

#: A tick that was due longer ago than this on the wall is left to its successor.
STALE = timedelta(seconds=90)
#: A run that began longer ago than this on the wall and has not ended is taken to hang.
HANGS = timedelta(minutes=3)
UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


def minute_schedules(status: DefaultScheduleStatus) -> Sequence[ScheduleDefinition]:
    """The schedules of a world, RUNNING or STOPPED by default."""

    @schedule(
        name=NEWS_TICK,
        job_name=NEWS_JOB,
        cron_schedule="* * * * *",
        execution_timezone=str(NEW_YORK),
        default_status=status,
        description="Fetches and scores news every minute of the day.",
    )
    def news_schedule(context: ScheduleEvaluationContext, desk: ResourceParam[Desk]) -> RunRequest | SkipReason:
        held = held_back(context, desk, NEWS_JOB)
        if held is not None:
            return held
        now = desk.clock.now()
        return _request(desk, NEWS_JOB, now, now.astimezone(NEW_YORK).date().isoformat())

    @schedule(
        name=MINUTE_TICK,
        job_name=MINUTE_JOB,
        cron_schedule="* * * * *",
        execution_timezone=str(NEW_YORK),
        default_status=status,
        description="Bars, features, watchlist and signals, every minute of a session.",
    )
    def minute_schedule(context: ScheduleEvaluationContext, desk: ResourceParam[Desk]) -> RunRequest | SkipReason:
        held = held_back(context, desk, MINUTE_JOB)
        if held is not None:
            return held
        now = desk.clock.now()
        session = session_of(now)
        if session is None:
            return SkipReason("no session today")
        if not session.open < now < session.close + timedelta(minutes=LATE_MINUTES):
            return SkipReason(f"the session is closed ({session.open:%H:%M}-{session.close:%H:%M} UTC)")
        return _request(desk, MINUTE_JOB, now, session.key)

    @schedule(
        name=CLOSING_TICK,
        job_name=CLOSING_JOB,
        cron_schedule="*/5 * * * *",
        execution_timezone=str(NEW_YORK),
        default_status=status,
        description="After the close: a last reconciliation, and one file per partition instead of one per minute.",
    )
    def end_of_session_schedule(
        context: ScheduleEvaluationContext, desk: ResourceParam[Desk]
    ) -> RunRequest | SkipReason:
        held = held_back(context, desk, CLOSING_JOB)
        if held is not None:
            return held
        now = desk.clock.now()
        session = session_of(now)
        if session is None or now < session.close:
            return SkipReason("no session has closed today")
        return RunRequest(run_key=f"{desk.start_id}:{CLOSING_JOB}:{session.key}", tags={SESSION_TAG: session.key})

    @schedule(
        name=NEWS_REPORT_TICK,
        job_name=NEWS_REPORT_JOB,
        cron_schedule="7 * * * *",
        execution_timezone=str(NEW_YORK),
        default_status=status,
        description="The pictures of the day's news, every hour.",
    )
    def news_report_schedule(context: ScheduleEvaluationContext, desk: ResourceParam[Desk]) -> RunRequest | SkipReason:
        held = held_back(context, desk, NEWS_REPORT_JOB)
        if held is not None:
            return held
        now = desk.clock.now()
        day = now.astimezone(NEW_YORK).date().isoformat()
        return RunRequest(
            run_key=f"{desk.start_id}:{NEWS_REPORT_JOB}:{now:%Y%m%dT%H%M}",
            partition_key=day,
            tags={SESSION_TAG: day, **LONGEST_RUN},
        )

    return [news_schedule, minute_schedule, end_of_session_schedule, news_report_schedule]


def held_back(context: ScheduleEvaluationContext, desk: Desk, job: str) -> SkipReason | None:
    """Why a tick requests no run of ``job``: it is stale, or the last run still works; None if it may."""
    late = desk.wall.now() - context.scheduled_execution_time
    if late > STALE:
        return SkipReason(f"the tick is {late.total_seconds():.0f} s old; the next one covers its minute")
    if unfinished_runs(context.instance, job, desk.wall.now()):
        return SkipReason("the last run has not finished; the next one covers this minute")
    return None


def unfinished_runs(
    instance: DagsterInstance, job: str, now: datetime, *, account: str | None = None, within: timedelta = HANGS
) -> int:
    """Runs of a job (for one account) that have not ended. One that began longer ago than ``within``, on the wall, is
    not waited for: it hangs."""
    tags = {} if account is None else {ACCOUNT_TAG: account}
    return instance.get_runs_count(RunsFilter(job_name=job, statuses=UNFINISHED, tags=tags, created_after=now - within))


def _request(desk: Desk, job: str, now: datetime, key: str) -> RunRequest:
    stamp = now.strftime("%Y%m%dT%H%M%S")
    return RunRequest(
        run_key=f"{desk.start_id}:{job}:{stamp}",
        partition_key=key,
        tags={
            **LONGEST_RUN,
            SESSION_TAG: key,
            AS_OF_TAG: now.isoformat(),
            TICKET_TAG: issue(
                desk.secret, job=job, account=None, as_of=desk.wall.now(), batch=desk.start_id, attempt=0
            ),
        },
    )
