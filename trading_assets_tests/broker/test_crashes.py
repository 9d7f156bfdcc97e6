"""F11: a process killed with -9 at any step of an order's life; the next one finds everything again."""

from __future__ import annotations

import signal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import PositionState
from trading_assets.ledger import executions, orders, positions
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.crashing import run_and_die
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, assert_nothing_lost_or_doubled
from trading_assets_tests.broker.scripted_exchange import Order, ScriptedExchange

KILLED = -signal.SIGKILL


def half_then_rest(order: Order) -> list[tuple[float, int, str]]:
    """The first rung fills only partly, so that a crash can fall between fills and between rungs."""
    if order.body["side"] == "buy" and order.quantity == 2:
        return [(1.0, 1, "2.50")]
    return [(1.0, order.quantity, str(order.body.get("limit_price") or "1.90"))]


def held(exchange: ScriptedExchange) -> int:
    return exchange.holdings.get(SYMBOL, (0, 0))[0]


@pytest.mark.parametrize(
    ("point", "sent"),
    [
        ("submission.before_intent", 0),
        ("submission.after_intent", 0),
        ("submission.after_post", 1),
        ("submission.after_answer", 1),
        ("booking.before_commit", 1),
        ("booking.after_commit", 1),
    ],
)
def test_F11_an_entry_killed_at_any_step_is_neither_lost_nor_doubled(
    point: str,
    sent: int,
    database_url: str,
    exchange_url: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = half_then_rest
    assert run_and_die(database_url, exchange_url, "enter", point) == KILLED
    assert exchange.posts == sent

    report = reconcile(engine, broker, clock, ACCOUNT, "start")
    assert report.clean, report.differences
    assert_nothing_lost_or_doubled(engine, exchange)
    assert not [order for order in exchange.orders.values() if order.is_open]
    with engine.connect() as connection:
        live = positions.live_positions(connection, ACCOUNT)
        assert orders.live_intents(connection, ACCOUNT) == ()
    assert sum(position.quantity for position in live) == held(exchange)
    assert len(live) == (1 if held(exchange) else 0)
    consistent = compare(engine, broker, ACCOUNT)
    assert consistent.consistent, consistent.differences
    if not live:
        again = ladder.enter(engine, broker, clock, desk.entry(), desk.plan("2.50", "2.55"), run_id="next")
        assert again.state is LadderState.FILLED
        assert held(exchange) == 2
        assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(
    ("point", "sold"),
    [
        ("exit.before_intent", 0),
        ("exit.after_intent", 0),
        ("exit.after_post", None),
        ("exit.after_answer", None),
        ("booking.before_commit", 2),
        ("booking.after_commit", 2),
    ],
)
def test_F11_an_exit_killed_at_any_step_sells_exactly_once(
    point: str,
    sold: int | None,
    database_url: str,
    exchange_url: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    position_id = ladder.enter(engine, broker, clock, desk.entry(), desk.plan("2.50"), run_id="run").position_id
    assert run_and_die(database_url, exchange_url, "leave", point) == KILLED
    if sold is not None:
        assert 2 - held(exchange) == sold

    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert_nothing_lost_or_doubled(engine, exchange)
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
    assert position is not None and position.quantity == held(exchange)
    if position.quantity:
        assert position.state is PositionState.OPEN
        order = ladder.Exit(position_id, position.quantity, "stop_loss")
        assert ladder.leave(engine, broker, clock, order, desk.plan("2.00"), run_id="next").state is LadderState.FILLED
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
        sales = [fill for fill in executions.of_position(connection, position_id) if fill.side == "sell"]
    assert position is not None and position.state is PositionState.CLOSED
    assert sum(fill.quantity for fill in sales) == 2
    assert held(exchange) == 0
    assert_nothing_lost_or_doubled(engine, exchange)
    consistent = compare(engine, broker, ACCOUNT)
    assert consistent.consistent, consistent.differences


def test_F11_a_reconciliation_killed_before_its_commit_is_simply_made_again(
    database_url: str,
    exchange_url: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    exchange.holdings["AAPL"] = (5, exchange.cash / 1000)
    assert run_and_die(database_url, exchange_url, "reconcile", "reconciliation.before_commit") == KILLED
    with engine.connect() as connection:
        assert positions.live_positions(connection, ACCOUNT) == ()
    assert reconcile(engine, broker, clock, ACCOUNT, "start").adopted == ["AAPL"]
    with engine.connect() as connection:
        assert [position.quantity for position in positions.live_positions(connection, ACCOUNT)] == [5]
