"""Recovery at a start: what the last start left unfinished is ended, so that its work can be taken up again.

Only the owner of a world calls this, under the world's lock: then no run of an earlier start can still be alive.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from dagster import DagsterInstance, RunsFilter
from sqlalchemy.exc import SQLAlchemyError

from trading_assets.account_config import AccountConfig
from trading_assets.automation.schedules import UNFINISHED
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.jobs.marking import ODD
from trading_assets.ledger import accounts, dispatch, runs
from trading_assets.ledger.account_lock import account_lock
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def recover(desk: Desk, instance: DagsterInstance) -> list[str]:
    """Fail orphan runs, let go of their claims and reconcile every account; the ids of the runs that were ended.

    An account whose broker does not answer at once is left unreconciled: its gates deny until a run of its own, which
    asks more patiently, has reconciled it. The world opens for all accounts only after this.
    """
    ended = fail_orphans(desk, instance)
    reconcile_all(desk, "recovery", patient=False)
    return ended


def fail_orphans(desk: Desk, instance: DagsterInstance) -> list[str]:
    """Fail every unfinished run and let go of its claims; the ids. Only where none of them can be alive any more.

    What such a run had begun at a broker, the next acting run of its account finds out before it does anything else.
    """
    orphans = instance.get_runs(RunsFilter(statuses=UNFINISHED))
    for run in orphans:
        instance.report_run_failed(run, "its process ended without finishing the run; a later run takes up its work")
    now = desk.clock.now()
    with desk.ledger.begin() as connection:
        killed = [run.run_id for run in runs.unfinished(connection)]
        released = dispatch.release(connection, killed, now)
        for run_id in killed:
            runs.finish(connection, run_id, now, {"ended": "killed"})
    for signal_id, account in released:
        _log.warning("signal %s of account %s was claimed by a run that is gone: open again", signal_id, account)
    return [run.run_id for run in orphans]


def reconcile_all(desk: Desk, run_id: str, *, patient: bool = True) -> list[str]:
    """Reconcile every account, each by itself and all at once; what is to be said about them, in their order.

    Unless ``patient``, a broker is asked once and not again. One that cannot be compared, whatever the reason, is left
    as it is, and its gates deny until a later run has reconciled it. None waits for another, but for those of which it
    is not known yet what they are at their broker: of two with the same keys the first that is configured gets it.
    """
    with desk.ledger.connect() as connection:
        known = {row.account for row in accounts.all_accounts(connection) if row.broker_account_id is not None}
    # Opened once, before the threads.
    _ = desk.clock, desk.start_id
    said: dict[str, list[str]] = {}

    def compare(account: AccountConfig) -> None:
        said[account.name] = _reconcile_one(desk, account.name, run_id, patient=patient)

    with ThreadPoolExecutor(max(1, len(known)), thread_name_prefix="reconcile") as pool:
        list(pool.map(compare, (account for account in desk.accounts if account.name in known)))
    for account in desk.accounts:
        if account.name not in known:
            compare(account)
    return [sentence for account in desk.accounts for sentence in said[account.name]]


def _reconcile_one(desk: Desk, account: str, run_id: str, *, patient: bool) -> list[str]:
    try:
        broker = desk.broker(account) if patient else desk.broker(account).impatient()
        with account_lock(desk.runtime.ledger_url, account):
            report = reconcile(desk.ledger, broker, desk.clock, account, desk.start_id, run_id=run_id)
    except TradingAssetsError as error:
        said = f"account {account} could not be reconciled: {error}"
        _log.error("%s", said)
        return [said]
    except (SQLAlchemyError, *ODD) as error:
        # What no ledger can hold, or a mistake of this code: the other accounts must not be kept from their exits.
        _log.exception("account %s could not be reconciled", account)
        return [f"account {account} could not be reconciled: {type(error).__name__}, see the log"]
    return [f"account {account}: {alert}" for alert in report.alerts]
