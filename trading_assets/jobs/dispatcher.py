"""``dispatcher``: takes the fresh signals of one account through gates, contract, size and the limit ladder.

A Dagster job of two ops. ``publish`` writes the current session's live signals to the ledger; ``dispatch`` claims what
is open for the ticket's account and decides each signal, under the account's lock. Nothing here retries: a run that
dies leaves a claim that expires, and the broker is asked before anything is done about it.
"""

from dagster import In, JobDefinition, Nothing, OpExecutionContext, ResourceParam, job, op

from trading_assets.automation.names import DISPATCHER_JOB, DISPATCHER_TICK
from trading_assets.jobs.authority import authorize
from trading_assets.jobs.entering import dispatch_account
from trading_assets.jobs.hearing import heard
from trading_assets.jobs.publishing import publish_fresh
from trading_assets.jobs.recording import record_dispatch
from trading_assets.ledger import runs
from trading_assets.resources.desk import Desk


@op(description="Writes the current session's fresh live signals to the ledger. Refuses runs without a ticket.")
def publish(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Also uses up the run's ticket."""
    ticket = authorize(context, desk, job=DISPATCHER_JOB, tick=DISPATCHER_TICK)
    count = publish_fresh(desk, context.run_id)
    context.log.info(f"published {count} new (signal, account) pairs for a run of account {ticket.account}")


@op(ins={"published": In(Nothing)}, description="Claims and decides the open signals of the ticket's account.")
def dispatch(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Runs only behind ``publish``, whose ticket it carries on."""
    with desk.ledger.connect() as connection:
        acting = runs.get(connection, context.run_id)
    if acting is None or acting.account is None:
        raise LookupError(f"run {context.run_id} holds no ticket for an account")
    with heard(acting.account) as said:
        report = dispatch_account(desk, acting.account, context.run_id, context.log)
    report.alerts += said
    with desk.ledger.begin() as connection:
        runs.finish(connection, context.run_id, desk.clock.now(), report.as_json())
    record_dispatch(context, desk, report)


@job(
    name=DISPATCHER_JOB,
    description="Gates, contract selection, sizing and entry orders for one account. Started by its sensor only.",
)
def _dispatcher() -> None:
    dispatch(publish())


dispatcher: JobDefinition = _dispatcher
