"""Ledger and broker are compared and the ledger is mended; an error is never read as an empty account."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.values import Direction, KillMode, OrderState, PositionState, Purpose, Strategy
from trading_assets.ledger import accounts, executions, orders, positions, reconciliations
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import (
    ACCOUNT,
    SYMBOL,
    SteppedClock,
    assert_nothing_lost_or_doubled,
    entry,
    plan,
)
from trading_assets_tests.broker.fault_proxy import HTML, Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ACCOUNT_ID, ScriptedExchange, at_once, never

PUT = "TSLA260320P00200000"


def live(engine: Engine) -> tuple[Position, ...]:
    with engine.connect() as connection:
        return positions.live_positions(connection, ACCOUNT)


def open_position(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> str:
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert result.state is LadderState.FILLED
    return result.position_id


def record(engine: Engine) -> reconciliations.ReconciliationRecord:
    with engine.connect() as connection:
        return reconciliations.read_account(connection, ACCOUNT)


def test_a_first_reconciliation_remembers_the_account_and_its_opening_cash(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock
) -> None:
    report = reconcile(engine, broker, clock, ACCOUNT, "start-1")
    row = record(engine)
    assert report.clean
    assert (row.broker_account_id, row.opening_cash, row.reconciled_start) == (ACCOUNT_ID, Decimal(100_000), "start-1")
    assert row.reconciled_at == clock.now()


def test_F31_keys_that_lead_to_another_account_are_refused(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, exchange_url: str
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start-1")
    exchange.account_id = "99999999-2222-3333-4444-555555555555"
    with pytest.raises(NotAuthorized, match="lead to broker account 99999999"):
        reconcile(engine, broker, clock, ACCOUNT, "start-2")
    assert record(engine).reconciled_start == "start-1"
    configured = desk.connect(exchange_url, clock, expected_account_id=ACCOUNT_ID)
    with pytest.raises(NotAuthorized, match="the configuration names"):
        reconcile(engine, configured, clock, ACCOUNT, "start-2")


def test_F31_one_broker_account_never_serves_two_accounts(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock
) -> None:
    with engine.begin() as connection:
        accounts.upsert_account(connection, "another", "PRACTICE", clock.now())
    reconcile(engine, broker, clock, ACCOUNT, "start-1")
    with pytest.raises(NotAuthorized, match=f"which belongs to account '{ACCOUNT}'"):
        reconcile(engine, broker, clock, "another", "start-1")
    with engine.connect() as connection:
        crossed = accounts.get_account(connection, "another")
    assert crossed is not None
    assert (crossed.broker_account_id, crossed.reconciled_start) == (None, None)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("GET", "/positions", "answer", status=500, times=99), id="F28-500"),
        pytest.param(Fault("GET", "/positions", "answer", body=HTML, times=99), id="F28-html-as-200"),
        pytest.param(Fault("GET", "/positions", "answer", times=99), id="F28-empty-200"),
        pytest.param(Fault("GET", "/positions", "answer", body=b'{"message":"oops"}', times=99), id="F28-error-as-200"),
        pytest.param(Fault("GET", "/positions", "truncate", times=99), id="F28-truncated"),
        pytest.param(Fault("GET", "activities", "answer", status=502, body=HTML, times=99), id="F28-activities"),
    ],
)
def test_F28_a_failed_read_is_never_an_empty_account(
    fault: Fault, engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy
) -> None:
    open_position(engine, broker, clock)
    before = live(engine)
    proxy.faults.append(fault)
    for _ in range(3):
        with pytest.raises(BrokerUnavailable):
            reconcile(engine, broker, clock, ACCOUNT, "start")
    assert live(engine) == before
    assert record(engine).reconciled_at is None


def test_F24_orders_that_a_dead_run_left_working_are_ended_and_their_fills_booked(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    exchange.script = never
    proxy.faults.append(Fault("DELETE", "/orders/", "answer", status=503, times=99))
    assert ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run").state is LadderState.UNKNOWN
    proxy.faults.clear()
    exchange.race = (1, "2.50")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.clean and len(report.ended_orders) == 1
    (position,) = live(engine)
    assert (position.state, position.quantity) == (PositionState.OPEN, 1)
    assert not [order for order in exchange.orders.values() if order.is_open]
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F02_an_order_that_arrives_after_it_was_given_up_is_cancelled_and_its_fill_booked(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("POST", "/v2/orders", "lose_request", times=2))
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert result.state is LadderState.UNKNOWN
    assert reconcile(engine, broker, clock, ACCOUNT, "start").resolved == {result.orders[0]: "ABANDONED"}
    exchange.script = never
    exchange.post_order(
        {
            "symbol": SYMBOL,
            "qty": 2,
            "side": "buy",
            "type": "limit",
            "limit_price": 2.5,
            "client_order_id": result.orders[0],
        }
    )
    exchange.race = (1, "2.50")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert any("given up here" in alert for alert in report.alerts)
    (position,) = live(engine)
    assert (position.state, position.quantity, position.signal_id) == (PositionState.OPEN, 1, "s1")
    with engine.connect() as connection:
        intent = orders.get_intent(connection, result.orders[0])
    assert intent is not None and intent.state is OrderState.CANCELED
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F25_a_position_opened_by_hand_is_adopted_from_its_fill_with_exit_rules(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.trade_by_hand(PUT, "buy", 3, "4.10")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    (position,) = live(engine)
    assert (position.symbol, position.quantity, position.entry_price) == (PUT, 3, Decimal("4.1"))
    assert (position.origin, position.strategy, position.direction) == (
        "adopted",
        Strategy.SWING_TRADE,
        Direction.BEARISH,
    )
    assert report.fills_booked == 1 and report.clean
    assert reconcile(engine, broker, clock, ACCOUNT, "start").fills_booked == 0
    assert compare(engine, broker, ACCOUNT).differences == []


def test_F25_a_position_without_any_fill_is_adopted_from_the_holding_itself(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.holdings["AAPL"] = (40, Decimal("210.5"))
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    (position,) = live(engine)
    assert report.adopted == ["AAPL"] and len(report.alerts) == 1
    assert (position.quantity, position.entry_price, position.strategy) == (40, Decimal("210.5"), Strategy.STOCK)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").adopted == []
    assert len(live(engine)) == 1
    assert compare(engine, broker, ACCOUNT).consistent


def test_F25_F26_a_position_sold_by_somebody_else_is_closed_at_the_fill_price_as_foreign(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    position_id = open_position(engine, broker, clock)
    exchange.trade_by_hand(SYMBOL, "sell", 2, "1.75")
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.clean and live(engine) == ()
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
        fills = executions.of_position(connection, position_id)
    assert position is not None
    assert (position.state, position.exit_reason, position.realized_pnl) == (
        PositionState.CLOSED,
        "foreign",
        Decimal(-150),
    )
    assert [fill.client_order_id is None for fill in fills] == [False, True]
    assert compare(engine, broker, ACCOUNT).consistent


def test_F28_a_position_that_the_broker_does_not_hold_is_closed_only_after_the_second_sighting(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = open_position(engine, broker, clock)
    exchange.holdings.clear()
    first = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert list(first.missing) == [SYMBOL] and first.blocked == [SYMBOL]
    assert [position.position_id for position in live(engine)] == [position_id]
    clock.wait_until(clock.now() + timedelta(seconds=60))
    second = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert second.phantoms == [SYMBOL] and live(engine) == ()
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
        events = [kind for _, kind, _ in positions.events_of(connection, position_id)]
    assert position is not None and position.exit_reason == "phantom" and position.quantity == 0
    assert events[-2:] == ["phantom", "alert"]


def test_a_position_that_reappears_after_the_first_sighting_stays(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    open_position(engine, broker, clock)
    holdings = dict(exchange.holdings)
    exchange.holdings.clear()
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.holdings.update(holdings)
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    exchange.holdings.clear()
    assert list(reconcile(engine, broker, clock, ACCOUNT, "start").missing) == [SYMBOL]
    assert len(live(engine)) == 1


def test_a_difference_in_quantity_is_reported_and_blocks_the_symbol(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    open_position(engine, broker, clock)
    exchange.holdings[SYMBOL] = (5, Decimal("2.50"))
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.differences == [f"{SYMBOL}: the ledger holds 2, the broker 5"]
    seen = account_snapshot(engine, broker, clock, ACCOUNT, kill_mode=KillMode.OFF, start_id="start")
    assert SYMBOL in seen.blocked_symbols
    assert live(engine)[0].quantity == 2


def test_F26_a_short_position_is_a_difference_and_never_adopted(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.holdings["AAPL"] = (-40, Decimal("210.5"))
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.blocked == ["AAPL"] and live(engine) == ()


@pytest.mark.parametrize(
    ("symbol", "name"),
    [(PUT, "TSLA"), ("AMD1260320C00100000", "AMD"), ("AAPL", "AAPL")],
    ids=["put", "changed", "stock"],
)
def test_F26_nothing_is_bought_in_the_name_behind_a_contract_that_is_not_explained(
    symbol: str, name: str, engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.holdings[symbol] = (-2, Decimal("4.10"))
    assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == [symbol]
    seen = account_snapshot(engine, broker, clock, ACCOUNT, kill_mode=KillMode.OFF, start_id="start")
    assert seen.blocked_symbols == {symbol, name}


def test_F27_an_expired_contract_leaves_at_zero_by_the_brokers_word_and_not_as_a_phantom(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    position_id = open_position(engine, broker, clock)
    exchange.advance(exchange.now + timedelta(days=10, hours=8))
    exchange.holdings.clear()
    for _ in range(3):
        assert reconcile(engine, broker, clock, ACCOUNT, "start").missing
    assert [position.position_id for position in live(engine)] == [position_id]
    exchange.activities.append(
        {
            "id": "20260321::1",
            "activity_type": "OPEXP",
            "date": "2026-03-20",
            "symbol": SYMBOL,
            "qty": "-2",
            "net_amount": "0",
        }
    )
    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.ended_contracts == 1 and report.clean
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
    assert position is not None
    assert (position.state, position.exit_reason, position.realized_pnl) == (
        PositionState.CLOSED,
        "expired",
        Decimal(-500),
    )
    assert compare(engine, broker, ACCOUNT).consistent


def test_F09_an_unknown_word_in_one_order_does_not_lose_the_others(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    odd = exchange.trade_by_hand("AAPL", "buy", 1, "210", fill=False)
    odd.status = "held_by_moonlight"
    odd.body["type"] = "peg_to_primary"
    exchange.trade_by_hand("MSFT", "buy", 1, "400", fill=False)
    seen = broker.orders("open")
    assert [(order.symbol, order.status, order.is_final) for order in seen] == [
        ("AAPL", "held_by_moonlight", False),
        ("MSFT", "new", False),
    ]
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean


def test_the_snapshot_shows_positions_live_orders_fills_and_money(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    position_id = open_position(engine, broker, clock)
    exchange.script = lambda order: [(0.5, 1, "3.00")]
    proxy.faults.append(Fault("DELETE", "/orders/", "answer", status=503, times=99))
    order = ladder.Exit(position_id, 2, "target")
    assert ladder.leave(engine, broker, clock, order, plan("3.00"), run_id="run").state is LadderState.UNKNOWN
    seen = account_snapshot(engine, broker, clock, ACCOUNT, kill_mode=KillMode.ENTRIES, start_id="start")
    assert (seen.broker_account_id, seen.options_level, seen.kill_mode) == (ACCOUNT_ID, 2, KillMode.ENTRIES)
    assert [(p.state, p.quantity) for p in seen.positions] == [(PositionState.CLOSING, 1)]
    assert [(o.purpose, o.quantity, o.filled_quantity) for o in seen.live_orders] == [(Purpose.EXIT, 2, 1)]
    assert [(f.purpose, f.underlying, f.signal_id) for f in seen.fills_today] == [
        (Purpose.ENTRY, "NVDA", "s1"),
        (Purpose.EXIT, "NVDA", "s1"),
    ]
    assert seen.realized_pnl_today == Decimal(50)
    assert seen.reconciled_at is not None
    with engine.begin() as connection:
        accounts.set_kill_switch(connection, "*", KillMode.FLATTEN, clock.now(), "test")
    other = account_snapshot(engine, broker, clock, ACCOUNT, start_id="another start")
    assert (other.reconciled_at, other.kill_mode) == (None, KillMode.FLATTEN)


def test_the_snapshot_of_a_silent_broker_knows_no_amounts(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy
) -> None:
    proxy.faults.append(Fault("GET", "/v2/account", "answer", status=503, times=99))
    seen = account_snapshot(engine, broker, clock, ACCOUNT, kill_mode=KillMode.OFF, start_id="start")
    assert (seen.equity, seen.cash, seen.status, seen.unrealized_pnl) == (None, None, None, None)


def test_consistency_names_what_differs(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    position_id = open_position(engine, broker, clock)
    exchange.script = at_once
    ladder.leave(engine, broker, clock, ladder.Exit(position_id, 1, "target"), plan("3.00"), run_id="run")
    report = compare(engine, broker, ACCOUNT)
    assert report.consistent, report.differences
    assert report.figures["cash_ledger"] == report.figures["cash_broker"]
    exchange.cash -= Decimal("12.5")
    exchange.trade_by_hand("AAPL", "buy", 1, "210")
    next(iter(exchange.orders.values())).cost += Decimal("0.10")
    report = compare(engine, broker, ACCOUNT)
    assert not report.consistent
    text = "\n".join(report.differences)
    assert "position AAPL" in text and "difference 222.5" in text and "at the broker only" in text and "at 2.5" in text
