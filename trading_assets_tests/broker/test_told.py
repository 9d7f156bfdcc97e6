"""Whatever is done to a position without a decision of ours is told, with account, signal, position and order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import OrderState
from trading_assets.ledger import listings
from trading_assets.ledger.standing import disagreements, sentence
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.scripted_exchange import START, ScriptedExchange, never
from trading_assets_tests.broker.stream_desk import sell
from trading_assets_tests.broker.test_orphaned_protection import protected, stored_position


def told(engine: Engine, rule: str) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [row for row in listings.alerts(connection, START.date()) if row["rule"] == rule]


def bought(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> str:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    return ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run").position_id


def test_F25_what_is_found_at_the_broker_is_told_once(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.holdings["AAPL"] = (40, Decimal("210.5"))
    for _ in range(2):
        reconcile(engine, broker, clock, ACCOUNT, "start")
    (alert,) = told(engine, "adopted")
    assert (alert["account"], alert["symbol"], alert["priority"]) == (ACCOUNT, "AAPL", "HIGH")
    assert alert["reason"] == "40 AAPL were found at the broker, and nothing here explains them."


def test_F28_a_phantom_is_told_with_its_signal(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = bought(engine, broker, clock)
    exchange.holdings.clear()
    reconcile(engine, broker, clock, ACCOUNT, "start")
    clock.wait_until(clock.now() + timedelta(seconds=61))
    reconcile(engine, broker, clock, ACCOUNT, "start")
    (alert,) = told(engine, "phantom")
    assert (alert["account"], alert["signal_id"], alert["position_id"]) == (ACCOUNT, "s1", position_id)


def test_F26_a_fill_that_nobody_here_ordered_is_told_by_polling_as_by_the_stream(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = bought(engine, broker, clock)
    order = exchange.trade_by_hand(SYMBOL, "sell", 2, "1.75")
    for _ in range(2):
        reconcile(engine, broker, clock, ACCOUNT, "start")
    (alert,) = told(engine, "foreign_fill")
    assert (alert["signal_id"], alert["position_id"]) == ("s1", position_id)
    assert alert["numbers"] == {"broker_order_id": order.order_id, "price": "1.75"}


def test_F26_an_order_that_was_ended_with_what_it_rested_over_is_named(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position = protected(engine, broker, clock, exchange)
    exchange.trade_by_hand("AAPL", "sell", 10, "205")
    reconcile(engine, broker, clock, ACCOUNT, "start")
    (alert,) = told(engine, "orphaned_protection")
    assert (alert["account"], alert["signal_id"], alert["position_id"]) == (ACCOUNT, "s1", position.position_id)
    assert str(alert["client_order_id"]).startswith("ta-tiny-pr-")


def test_F25_a_disagreement_names_its_symbol_signal_position_and_order_and_ends_with_its_cause(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = bought(engine, broker, clock)
    exchange.script = never
    sale = sell(engine, broker, clock, stored_position(engine, position_id), 1, "stop")
    assert sale.state is OrderState.ACCEPTED
    exchange.holdings[SYMBOL] = (5, Decimal("2.50"))
    reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    with engine.connect() as connection:
        (row,) = disagreements(connection)
    names = ("symbol", "signal_id", "position_id", "order_id", "broker_order_id")
    assert [row[name] for name in names] == [SYMBOL, "s1", position_id, sale.client_order_id, sale.broker_order_id]
    assert sale.client_order_id in sentence(row)
    exchange.holdings[SYMBOL] = (2, Decimal("2.50"))
    reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    with engine.connect() as connection:
        assert disagreements(connection) == []
