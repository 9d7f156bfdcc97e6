"""What stands open now and needs to be known: orders of unknown fate, disagreements with the broker, paused accounts,
accounts that runs find busy again and again, and what the newest run of each account told.

One list for the command line, the checks of the Dagster UI and programs. What was told in a session, and is perhaps
over, is ``listings.alerts``. Reads only.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from enum import StrEnum
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection, select

from trading_assets.ledger import orders, positions, runs
from trading_assets.ledger.runs import ActingRun
from trading_assets.ledger.tables import accounts, equity_marks

Rows = list[dict[str, Any]]
_MANAGER = "position_manager"


class Standing(StrEnum):
    """Kinds of rows."""

    UNKNOWN_ORDER = "unknown_order"
    DISAGREEMENT = "disagreement"
    PAUSED = "paused"
    WAITING = "waiting"
    TOLD = "told"


def standing(connection: Connection, account: str | None = None) -> Rows:
    """What stands open, of one account or (None) of all: orders of unknown fate first, each kind oldest first.

    Every row has the same keys; one that does not apply is None. ``order_id`` is the client order id, ``since`` UTC.
    """
    rows = [
        *unknown_orders(connection, account),
        *disagreements(connection, account),
        *_paused(connection, account),
        *kept_waiting(connection, account),
    ]
    return [*rows, *_told(connection, account, {row["text"] for row in rows})]


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


def kept_waiting(connection: Connection, account: str | None = None) -> Rows:
    """Accounts that their position manager's newest runs, more than one in a row, found busy: exits wait meanwhile.

    That a dispatcher waits while exits are worked is as it should be.
    """
    by_account: dict[str, list[ActingRun]] = defaultdict(list)
    for run in runs.recent(connection, account):
        if run.job == _MANAGER:
            by_account[str(run.account)].append(run)
    rows: Rows = []
    for name, found in sorted(by_account.items()):
        busy = list(takewhile(lambda run: bool((run.outcome or {}).get("busy")), found))
        if len(busy) > 1:
            said = f"{len(busy)} runs of {_MANAGER} in a row found the account busy and did nothing"
            rows.append(_row(Standing.WAITING, name, busy[-1].finished_at, said))
    return rows


def _told(connection: Connection, account: str | None, known: set[str]) -> Rows:
    """What the newest run of each account told, without what is ``known`` otherwise."""
    newest: dict[str, ActingRun] = {}
    for run in runs.recent(connection, account):
        newest.setdefault(str(run.account), run)
    return [
        _row(Standing.TOLD, name, run.finished_at, text)
        for name, run in sorted(newest.items())
        for text in (run.outcome or {}).get("alerts", ())
        if text not in known
    ]


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
