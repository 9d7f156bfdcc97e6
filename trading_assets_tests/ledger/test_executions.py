"""Fills: each at most once, and what the day's money and counts are made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine, update
from sqlalchemy.exc import DBAPIError

from trading_assets.domain.values import OrderState, Purpose, Side
from trading_assets.ledger import executions, orders, positions
from trading_assets.ledger.tables import dispatch_executions
from trading_assets_tests.ledger.trade_rows import ACCOUNT, T0, account_and_signals, execution, intent, position

HOUR = timedelta(hours=1)


@pytest.fixture
def connection(ledger: Engine) -> Iterator[Connection]:
    with ledger.begin() as connection:
        account_and_signals(connection)
        positions.insert_position(connection, position())
        yield connection


def test_F18_the_same_fill_is_booked_once_under_either_identity(connection: Connection) -> None:
    assert executions.insert_execution(connection, execution("e1"))
    assert not executions.insert_execution(connection, execution("e1", order="b2", cumulative=2))
    assert not executions.insert_execution(connection, execution("e2"))
    assert [row.execution_id for row in executions.of_position(connection, "p1")] == ["e1"]
    assert executions.booked_ids(connection, ACCOUNT, ["e1", "e2"]) == {"e1"}
    assert executions.booked_ids(connection, ACCOUNT, []) == frozenset()


def test_a_booked_fill_cannot_be_changed(connection: Connection) -> None:
    executions.insert_execution(connection, execution("e1"))
    with pytest.raises(DBAPIError), connection.begin_nested():
        connection.execute(update(dispatch_executions).values(price=Decimal("9")))
    assert executions.of_account(connection, ACCOUNT)[0].price == Decimal("2.5")


def test_an_average_price_is_weighted_by_quantity_and_unknown_without_a_fill() -> None:
    rows = [execution("e1", quantity=1, price="2.40"), execution("e2", quantity=2, price="2.55")]
    assert executions.average_price(rows) == Decimal("2.500000")
    assert executions.average_price([]) is None


def test_fills_of_one_ladder_count_as_one_entry(connection: Connection) -> None:
    for step in (0, 1):
        orders.insert_intent(
            connection, intent(f"c{step}", step=step, state=OrderState.CANCELED, broker_order_id=f"b{step}")
        )
    executions.insert_execution(connection, execution("e1", order="b0", client_order_id="c0"))
    executions.insert_execution(connection, execution("e2", order="b1", client_order_id="c1", at=T0 + HOUR))
    sold = execution("e3", order="hand", side=Side.SELL, at=T0 + 2 * HOUR, reason="foreign")
    executions.insert_execution(connection, sold)
    recent = executions.recent_fills(connection, ACCOUNT, T0)
    assert [(fill.purpose, fill.at, fill.signal_id, fill.underlying) for fill in recent] == [
        (Purpose.ENTRY, T0 + HOUR, "s1", "NVDA"),
        (Purpose.EXIT, T0 + 2 * HOUR, "s1", "NVDA"),
    ]
    assert executions.recent_fills(connection, ACCOUNT, T0 + 3 * HOUR) == ()


def test_adopted_quantity_is_no_entry(connection: Connection) -> None:
    executions.insert_execution(connection, execution("e1", reason="adopted"))
    assert executions.recent_fills(connection, ACCOUNT, T0) == ()


def test_realised_money_counts_sales_since_the_instant_and_is_unknown_without_an_entry_price(
    connection: Connection,
) -> None:
    assert executions.realized_since(connection, ACCOUNT, T0) == 0
    executions.insert_execution(connection, execution("e1", order="x", side=Side.SELL, price="3.00", at=T0 - HOUR))
    executions.insert_execution(connection, execution("e2", order="y", side=Side.SELL, price="2.00", at=T0))
    assert executions.realized_since(connection, ACCOUNT, T0) == Decimal(-50)
    assert executions.realized_since(connection, ACCOUNT, T0 - HOUR) == 0
    positions.update_position(connection, "p1", entry_price=None)
    assert executions.realized_since(connection, ACCOUNT, T0) is None


def test_an_add_is_an_entry_of_its_own_signal(connection: Connection) -> None:
    orders.insert_intent(connection, intent("c0", state=OrderState.FILLED, broker_order_id="b0"))
    more = intent("c1", attempt=1, state=OrderState.FILLED, broker_order_id="b1")
    orders.insert_intent(connection, replace(more, signal_id="s2"))
    executions.insert_execution(connection, execution("e1", order="b0", client_order_id="c0"))
    executions.insert_execution(connection, execution("e2", order="b1", client_order_id="c1", at=T0 + HOUR))
    recent = executions.recent_fills(connection, ACCOUNT, T0)
    assert [(fill.at, fill.signal_id) for fill in recent] == [(T0, "s1"), (T0 + HOUR, "s2")]
