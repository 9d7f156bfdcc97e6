"""Recovery at a start: what the last start left unfinished is ended, so that its work can be taken up again.

Only the owner of a world calls this, under the world's lock: then no run of an earlier start can still be alive.
"""

from __future__ import annotations

import logging

from dagster import DagsterInstance, RunsFilter

from trading_assets.automation.schedules import UNFINISHED
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import dispatch, runs
from trading_assets.ledger.account_lock import account_lock
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def recover(desk: Desk, instance: DagsterInstance) -> list[str]:
    """Fail orphan runs, let go of their claims and reconcile every account; the ids of the runs that were ended.

    An account whose broker does not answer is left unreconciled: its gates deny until a later run has reconciled it.
    """
    ended = fail_orphans(desk, instance)
    reconcile_all(desk, "recovery")
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


def reconcile_all(desk: Desk, run_id: str) -> list[str]:
    """Reconcile every account, each by itself; what is to be said about them.

    One that cannot be compared is left as it is, and its gates deny until a later run has reconciled it.
    """
    said = []
    for configured in desk.accounts:
        try:
            with account_lock(desk.runtime.ledger_url, configured.name):
                report = reconcile(
                    desk.ledger, desk.broker(configured.name), desk.clock, configured.name, desk.start_id, run_id=run_id
                )
            said += [f"account {configured.name}: {alert}" for alert in report.alerts]
        except TradingAssetsError as error:
            said.append(f"account {configured.name} could not be reconciled: {error}")
            _log.error("%s", said[-1])
    return said
