"""Decisions and what they looked at: written once, by content hash where it is bulky, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func
from sqlalchemy.dialects.postgresql import insert

from trading_assets.ledger.canonical import content_hash, plain
from trading_assets.ledger.tables import decision_inputs, decisions


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
    statement = (
        insert(decisions)
        .values(
            signal_id=signal_id,
            account=account,
            run_id=run_id,
            decided_at=decided_at,
            outcome=outcome,
            reason=reason,
            gates=plain(gates),
            selection=plain(selection),
            sizing=plain(sizing),
            inputs=dict(inputs or {}),
        )
        .returning(decisions.c.decision_id)
    )
    return int(connection.execute(statement).scalar_one())


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
