"""Alerts about positions: told once per condition and quiet time, listed by session."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Connection, Engine

from trading_assets.ledger import listings, positions
from trading_assets.ledger.alerts import raise_alert
from trading_assets_tests.ledger import trade_rows
from trading_assets_tests.ledger.trade_rows import T0

QUIET = timedelta(minutes=15)


def alert(connection: Connection, minutes: float, *, rule: str = "stop", position_id: str = "p1") -> bool:
    details = {
        "rule": rule,
        "priority": "CRITICAL",
        "kind": "ordered",
        "reason": "The price fell.",
        "numbers": {"price": "1.00", "entry": "2.00"},
        "recommended_action": "None: 2 of 2 are being sold.",
    }
    at = T0 + timedelta(minutes=minutes)
    return raise_alert(connection, position_id, at, "run", f"{rule}:ordered", details, quiet=QUIET)


@pytest.fixture
def held(ledger: Engine) -> Engine:
    with ledger.begin() as connection:
        trade_rows.account_and_signals(connection)
        positions.insert_position(connection, trade_rows.position())
    return ledger


def test_the_same_condition_is_told_again_when_fifteen_minutes_are_over(held: Engine) -> None:
    with held.begin() as connection:
        told = [alert(connection, minute) for minute in (0, 1, 14.99, 15, 16, 30)]
    assert told == [True, False, False, True, False, True]


def test_another_condition_is_told_at_once(held: Engine) -> None:
    with held.begin() as connection:
        assert alert(connection, 0)
        assert alert(connection, 1, rule="trailing")
        assert not alert(connection, 2, rule="trailing")


def test_a_session_lists_its_own_alerts_with_account_and_numbers(held: Engine) -> None:
    with held.begin() as connection:
        assert alert(connection, 0)
        positions.add_event(connection, "p1", T0, "fill", "run", {"price": "1.00"})
        assert alert(connection, 24 * 60)
        (row,) = listings.alerts(connection, T0.date())
        assert listings.alerts(connection, T0.date() - timedelta(days=1)) == []
    assert row == {
        "at": T0.isoformat(),
        "account": trade_rows.ACCOUNT,
        "symbol": trade_rows.SYMBOL,
        "priority": "CRITICAL",
        "rule": "stop",
        "kind": "ordered",
        "reason": "The price fell.",
        "recommended_action": "None: 2 of 2 are being sold.",
        "numbers": {"price": "1.00", "entry": "2.00"},
        "signal_id": "s1",
        "client_order_id": None,
        "position_id": "p1",
    }
