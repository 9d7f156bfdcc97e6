"""Order intents: written once, live at most once per signal and position, never going back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.domain.values import OrderState, Purpose
from trading_assets.ledger import orders, positions
from trading_assets_tests.ledger.trade_rows import ACCOUNT, SYMBOL, T0, account_and_signals, intent, position


@pytest.fixture
def connection(ledger: Engine) -> Iterator[Connection]:
    with ledger.begin() as connection:
        account_and_signals(connection)
        positions.insert_position(connection, position())
        yield connection


def test_an_intent_comes_back_as_it_was_written(connection: Connection) -> None:
    written = intent("c1")
    orders.insert_intent(connection, written)
    assert orders.get_intent(connection, "c1") == written
    assert orders.get_intent(connection, "c2") is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(intent("c1"), intent("c1", step=1, state=OrderState.CANCELED), id="same client order id"),
        pytest.param(intent("c1"), intent("c2", step=1), id="two live entries of one signal"),
        pytest.param(
            intent("c1", state=OrderState.UNKNOWN), intent("c2", step=1), id="an entry beside one of unknown fate"
        ),
        pytest.param(
            intent("c1", purpose=Purpose.EXIT),
            intent("c2", purpose=Purpose.EXIT, attempt=1),
            id="two live exits of one position",
        ),
        pytest.param(intent("c1", state=OrderState.CANCELED), intent("c2"), id="the same step of the same attempt"),
    ],
)
def test_F13_the_database_itself_refuses_to_double_an_order(
    connection: Connection, first: orders.OrderIntent, second: orders.OrderIntent
) -> None:
    orders.insert_intent(connection, first)
    with pytest.raises(IntegrityError), connection.begin_nested():
        orders.insert_intent(connection, second)
    assert [row.client_order_id for row in orders.of_account(connection, ACCOUNT)] == ["c1"]


def test_an_ended_entry_makes_room_for_the_next_rung(connection: Connection) -> None:
    orders.insert_intent(connection, intent("c1"))
    orders.mark(connection, "c1", OrderState.CANCELED, T0)
    orders.insert_intent(connection, intent("c2", step=1))
    assert [row.client_order_id for row in orders.live_intents(connection, ACCOUNT)] == ["c2"]


def test_marking_keeps_what_is_not_given(connection: Connection) -> None:
    orders.insert_intent(connection, intent("c1"))
    orders.mark(connection, "c1", OrderState.ACCEPTED, T0, broker_order_id="b1", submitted_at=T0, error="slow")
    orders.mark(connection, "c1", OrderState.PARTIALLY_FILLED, T0 + timedelta(seconds=1))
    stored = orders.by_broker_order_id(connection, "b1")
    assert stored is not None
    assert (stored.state, stored.error, stored.submitted_at) == (OrderState.PARTIALLY_FILLED, "slow", T0)
    assert stored.updated_at == T0 + timedelta(seconds=1)


def test_a_filled_quantity_never_goes_back(connection: Connection) -> None:
    orders.insert_intent(connection, intent("c1"))
    orders.set_filled(connection, "c1", 2, Decimal("2.4"), T0)
    orders.set_filled(connection, "c1", 1, Decimal("2.6"), T0)
    stored = orders.get_intent(connection, "c1")
    assert stored is not None and (stored.filled_quantity, stored.filled_avg_price) == (2, Decimal("2.4"))


def test_an_unknown_order_blocks_symbol_and_underlying_and_counts_as_unresolved(connection: Connection) -> None:
    orders.insert_intent(connection, intent("c1"))
    assert orders.unknown_symbols(connection, ACCOUNT) == frozenset()
    orders.mark(connection, "c1", OrderState.UNKNOWN, T0)
    assert orders.unknown_symbols(connection, ACCOUNT) == {SYMBOL, "NVDA"}
    assert [row.client_order_id for row in orders.unresolved_intents(connection, ACCOUNT)] == ["c1"]
    assert orders.unknown_symbols(connection, "another") == frozenset()
    (live,) = orders.live_orders(connection, ACCOUNT)
    assert (live.client_order_id, live.quantity, live.state) == ("c1", 2, OrderState.UNKNOWN)


def test_attempts_count_per_position_and_purpose(connection: Connection) -> None:
    assert orders.next_attempt(connection, "p1", Purpose.EXIT) == 0
    orders.insert_intent(connection, intent("c1"))
    orders.insert_intent(connection, intent("c2", purpose=Purpose.EXIT, attempt=4, state=OrderState.CANCELED))
    assert orders.next_attempt(connection, "p1", Purpose.EXIT) == 5
    assert orders.next_attempt(connection, "p1", Purpose.ENTRY) == 1


def test_adds_are_the_filled_signals_after_the_first_however_many_orders_each_took(connection: Connection) -> None:
    assert orders.adds_done(connection, "p1") is None, "nothing of ours was filled: how it was built up is not known"
    filled = [
        intent("c1", state=OrderState.CANCELED),
        intent("c2", step=1, state=OrderState.FILLED),
        intent("c3", attempt=1, signal_id="s2", state=OrderState.CANCELED),
    ]
    for one in (replace(filled[0], filled_quantity=1), replace(filled[1], filled_quantity=2), filled[2]):
        orders.insert_intent(connection, one)
    assert orders.adds_done(connection, "p1") == 0, "two rungs of one signal are one purchase"
    added = intent("c4", attempt=1, signal_id="s2", step=1, state=OrderState.FILLED)
    orders.insert_intent(connection, replace(added, filled_quantity=2))
    sale = intent("c5", purpose=Purpose.EXIT, state=OrderState.FILLED)
    orders.insert_intent(connection, replace(sale, filled_quantity=2))
    assert orders.adds_done(connection, "p1") == 1
