"""What the ledger's columns cannot hold is told and blocks its symbol; the rest of the account goes on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.ledger import positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange


def live(engine: Engine) -> tuple[Position, ...]:
    with engine.connect() as connection:
        return positions.live_positions(connection, ACCOUNT)


@pytest.mark.parametrize(
    ("quantity", "price"),
    [("2147483648", "1"), ("1e999999", "1"), ("40", "1e14"), ("40", "1e999999"), ("2000000000", "60000")],
    ids=["quantity", "absurd-quantity", "price", "absurd-price", "worth"],
)
def test_F25_F28_a_holding_that_no_column_holds_is_a_difference_and_the_rest_is_sold(
    quantity: str,
    price: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy: FaultProxy,
) -> None:
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    (position,) = live(engine)
    exchange.holdings["AAPL"] = (40, Decimal("210.5"))
    exchange.holdings["MSFT"] = (7, Decimal("400"))

    def monstrous(answer: Any) -> Any:
        return [
            {**row, "qty": quantity, "avg_entry_price": price} if row["symbol"] == "AAPL" else row for row in answer
        ]

    proxy.faults.append(Fault("GET", "/v2/positions", "rewrite", times=99, rewrite=monstrous))
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == ["AAPL"] and report.adopted == ["MSFT"], "what can be held is taken over"
    [told] = [alert for alert in report.alerts if alert.startswith("AAPL")]
    assert "this ledger cannot represent" in told and told in report.differences
    assert {one.symbol for one in live(engine)} == {SYMBOL, "MSFT"}

    sale = ladder.Exit(position.position_id, 2, "stop")
    assert ladder.leave(engine, broker, clock, sale, plan("2.00"), run_id="run").filled_quantity == 2
    assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == ["AAPL"]
    assert {one.symbol for one in live(engine)} == {"MSFT"}, "what else is held is left as ever"

    proxy.faults.clear()
    assert reconcile(engine, broker, clock, ACCOUNT, "start").adopted == ["AAPL"]


def test_F25_a_trade_by_hand_that_no_column_holds_is_a_difference(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand("AAPL", "buy", 2**31, "1")
    exchange.trade_by_hand("MSFT", "buy", 7, "400")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == ["AAPL"] and [one.symbol for one in live(engine)] == ["MSFT"]
    assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == ["AAPL"]


def test_F25_trades_by_hand_that_only_together_are_too_many_are_a_difference(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand("AAPL", "buy", 1_500_000_000, "1")
    exchange.trade_by_hand("AAPL", "buy", 1_500_000_000, "1")
    exchange.trade_by_hand("MSFT", "buy", 7, "400")
    for _ in range(2):
        assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == ["AAPL"]
    assert {one.symbol: one.quantity for one in live(engine)} == {"AAPL": 1_500_000_000, "MSFT": 7}
