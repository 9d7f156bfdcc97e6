"""``position_manager``: reconciles one account and closes what the exit rules say must be closed.

A Dagster job, requested every minute by its sensor while an account holds anything or has a live order.
"""

from dagster import JobDefinition, OpExecutionContext, ResourceParam, job, op

from trading_assets.automation.names import POSITION_MANAGER_JOB, POSITION_MANAGER_TICK
from trading_assets.jobs.authority import authorize
from trading_assets.jobs.hearing import heard
from trading_assets.jobs.managing import manage_account
from trading_assets.jobs.recording import record_management
from trading_assets.ledger import runs
from trading_assets.resources.desk import Desk


@op(description="Reconciles, books fills, judges every position and works the exits of the ticket's account.")
def manage(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """One account, under its lock."""
    ticket = authorize(context, desk, job=POSITION_MANAGER_JOB, tick=POSITION_MANAGER_TICK)
    if ticket.account is None:
        raise LookupError("the ticket names no account")
    with heard(ticket.account) as said:
        report = manage_account(desk, ticket.account, context.run_id, context.log, earnings=desk.settings.earnings)
    report.alerts += said
    with desk.ledger.begin() as connection:
        runs.finish(connection, context.run_id, desk.clock.now(), report.as_json())
    record_management(context, desk, report)


@job(
    name=POSITION_MANAGER_JOB,
    description="Reconciliation and exits for one account. Started by its sensor only.",
)
def _position_manager() -> None:
    manage()


position_manager: JobDefinition = _position_manager
