"""A row of the list of fills that cannot be read is told and blocks its symbol; the rest of the account goes on."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import reconcile
from trading_assets.ledger import positions, reconciliations
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange


def live(engine: Engine) -> dict[str, Position]:
    with engine.connect() as connection:
        return {one.symbol: one for one in positions.live_positions(connection, ACCOUNT)}


def spoil(proxy: FaultProxy, of: str, /, **changes: Any) -> None:
    """From now on the fills ``of`` a symbol are listed with ``changes``; a field that becomes None is left out."""

    def spoilt(rows: Any) -> Any:
        return [
            {name: value for name, value in {**row, **changes}.items() if value is not None}
            if row["symbol"] == of
            else row
            for row in rows
        ]

    proxy.faults.append(Fault("GET", "/account/activities/FILL", "rewrite", times=999, rewrite=spoilt))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"price": None}, id="no-price"),
        pytest.param({"side": "sideways"}, id="unknown-side"),
        pytest.param({"cum_qty": "NaN"}, id="nan"),
        pytest.param({"qty": "-5"}, id="negative"),
        pytest.param({"price": "1e20"}, id="absurd-price"),
        pytest.param({"cum_qty": "1e999999"}, id="absurd-quantity"),
        pytest.param({"order_id": None, "transaction_time": None}, id="no-order-no-time"),
        pytest.param({"transaction_time": "0001-01-01T00:00:00+05:00"}, id="before-all-time"),
        pytest.param({"type": {"fill": True}, "price": []}, id="objects"),
        pytest.param({"id": None}, id="no-id"),
    ],
)
def test_F09_F28_a_fill_that_cannot_be_read_blocks_its_symbol_and_the_rest_is_sold(
    changes: dict[str, Any],
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy: FaultProxy,
) -> None:
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    position = live(engine)[SYMBOL]
    exchange.advance(exchange.now + timedelta(seconds=30))
    exchange.trade_by_hand("AAPL", "buy", 5, "210.5")
    row, at = exchange.fills[-1], exchange.now
    spoil(proxy, "AAPL", **changes)
    exchange.advance(exchange.now + timedelta(seconds=30))

    sale = ladder.Exit(position.position_id, 2, "stop")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == ["AAPL"] and report.adopted == [], "what is not known is not guessed"
    [told] = [alert for alert in report.alerts if alert.startswith("AAPL")]
    assert told in report.differences and ("id" in changes or row["id"] in told) and "FILL" in told
    assert set(live(engine)) == {SYMBOL}
    assert ladder.leave(engine, broker, clock, sale, plan("2.00"), run_id="run").filled_quantity == 2
    assert not compare(engine, broker, ACCOUNT).consistent

    # However long it takes, it stays to be read.
    for _ in range(3):
        exchange.advance(exchange.now + timedelta(seconds=300))
        assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == ["AAPL"]
    assert live(engine) == {}
    with engine.connect() as connection:
        assert reconciliations.read_account(connection, ACCOUNT).all_read_until <= at

    proxy.faults.clear()
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.clean and report.fills_booked == 1
    assert [(one.quantity, one.entry_price) for one in live(engine).values()] == [(5, Decimal("210.5"))]


def test_F09_a_fill_that_names_no_symbol_blocks_nothing_and_stays_to_be_read(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    exchange.trade_by_hand("AAPL", "buy", 5, "210.5")
    at = exchange.now
    spoil(proxy, "AAPL", symbol=None)
    exchange.advance(exchange.now + timedelta(seconds=900))
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.all_read_until == at and report.blocked == [] and not report.clean
    [told] = report.differences
    assert exchange.fills[-1]["id"] in told and told in report.alerts


def test_F09_F17_a_fill_of_ours_that_names_no_symbol_blocks_that_of_its_order(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    spoil(proxy, SYMBOL, symbol=None, qty="?")
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == [SYMBOL] and report.adopted == []
    assert any(exchange.fills[-1]["id"] in told for told in report.differences)
    proxy.faults.clear()
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert [one.quantity for one in live(engine).values()] == [2]
    assert compare(engine, broker, ACCOUNT).consistent


def test_F17_F28_a_fill_that_cannot_be_read_any_more_is_not_taken_back(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    spoil(proxy, SYMBOL, price="?")
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean, "what is booked under its name is known"
    assert live(engine)[SYMBOL].quantity == 2


def test_F09_a_page_of_fills_that_ends_in_one_without_id_is_followed_by_the_next(
    broker: AlpacaBroker, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    begin = exchange.now - timedelta(seconds=1)
    for number in range(150):
        exchange.trade_by_hand("MSFT" if number in (98, 99) else "AAPL", "buy", number + 1, "1")
    spoil(proxy, "MSFT", id=None)
    fills, unread = broker.read_fills(begin)
    assert len({fill.activity_id for fill in fills}) == len(fills) == 148
    assert [(row.symbol, row.activity_id) for row in unread] == [("MSFT", None)] * 2
