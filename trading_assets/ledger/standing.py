"""What stands open now and needs to be known: orders of unknown fate, disagreements with the broker, paused accounts.

One list for the command line, the checks of the Dagster UI and programs. What was told in a session, and is perhaps
over, is ``listings.alerts``. Reads only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, select

from trading_assets.ledger import orders, positions
from trading_assets.ledger.tables import accounts, equity_marks

Rows = list[dict[str, Any]]


class Standing(StrEnum):
    """Kinds of rows."""

    UNKNOWN_ORDER = "unknown_order"
    DISAGREEMENT = "disagreement"
    PAUSED = "paused"


def standing(connection: Connection, account: str | None = None) -> Rows:
    """What stands open, of one account or (None) of all: orders of unknown fate first, each kind oldest first.

    Every row has the same keys; one that does not apply is None. ``order_id`` is the client order id, ``since`` UTC.
    """
    return [
        *unknown_orders(connection, account),
        *disagreements(connection, account),
        *_paused(connection, account),
    ]


def unknown_orders(connection: Connection, account: str | None = None) -> Rows:
    """Orders whose fate the broker could not say. Each blocks its symbol until it is known."""
    return [
        _row(
            Standing.UNKNOWN_ORDER,
            intent.account,
            intent.updated_at,
            f"{intent.side} {intent.quantity} ({intent.purpose}): {intent.error or 'no answer yet'}",
            symbol=intent.symbol,
            signal_id=intent.signal_id,
            position_id=intent.position_id,
            order_id=intent.client_order_id,
            broker_order_id=intent.broker_order_id,
        )
        for intent in orders.unknown_intents(connection, account)
    ]


def disagreements(connection: Connection, account: str | None = None) -> Rows:
    """What the last comparison of each account with its broker left unexplained; symbols without a sentence too."""
    query = select(accounts.c.account, accounts.c.reconciled_at, accounts.c.reconciliation).order_by(
        accounts.c.reconciled_at, accounts.c.account
    )
    rows: Rows = []
    for name, at, report in connection.execute(query):
        if report is None or (account is not None and name != account):
            continue
        said = list(report.get("differences", ()))
        said += [
            f"{symbol}: blocked by the last comparison"
            for symbol in report.get("blocked", ())
            if not any(symbol in sentence for sentence in said)
        ]
        rows += [_row(Standing.DISAGREEMENT, name, at, text, **_names(connection, name, text)) for text in said]
    return rows


def _names(connection: Connection, account: str, text: str) -> dict[str, str | None]:
    """The symbol that a disagreement begins with, and what is held and ordered in it here."""
    symbol = text.partition(":")[0]
    if " " in symbol or symbol == text:
        return {}
    position = positions.live_in_symbol(connection, account, symbol)
    if position is None:
        return {"symbol": symbol}
    live = [intent for intent in orders.of_position(connection, position.position_id) if intent.is_live]
    order = live[-1] if live else None
    return {
        "symbol": symbol,
        "signal_id": position.signal_id,
        "position_id": position.position_id,
        "order_id": None if order is None else order.client_order_id,
        "broker_order_id": None if order is None else order.broker_order_id,
    }


def sentence(row: dict[str, Any]) -> str:
    """One row for a person, with everything it names."""
    names = ("account", "signal_id", "position_id", "order_id", "broker_order_id", "symbol", "since")
    known = ", ".join(f"{name.removesuffix('_id').replace('_', ' ')} {row[name]}" for name in names if row[name])
    return f"{row['kind']}: {row['text']} ({known})"


def _paused(connection: Connection, account: str | None) -> Rows:
    query = select(equity_marks.c.account, equity_marks.c.paused_at, equity_marks.c.pause_reason).where(
        equity_marks.c.paused_at.is_not(None)
    )
    if account is not None:
        query = query.where(equity_marks.c.account == account)
    return [
        _row(Standing.PAUSED, name, at, f"no new risk until 'trading-assets resume': {reason}")
        for name, at, reason in connection.execute(query.order_by(equity_marks.c.paused_at))
    ]


def _row(kind: Standing, account: str, since: datetime | None, text: str, **names: str | None) -> dict[str, Any]:
    keys = ("symbol", "signal_id", "position_id", "order_id", "broker_order_id")
    return {
        "kind": kind.value,
        "account": account,
        "since": None if since is None else since.astimezone(UTC).isoformat(),
        "text": text,
        **{key: names.get(key) for key in keys},
    }
