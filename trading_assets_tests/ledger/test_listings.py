"""What people and programs read from the ledger: figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Engine

from trading_assets.domain.values import OrderState
from trading_assets.ledger import listings, orders, positions
from trading_assets_tests.ledger import trade_rows
from trading_assets_tests.ledger.trade_rows import T0


def test_latency_counts_from_decision_and_publication_to_the_first_acknowledged_order(ledger: Engine) -> None:
    with ledger.begin() as connection:
        trade_rows.account_and_signals(connection)
        for signal, seconds in (("s1", 4), ("s2", 8)):
            identity = f"p-{signal}"
            symbol = trade_rows.SYMBOL.replace("180000", "190000") if signal == "s2" else trade_rows.SYMBOL
            underlying = "NVDA" if signal == "s1" else "AMD"
            held = replace(trade_rows.position(identity, signal, symbol), underlying=underlying)
            positions.insert_position(connection, held)
            for step in (0, 1):
                entry = trade_rows.intent(f"{identity}-{step}", step=step, position_id=identity, signal_id=signal)
                at = T0 + timedelta(seconds=seconds + 100 * step)
                state = OrderState.CANCELED if step == 0 else OrderState.ACCEPTED
                orders.insert_intent(connection, replace(entry, symbol=symbol, state=state, submitted_at=at))
        found = listings.latency(connection, T0.date())
    assert found == [
        {
            "account": trade_rows.ACCOUNT,
            "entries": 2,
            "decided_median_s": 6.0,
            "decided_p95_s": 7.8,
            "published_median_s": 6.0,
            "published_p95_s": 7.8,
        }
    ]


def test_without_an_acknowledged_entry_there_is_no_latency(ledger: Engine) -> None:
    with ledger.begin() as connection:
        trade_rows.account_and_signals(connection)
        positions.insert_position(connection, trade_rows.position())
        orders.insert_intent(connection, trade_rows.intent("c1"))
        assert listings.latency(connection, T0.date()) == []
