"""Positions: one live one per symbol and signal, with a story that only grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.domain.values import PositionState, Right
from trading_assets.ledger import positions
from trading_assets_tests.ledger.trade_rows import ACCOUNT, SYMBOL, T0, account_and_signals, position


@pytest.fixture
def connection(ledger: Engine) -> Iterator[Connection]:
    with ledger.begin() as connection:
        account_and_signals(connection)
        yield connection


def test_a_position_comes_back_as_it_was_written(connection: Connection) -> None:
    written = position()
    positions.insert_position(connection, written)
    assert positions.get_position(connection, "p1", lock=True) == written
    assert positions.live_in_symbol(connection, ACCOUNT, SYMBOL) == written
    assert positions.live_in_symbol(connection, ACCOUNT, "AAPL") is None


@pytest.mark.parametrize(
    "second",
    [
        pytest.param(position("p2", "s2"), id="same symbol"),
        pytest.param(position("p2", "s2", "NVDA260320C00190000"), id="same underlying"),
        pytest.param(replace(position("p2"), state=PositionState.VOID), id="same signal"),
    ],
)
def test_F13_a_second_live_position_is_refused_by_the_database(
    connection: Connection, second: positions.Position
) -> None:
    positions.insert_position(connection, position())
    with pytest.raises(IntegrityError), connection.begin_nested():
        positions.insert_position(connection, second)
    assert len(positions.live_positions(connection, ACCOUNT)) == 1


def test_closed_and_void_positions_are_not_live(connection: Connection) -> None:
    positions.insert_position(connection, position())
    positions.update_position(connection, "p1", state="CLOSED", quantity=0, closed_at=T0, exit_reason="phantom")
    assert positions.open_positions(connection, ACCOUNT) == ()
    phantom = positions.last_phantom(connection, ACCOUNT, SYMBOL)
    assert phantom is not None and phantom.position_id == "p1"
    positions.insert_position(connection, position("p2", "s2"))
    assert [p.position_id for p in positions.open_positions(connection, ACCOUNT)] == ["p2"]


def test_a_closed_position_must_be_flat(connection: Connection) -> None:
    positions.insert_position(connection, position())
    with pytest.raises(IntegrityError), connection.begin_nested():
        positions.update_position(connection, "p1", state="CLOSED", closed_at=T0)


def test_the_pure_rooms_see_contract_and_money(connection: Connection) -> None:
    positions.insert_position(connection, position())
    (seen,) = positions.open_positions(connection, ACCOUNT)
    assert (seen.right, seen.strike, seen.entry_price, seen.quantity, seen.stage) == (
        Right.CALL,
        Decimal(180),
        Decimal("2.5"),
        2,
        0,
    )


def test_high_water_and_stage_only_rise(connection: Connection) -> None:
    positions.insert_position(connection, position())
    for price in ("2.6", "3.1", "2.9"):
        positions.raise_high_water(connection, "p1", Decimal(price))
    positions.set_stage(connection, "p1", 1)
    positions.set_stage(connection, "p1", 0)
    stored = positions.get_position(connection, "p1")
    assert stored is not None and (stored.high_water, stored.stage) == (Decimal("3.1"), 1)


def test_events_are_told_in_the_order_they_were_written(connection: Connection) -> None:
    positions.insert_position(connection, position())
    positions.add_event(connection, "p1", T0, "opened", "run", {"quantity": 2})
    positions.add_event(connection, "p1", T0, "fill", "run", {"price": "2.5"})
    assert positions.events_of(connection, "p1") == (
        (T0, "opened", {"quantity": 2}),
        (T0, "fill", {"price": "2.5"}),
    )
