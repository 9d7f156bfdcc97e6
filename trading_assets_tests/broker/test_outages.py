"""What happened while nobody looked is booked afterwards, however long ago it was and whatever was heard of first."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.consistency import compare
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.trade_stream.back_fill import Lists
from trading_assets.domain.values import PositionState
from trading_assets.ledger import executions, positions, reconciliations
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.broker.stream_desk import send

HOURS = timedelta(hours=3)


def read_until(engine: Engine) -> datetime:
    with engine.connect() as connection:
        return reconciliations.read_account(connection, ACCOUNT).all_read_until


def sold_by_hand_in_an_outage(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> str:
    """A position that a person sold three hours ago; its id."""
    reconcile(engine, broker, clock, ACCOUNT, "start")
    bought = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand(SYMBOL, "sell", 2, "1.75")
    exchange.advance(exchange.now + HOURS)
    return bought.position_id


def test_F17_a_sale_from_before_an_outage_is_booked_though_a_newer_fill_is_booked_first(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = sold_by_hand_in_an_outage(engine, broker, clock, exchange)
    exchange.script = lambda order: [(1, 5, "200")]
    send(engine, broker, clock, "AAPL", 5, signal_id="s2", limit=Decimal(200))
    exchange.advance(exchange.now + timedelta(minutes=1))
    report = reconcile(engine, broker, clock, ACCOUNT, "start", end_orders=False)
    assert report.clean and report.missing == {}, report
    with engine.connect() as connection:
        sold = positions.get_position(connection, position_id)
    assert sold is not None
    assert (sold.state, sold.exit_reason, sold.realized_pnl) == (PositionState.CLOSED, "foreign", Decimal(-150))
    assert compare(engine, broker, ACCOUNT).consistent


def test_F17_the_streams_lists_reach_back_to_the_last_whole_reading(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, database_url: str
) -> None:
    sold_by_hand_in_an_outage(engine, broker, clock, exchange)
    exchange.trade_by_hand("AAPL", "buy", 5, "200")
    lists = Lists(engine, database_url, broker, clock, ACCOUNT, "trade-stream")
    for _ in range(2):
        listing = lists.read()
        assert [(fill.symbol, fill.side.value) for fill in listing.fills] == [
            (SYMBOL, "buy"),
            (SYMBOL, "sell"),
            ("AAPL", "buy"),
        ]
        lists.book(listing)
    with engine.connect() as connection:
        assert [(p.symbol, p.quantity) for p in positions.live_positions(connection, ACCOUNT)] == [("AAPL", 5)]


@pytest.mark.parametrize("what", ["activities", "/v2/positions"])
def test_F17_F28_a_reading_that_was_not_whole_moves_no_mark(
    what: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy: FaultProxy,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    before = read_until(engine)
    exchange.advance(exchange.now + HOURS)
    proxy.faults.append(Fault("GET", what, "answer", status=502, times=99))
    with pytest.raises(BrokerUnavailable):
        reconcile(engine, broker, clock, ACCOUNT, "start")
    assert read_until(engine) == before
    proxy.faults.clear()
    reconcile(engine, broker, clock, ACCOUNT, "start")
    assert read_until(engine) == clock.now()


def test_F25_a_fill_that_finds_no_place_is_read_again_for_as_long_as_its_symbol_differs(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand("AAPL", "sell", 3, "200")
    sold_at = exchange.now
    for _ in range(3):
        report = reconcile(engine, broker, clock, ACCOUNT, "start")
        assert any("sold 3 by an order that is not ours" in sentence for sentence in report.differences)
        assert read_until(engine) == sold_at
        exchange.advance(exchange.now + HOURS)
        exchange.trade_by_hand(SYMBOL, "buy", 1, "2.50")
        exchange.trade_by_hand(SYMBOL, "sell", 1, "2.50")
    exchange.holdings.pop("AAPL")
    reconcile(engine, broker, clock, ACCOUNT, "start")
    assert read_until(engine) == clock.now()
    with engine.connect() as connection:
        assert {fill.symbol for fill in executions.of_account(connection, ACCOUNT)} == {SYMBOL}
