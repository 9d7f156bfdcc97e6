"""One account's open signals, decided once: claim, look, judge, and buy or say why not. The logic of the dispatcher."""

from __future__ import annotations

import logging
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from trading_assets.broker.climbing import LadderPlan, LadderResult, LadderState
from trading_assets.broker.errors import BrokerUnavailable, RateLimited, SymbolBlocked
from trading_assets.broker.ladder import Entry, enter
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.money import told
from trading_assets.domain.values import SignalStatus
from trading_assets.jobs.lately import Lately
from trading_assets.jobs.marking import ODD
from trading_assets.jobs.permits import LEASE, Permit
from trading_assets.jobs.screening import Screening
from trading_assets.jobs.weighing import Weighed, weigh
from trading_assets.ledger import dispatch, executions, orders
from trading_assets.ledger.account_lock import AccountBusy, AccountLock, account_lock
from trading_assets.ledger.dispatch import ClaimedSignal
from trading_assets.ledger.orders import OrderIntent
from trading_assets.market.sessions import Session, open_session
from trading_assets.resources.desk import Desk

Log = logging.Logger | Any
#: Wall seconds for which a run waits for another one on the same account; then it ends with nothing done.
BUSY_WAIT_SECONDS = 5.0
#: Wall seconds between two signals in which the account is free: longer than a waiting run takes to ask again.
_LET_OTHERS_SECONDS = 0.1
#: Reads that judging one signal may take at one interface, and how long a window of the broker's count may last.
_REQUESTS_OF_A_SIGNAL, _LONGEST_WINDOW_SECONDS = 15, 65.0


@dataclass(slots=True)
class DispatchReport:
    """What one dispatch did. ``screened`` counts the signals of a burst that were skipped together, by what denied."""

    account: str
    session: str
    claimed: int = 0
    screened: dict[str, int] = field(default_factory=dict)
    entered: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    expired: int = 0
    fills: int = 0
    busy: bool = False
    alerts: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def dispatch_account(desk: Desk, account: str, run_id: str, log: Log) -> DispatchReport:
    """Decide every open signal of the account, best first, under the account's lock.

    The account is reconciled first, so that what an earlier run left half done is known. If another run works on the
    account and does not end soon, nothing is claimed and the report says ``busy``: the sensor asks again while the
    signals are fresh, also where a rate limit ends the run. Raises ``BrokerUnavailable`` if the broker cannot be read,
    ``AccountLockLost`` if the lock went with its connection, ``ClaimLost`` if another run took the signal; the claims
    then expire and a later run takes over.
    """
    now = desk.clock.now()
    session = open_session(now)
    report = DispatchReport(account, session.key if session is not None else now.date().isoformat())
    if session is None:
        log.info("the market is closed: nothing is dispatched")
        return report
    max_age = timedelta(seconds=desk.strategy(account).gates.max_signal_age_s)
    with desk.ledger.begin() as connection:
        report.expired = len(dispatch.expire_stale(connection, account, now, max_age))
    # Under the lock nothing waits long for the broker's count: an exit may wait for the lock.
    desk = desk.hurried()
    try:
        more, lately = True, Lately(desk, account)
        screening = Screening(desk, account, session, run_id, lately)
        while more:
            _wait_for_requests(desk, account)
            # One signal per lock: an exit that waits for the account gets it between two entries.
            with account_lock(desk.runtime.ledger_url, account, wait=BUSY_WAIT_SECONDS) as lock:
                more = _work_one(desk, account, session, run_id, report, lock, log, lately, screening)
            if more:
                time.sleep(_LET_OTHERS_SECONDS)
    except AccountBusy as error:
        report.busy = True
        log.warning(f"{error}")
    except RateLimited as error:
        # Before a signal was claimed: those that wait are taken up by a later run, as long as they are fresh.
        report.alerts.append(f"account {account}: it cannot be compared with its broker for now: {error}")
        log.warning(report.alerts[-1])
    return report


def _wait_for_requests(desk: Desk, account: str) -> None:
    """Wait, without the account's lock, until the account's request budget has room for one signal's reads.

    With the lock an exit would wait, too. After the longest window the signal is taken up in any case.
    """
    deadline = time.monotonic() + _LONGEST_WINDOW_SECONDS
    broker = desk.broker(account)
    while (seconds := broker.seconds_until_room(_REQUESTS_OF_A_SIGNAL)) > 0 and time.monotonic() < deadline:
        time.sleep(min(seconds, 1.0))


def _work_one(
    desk: Desk,
    account: str,
    session: Session,
    run_id: str,
    report: DispatchReport,
    lock: AccountLock,
    log: Log,
    lately: Lately,
    screening: Screening,
) -> bool:
    """Reconcile unless that still stands; then screen a burst, or else claim and decide the best open signal.

    False if nothing was open.
    """
    max_age = timedelta(seconds=desk.strategy(account).gates.max_signal_age_s)
    before = _fills(desk, account)
    if not lately.is_compared():
        reconciliation = reconcile(desk.ledger, desk.broker(account), desk.clock, account, desk.start_id, run_id=run_id)
        report.alerts += reconciliation.alerts
        lately.compared(reconciliation)
    if screened := screening.deny(lock):
        report.screened = dict(Counter(report.screened) + screened)
        said = ", ".join(f"{gate} {count}" for gate, count in screened.most_common())
        log.info(f"account {account}: {screened.total()} signals of a burst were skipped: {said}")
        return True
    with desk.ledger.begin() as connection:
        claimed = dispatch.claim(connection, account, run_id, desk.clock.now(), LEASE, max_age=max_age, limit=1)
    report.claimed += len(claimed)
    for signal in claimed:
        lock.verify()
        _decide(desk, account, signal, session, run_id, report, log, lately, lock)
    report.fills += _fills(desk, account) - before
    return bool(claimed)


def _decide(
    desk: Desk,
    account: str,
    claimed: ClaimedSignal,
    session: Session,
    run_id: str,
    report: DispatchReport,
    log: Log,
    lately: Lately,
    lock: AccountLock,
) -> None:
    signal = claimed.signal
    if claimed.previous_run is not None and _left_behind(desk, account, claimed, run_id, report, log):
        return
    try:
        weighed = weigh(desk, account, signal, session, lately)
    except BrokerUnavailable as error:
        _settle(desk, claimed, run_id, SignalStatus.SKIPPED, f"the broker gave no usable answer: {error}", report, log)
        return
    except TradingAssetsError as error:
        # It would fail again in every later run and keep the signals behind it from being decided.
        _settle(desk, claimed, run_id, SignalStatus.FAILED, f"it could not be judged: {error}", report, log)
        return
    except ODD as error:
        # So would this: a number that nobody foresaw, or a mistake of this code.
        log.error(traceback.format_exc())
        reason = f"it could not be judged: {type(error).__name__}, see the log of run {run_id}"
        _settle(desk, claimed, run_id, SignalStatus.FAILED, reason, report, log)
        return
    _record(desk, account, claimed, run_id, weighed)
    if weighed.sizing is not None and weighed.sizing.alert is not None:
        report.alerts.append(f"{signal.strategy.value}: {weighed.sizing.alert}")
        log.warning(f"account {account}: {report.alerts[-1]}")
    if weighed.entry is None or weighed.plan is None:
        _settle(desk, claimed, run_id, SignalStatus.SKIPPED, weighed.reason, report, log)
        return
    permit = Permit(desk, lock, claimed, weighed.entry.expiry, session, run_id)
    status, reason = _buy(desk, weighed.entry, weighed.plan, run_id, permit)
    _settle(desk, claimed, run_id, status, reason, report, log)


def _buy(desk: Desk, entry: Entry, plan: LadderPlan, run_id: str, permit: Permit) -> tuple[SignalStatus, str]:
    broker = desk.broker(entry.account)
    try:
        result = enter(desk.ledger, broker, desk.clock, entry, plan, run_id=run_id, permit=permit)
    except SymbolBlocked as error:
        with desk.ledger.connect() as connection:
            bought = _bought(orders.of_signal(connection, entry.account, entry.signal_id))
        if bought:
            return SignalStatus.EXECUTED, f"bought {bought}, the rest was not sent: {error}"
        return SignalStatus.SKIPPED, f"the entry was not sent: {error}"
    return _outcome(result)


def _outcome(result: LadderResult) -> tuple[SignalStatus, str]:
    if result.filled_quantity > 0:
        return (
            SignalStatus.EXECUTED,
            f"bought {result.filled_quantity} at {told(result.avg_price)} ({result.state.value})",
        )
    named = ", ".join(result.orders[-1:])
    if result.state is LadderState.REJECTED:
        return SignalStatus.FAILED, f"the broker refused order {named}: {result.error}"
    if result.state is LadderState.UNKNOWN:
        return SignalStatus.FAILED, f"the fate of order {named} is unknown, its symbol is blocked: {result.error}"
    why = "" if result.error is None else f": {result.error}"
    return SignalStatus.SKIPPED, f"the limit ladder ended without a fill{why}"


def _left_behind(
    desk: Desk, account: str, claimed: ClaimedSignal, run_id: str, report: DispatchReport, log: Log
) -> bool:
    """Settle a signal that an earlier run had begun to trade; True if it had. Reconciliation has asked the broker."""
    signal = claimed.signal
    with desk.ledger.connect() as connection:
        intents = orders.of_signal(connection, account, signal.signal_id)
    if not intents:
        return False
    if bought := _bought(intents):
        reason = f"bought {bought} by run {claimed.previous_run}, which ended before saying so"
        _settle(desk, claimed, run_id, SignalStatus.EXECUTED, reason, report, log)
        return True
    unclear = [intent.client_order_id for intent in intents if intent.is_live]
    reason = (
        f"run {claimed.previous_run} ended and the fate of {', '.join(unclear)} is unknown"
        if unclear
        else f"run {claimed.previous_run} ended during the entry; nothing was bought"
    )
    _settle(desk, claimed, run_id, SignalStatus.FAILED if unclear else SignalStatus.SKIPPED, reason, report, log)
    return True


def _bought(intents: Iterable[OrderIntent]) -> int:
    return sum(intent.filled_quantity for intent in intents)


def _record(desk: Desk, account: str, claimed: ClaimedSignal, run_id: str, weighed: Weighed) -> None:
    now = desk.clock.now()
    with desk.ledger.begin() as connection:
        inputs = {
            kind: dispatch.store_input(connection, kind, payload, now) for kind, payload in weighed.inputs.items()
        }
        dispatch.record_decision(
            connection,
            signal_id=claimed.signal.signal_id,
            account=account,
            run_id=run_id,
            decided_at=now,
            outcome="SKIP" if weighed.entry is None else "ENTER",
            reason=weighed.reason,
            gates=[asdict(result) for result in weighed.gates.results],
            selection=weighed.selection,
            sizing=weighed.sizing,
            inputs=inputs,
        )


def _settle(
    desk: Desk,
    claimed: ClaimedSignal,
    run_id: str,
    status: SignalStatus,
    reason: str,
    report: DispatchReport,
    log: Log,
) -> None:
    signal = claimed.signal
    with desk.ledger.begin() as connection:
        dispatch.settle(connection, signal.signal_id, claimed.account, run_id, status, reason, desk.clock.now())
    name = f"{signal.ticker} {signal.action.value} {signal.strategy.value}"
    if status is SignalStatus.EXECUTED:
        report.entered.append(signal.signal_id)
    elif status is SignalStatus.FAILED:
        report.failed[signal.signal_id] = reason
    else:
        report.skipped[signal.signal_id] = reason
    said = f"{name} (signal {signal.signal_id}, account {claimed.account}): {status.value}: {reason}"
    if status is SignalStatus.FAILED:
        log.error(said)
    else:
        log.info(said)


def _fills(desk: Desk, account: str) -> int:
    with desk.ledger.connect() as connection:
        return executions.count(connection, account)
