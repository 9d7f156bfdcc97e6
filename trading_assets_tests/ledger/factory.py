"""Rows that ledger tests need, complete and unremarkable; a test overrides what it is about."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, Signal, Strategy
from trading_assets.ledger import accounts, dispatch
from trading_assets.ledger.tables import active_positions, order_intents

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)
MAX_AGE = timedelta(minutes=5)


def signal(ticker: str = "NVDA", **changes: Any) -> Signal:
    """An actionable bullish swing signal known at ``NOW``."""
    values: dict[str, Any] = {
        "session": date(2026, 3, 10),
        "ticker": ticker,
        "action": Action.BUY_CALL,
        "strategy": Strategy.SWING_TRADE,
        "direction": Direction.BULLISH,
        "bar_start": NOW - timedelta(minutes=1),
        "known_at": NOW,
        "confidence": 0.7,
        "watchlist_score": 0.5,
        "urgent": False,
        "rule_set": "default-1",
        "config_hash": "c" * 64,
    } | changes
    identity = signal_id(
        values["rule_set"], values["ticker"], values["bar_start"], values["action"], values["strategy"]
    )
    return Signal(signal_id=identity, **values)


def register(connection: Connection, *names: str) -> None:
    """Register practice accounts."""
    for name in names:
        accounts.upsert_account(connection, name, "PRACTICE", NOW)


def published(connection: Connection, *signals: Signal, account: str = "tiny") -> None:
    """Register ``account`` and publish ``signals`` to it."""
    register(connection, account)
    dispatch.publish(connection, signals, [account], "run-0", NOW)


def position(connection: Connection, identity: str, **changes: Any) -> None:
    """Insert a position row: 1 NVDA call of account ``tiny``, OPEN, adopted."""
    row = {
        "position_id": identity,
        "account": "tiny",
        "symbol": "NVDA260320C00180000",
        "underlying": "NVDA",
        "strategy": "swing_trade",
        "direction": "BULLISH",
        "contract_right": "call",
        "multiplier": 100,
        "origin": "adopted",
        "state": "OPEN",
        "quantity_opened": 1,
        "quantity": 1,
        "stage": 0,
        "realized_pnl": 0,
        "created_at": NOW,
    } | changes
    connection.execute(active_positions.insert().values(**row))


def intent(connection: Connection, identity: str, of: str, **changes: Any) -> None:
    """Insert an order intent: a limit exit of one contract in state INTENT."""
    row = {
        "client_order_id": identity,
        "account": "tiny",
        "purpose": "EXIT",
        "position_id": of,
        "symbol": "NVDA260320C00180000",
        "underlying": "NVDA",
        "side": "sell",
        "quantity": 1,
        "multiplier": 100,
        "order_type": "limit",
        "limit_price": "1.25",
        "attempt": 0,
        "step": 0,
        "reason": "stop",
        "state": "INTENT",
        "filled_quantity": 0,
        "run_id": "run-1",
        "created_at": NOW,
        "updated_at": NOW,
    } | changes
    connection.execute(order_intents.insert().values(**row))
