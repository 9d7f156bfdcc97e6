"""May this run act? The one place where an acting job's op asks, before it does anything else."""

from __future__ import annotations

from dagster import OpExecutionContext

from trading_assets.automation.tickets import Ticket, permitted
from trading_assets.resources.desk import Desk


def authorize(context: OpExecutionContext, desk: Desk, *, job: str, tick: str) -> Ticket:
    """The run's ticket, used up by this call.

    Raises ``NotPermitted`` (and nothing was done) for a run that was started by hand, re-executed or backfilled, whose
    ticket is missing, forged, too old or already used, or that names an account which is not configured.
    """
    now = desk.clock.now()
    ticket = permitted(desk.secret, context.run.tags, job=job, tick=tick, now=now)
    if ticket.account is not None:
        desk.account(ticket.account)
    desk.claim_ticket(context.run_id, job=job, account=ticket.account, ticket=ticket.text, as_of=now)
    return ticket
