"""Limit ladders: rungs, partial fills, races of fill and cancel, exits."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderResult, LadderState
from trading_assets.broker.errors import SymbolBlocked
from trading_assets.broker.ladder import Exit
from trading_assets.domain.values import OrderState, PositionState
from trading_assets.ledger import executions, orders, positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import SteppedClock, assert_nothing_lost_or_doubled, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import Order, ScriptedExchange, at_once, never


def stored(engine: Engine, position_id: str) -> Position:
    with engine.connect() as connection:
        position = positions.get_position(connection, position_id)
    assert position is not None
    return position


def states(engine: Engine) -> list[OrderState]:
    with engine.connect() as connection:
        return [intent.state for intent in orders.of_account(connection, desk.ACCOUNT)]


def opened(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, quantity: int = 3) -> str:
    return ladder.enter(engine, broker, clock, entry(quantity=quantity), plan("2.00"), run_id="run").position_id


def sell(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, position_id: str, quantity: int, *prices: str | None
) -> LadderResult:
    order = Exit(position_id, quantity, "stop_loss")
    return ladder.leave(engine, broker, clock, order, plan(*prices), run_id="run")


def test_each_rung_works_for_its_time_and_the_next_takes_what_is_left(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    def script(order: Order) -> list[tuple[float, int, str]]:
        price = str(order.body["limit_price"])
        return {"2.5": [(3.0, 1, "2.50")], "2.55": [], "2.6": [(1.0, 2, "2.58")]}[price]

    exchange.script = script
    begin = clock.now()
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.50", "2.55", "2.60"), run_id="run")
    assert (result.state, result.filled_quantity) == (LadderState.FILLED, 3)
    assert result.avg_price == Decimal("2.553333")
    placed = sorted(exchange.orders.values(), key=lambda order: order.submitted_at)
    assert [order.quantity for order in placed] == [3, 2, 2]
    assert [(order.submitted_at - begin).total_seconds() for order in placed] == [0, 10, 20]
    assert states(engine) == [OrderState.CANCELED, OrderState.CANCELED, OrderState.FILLED]
    position = stored(engine, result.position_id)
    assert (position.state, position.quantity, position.entry_price) == (PositionState.OPEN, 3, result.avg_price)
    assert_nothing_lost_or_doubled(engine, exchange)


def test_an_entry_without_any_fill_leaves_a_void_position(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50", "2.55"), run_id="run")
    assert (result.state, result.filled_quantity, result.avg_price) == (LadderState.UNFILLED, 0, None)
    assert stored(engine, result.position_id).state is PositionState.VOID
    assert not [order for order in exchange.orders.values() if order.is_open]


def test_an_entry_that_stayed_void_may_be_tried_again_under_new_ids(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    first = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    exchange.script = at_once
    second = ladder.enter(engine, broker, clock, entry(), plan("2.60"), run_id="run")
    assert second.position_id == first.position_id
    assert set(first.orders).isdisjoint(second.orders)
    assert stored(engine, second.position_id).state is PositionState.OPEN
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F20_a_partial_entry_keeps_what_was_filled_and_cancels_the_rest(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.script = lambda order: [(2.0, 1, "2.50")]
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.50"), run_id="run")
    assert (result.state, result.filled_quantity) == (LadderState.PARTIAL, 1)
    position = stored(engine, result.position_id)
    assert (position.state, position.quantity, position.quantity_opened) == (PositionState.OPEN, 1, 1)
    assert states(engine) == [OrderState.CANCELED]
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(("raced", "state", "placed"), [(3, LadderState.FILLED, 1), (1, LadderState.FILLED, 2)])
def test_F21_a_fill_that_wins_the_race_against_the_cancel_is_booked_and_not_bought_again(
    raced: int,
    state: LadderState,
    placed: int,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    exchange.script = lambda order: [] if str(order.body["limit_price"]) == "2.5" else at_once(order)
    exchange.race = (raced, "2.50")
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.50", "2.55"), run_id="run")
    assert (result.state, result.filled_quantity) == (state, 3)
    assert len(exchange.orders) == placed
    assert exchange.holdings[desk.SYMBOL][0] == 3
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F21_an_order_whose_end_is_not_confirmed_is_followed_by_nothing(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    exchange.script = never
    proxy.faults.append(Fault("DELETE", "/v2/orders/", "answer", status=503, times=99))
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50", "2.55"), run_id="run")
    assert result.state is LadderState.UNKNOWN
    assert exchange.posts == 1
    assert stored(engine, result.position_id).state is PositionState.OPENING


def test_a_complete_exit_closes_the_position_at_its_fill_price(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock)
    exchange.script = lambda order: [(1.0, 1, "2.70"), (2.0, 2, "2.60")]
    result = sell(engine, broker, clock, position_id, 3, "2.60")
    assert result.state is LadderState.FILLED
    position = stored(engine, position_id)
    assert (position.state, position.quantity, position.exit_reason) == (PositionState.CLOSED, 0, "stop_loss")
    assert position.realized_pnl == Decimal("190")
    assert position.closed_at is not None
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F20_a_partial_exit_leaves_the_position_open_with_the_rest(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock)
    exchange.script = lambda order: [(1.0, 1, "3.00")]
    result = sell(engine, broker, clock, position_id, 3, "3.00")
    assert (result.state, result.filled_quantity) == (LadderState.PARTIAL, 1)
    position = stored(engine, position_id)
    assert (position.state, position.quantity) == (PositionState.OPEN, 2)
    assert position.realized_pnl == Decimal("100")
    assert position.exit_reason is None


def test_F33_an_exit_escalates_from_limit_to_market(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock)
    exchange.script = lambda order: [] if order.body["type"] == "limit" else [(0.5, order.quantity, "1.10")]
    result = sell(engine, broker, clock, position_id, 3, "2.00", "1.95", None)
    assert (result.state, result.avg_price) == (LadderState.FILLED, Decimal("1.100000"))
    assert [o.body["type"] for o in exchange.orders.values()][1:] == ["limit", "limit", "market"]
    assert {o.body["position_intent"] for o in exchange.orders.values() if o.body["side"] == "sell"} == {
        "sell_to_close"
    }
    assert stored(engine, position_id).realized_pnl == Decimal("-270")


def test_F32_a_rejected_exit_leaves_the_position_open_and_may_be_tried_again(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock)
    message = "insufficient qty available for order (requested: 3, available: 0)"
    exchange.refusals[desk.SYMBOL] = (403, {"code": 40310000, "message": message, "held_for_orders": "3"})
    result = sell(engine, broker, clock, position_id, 3, "2.00", None)
    assert result.state is LadderState.REJECTED
    assert result.error is not None and message in result.error
    # Both rungs were tried: the second, a market order, was refused for the same reason.
    assert (stored(engine, position_id).state, exchange.posts) == (PositionState.OPEN, 3)
    exchange.refusals.clear()
    assert sell(engine, broker, clock, position_id, 3, "2.00").state is LadderState.FILLED
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F35_half_of_a_position_can_be_sold_and_then_the_rest(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock)
    assert sell(engine, broker, clock, position_id, 1, "3.00").state is LadderState.FILLED
    assert stored(engine, position_id).state is PositionState.OPEN
    assert sell(engine, broker, clock, position_id, 2, "3.00").state is LadderState.FILLED
    assert stored(engine, position_id).state is PositionState.CLOSED
    with engine.connect() as connection:
        assert [i.attempt for i in orders.of_position(connection, position_id)] == [0, 0, 1]
        assert len(executions.of_position(connection, position_id)) == 3


def test_an_exit_never_sells_more_than_is_held(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    position_id = opened(engine, broker, clock, quantity=2)
    assert sell(engine, broker, clock, position_id, 5, "2.00").filled_quantity == 2
    with pytest.raises(SymbolBlocked):
        sell(engine, broker, clock, position_id, 1, "2.00")
    assert exchange.holdings == {}


def test_F38_an_exit_while_the_entry_still_works_ends_the_entry_first(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    exchange.script = lambda order: [(1.0, 1, "2.50")]
    proxy.faults.append(Fault("DELETE", "/v2/orders/", "answer", status=503, times=999))
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.50"), run_id="run")
    proxy.faults.clear()
    assert stored(engine, result.position_id).state is PositionState.OPENING
    exchange.script = at_once
    exchange.race = (1, "2.50")
    left = sell(engine, broker, clock, result.position_id, 3, "2.40")
    assert (left.state, left.filled_quantity) == (LadderState.PARTIAL, 2)
    position = stored(engine, result.position_id)
    assert (position.state, position.realized_pnl) == (PositionState.CLOSED, Decimal("-20"))
    assert exchange.holdings == {}
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F18_fills_may_be_offered_twice_and_out_of_order(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    exchange.script = lambda order: [(0.2, 1, "2.40"), (0.4, 2, "2.55")]
    proxy.faults.append(Fault("GET", "activities/FILL", "rewrite", rewrite=lambda rows: [*reversed(rows), *rows]))
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.60"), run_id="run")
    assert (result.state, result.filled_quantity, result.avg_price) == (LadderState.FILLED, 3, Decimal("2.500000"))
    with engine.connect() as connection:
        assert len(executions.of_position(connection, result.position_id)) == 2


def test_F16_an_order_is_not_over_before_every_reported_fill_is_booked(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy: FaultProxy
) -> None:
    exchange.script = lambda order: [(0.2, 1, "2.40"), (0.4, 2, "2.55")]
    proxy.faults.append(Fault("GET", "activities/FILL", "rewrite", rewrite=lambda rows: rows[1:], times=2))
    result = ladder.enter(engine, broker, clock, entry(quantity=3), plan("2.60"), run_id="run")
    assert (result.state, result.filled_quantity) == (LadderState.FILLED, 3)
    assert stored(engine, result.position_id).quantity == 3
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/v2/orders/", 401, b'{"code":40110000,"message":"request is not authorized"}', id="F28-keys"),
        pytest.param("/v2/account/activities", 403, b'{"code":40310000,"message":"forbidden"}', id="F28-fills"),
    ],
)
def test_F28_a_look_that_is_refused_for_a_moment_leaves_no_entry_working_without_its_end(
    path: str,
    status: int,
    body: bytes,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    exchange.script = lambda order: [(1.0, 1, "2.50")]
    proxy.faults.append(Fault("GET", path, "answer", status=status, body=body, times=2))
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert (result.state, result.filled_quantity) == (LadderState.PARTIAL, 1)
    assert not any(order.is_open for order in exchange.orders.values())
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F07_a_cancel_that_was_not_answered_is_asked_for_again(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    proxy.faults.append(Fault("DELETE", "/v2/orders/", "answer", status=503, times=broker.config.read_attempts))
    result = ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run")
    assert result.state is LadderState.UNFILLED
    assert not any(order.is_open for order in exchange.orders.values())
    assert_nothing_lost_or_doubled(engine, exchange)
