"""Decisions and what they looked at: written once, by content hash where it is bulky, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.canonical import content_hash, plain
from trading_assets.ledger.tables import decision_inputs, decisions


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a signal is not traded, of which no contract was chosen and no size computed: see :func:`record_decision`."""

    reason: str
    gates: Any
    inputs: Mapping[str, str]


def record_decision(
    connection: Connection,
    *,
    signal_id: str,
    account: str,
    run_id: str,
    decided_at: datetime,
    outcome: str,
    reason: str,
    gates: Any,
    selection: Any = None,
    sizing: Any = None,
    inputs: Mapping[str, str] | None = None,
) -> int:
    """Write one immutable decision and return its id.

    ``outcome`` is ENTER, SKIP or EXPIRE; ``gates``, ``selection`` and ``sizing`` are JSON-ready or dataclasses;
    ``inputs`` maps a kind to the hash that :func:`store_input` gave.
    """
    row = _row(signal_id, account, run_id, decided_at, outcome, reason, gates, selection, sizing, inputs)
    return int(connection.execute(insert(decisions).values(**row).returning(decisions.c.decision_id)).scalar_one())


def record_denials(
    connection: Connection,
    *,
    account: str,
    run_id: str,
    decided_at: datetime,
    denied: Mapping[str, Denial],
) -> None:
    """Write one immutable decision to skip per signal of ``denied``, all of the same instant, in their order."""
    rows = [
        _row(signal_id, account, run_id, decided_at, "SKIP", one.reason, one.gates, None, None, one.inputs)
        for signal_id, one in denied.items()
    ]
    if rows:
        connection.execute(insert(decisions), rows)


def _row(
    signal_id: str,
    account: str,
    run_id: str,
    decided_at: datetime,
    outcome: str,
    reason: str,
    gates: Any,
    selection: Any,
    sizing: Any,
    inputs: Mapping[str, str] | None,
) -> dict[str, Any]:
    return {
        "signal_id": signal_id,
        "account": account,
        "run_id": run_id,
        "decided_at": decided_at,
        "outcome": outcome,
        "reason": reason,
        "gates": plain(gates),
        "selection": plain(selection),
        "sizing": plain(sizing),
        "inputs": dict(inputs or {}),
    }


def store_input(connection: Connection, kind: str, payload: Any, at: datetime | None = None) -> str:
    """Store what a decision looked at (chain, quote, account, config) under its content hash and return the hash.

    The same content is stored once. ``at`` is the Clock's instant; without it the database's own time is noted.
    """
    identity = content_hash(payload)
    connection.execute(
        insert(decision_inputs)
        .values(input_hash=identity, kind=kind, payload=plain(payload), stored_at=at if at is not None else func.now())
        .on_conflict_do_nothing()
    )
    return identity
