"""The record of a strategy: what its closed trades brought, and nothing that it did not do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Connection, Engine

from trading_assets.domain.values import PositionState, Side, Strategy
from trading_assets.ledger import executions, positions
from trading_assets.ledger.outcomes import closed_returns
from trading_assets_tests.ledger.trade_rows import ACCOUNT, T0, account_and_signals, execution, position


@pytest.fixture
def connection(ledger: Engine) -> Iterator[Connection]:
    with ledger.begin() as connection:
        account_and_signals(connection)
        yield connection


def trade(
    connection: Connection, *fills: tuple[Side, int, str, str], state: PositionState = PositionState.CLOSED
) -> None:
    """The position p1 with these fills: side, contracts, price per share and reason."""
    held = replace(position(), state=state, quantity=0, closed_at=T0)
    positions.insert_position(connection, held)
    for number, (side, quantity, price, reason) in enumerate(fills):
        order, cumulative = f"b{number}", quantity
        booked = execution(
            f"e{number}", order=order, cumulative=cumulative, quantity=quantity, price=price, side=side, reason=reason
        )
        assert executions.insert_execution(connection, booked)


def day_returns(connection: Connection) -> tuple[float, ...]:
    return closed_returns(connection, ACCOUNT, Strategy.DAY_TRADE)


def test_a_trade_sold_in_parts_counts_once_by_all_that_was_paid_and_received(connection: Connection) -> None:
    trade(
        connection,
        (Side.BUY, 2, "2.00", "entry"),
        (Side.SELL, 1, "3.00", "target"),
        (Side.SELL, 1, "2.60", "trailing"),
    )
    assert day_returns(connection) == pytest.approx((0.4,))
    assert closed_returns(connection, ACCOUNT, Strategy.SWING_TRADE) == ()
    assert closed_returns(connection, "large", Strategy.DAY_TRADE) == ()


def test_a_contract_that_expired_lost_all(connection: Connection) -> None:
    trade(connection, (Side.BUY, 1, "2.00", "entry"), (Side.SELL, 1, "0", "expired"))
    assert day_returns(connection) == (-1.0,)


@pytest.mark.parametrize(
    "fills",
    [
        pytest.param([(Side.BUY, 2, "2.00", "entry"), (Side.SELL, 1, "3.00", "target")], id="a sale is not booked"),
        pytest.param([(Side.BUY, 1, "2.00", "adopted"), (Side.SELL, 1, "3.00", "target")], id="taken over"),
        pytest.param([(Side.BUY, 1, "2.00", "entry"), (Side.SELL, 1, "3.00", "adopted")], id="sold by somebody"),
        pytest.param([(Side.BUY, 1, "2.00", "entry")], id="never sold"),
        pytest.param([], id="no fill"),
    ],
)
def test_what_is_not_known_to_the_last_contract_is_no_outcome(
    connection: Connection, fills: list[tuple[Side, int, str, str]]
) -> None:
    trade(connection, *fills)
    assert day_returns(connection) == ()


def test_an_open_position_is_no_outcome_yet(connection: Connection) -> None:
    bought, sold = (Side.BUY, 1, "2.00", "entry"), (Side.SELL, 1, "3.00", "target")
    trade(connection, bought, sold, state=PositionState.CLOSING)
    assert day_returns(connection) == ()
