"""One run over a range of partitions: what a backfill in the Dagster UI does, without its daemon.

Here also: the sessions that features look back on, loaded where they are missing. Nothing here can trade.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dagster import AssetKey, DagsterInstance, Definitions

from trading_assets.automation.names import MINUTE_JOB, NEWS_JOB
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.market.sessions import Session, shift
from trading_assets.resources.desk import Desk

#: Sessions of minute bars that the features of a day look back on.
HISTORY_SESSIONS = 10
#: Events go to the instance, where the Dagster UI shows them; the terminal belongs to the progress bar.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
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


def load_history(
    desk: Desk,
    definitions: Definitions,
    instance: DagsterInstance,
    session: Session,
    say: Callable[[str], None] = lambda _: None,
) -> int:
    """Minute bars of the sessions before ``session`` that have none stored yet, as a person would backfill them.

    One run from the first missing to the last; the number of sessions that were missing. Raises as ``run_range``.
    """
    from trading_assets.assets.bars import bars

    keys = [shift(session.day, -count).key for count in range(HISTORY_SESSIONS, 0, -1)]
    missing = [key for key in keys if not desk.frames.exists("bars", key)]
    if missing:
        say(f"loading minute bars of {len(missing)} sessions before {session.key}")
        run_range(definitions, instance, [bars.key], missing[0], missing[-1])
    return len(missing)


def incomplete_history(desk: Desk, session: Session) -> list[str]:
    """Sessions before ``session`` whose bars were observed live and not to the close: the world was closed meanwhile.

    What was observed is kept as it was; windows that reach into the gap stay unknown.
    """
    before = [shift(session.day, -count) for count in range(HISTORY_SESSIONS, 0, -1)]
    newest = {day.key: desk.frames.last_as_of("bars", day.key) for day in before}
    return [day.key for day in before if (seen := newest[day.key]) is not None and seen < day.close]


def failures(events: Sequence[object]) -> str:
    """The failing steps of a run and the first line of each error, for a log line."""
    lines = []
    for event in events:
        if getattr(event, "is_step_failure", False):
            error = event.step_failure_data.error  # type: ignore[attr-defined]
            cause = error
            while cause is not None and cause.cause is not None:
                cause = cause.cause
            text = cause.message.strip().splitlines()[0] if cause is not None else "no error recorded"
            lines.append(f"{event.step_key}: {text}")  # type: ignore[attr-defined]
    return "; ".join(lines) or "no step failed"
