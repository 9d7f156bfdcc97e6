"""May this run act? The one place where an acting job's op asks, before it does anything else."""

from __future__ import annotations

from dagster import DagsterInstance, OpExecutionContext
from dagster._core.scheduler.instigation import InstigatorStatus

from trading_assets.automation.tags import tag_session
from trading_assets.automation.tickets import NotPermitted, Ticket, permitted
from trading_assets.domain.clock import NEW_YORK
from trading_assets.resources.desk import Desk
from trading_assets.world.paths import WorldKind


def switched_on(instance: DagsterInstance, tick: str) -> bool:
    """Whether a person has started the schedule or sensor of that name."""
    return any(
        state.instigator_name == tick and state.status is InstigatorStatus.RUNNING
        for state in instance.all_instigator_state()
    )


def authorize(context: OpExecutionContext, desk: Desk, *, job: str, tick: str) -> Ticket:
    """The run's ticket, used up by this call.

    Raises ``NotPermitted`` (and nothing was done) for a run that was started by hand, re-executed or backfilled, whose
    ticket is missing, forged, too old or already used, or that names an account which is not configured. Outside
    practice worlds the schedule or sensor must also be switched on: a tick that a person tries out in the UI, where it
    shows the ticket, must not act in a world that is meant to stand still.
    """
    now = desk.clock.now()
    tag_session(context.instance, context.run, [now.astimezone(NEW_YORK).date().isoformat()])
    if desk.runtime.kind is not WorldKind.PRACTICE and not switched_on(context.instance, tick):
        raise NotPermitted(f"{tick} is switched off in this world: nothing acts until it is switched on")
    ticket = permitted(desk.secret, context.run.tags, job=job, tick=tick, now=desk.wall.now())
    if ticket.account is not None:
        desk.account(ticket.account)
    desk.claim_ticket(context.run_id, job=job, account=ticket.account, ticket=ticket.text, as_of=now)
    return ticket
