"""The check ``trade_stream_flows`` of ``executions``: are fills heard of as they happen, or only by polling?

It only reads the ledger. A person runs it in the UI; ``position_manager`` records it with every look at an account. A
stream that is not well for too long is a warning: fills are then learned later, and none is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    ResourceParam,
    asset_check,
)

from trading_assets.automation.names import STREAM_CHECK
from trading_assets.resources.desk import Desk

if TYPE_CHECKING:
    from trading_assets.broker.trade_stream.health import Verdict

_ASSET = "executions"
_SAID = "streams"


def verdicts(desk: Desk) -> list[Verdict]:
    """Every configured account's stream as it stands; none where no service ever ran."""
    from trading_assets.broker.trade_stream.health import judge
    from trading_assets.ledger import trade_streams

    with desk.ledger.connect() as connection:
        rows = trade_streams.read(connection)
    now = desk.wall.now()
    return [
        judge(rows[account.name], now, desk.strategy(account.name).broker.stream)
        for account in desk.accounts
        if account.name in rows
    ]


def evaluation(found: list[Verdict]) -> AssetCheckEvaluation:
    """The same as an event that an acting job records."""
    return AssetCheckEvaluation(
        asset_key=AssetKey(_ASSET),
        check_name=STREAM_CHECK,
        passed=_passed(found),
        severity=AssetCheckSeverity.WARN,
        metadata={_SAID: _said(found)},
    )


@asset_check(
    asset=_ASSET,
    name=STREAM_CHECK,
    description="The service that hears of fills as they happen is well for every account, or was stopped in order. "
    "Fills are learned by polling either way.",
)
def trade_stream_flows(desk: ResourceParam[Desk]) -> AssetCheckResult:
    """Reads the ledger, nothing else."""
    found = verdicts(desk)
    return AssetCheckResult(passed=_passed(found), severity=AssetCheckSeverity.WARN, metadata={_SAID: _said(found)})


def _passed(found: list[Verdict]) -> bool:
    return not any(verdict.alert for verdict in found)


def _said(found: list[Verdict]) -> MetadataValue[str | None]:
    lines = [verdict.sentence() for verdict in found]
    return MetadataValue.text("\n".join(lines) or "no service ran in this world: fills are learned by polling")
