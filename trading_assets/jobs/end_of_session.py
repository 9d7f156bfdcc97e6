"""``end_of_session``: after the close, a last reconciliation, the day's summary, and one file per partition."""

from datetime import date

from dagster import In, JobDefinition, MetadataValue, Nothing, OpExecutionContext, ResourceParam, job, op

from trading_assets.automation.names import CLOSING_JOB
from trading_assets.automation.tags import tag_session
from trading_assets.automation.tickets import SESSION_TAG
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.jobs.day_report import tell_session
from trading_assets.jobs.recording import record_comparison, record_standing
from trading_assets.market.frames import SCHEMAS
from trading_assets.market.sessions import Session, open_session, require_session, session_of
from trading_assets.resources.desk import Desk


def _session(context: OpExecutionContext, desk: Desk) -> Session:
    """The session that the run's tag names, else today's."""
    key = context.run.tags.get(SESSION_TAG)
    session = session_of(desk.clock.now()) if key is None else require_session(date.fromisoformat(key))
    if session is None:
        raise TradingAssetsError("there is no session today", mend=f"Name one with the tag {SESSION_TAG}=YYYY-MM-DD.")
    tag_session(context.instance, context.run, [session.key])
    return session


@op(description="Merges the minute files of the closed session's partitions. Safe to repeat.")
def compact_frames(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Rows are untouched; only the number of files changes."""
    key = _session(context, desk).key
    merged = [name for name in SCHEMAS if desk.frames.compact(name, key)]
    context.log.info(f"session {key}: merged the files of {', '.join(merged) or 'nothing (already merged)'}")


@op(description="Compares every account with its broker once more. One that does not answer does not stop the others.")
def reconcile_accounts(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """Books what is missing; sends no order, but ends orders of ours that outlived the session. Does nothing while the
    market is open: they may be at work."""
    from trading_assets.jobs.recovery import reconcile_all

    if open_session(desk.clock.now()) is not None:
        context.log.info("the market is open: the accounts are left to their own runs")
        return

    said = reconcile_all(desk, context.run_id)
    for sentence in said:
        context.log.warning(sentence)
    if said:
        context.add_output_metadata({"alerts": MetadataValue.text("\n".join(said))})
    record_standing(context, desk)
    session = _session(context, desk)
    for account in desk.accounts:
        record_comparison(context, desk, account.name, session.key)


@op(ins={"reconciled": In(Nothing)}, description="Records the session's summary, tables and picture. Safe to repeat.")
def tell_the_day(context: OpExecutionContext, desk: ResourceParam[Desk]) -> None:
    """After the last reconciliation, so that nothing is missing from it."""
    tell_session(context, desk, _session(context, desk))


@job(name=CLOSING_JOB, description="After the close: reconciliation, summary and house-keeping. Sends no order.")
def _end_of_session() -> None:
    tell_the_day(reconcile_accounts())
    compact_frames()


end_of_session: JobDefinition = _end_of_session
