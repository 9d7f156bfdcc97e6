"""Recording what acting jobs did as materializations of the external assets, so that lineage reaches the fill.

Every account's numbers carry its name, so that the UI draws one line per account and never mixes two of them. Money is
exact in the ledger; here it is a float, for plots only. What is not known is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetKey,
    AssetMaterialization,
    MetadataValue,
    OpExecutionContext,
)
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from trading_assets.assets.standing_checks import WAITING_CHECK, evaluations, waiting
from trading_assets.assets.stream_check import evaluation, verdicts
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import SignalStatus
from trading_assets.ledger import reconciliations
from trading_assets.ledger.account_day import AccountDay, account_day, orders_of_run
from trading_assets.market.sessions import Session, require_session
from trading_assets.resources.desk import Desk

if TYPE_CHECKING:
    from trading_assets.jobs.entering import DispatchReport
    from trading_assets.jobs.managing import ManagementReport

#: Parts of a comparison's report that are counted, and told where there are any.
_COUNTED = ("differences", "blocked", "adopted", "phantoms", "ended_orders", "missing", "unexplained", "splits")
Numbers = Mapping[str, Mapping[str, float | int | None]]


def record(context: OpExecutionContext, asset: str, session: str, metadata: Mapping[str, Any]) -> None:
    """Log a materialization of one of the external assets for the session."""
    context.log_event(AssetMaterialization(asset_key=asset, partition=session, metadata=dict(metadata)))


def day_of(session: Session) -> tuple[datetime, datetime]:
    """The session's calendar day in New York: first instant, and the first after it."""
    begin = datetime.combine(session.day, time(), NEW_YORK)
    return begin, datetime.combine(session.day + timedelta(days=1), time(), NEW_YORK)


def read_day(desk: Desk, account: str, session: Session) -> AccountDay:
    """The account's day so far."""
    begin, end = day_of(session)
    with desk.ledger.connect() as connection:
        return account_day(connection, account, session.day, begin, end)


def numbers(day: AccountDay, equity: Decimal | None = None) -> Numbers:
    """Per asset, the account's numbers under names such as ``large/fills``."""
    offered = {f"signals_{status.value.lower()}": day.statuses.get(status.value, 0) for status in SignalStatus}
    per_asset: dict[str, dict[str, float | int | None]] = {
        "orders": {
            "orders": day.orders,
            "orders_live": day.orders_live,
            "orders_rejected": day.orders_rejected,
            **{name: count for name, count in offered.items() if count},
        },
        "executions": {"fills": day.fills, "entries": day.entries, "exits": day.exits},
        "positions": {
            "open_positions": day.open_positions,
            "realized_pnl_usd": None if day.realized_pnl is None else float(day.realized_pnl),
            "equity_usd": None if equity is None else float(equity),
        },
    }
    return {
        asset: {f"{day.account}/{name}": value for name, value in found.items() if value is not None}
        for asset, found in per_asset.items()
    }


def record_dispatch(context: OpExecutionContext, desk: Desk, report: DispatchReport) -> None:
    """Tell what one dispatch came to, and record its orders and fills if there were any."""
    context.log.info(
        f"account {report.account}: took {report.claimed} signals; {len(report.entered)} bought, "
        f"{len(report.skipped)} not bought, {len(report.failed)} failed; {report.fills} fills booked; "
        f"{report.expired} signals were too old"
    )
    facts = {
        **_said("not_weighed", (f"{gate}: {count} signals" for gate, count in report.screened.items())),
        **_said("not_bought", (f"{signal}: {reason}" for signal, reason in report.skipped.items())),
        **_said("failed", (f"{signal}: {reason}" for signal, reason in report.failed.items())),
        **_said("alerts", report.alerts),
    }
    _say_alerts(context, report.alerts)
    if report.claimed or report.screened or report.fills or report.alerts:
        told = bool(report.alerts or report.failed)
        _record_work(context, desk, report.account, report.session, report.fills, facts, told=told)
        record_standing(context, desk)


def record_management(context: OpExecutionContext, desk: Desk, report: ManagementReport) -> None:
    """Tell what one look at an account came to, and record its orders and fills, if there were any, and positions."""
    _say_alerts(context, report.alerts)
    _record_waiting(context, desk, report.busy)
    if report.busy:
        return
    # Where no service ever ran there is nothing to check.
    streams = verdicts(desk)
    if streams:
        # The annotation lags behind: evaluations of checks are taken, too.
        context.log_event(evaluation(streams))  # type: ignore[arg-type]
    record_standing(context, desk)
    equity = "equity not read" if report.equity is None else f"equity {report.equity:,.2f} USD"
    agreed = "ledger and broker agree" if report.reconciled else "ledger and broker did NOT agree"
    context.log.info(
        f"account {report.account}: {agreed}; {report.positions} positions judged, {len(report.exits)} exits ordered, "
        f"{report.fills} fills booked; {equity}"
    )
    record_comparison(context, desk, report.account, report.session)
    facts = {
        "reconciled": report.reconciled,
        **_said("exits", (f"{symbol}: {what}" for symbol, what in report.exits.items())),
        **_said("alerts", report.alerts),
    }
    found = _record_work(context, desk, report.account, report.session, report.fills, facts, report.equity)
    # A look after the close that found nothing must not stand in front of the day's summary.
    if report.equity is not None or report.fills or report.alerts:
        record(context, "positions", report.session, {"account": report.account, **facts, **found["positions"]})


def record_comparison(context: OpExecutionContext, desk: Desk, account: str, session: str) -> None:
    """Record the account's last comparison with its broker; nothing for one that was never compared."""
    with desk.ledger.connect() as connection:
        found = reconciliations.read_account(connection, account)
    if found.reconciled_at is None:
        return
    report = found.report
    # A report of an earlier version may lack a part: not known, and so left out.
    counts = {name: len(report[name]) for name in _COUNTED if name in report}
    if "fills_booked" in report:
        counts["fills_booked"] = report["fills_booked"]
    facts = {
        "account": account,
        "clean": bool(report.get("clean", False)),
        "compared_at": MetadataValue.timestamp(found.reconciled_at),
        **{f"{account}/{name}": count for name, count in counts.items()},
    }
    for name in _COUNTED:
        facts |= _said(name, sorted(map(str, report.get(name, ()))))
    record(context, "reconciliation", session, facts)


def _record_work(
    context: OpExecutionContext,
    desk: Desk,
    account: str,
    session: str,
    fills: int,
    facts: Mapping[str, Any],
    equity: Decimal | None = None,
    *,
    told: bool = False,
) -> Numbers:
    """Record the orders (where none was sent: only if something has to be ``told``) and the fills of a run."""
    with desk.ledger.connect() as connection:
        sent = orders_of_run(connection, context.run_id)
    found = numbers(read_day(desk, account, require_session(date.fromisoformat(session))), equity)
    if sent or told:
        record(context, "orders", session, {"account": account, "orders_sent": sent, **facts, **found["orders"]})
    if fills:
        record(context, "executions", session, {"account": account, "fills_booked": fills, **found["executions"]})
    return found


def _say_alerts(context: OpExecutionContext, alerts: Iterable[str]) -> None:
    """Each alert of the report in the run's own log, whichever room it comes from."""
    for alert in alerts:
        context.log.warning(f"alert: {alert}")


def record_standing(context: OpExecutionContext, desk: Desk) -> None:
    """Evaluate the checks of what stands open, so that the UI shows it on the assets: after every comparison."""
    for standing in evaluations(desk):
        _record_check(context, standing)


def _record_waiting(context: OpExecutionContext, desk: Desk, busy: bool) -> None:
    """Evaluate whether accounts are kept waiting: where this one was busy, and until the check has passed again."""
    check = AssetCheckKey(AssetKey("positions"), WAITING_CHECK)
    last = context.instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    failed = bool(last) and last[0].status is not AssetCheckExecutionRecordStatus.SUCCEEDED
    if busy or failed:
        _record_check(context, waiting(desk))


def _record_check(context: OpExecutionContext, standing: AssetCheckEvaluation) -> None:
    context.log_event(standing)  # type: ignore[arg-type]  # it is taken; only the annotation leaves it out
    if not standing.passed:
        context.log.error(f"{standing.check_name}: {standing.description}")


def _said(name: str, sentences: Iterable[str]) -> dict[str, MetadataValue[Any]]:
    """A metadata entry of one sentence per line; none if there is nothing to say."""
    lines = list(sentences)
    return {name: MetadataValue.text("\n".join(lines))} if lines else {}
