"""Asset checks (a Dagster concept) on what the acting jobs do: is every order's fate known, and does the ledger agree?

They read the ledger of all accounts. The acting jobs evaluate them after each of their runs, and a person may run them
in the UI at any time: they ask no broker and change nothing. A failed check stays failed until a later run finds it
mended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckEvaluation,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    MetadataValue,
    ResourceParam,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
    asset_check,
)

from trading_assets.assets.preview import as_text
from trading_assets.ledger.standing import disagreements, kept_waiting, sentence, unknown_orders
from trading_assets.resources.desk import Desk

UNKNOWN_CHECK, AGREEMENT_CHECK = "every_fate_is_known", "ledger_and_broker_agree"
WAITING_CHECK = "no_account_is_kept_waiting"
_COLUMNS = ("account", "signal_id", "order_id", "broker_order_id", "position_id", "symbol", "since", "text")


def evaluations(desk: Desk) -> Iterator[AssetCheckEvaluation]:
    """The checks of orders and agreement as of now, for the log of a run."""
    with desk.ledger.connect() as connection:
        unknown, differing = unknown_orders(connection), disagreements(connection)
    yield _evaluation("orders", UNKNOWN_CHECK, unknown, "orders whose fate the broker could not say")
    yield _evaluation("reconciliation", AGREEMENT_CHECK, differing, "things about which ledger and broker disagree")


def waiting(desk: Desk) -> AssetCheckEvaluation:
    """The check of accounts that are kept waiting. It reads the runs of an hour: not for every run."""
    with desk.ledger.connect() as connection:
        rows = kept_waiting(connection)
    return _evaluation("positions", WAITING_CHECK, rows, "account that runs found busy more than once in a row")


def _evaluation(asset: str, name: str, rows: list[dict[str, Any]], what: str) -> AssetCheckEvaluation:
    return AssetCheckEvaluation(
        asset_key=AssetKey(asset),
        check_name=name,
        passed=not rows,
        severity=AssetCheckSeverity.ERROR,
        description=as_text(_description(rows, what)),
        metadata=_metadata(rows),
    )


def _result(desk: Desk, name: str) -> AssetCheckResult:
    found = waiting(desk) if name == WAITING_CHECK else next(e for e in evaluations(desk) if e.check_name == name)
    return AssetCheckResult(
        passed=found.passed, severity=found.severity, description=found.description, metadata=dict(found.metadata)
    )


@asset_check(
    name=UNKNOWN_CHECK,
    asset="orders",
    description="Fails while the fate of any order is UNKNOWN, and lists each with account, signal and order id. Its "
    "symbol is blocked until the broker has said what became of it.",
)
def _every_fate_is_known(desk: ResourceParam[Desk]) -> AssetCheckResult:
    return _result(desk, UNKNOWN_CHECK)


@asset_check(
    name=AGREEMENT_CHECK,
    asset="reconciliation",
    description="Fails while the last comparison of any account with its broker left something unexplained, and says "
    "what.",
)
def _ledger_and_broker_agree(desk: ResourceParam[Desk]) -> AssetCheckResult:
    return _result(desk, AGREEMENT_CHECK)


@asset_check(
    name=WAITING_CHECK,
    asset="positions",
    description="Fails while runs of the position manager find an account busy more than once in a row: exits wait.",
)
def _no_account_is_kept_waiting(desk: ResourceParam[Desk]) -> AssetCheckResult:
    return _result(desk, WAITING_CHECK)


standing_checks: tuple[AssetChecksDefinition, ...] = (
    _every_fate_is_known,
    _ledger_and_broker_agree,
    _no_account_is_kept_waiting,
)


def _description(rows: list[dict[str, Any]], what: str) -> str:
    return "\n".join(sentence(row) for row in rows) if rows else f"no {what}"


def _metadata(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The count, so that it is plotted, and the rows as a table."""
    if not rows:
        return {"found": 0}
    table = TableMetadataValue(
        records=[TableRecord({name: row[name] or "" for name in _COLUMNS}) for row in rows],
        schema=TableSchema(columns=[TableColumn(name=name, type="string") for name in _COLUMNS]),
    )
    return {"found": MetadataValue.int(len(rows)), "standing": table}
