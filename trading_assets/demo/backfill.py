"""One run over a range of partitions: what a backfill in the Dagster UI does, without its daemon."""

from __future__ import annotations

from collections.abc import Sequence

from dagster import AssetKey, DagsterInstance, Definitions

from trading_assets.automation.names import MINUTE_JOB, NEWS_JOB
from trading_assets.demo.ticks import QUIET, failures
from trading_assets.domain.errors import TradingAssetsError

_JOBS = (MINUTE_JOB, NEWS_JOB)


def run_range(
    definitions: Definitions, instance: DagsterInstance, assets: Sequence[AssetKey], first: str, last: str
) -> str:
    """Materialize ``assets`` for all partitions from ``first`` to ``last`` in one run; its run id.

    Raises ``TradingAssetsError`` naming the failed steps.
    """
    for name in _JOBS:
        job = definitions.resolve_job_def(name)
        if all(key in job.asset_layer.executable_asset_keys for key in assets):
            break
    else:
        raise ValueError(f"no job materializes {[key.to_user_string() for key in assets]}")
    result = job.execute_in_process(
        instance=instance,
        asset_selection=list(assets),
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
        run_config=QUIET,
        raise_on_error=False,
    )
    if not result.success:
        raise TradingAssetsError(
            f"the run over {first}..{last} failed: {failures(result.all_events)}", where=f"run {result.run_id}"
        )
    return result.run_id
