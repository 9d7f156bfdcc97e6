"""The dispatcher and the position manager as their sensors start them, in states that a calm day does not bring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from trading_assets.assets.option_chains import _observe
from trading_assets.assets.scope import Kind, Scope
from trading_assets.automation.names import DISPATCHER_TICK, POSITION_MANAGER_TICK
from trading_assets.automation.sensors import ATTEMPT_SECONDS
from trading_assets.broker.errors import Rejected
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.values import KillMode, PositionState, Side, SignalStatus, Strategy
from trading_assets.ledger import dispatch, positions
from trading_assets.ledger.account_lock import account_lock
from trading_assets.ledger.tables import accounts as account_table
from trading_assets.ledger.tables import decisions, dispatch_executions, dispatcher_runs
from trading_assets.market.sessions import MINUTE
from trading_assets.world.frames import FrameStore
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, Playground, playground
from trading_assets_tests.jobs.holdings import ACCOUNT, LATER, acquire, contract, held, manage_here, set_switch


@pytest.fixture(scope="module")
def shared(module_world_home: Path) -> Iterator[Playground]:
    """One day for all tests of this file."""
    with playground(module_world_home, accounts=ONE_ACCOUNT) as opened:
        yield opened


@pytest.fixture
def world(shared: Playground) -> Iterator[Playground]:
    """The same, in which nothing is held, no switch is set and no signal waits."""
    yield shared
    set_switch(shared, KillMode.OFF)
    desk = shared.desk
    account_id = desk.broker(ACCOUNT).account().account_id
    with desk.ledger.begin() as connection:
        connection.execute(
            account_table.update().where(account_table.c.account == ACCOUNT).values(broker_account_id=account_id)
        )
    # Every signal of before is too old by then, and an account without work may be looked at again.
    desk.clock.wait_until(desk.clock.now() + 16 * MINUTE)
    assert manage_here(shared).reconciled
    if held(shared):
        set_switch(shared, KillMode.FLATTEN)
        manage_here(shared)
        set_switch(shared, KillMode.OFF)
    assert held(shared) == {}


def status_of(world: Playground, signal: str) -> SignalStatus | None:
    with world.desk.ledger.connect() as connection:
        found = dispatch.status_of(connection, signal, ACCOUNT)
    return None if found is None else found[0]


def denials_of(world: Playground, signal: str) -> dict[str, str]:
    """Gate and reason of every denial in the recorded decision."""
    with world.desk.ledger.connect() as connection:
        gates: Any = connection.execute(select(decisions.c.gates).where(decisions.c.signal_id == signal)).scalar_one()
    return {row["gate"]: row["reason"] for row in gates if not row["passed"]}


def report_of(world: Playground, run_id: str) -> dict[str, Any]:
    with world.desk.ledger.connect() as connection:
        report: dict[str, Any] = connection.execute(
            select(dispatcher_runs.c.outcome).where(dispatcher_runs.c.run_id == run_id)
        ).scalar_one()
    return report


def sell_by_hand(world: Playground, symbol: str, quantity: int) -> None:
    """What a person does at the broker's own page: an order this system never saw."""
    broker = world.desk.broker(ACCOUNT)
    order = broker.submit(OrderRequest("by-hand", symbol, Side.SELL, quantity, limit_price=None))
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(seconds=5))
    found = broker.order(order.order_id)
    assert found is not None
    assert found.filled_quantity == quantity


def bought(world: Playground) -> Any:
    """A swing that nothing speaks against; the position."""
    world.desk.clock.wait_until(world.session.open + 30 * MINUTE)
    symbol = contract(world, "AAPL", LATER)
    acquire(world, {symbol: (1, lambda _: {"strategy": Strategy.SWING_TRADE})})
    return held(world)[symbol]


def test_F12_a_busy_account_is_left_alone_and_its_signal_is_taken_up_afterwards(world: Playground) -> None:
    placed = len(world.broker_orders())
    [signal, *_] = world.until_a_signal()
    with account_lock(world.desk.runtime.ledger_url, ACCOUNT):
        [outcome] = world.ticker.sensor(DISPATCHER_TICK)
        assert outcome.success, "waiting for another run is no failure"
    assert report_of(world, outcome.run_id)["busy"] is True
    assert status_of(world, signal) is SignalStatus.PENDING
    assert len(world.broker_orders()) == placed

    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(seconds=ATTEMPT_SECONDS))
    [outcome] = world.ticker.sensor(DISPATCHER_TICK)
    assert outcome.success
    assert status_of(world, signal) not in (None, SignalStatus.PENDING, SignalStatus.PROCESSING)


def test_the_kill_switch_denies_an_entry_and_flatten_closes_what_is_held_at_once(world: Playground) -> None:
    placed = len(world.broker_orders())
    set_switch(world, KillMode.ENTRIES)
    [signal, *_] = world.until_a_signal()
    assert all(outcome.success for outcome in world.ticker.sensor(DISPATCHER_TICK))
    assert status_of(world, signal) is SignalStatus.SKIPPED
    assert "entries" in denials_of(world, signal)["kill_switch"]
    assert len(world.broker_orders()) == placed

    set_switch(world, KillMode.OFF)
    position = bought(world)
    set_switch(world, KillMode.FLATTEN)
    for _ in range(5):
        world.minute(world.desk.clock.now() + MINUTE)
        assert all(outcome.success for outcome in world.ticker.sensor(POSITION_MANAGER_TICK))
        if not held(world):
            break
    with world.desk.ledger.connect() as connection:
        closed = positions.get_position(connection, position.position_id)
        reasons = connection.execute(
            select(dispatch_executions.c.reason).where(
                dispatch_executions.c.position_id == position.position_id, dispatch_executions.c.side == Side.SELL.value
            )
        ).scalars()
    assert closed is not None
    assert closed.state is PositionState.CLOSED
    assert set(reasons) == {"flatten"}
    assert world.desk.broker(ACCOUNT).positions() == []


def test_F25_a_sale_made_by_hand_is_booked_and_nothing_is_sold_twice(world: Playground) -> None:
    position = bought(world)
    sell_by_hand(world, position.symbol, position.quantity)
    orders_before = len(world.broker_orders())
    world.minute(world.desk.clock.now() + MINUTE)
    assert all(outcome.success for outcome in world.ticker.sensor(POSITION_MANAGER_TICK))
    assert held(world) == {}, "the foreign sale was found and booked"
    assert len(world.broker_orders()) == orders_before


def test_F31_an_account_whose_broker_id_changed_is_not_ready(world: Playground) -> None:
    placed = len(world.broker_orders())
    [signal, *_] = world.until_a_signal()
    with world.desk.ledger.begin() as connection:
        connection.execute(
            account_table.update().where(account_table.c.account == ACCOUNT).values(broker_account_id="somebody-else")
        )
    [outcome] = world.ticker.sensor(DISPATCHER_TICK)
    assert not outcome.success, "keys of another account must not trade"
    assert status_of(world, signal) is SignalStatus.PENDING
    assert len(world.broker_orders()) == placed


def test_F25_a_position_bought_by_hand_on_an_idle_account_is_found_and_managed(world: Playground) -> None:
    world.desk.clock.wait_until(world.session.open + 30 * MINUTE)
    broker = world.desk.broker(ACCOUNT)
    broker.submit(OrderRequest("by-hand-KO", "KO", Side.BUY, 10, limit_price=None))
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(seconds=5))
    assert held(world) == {}

    assert all(outcome.success for outcome in world.ticker.sensor(POSITION_MANAGER_TICK))
    [position] = held(world).values()
    assert (position.symbol, position.quantity) == ("KO", 10)
    assert list(world.ticker.sensor(POSITION_MANAGER_TICK)) != [], "with open work it is managed every minute"


@pytest.mark.parametrize(
    "trouble",
    [Rejected(400, 40010001, "invalid symbol", {}, where="chain"), ZeroDivisionError("a price of nothing")],
    ids=["refused", "odd"],
)
def test_a_signal_that_cannot_be_judged_fails_alone(
    world: Playground, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    placed = len(world.broker_orders())
    [signal, *_] = world.until_a_signal()

    def refuse(*_: object, **__: object) -> None:
        raise trouble

    monkeypatch.setattr(world.desk.broker(ACCOUNT), "quotes", refuse)
    assert all(outcome.success for outcome in world.ticker.sensor(DISPATCHER_TICK))
    assert status_of(world, signal) is SignalStatus.FAILED
    assert len(world.broker_orders()) == placed


def test_every_row_of_a_chain_carries_one_instant_also_while_the_clock_runs(
    world: Playground, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.desk.clock.wait_until(world.session.open + 30 * MINUTE)
    # Nothing is archived yet: the chains of all names are due.
    monkeypatch.setitem(world.desk.__dict__, "frames", FrameStore(tmp_path))
    began, passed = world.desk.clock.now(), count()
    monkeypatch.setattr(
        type(world.desk.clock), "now", lambda _: began + timedelta(milliseconds=next(passed)), raising=True
    )
    found = _observe(world.desk, Scope(world.session.key, Kind.LIVE, began)).rows
    assert found["underlying"].n_unique() > 20
    assert found.select("underlying", "as_of").n_unique() == found["underlying"].n_unique()
