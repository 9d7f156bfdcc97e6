"""``end_of_session``: after the close, a last reconciliation and one file per partition instead of one per minute."""

from dagster import JobDefinition, OpExecutionContext, ResourceParam, job, op

from trading_assets.automation.names import CLOSING_JOB
from trading_assets.automation.tickets import SESSION_TAG
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.frames import SCHEMAS
from trading_assets.market.sessions import session_of
from trading_assets.resources.desk import Desk


@op(description="Merges the minute files of the closed session's partitions. Safe to repeat.")
def compact_frames(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Rows are untouched; only the number of files changes."""
    session = session_of(desk.clock.now())
    key = context.run.tags.get(SESSION_TAG) or (session.key if session is not None else None)
    if key is None:
        raise TradingAssetsError("there is no session today", mend=f"Name one with the tag {SESSION_TAG}=YYYY-MM-DD.")
    merged = [name for name in SCHEMAS if desk.frames.compact(name, key)]
    context.log.info(f"session {key}: merged the files of {', '.join(merged) or 'nothing (already merged)'}")


@op(description="Compares every account with its broker once more. One that does not answer does not stop the others.")
def reconcile_accounts(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Books what is missing; sends no order, but ends orders of ours that still live."""
    from trading_assets.jobs.recovery import reconcile_all

    for sentence in reconcile_all(desk, context.run_id):
        context.log.warning(sentence)


@job(name=CLOSING_JOB, description="House-keeping after the close. Sends no order.")
def _end_of_session() -> None:
    reconcile_accounts()
    compact_frames()


end_of_session: JobDefinition = _end_of_session
