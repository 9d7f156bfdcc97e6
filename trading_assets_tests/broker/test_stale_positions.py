"""A list of positions that is older than what is booked brings nothing back to life: nothing is sold twice."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.trade_stream.applying import Outcome
from trading_assets.domain.values import PositionState
from trading_assets.ledger import positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, never
from trading_assets_tests.broker.stream_desk import sell
from trading_assets_tests.broker.test_trade_stream_bookings import frames, heard


def live(engine: Engine) -> tuple[Position, ...]:
    with engine.connect() as connection:
        return positions.live_positions(connection, ACCOUNT)


def bought(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> Position:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    (position,) = live(engine)
    return position


def test_F21_a_sale_that_the_stream_books_while_the_positions_are_read_is_not_taken_for_a_new_position(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    position = bought(engine, broker, clock)
    exchange.script = never
    sale = sell(engine, broker, clock, position, 2, "stop")
    answers = 0

    def sold_meanwhile(held: Any) -> Any:
        """The broker's last answer is on its way when the sale is filled, and the stream is faster."""
        nonlocal answers
        answers += 1
        if answers == 2:
            return []
        if answers == 3:
            [order] = exchange.by_client_id(sale.client_order_id)
            order.plan = [(exchange.now, 2, Decimal("3.00"))]
            exchange.advance(exchange.now)
            [frame] = frames(exchange, sale)
            assert heard(engine, frame) is Outcome.DONE
        return held

    proxy.faults.append(Fault("GET", "/v2/positions", "rewrite", times=3, rewrite=sold_meanwhile))
    report = reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    assert exchange.holdings == {} and live(engine) == (), "what is sold stays sold"
    assert report.adopted == [] and report.blocked == [SYMBOL]
    assert "a fill was booked since it was asked" in report.differences[0]
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean


def test_F21_a_list_of_positions_that_lags_behind_a_sale_is_asked_again_before_it_is_believed(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    position = bought(engine, broker, clock)
    stale = dict(exchange.holdings)
    result = ladder.leave(
        engine, broker, clock, ladder.Exit(position.position_id, 2, "stop"), plan("2.00"), run_id="run"
    )
    assert result.filled_quantity == 2
    exchange.holdings.update(stale)
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.adopted == [] and report.blocked == [SYMBOL] and live(engine) == ()
    exchange.holdings.clear()
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    # What is still there a minute after the sale is there.
    exchange.holdings.update(stale)
    exchange.advance(exchange.now + timedelta(seconds=61))
    assert reconcile(engine, broker, clock, ACCOUNT, "start").adopted == [SYMBOL]
    (adopted,) = live(engine)
    assert (adopted.origin, adopted.quantity, adopted.state) == ("adopted", 2, PositionState.OPEN)
