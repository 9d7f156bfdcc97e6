"""Sensors (a Dagster concept): they see work in the ledger and request one run per account.

Both are stateless: no cursor, no memory. They select what is open now (unpublished or pending signals, expired claims,
positions and live orders), so a tick lost to a crash is made up by the next. The run key names account, batch and
attempt and never a business identity: a key that was used once, even by a run that failed, is skipped for ever.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import polars as pl
from dagster import (
    DefaultSensorStatus,
    ResourceParam,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from trading_assets.account_config import AccountConfig
from trading_assets.automation.names import (
    DISPATCHER_JOB,
    DISPATCHER_TICK,
    POSITION_MANAGER_JOB,
    POSITION_MANAGER_TICK,
)
from trading_assets.automation.schedules import unfinished_runs
from trading_assets.automation.tags import LONGEST_RUN
from trading_assets.automation.tickets import ACCOUNT_TAG, AS_OF_TAG, SESSION_TAG, TICKET_TAG, issue
from trading_assets.domain.identities import digest
from trading_assets.market.sessions import Session, open_session, session_of
from trading_assets.resources.desk import Desk
from trading_assets.strategy.rule_sets import RULE_SETS

#: A batch that nobody claimed for this long is requested again under a new attempt.
ATTEMPT_SECONDS = 15
#: While a run of the same job and account is younger than this, on the wall, no other is requested beside it: it takes
#: up what came since it was requested. A clock that runs faster than the wall would otherwise heap runs up.
PATIENCE = timedelta(seconds=60)
#: How often an account without positions and orders is compared with its broker, minutes; divides 60.
IDLE_MINUTES = 15


def acting_sensors(status: DefaultSensorStatus) -> Sequence[SensorDefinition]:
    """The sensors of a world, RUNNING or STOPPED by default."""

    @sensor(
        name=DISPATCHER_TICK,
        job_name=DISPATCHER_JOB,
        minimum_interval_seconds=1,
        default_status=status,
        description="Requests a dispatcher run for every account with unexpired signals nobody has taken.",
    )
    def dispatcher_sensor(context: SensorEvaluationContext, desk: ResourceParam[Desk]) -> SensorResult | SkipReason:
        now = desk.clock.now()
        session = open_session(now)
        if session is None:
            return SkipReason("the market is closed")
        requests = [
            _request(desk, DISPATCHER_JOB, account, now, session, batch, attempt)
            for account, batch, attempt in _signal_batches(desk, session, now)
            if not _works(context, desk, DISPATCHER_JOB, account)
        ]
        return SensorResult(run_requests=requests) if requests else SkipReason("no signal waits to be taken")

    @sensor(
        name=POSITION_MANAGER_TICK,
        job_name=POSITION_MANAGER_JOB,
        minimum_interval_seconds=1,
        default_status=status,
        description="Requests a position manager run a minute for every account with open work, else every 15 minutes.",
    )
    def position_manager_sensor(
        context: SensorEvaluationContext, desk: ResourceParam[Desk]
    ) -> SensorResult | SkipReason:
        from trading_assets.ledger.positions import accounts_with_open_work

        now = desk.clock.now()
        session = session_of(now)
        if session is None or now < session.open:
            return SkipReason("no session has opened today")
        with desk.ledger.connect() as connection:
            open_accounts = accounts_with_open_work(connection)
        # The broker may hold what the ledger does not know of: an account without work is looked at, too.
        idle = now.replace(minute=now.minute - now.minute % IDLE_MINUTES)
        requests = []
        for account in desk.accounts:
            working = account.name in open_accounts
            batch = f"{now:%Y%m%dT%H%M}" if working else f"idle{idle:%Y%m%dT%H%M}"
            due = working or now < session.close
            if due and not _works(context, desk, POSITION_MANAGER_JOB, account.name):
                requests.append(_request(desk, POSITION_MANAGER_JOB, account.name, now, session, batch, 0))
        return SensorResult(run_requests=requests) if requests else SkipReason("nothing waits to be managed")

    return [dispatcher_sensor, position_manager_sensor]


def fresh_signals(desk: Desk, session: Session, now: datetime) -> pl.DataFrame:
    """Rows of today's signals frame that may still be published: decided live, acting, young enough."""
    limit = timedelta(seconds=desk.settings.strategy.gates.max_signal_age_s)
    rows = desk.frames.read_since("signals", session.key, now - limit)
    return rows.filter(pl.col("live") & (pl.col("action") != "HOLD"))


def followed_by(account: AccountConfig) -> pl.Expr:
    """Of the signals frame the rows whose strategy, rule set and preset the account follows."""
    versions = [RULE_SETS[name].version for name in account.rule_sets]
    return (
        pl.col("strategy").is_in([strategy.value for strategy in account.strategies])
        & pl.col("rule_set").is_in(versions)
        & (pl.col("preset") == account.preset.value)
    )


def _signal_batches(desk: Desk, session: Session, now: datetime) -> list[tuple[str, str, int]]:
    """(account, batch, attempt) for every account with something to take."""
    from trading_assets.ledger import dispatch

    rows = fresh_signals(desk, session, now)
    limit = timedelta(seconds=desk.settings.strategy.gates.max_signal_age_s)
    with desk.ledger.connect() as connection:
        new = set(dispatch.unpublished_ids(connection, rows["signal_id"].to_list()))
        waiting = {work.account: work for work in dispatch.pending_work(connection, now, limit)}
    unpublished = rows.filter(pl.col("signal_id").is_in(sorted(new)))
    batches = []
    for account in desk.accounts:
        mine = unpublished.filter(followed_by(account))
        ids = set(mine["signal_id"].to_list())
        oldest: list[datetime] = [mine["as_of"].min()] if mine.height else []  # type: ignore[list-item]
        if account.name in waiting:
            ids |= set(waiting[account.name].signal_ids)
            oldest.append(waiting[account.name].oldest_known_at)
        if ids:
            age = (now - min(oldest)).total_seconds()
            batches.append((account.name, digest("batch", *sorted(ids))[:12], int(age // ATTEMPT_SECONDS)))
    return batches


def _works(context: SensorEvaluationContext, desk: Desk, job: str, account: str) -> bool:
    return unfinished_runs(context.instance, job, desk.wall.now(), account=account, within=PATIENCE) > 0


def _request(
    desk: Desk, job: str, account: str, now: datetime, session: Session, batch: str, attempt: int
) -> RunRequest:
    batch = f"{desk.start_id}.{batch}"
    return RunRequest(
        run_key=f"{account}:{batch}:{attempt}",
        tags={
            **LONGEST_RUN,
            ACCOUNT_TAG: account,
            SESSION_TAG: session.key,
            AS_OF_TAG: now.isoformat(),
            TICKET_TAG: issue(
                desk.secret, job=job, account=account, as_of=desk.wall.now(), batch=batch, attempt=attempt
            ),
        },
    )
