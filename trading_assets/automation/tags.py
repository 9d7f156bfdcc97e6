"""Tags (a Dagster concept) by which people find runs and assets: which account, which session, why it failed.

Scheduled and sensed runs carry account and session from their request. A run that somebody started by hand is tagged
by its first step: afterwards every run is found by the session it is about. No tag here permits anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from dagster import DagsterInstance, DagsterRun

from trading_assets.automation.tickets import SESSION_TAG

#: On a failed run: the first line of its error.
FAILURE_TAG = "trading-assets/failure"
#: On an asset: whether a backfill can make its past partitions again.
RECOMPUTABLE_TAG = "trading-assets/recomputable"
#: On a run that a tick requested: it is ended after so many seconds, long before a run that a person started. One that
#: hangs holds its account: nobody looks after its positions meanwhile.
LONGEST_RUN = {"dagster/max_runtime": "300"}


def tag_session(instance: DagsterInstance, run: DagsterRun, keys: Sequence[str]) -> None:
    """Give ``run`` the session it is about, unless its request named one. Several sessions read ``first...last``."""
    if SESSION_TAG in run.tags or not keys:
        return
    first, last = min(keys), max(keys)
    instance.add_run_tags(run.run_id, {SESSION_TAG: first if first == last else f"{first}...{last}"})
