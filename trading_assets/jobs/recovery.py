"""Recovery at a start: what the last start left unfinished is ended, so that its work can be taken up again.

Only the owner of a world calls this, under the world's lock: then no run of an earlier start can still be alive.
"""

from __future__ import annotations

import logging

from dagster import DagsterInstance, RunsFilter

from trading_assets.automation.schedules import UNFINISHED
from trading_assets.ledger import dispatch, runs
from trading_assets.resources.desk import Desk

_log = logging.getLogger(__name__)


def recover(desk: Desk, instance: DagsterInstance) -> list[str]:
    """Fail orphan runs and let go of their claims; the ids of the runs that were ended.

    Their orders are not touched here: every acting run reconciles before anything else.
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
