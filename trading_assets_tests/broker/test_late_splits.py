"""A split that the broker carries out only after its day has begun: fills until then are of old shares (F29)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import PositionState
from trading_assets.ledger import positions
from trading_assets_tests.broker.desk import SteppedClock
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.broker.test_splits import NEXT_DAY, compared, listed, the_position


@pytest.mark.parametrize("seen", [True, False])
def test_F29_a_part_that_is_sold_before_the_broker_carries_out_the_split_was_of_old_shares(
    seen: bool, engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.now += NEXT_DAY
    exchange.splits = [listed(2, 1, ticker="F")]
    exchange.trade_by_hand("F", "sell", 4, "13.00")
    if seen:
        report = compared(engine, broker, clock)
        assert report.blocked == ["F"] and list(report.splits_due) == ["F"] and the_position(engine).quantity == 6
    exchange.holdings = {"F": (12, Decimal("6.00"))}
    exchange.now += timedelta(minutes=1)
    report = compared(engine, broker, clock)
    assert report.clean and len(report.splits) == 1, report.differences
    after = the_position(engine)
    assert (after.quantity, after.entry_price, after.realized_pnl) == (12, Decimal("6.000000"), Decimal(4))
    # Listed once more under another id it is still the same one.
    exchange.splits.append(listed(2, 1, ticker="F") | {"id": "the same one under another id"})
    exchange.now += NEXT_DAY
    again = compared(engine, broker, clock)
    assert again.clean and not again.splits and the_position(engine) == after
    exchange.trade_by_hand("F", "sell", 12, "7.00")
    assert compared(engine, broker, clock).clean
    with engine.connect() as connection:
        closed = positions.get_position(connection, after.position_id)
    assert closed is not None and closed.state is PositionState.CLOSED
    assert closed.realized_pnl == 4 + 12


def test_F29_what_was_bought_and_sold_before_the_broker_carries_out_the_split_keeps_its_price(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.now += NEXT_DAY
    exchange.splits = [listed(2, 1, ticker="F")]
    exchange.trade_by_hand("F", "buy", 5, "15.00")
    exchange.trade_by_hand("F", "sell", 5, "13.00")
    exchange.now += timedelta(minutes=1)
    assert list(compared(engine, broker, clock).splits_due) == ["F"]
    exchange.holdings = {"F": (20, Decimal("6.50"))}
    exchange.now += timedelta(minutes=1)
    assert compared(engine, broker, clock).clean
    after = the_position(engine)
    assert (after.quantity, after.entry_price, after.realized_pnl) == (20, Decimal("6.500000"), Decimal(0))


def test_F29_what_is_sold_after_the_broker_has_carried_out_the_split_is_of_new_shares(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.now += NEXT_DAY
    exchange.splits = [listed(2, 1, ticker="F")]
    exchange.holdings = {"F": (20, Decimal("6.00"))}
    exchange.trade_by_hand("F", "sell", 4, "7.00")
    assert compared(engine, broker, clock).clean
    after = the_position(engine)
    assert (after.quantity, after.entry_price, after.realized_pnl) == (16, Decimal("6.000000"), Decimal(4))


def test_F29_what_was_bought_long_after_a_split_is_not_changed_by_it(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.splits = [listed(2, 1, ticker="F", day="2026-03-02")]
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.holdings = {"F": (20, Decimal("6.00"))}
    exchange.now += timedelta(minutes=1)
    report = compared(engine, broker, clock)
    assert report.blocked == ["F"] and not report.splits and the_position(engine).quantity == 10
