"""Recording what acting jobs did as materializations of the external assets, so that lineage reaches the fill."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetMaterialization, OpExecutionContext


def record(context: OpExecutionContext, asset: str, session: str, metadata: Mapping[str, Any]) -> None:
    """Log a materialization of ``executions`` or ``positions`` for the session."""
    context.log_event(AssetMaterialization(asset_key=asset, partition=session, metadata=dict(metadata)))
