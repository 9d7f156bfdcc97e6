"""What rests over a position ends with it, however it ended: an order over nothing would sell short."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder, protection
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderPlan, Rung
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.domain.values import Direction, OrderState, PositionState, Strategy
from trading_assets.jobs.managing import certain
from trading_assets.ledger import executions, positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import bracket_desk
from trading_assets_tests.broker.bracket_desk import TICKER, Bench, connect
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.broker.scripted_exchange import Order, ScriptedExchange, at_once, never
from trading_assets_tests.broker.stream_desk import sell, stored
from trading_assets_tests.broker.test_brackets import bought, opened

STOCK = "AAPL"
SECONDS = timedelta(seconds=61)


def protected(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange) -> Position:
    """Ten shares with a pair that rests over them; the scripted broker shows its take profit only."""
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = at_once
    buy = ladder.Entry(ACCOUNT, "s1", STOCK, STOCK, Strategy.STOCK, Direction.BULLISH, 10, 1)
    bracket = LadderPlan((Rung(Decimal(200), 10),), take_profit=Decimal(220), stop_loss=Decimal(190))
    result = ladder.enter(engine, broker, clock, buy, bracket, run_id="run")
    exchange.script = never
    position = stored_position(engine, result.position_id)
    placed = protection.place(engine, broker, clock, position, 10, run_id="run")
    assert placed.state is OrderState.ACCEPTED and working(exchange) != []
    return position


def stored_position(engine: Engine, position_id: str) -> Position:
    with engine.connect() as connection:
        found = positions.get_position(connection, position_id)
    assert found is not None
    return found


def working(exchange: ScriptedExchange) -> list[Order]:
    return [order for order in exchange.orders.values() if order.is_open]


def again(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> ReconciliationReport:
    return reconcile(engine, broker, clock, ACCOUNT, "start")


def test_F25_what_rests_over_a_position_that_somebody_sold_by_hand_is_ended(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position = protected(engine, broker, clock, exchange)
    exchange.trade_by_hand(STOCK, "sell", 10, "205")
    report = again(engine, broker, clock)
    assert stored_position(engine, position.position_id).exit_reason == "foreign"
    assert working(exchange) == [] and report.clean
    assert any("not held any more was ended" in alert and "order ta-" in alert for alert in report.alerts)
    assert again(engine, broker, clock).alerts == []


def test_F21_F26_what_it_sold_before_it_ended_is_booked_on_its_position_and_told(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position = protected(engine, broker, clock, exchange)
    exchange.trade_by_hand(STOCK, "sell", 10, "205")
    exchange.race = (4, "220")
    again(engine, broker, clock)
    with engine.connect() as connection:
        sold = [(fill.reason, fill.quantity) for fill in executions.of_position(connection, position.position_id)]
    assert sorted(sold) == [("entry", 10), ("foreign", 10), ("take_profit", 4)]
    assert working(exchange) == []
    assert any("holds -4" in sentence for sentence in again(engine, broker, clock).differences)


def test_F28_a_phantom_is_closed_only_after_what_rests_over_it_was_ended(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    position = protected(engine, broker, clock, exchange)
    exchange.holdings.clear()
    assert list(again(engine, broker, clock).missing) == [STOCK]
    assert working(exchange) != [], "one odd answer ends nothing"
    clock.wait_until(clock.now() + SECONDS)
    proxy.faults.append(Fault("DELETE", "/v2/orders/", "answer", status=503, times=99))
    report = again(engine, broker, clock)
    assert report.phantoms == [] and STOCK in report.blocked, "it may still sell"
    proxy.faults.clear()
    report = again(engine, broker, clock)
    assert report.phantoms == [STOCK] and working(exchange) == []
    assert stored_position(engine, position.position_id).state is PositionState.CLOSED


def test_F28_a_sighting_from_before_an_outage_confirms_nothing(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    again(engine, broker, clock)
    ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    holdings = dict(exchange.holdings)
    exchange.holdings.clear()
    assert list(again(engine, broker, clock).missing) == [SYMBOL]
    exchange.advance(exchange.now + timedelta(hours=3))
    report = again(engine, broker, clock)
    assert report.phantoms == [] and list(report.missing) == [SYMBOL], "the first answer after an outage is a first one"
    exchange.holdings.update(holdings)
    assert again(engine, broker, clock).clean


def test_F28_a_sighting_of_what_was_held_earlier_does_not_count_against_what_was_bought_since(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    again(engine, broker, clock)
    first = ladder.enter(engine, broker, clock, entry("s1", 1), plan("2.50"), run_id="run")
    exchange.holdings.clear()
    assert list(again(engine, broker, clock).missing) == [SYMBOL]
    exchange.holdings[SYMBOL] = (1, Decimal("2.50"))
    ladder.leave(engine, broker, clock, ladder.Exit(first.position_id, 1, "stop"), plan("2.00"), run_id="run")
    clock.wait_until(clock.now() + SECONDS)
    second = ladder.enter(engine, broker, clock, entry("s2", 1), plan("2.50"), run_id="run")
    exchange.holdings.clear()
    report = again(engine, broker, clock)
    assert report.phantoms == [] and stored_position(engine, second.position_id).state is PositionState.OPEN


def test_F28_no_more_is_sold_than_the_broker_holds_while_an_order_is_live(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    again(engine, broker, clock)
    ladder.enter(engine, broker, clock, entry("s1", 3), plan("2.50"), run_id="run")
    with engine.connect() as connection:
        (position,) = positions.live_positions(connection, ACCOUNT)
        (judged,) = positions.open_positions(connection, ACCOUNT)
    exchange.script = never
    sale = sell(engine, broker, clock, position, 3, "stop")
    exchange.holdings[SYMBOL] = (1, Decimal("2.50"))
    report = reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    assert stored(engine, sale).is_live
    assert [(p.quantity, p.entry_price) for p in certain([judged], report)] == [(1, None)]
    del exchange.holdings[SYMBOL]
    report = reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    assert certain([judged], report) == []


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bracket_desk.running(Path(tmp_path_factory.mktemp("orphans")), 2) as address:
        yield address


def test_F28_the_legs_of_a_bracket_end_before_its_position_is_closed_as_phantom(ledger: Engine, url: str) -> None:
    bench = opened(ledger, url, 0)
    position_id = bought(bench)
    assert len(bench.open_orders()) == 2
    with proxied(bench.url) as proxy:
        proxy.faults.append(Fault("GET", "/v2/positions", "rewrite", times=99, rewrite=lambda held: []))
        odd = Bench(bench.ledger, bench.url, bench.key, connect(proxy.url, bench.key))
        assert list(odd.reconcile().missing) == [TICKER]
        assert len(bench.open_orders()) == 2
        bench.step(61)
        assert odd.reconcile().phantoms == [TICKER]
        odd.broker.close()
    assert bench.open_orders() == []
    assert {leg.state for leg in bench.protections(position_id, live=False)} == {OrderState.CANCELED}
    assert bench.reconcile().adopted == [TICKER] and bench.held() == 10
    bench.broker.close()
