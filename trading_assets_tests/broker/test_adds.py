"""Adds: more of a held position, by the same ladder, and never of one that is being left."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.errors import SymbolBlocked
from trading_assets.broker.ladder import Entry
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.clock import Clock
from trading_assets.domain.values import OrderState, PositionState
from trading_assets.ledger import orders, positions
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.crashing import run_and_die
from trading_assets_tests.broker.desk import SYMBOL, SteppedClock, assert_nothing_lost_or_doubled, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, at_once, never
from trading_assets_tests.broker.test_crashes import KILLED
from trading_assets_tests.broker.test_ladder import opened, sell, states, stored


@dataclass
class Interrupted:
    """A clock whose process ends when it should wait."""

    inner: Clock

    def now(self) -> datetime:
        return self.inner.now()

    def wait_until(self, instant: datetime) -> None:
        raise KeyboardInterrupt


def add(position_id: str, quantity: int = 2, signal_id: str = "s2", **changes: Any) -> Entry:
    return replace(entry(signal_id, quantity), adds_to=position_id, **changes)


def test_an_add_grows_the_position_at_the_average_price_and_opens_none(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    before = stored(engine, held)
    result = ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="run")
    assert (result.position_id, result.filled_quantity, result.state) == (held, 2, LadderState.FILLED)
    after = stored(engine, held)
    assert (after.state, after.quantity, after.quantity_opened) == (PositionState.OPEN, 5, 5)
    assert after.entry_price == Decimal("2.20") and after.opened_at == before.opened_at
    with engine.connect() as connection:
        assert orders.adds_done(connection, held) == 1
        assert len(positions.live_positions(connection, desk.ACCOUNT)) == 1
        (bought,) = orders.of_signal(connection, desk.ACCOUNT, "s2")
    assert (bought.position_id, bought.reason, bought.attempt) == (held, "add", 1)
    assert sell(engine, broker, clock, held, 5, None).state is LadderState.FILLED
    assert stored(engine, held).state is PositionState.CLOSED
    assert_nothing_lost_or_doubled(engine, exchange)


def test_an_add_without_a_fill_leaves_the_position_as_it_was(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    before = stored(engine, held)
    exchange.script = never
    result = ladder.enter(engine, broker, clock, add(held), plan("2.50", "2.55"), run_id="run")
    assert result.state is LadderState.UNFILLED
    assert stored(engine, held) == before
    assert_nothing_lost_or_doubled(engine, exchange)


def test_an_add_is_ordered_once_for_its_signal(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="run")
    with pytest.raises(SymbolBlocked, match="traded before"):
        ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="another")
    assert stored(engine, held).quantity == 5 and len(exchange.orders) == 2


def test_an_add_whose_first_rung_was_not_filled_may_be_tried_again_under_new_ids(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    exchange.script = never
    first = ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="run")
    exchange.script = at_once
    second = ladder.enter(engine, broker, clock, add(held), plan("2.60"), run_id="run")
    assert set(first.orders).isdisjoint(second.orders) and stored(engine, held).quantity == 5
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize("left", ["half taken", "some sold", "closed", "another symbol", "never there"])
def test_a_position_that_is_being_left_does_not_grow(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    left: str,
) -> None:
    held = opened(engine, broker, clock, 3)
    more = add(held)
    if left == "half taken":
        with engine.begin() as connection:
            positions.set_stage(connection, held, 1)
    elif left == "some sold":
        sell(engine, broker, clock, held, 1, None)
    elif left == "closed":
        sell(engine, broker, clock, held, 3, None)
    elif left == "another symbol":
        more = replace(more, symbol="NVDA260320C00185000")
    else:
        more = add("nobody's")
    sent = len(exchange.orders)
    with pytest.raises(SymbolBlocked, match="to add to"):
        ladder.enter(engine, broker, clock, more, plan("2.50"), run_id="run")
    assert len(exchange.orders) == sent


def test_an_exit_ends_an_add_that_still_works_before_it_sells(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    """As after a crash: the add's order is live at the broker when the stop is due."""
    held = opened(engine, broker, clock, 3)
    exchange.script = never
    with pytest.raises(KeyboardInterrupt):
        ladder.enter(engine, broker, Interrupted(clock), add(held), plan("2.50"), run_id="run")
    assert stored(engine, held).state is PositionState.OPENING
    exchange.script = at_once
    assert sell(engine, broker, clock, held, 3, None).filled_quantity == 3
    assert stored(engine, held).state is PositionState.CLOSED
    assert states(engine) == [OrderState.FILLED, OrderState.CANCELED, OrderState.FILLED]
    assert_nothing_lost_or_doubled(engine, exchange)


def test_a_second_signal_adds_nothing_while_an_add_is_at_work(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    exchange.script = never
    with pytest.raises(KeyboardInterrupt):
        ladder.enter(engine, broker, Interrupted(clock), add(held), plan("2.50"), run_id="run")
    sent = len(exchange.orders)
    with pytest.raises(SymbolBlocked, match="to add to"):
        ladder.enter(engine, broker, clock, add(held, signal_id="s3"), plan("2.50"), run_id="another")
    assert len(exchange.orders) == sent


def test_the_rungs_of_an_add_go_on_after_a_partial_fill(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    exchange.script = lambda order: [(1.0, 1, str(order.body["limit_price"]))] if order.quantity == 2 else []
    partly = ladder.enter(engine, broker, clock, add(held), plan("2.50", "2.60"), run_id="run")
    assert (partly.filled_quantity, partly.state) == (1, LadderState.PARTIAL)
    after = stored(engine, held)
    assert (after.state, after.quantity, after.entry_price) == (PositionState.OPEN, 4, Decimal("2.125"))
    assert_nothing_lost_or_doubled(engine, exchange)


def test_what_is_held_is_sold_also_while_the_fate_of_an_add_is_unknown(
    engine: Engine, broker: AlpacaBroker, proxy: FaultProxy, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    held = opened(engine, broker, clock, 3)
    exchange.script = never
    proxy.faults = [Fault("POST", "/v2/orders", "lose_answer"), Fault("GET", "by_client_order_id", "lose_answer", 1000)]
    unclear = ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="run")
    assert unclear.state is LadderState.UNKNOWN
    exchange.script = at_once
    sold = sell(engine, broker, clock, held, 3, None)
    assert (sold.state, sold.filled_quantity) == (LadderState.FILLED, 3)
    proxy.faults = []
    assert reconcile(engine, broker, clock, desk.ACCOUNT, "start").clean
    assert stored(engine, held).state is PositionState.CLOSED
    assert_nothing_lost_or_doubled(engine, exchange)


@pytest.mark.parametrize(
    ("point", "sent"),
    [
        ("submission.before_intent", 1),
        ("submission.after_intent", 1),
        ("submission.after_post", 2),
        ("submission.after_answer", 2),
        ("booking.before_commit", 2),
        ("booking.after_commit", 2),
    ],
)
def test_F11_an_add_killed_at_any_step_is_neither_lost_nor_doubled(
    point: str,
    sent: int,
    database_url: str,
    exchange_url: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    reconcile(engine, broker, clock, desk.ACCOUNT, "start")
    held = opened(engine, broker, clock, 3)
    assert run_and_die(database_url, exchange_url, "add", point) == KILLED
    assert exchange.posts == sent

    report = reconcile(engine, broker, clock, desk.ACCOUNT, "start")
    assert report.clean, report.differences
    assert_nothing_lost_or_doubled(engine, exchange)
    (quantity, _) = exchange.holdings[SYMBOL]
    after = stored(engine, held)
    assert (after.state, after.quantity) == (PositionState.OPEN, quantity)
    with engine.connect() as connection:
        assert len(positions.live_positions(connection, desk.ACCOUNT)) == 1
        assert orders.live_intents(connection, desk.ACCOUNT) == ()
    consistent = compare(engine, broker, desk.ACCOUNT)
    assert consistent.consistent, consistent.differences
    if quantity == 3:
        again = ladder.enter(engine, broker, clock, add(held), plan("2.50"), run_id="next")
        assert again.state is LadderState.FILLED and stored(engine, held).quantity == 5
        assert_nothing_lost_or_doubled(engine, exchange)
