"""One account's positions, managed once: reconcile, mark, judge, leave. The logic behind the position manager job."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.broker.trade_stream.health import judge
from trading_assets.domain.values import OpenPosition
from trading_assets.jobs.drawdown import watch_drawdown
from trading_assets.jobs.exit_cycle import ExitCycle
from trading_assets.jobs.marking import Earnings
from trading_assets.ledger import accounts, executions, trade_streams
from trading_assets.ledger.account_lock import AccountBusy, account_lock
from trading_assets.market.sessions import Session, session_of
from trading_assets.resources.desk import Desk

Log = logging.Logger | Any
_log = logging.getLogger(__name__)
#: Wall seconds for which a manager waits for a dispatcher, which lets go of the account after each signal.
MANAGER_WAIT_SECONDS = 60.0


@dataclass(slots=True)
class ManagementReport:
    """What one cycle found and did. ``equity`` is None where it was not read: outside the session, or no answer."""

    account: str
    session: str
    positions: int = 0
    fills: int = 0
    exits: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    reconciled: bool = False
    busy: bool = False
    equity: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def manage_account(
    desk: Desk, account: str, run_id: str, log: Log, *, earnings: Earnings | None = None
) -> ManagementReport:
    """Reconcile the account and work every exit that is due, the most urgent first.

    ``earnings`` are the days on which underlyings report; None: no calendar is configured, and no exit asks for one.
    If another run works on the account and does not end soon, nothing is done and the report says ``busy``: the next
    minute tries again. Raises ``BrokerUnavailable`` if the broker cannot be read: then nothing was decided on what is
    not known.
    """
    now = desk.clock.now()
    session = session_of(now)
    if session is None:
        raise BrokerUnavailable("there is no session today", where="position manager")
    report = ManagementReport(account, session.key)
    try:
        with account_lock(desk.runtime.ledger_url, account, wait=MANAGER_WAIT_SECONDS):
            broker = desk.broker(account)
            before = _fill_count(desk, account)
            reconciliation = reconcile(desk.ledger, broker, desk.clock, account, desk.start_id, run_id=run_id)
            report.reconciled = reconciliation.clean
            report.alerts += reconciliation.alerts + stream_alerts(desk, account)
            if session.contains(desk.clock.now()):
                _work_exits(desk, account, session, run_id, reconciliation, report, log, earnings)
            report.fills = _fill_count(desk, account) - before
    except AccountBusy as error:
        report.busy = True
        report.alerts.append(f"account {account}: exits wait: {error}")
        log.warning(report.alerts[-1])
    return report


def _work_exits(
    desk: Desk,
    account: str,
    session: Session,
    run_id: str,
    reconciliation: ReconciliationReport,
    report: ManagementReport,
    log: Log,
    earnings: Earnings | None,
) -> None:
    with desk.ledger.connect() as connection:
        kill_mode = accounts.kill_mode(connection, account)
    # What was paid in or out is asked for by the cycle, once the exits that need it not are worked.
    snapshot = account_snapshot(
        desk.ledger,
        desk.broker(account),
        desk.clock,
        account,
        kill_mode=kill_mode,
        start_id=desk.start_id,
        with_flows=False,
    )
    held = certain([position for position in snapshot.positions if position.quantity > 0], reconciliation)
    report.positions = len(held)
    report.equity = snapshot.equity
    observed = ExitCycle(desk, snapshot, session, run_id, report, log, earnings).work(held)
    paused = watch_drawdown(desk, observed)
    if paused.pause_reason is not None:
        report.alerts.append(f"no new risk is taken until 'trading-assets resume': {paused.pause_reason}")


def stream_alerts(desk: Desk, account: str) -> list[str]:
    """What is to be told about the account's trade stream: that it has not been well for too long."""
    with desk.ledger.connect() as connection:
        row = trade_streams.read(connection).get(account)
    if row is None:
        return []
    verdict = judge(row, desk.wall.now(), desk.strategy(account).broker.stream)
    return [verdict.sentence()] if verdict.alert else []


def certain(held: Iterable[OpenPosition], seen: ReconciliationReport) -> list[OpenPosition]:
    """What of ``held`` may be sold, as far as it is known: never more than the broker holds.

    A position that the broker does not hold is left out: its sale would open a short one. One of which the broker holds
    another quantity (a split, a trade by hand that is not listed yet) has no known entry: its price rules hold, with an
    alert, while flatten, expiry and the session's end sell what both sides agree on.
    """
    found = []
    for position in held:
        if position.symbol in seen.missing:
            continue
        if position.symbol in seen.unexplained:
            theirs = int(Decimal(seen.unexplained[position.symbol]))
            if theirs < 1:
                continue
            position = replace(
                position,
                quantity=min(position.quantity, theirs),
                entry_price=None,
                entry_underlying=None,
            )
        found.append(position)
    return found


def _fill_count(desk: Desk, account: str) -> int:
    with desk.ledger.connect() as connection:
        return executions.count(connection, account)
