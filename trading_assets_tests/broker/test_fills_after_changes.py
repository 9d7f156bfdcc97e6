"""After a fill was taken back or corrected the broker counts from less: what is filled then is booked all the same."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.trade_stream.applying import Outcome
from trading_assets.domain.values import OrderState
from trading_assets.ledger.orders import OrderIntent
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.broker.stream_desk import fills, position, send, stored
from trading_assets_tests.broker.test_trade_stream_bookings import frames, heard, told

MINUTE = timedelta(minutes=1)


def filled(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, quantity: int, *parts: int
) -> OrderIntent:
    """An order that is filled in these parts so far, all of them booked."""
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = lambda order: [(number, size, "2.50") for number, size in enumerate(parts, 1)]
    intent = send(engine, broker, clock, SYMBOL, quantity, limit=Decimal("2.90"))
    exchange.advance(exchange.now + MINUTE)
    return working.look(engine, broker, clock, intent, run_id="poll")


def filled_more(exchange: ScriptedExchange, intent: OrderIntent, quantity: int) -> None:
    exchange.advance(exchange.now + MINUTE)
    [order] = exchange.by_client_id(intent.client_order_id)
    order.plan = [(exchange.now, quantity, Decimal("2.50"))]
    exchange.advance(exchange.now)


def taken_back(exchange: ScriptedExchange, intent: OrderIntent, quantity: int) -> None:
    """The broker's own books after a fill of the order became smaller by ``quantity``."""
    [order] = exchange.by_client_id(intent.client_order_id)
    held, average = exchange.holdings[SYMBOL]
    order.filled -= quantity
    order.cost -= quantity * Decimal("2.50")
    exchange.cash += quantity * Decimal(250)
    exchange.holdings[SYMBOL] = (held - quantity, average)


@pytest.mark.parametrize("by", ["poll", "frame"])
def test_F23_a_fill_after_a_bust_is_booked_though_its_cumulative_quantity_is_one_that_stands(
    by: str, engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = filled(engine, broker, clock, exchange, 7, 2, 3)
    [order] = exchange.by_client_id(intent.client_order_id)
    assert heard(engine, told(order, exchange.fills[0], event="trade_bust")) is Outcome.DONE
    taken_back(exchange, intent, 2)
    assert (position(engine).quantity, stored(engine, intent).filled_quantity) == (3, 3)
    for size, whole in ((2, 5), (2, 7)):
        filled_more(exchange, intent, size)
        if by == "frame":
            heard(engine, frames(exchange, intent)[-1])
        working.look(engine, broker, clock, stored(engine, intent), run_id="poll")
        assert (position(engine).quantity, stored(engine, intent).filled_quantity) == (whole, whole)
    assert [fill.quantity for fill in fills(engine)] == [3, 2, 2]
    assert stored(engine, intent).state is OrderState.FILLED
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert len(fills(engine)) == 3, "no look books anything twice"


def test_F23_a_fill_after_a_correction_to_less_is_booked_under_the_corrected_ones_number(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = filled(engine, broker, clock, exchange, 3, 2)
    [order] = exchange.by_client_id(intent.client_order_id)
    assert heard(engine, told(order, exchange.fills[0], event="trade_correct", qty="1")) is Outcome.DONE
    taken_back(exchange, intent, 1)
    for size, whole in ((1, 2), (1, 3)):
        filled_more(exchange, intent, size)
        working.look(engine, broker, clock, stored(engine, intent), run_id="poll")
        assert (position(engine).quantity, stored(engine, intent).filled_quantity) == (whole, whole)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert [fill.quantity for fill in fills(engine)] == [1, 1, 1]


def test_F18_F23_the_busted_fill_under_another_name_is_not_booked_again(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = filled(engine, broker, clock, exchange, 7, 2, 3)
    [order] = exchange.by_client_id(intent.client_order_id)
    assert heard(engine, told(order, exchange.fills[0], event="trade_bust")) is Outcome.DONE
    taken_back(exchange, intent, 2)
    exchange.fills.append({**exchange.fills[0], "id": "20260310150001000::another-name"})
    working.look(engine, broker, clock, stored(engine, intent), run_id="poll")
    assert reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False).clean
    assert [fill.quantity for fill in fills(engine)] == [3]
