"""``executions`` and ``positions``: what the acting jobs did, as external assets of the lineage.

They have no code to run: the dispatcher and position manager record a materialization when they booked something, so
a person clicks from a fill back to the signal, the headline and the bar, and no backfill can produce one.
"""

from __future__ import annotations

from dagster import AssetSpec

from trading_assets.assets.frame_asset import OWNER
from trading_assets.automation.partitions import SESSIONS

executions = AssetSpec(
    "executions",
    deps=["signals"],
    group_name="trading",
    description=(
        "Fills booked in the ledger (table `dispatch_executions`), recorded by dispatcher and position manager. "
        "List them with `trading-assets data executions --session DATE`."
    ),
    kinds={"alpaca", "postgres"},
    owners=[OWNER],
    partitions_def=SESSIONS,
)

positions = AssetSpec(
    "positions",
    deps=["executions"],
    group_name="trading",
    description=(
        "Positions and their exits (tables `active_positions`, `position_events`), recorded by the position manager."
    ),
    kinds={"alpaca", "postgres"},
    owners=[OWNER],
    partitions_def=SESSIONS,
)
