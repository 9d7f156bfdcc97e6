"""Stocks end to end: a signal of a generated day is bought as a bracket, managed, explained, and carried overnight.

Two sessions for the whole file: each test goes on where the one before stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from trading_assets.automation.names import DISPATCHER_TICK, POSITION_MANAGER_TICK
from trading_assets.broker import protection
from trading_assets.broker.consistency import compare
from trading_assets.cli import app
from trading_assets.domain.values import KillMode, OrderState, PositionState, Purpose, Side, SignalStatus, Strategy
from trading_assets.jobs.recovery import reconcile_all
from trading_assets.ledger import accounts, executions, external_signals, listings, order_legs, orders, positions
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.tables import decisions, dispatch_status
from trading_assets.market.sessions import MINUTE, shift
from trading_assets.world.paths import World
from trading_assets_tests.e2e.playground import SESSION, Playground, playground

ACCOUNT = "stocks"
ACCOUNTS = """
accounts:
  stocks: {rule_sets: [webhook], limits: {mode: hybrid, strategies: [stock, swing_trade]}, practice_cash: 121000}
"""
RULES = "signals: {mode: hybrid, min_volume_ratio: 0.1, webhook: {sources: {desk: 0.9}}}\n"
_ASKED_AT_ONCE = 4


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """Two hours after the open of the first session."""
    configured = World(module_world_home, "play")
    configured.create()
    (configured.directory / "strategy.yaml").write_text(RULES)
    with playground(module_world_home, accounts=ACCOUNTS, history=3, sessions=2) as opened:
        opened.minute(opened.session.open + timedelta(minutes=120))
        yield opened


@contextmanager
def wide_brackets(world: Playground) -> Iterator[None]:
    """Stops and targets so far away that the day does not reach them."""
    before = world.desk.settings
    exits = before.strategy.exits.model_copy(update={"stock_stop_atr": Decimal(20)})
    world.desk.__dict__["settings"] = replace(before, strategy=before.strategy.model_copy(update={"exits": exits}))
    try:
        yield
    finally:
        world.desk.__dict__["settings"] = before


def held(world: Playground) -> list[Position]:
    with world.desk.ledger.connect() as connection:
        return [position for position in positions.live_positions(connection, ACCOUNT) if position.quantity]


def stored(world: Playground, position: Position) -> Position:
    with world.desk.ledger.connect() as connection:
        found = positions.get_position(connection, position.position_id)
    assert found is not None
    return found


def orders_of(world: Playground, position: Position) -> list[OrderIntent]:
    with world.desk.ledger.connect() as connection:
        return list(orders.of_position(connection, position.position_id))


def resting(world: Playground, position: Position) -> tuple[OrderIntent, ...]:
    with world.desk.ledger.connect() as connection:
        return order_legs.protections(connection, position.position_id)


def sold(world: Playground, position: Position) -> dict[str, int]:
    """Shares sold by reason."""
    found: dict[str, int] = {}
    with world.desk.ledger.connect() as connection:
        for fill in executions.of_position(connection, position.position_id):
            if fill.side is Side.SELL:
                found[fill.reason] = found.get(fill.reason, 0) + fill.quantity
    return found


def buy(world: Playground) -> Position:
    """Members of the watchlist are recommended as stocks, a few at a time, until one is bought."""
    rows = world.desk.frames.read("watchlist", [SESSION.isoformat()]).filter("member")
    names = rows.filter(pl.col("as_of") == rows["as_of"].max()).sort("rank")["ticker"].to_list()
    while names:
        for ticker in names[:_ASKED_AT_ONCE]:
            with world.desk.ledger.begin() as connection:
                external_signals.receive(
                    connection,
                    world.desk.clock,
                    sources={"desk"},
                    source="desk",
                    ticker=ticker,
                    direction="bullish",
                    strategy="stock",
                )
        del names[:_ASKED_AT_ONCE]
        world.minute(world.desk.clock.now() + MINUTE)
        assert all(outcome.success for outcome in world.ticker.sensor(DISPATCHER_TICK))
        if held(world):
            return held(world)[0]
    with world.desk.ledger.connect() as connection:
        raise AssertionError(connection.execute(select(dispatch_status.c.reason)).all())


def manage(world: Playground) -> None:
    """One run of the position manager as its sensor starts it, a minute later."""
    world.desk.clock.wait_until(world.desk.clock.now() + MINUTE)
    outcomes = world.ticker.sensor(POSITION_MANAGER_TICK)
    assert outcomes and all(outcome.success for outcome in outcomes)


def set_switch(world: Playground, mode: KillMode) -> None:
    with world.desk.ledger.begin() as connection:
        accounts.set_kill_switch(connection, accounts.ALL_ACCOUNTS, mode, world.desk.clock.now(), "a test says so")


def told(world: Playground, position: Position) -> list[str]:
    """What was told about the protective orders of a position."""
    with world.desk.ledger.connect() as connection:
        rows = listings.alerts(connection, world.desk.clock.now().date())
    return [row["reason"] for row in rows if row["position_id"] == position.position_id and row["rule"] == "protection"]


def cancel_by_hand(world: Playground, position: Position) -> None:
    profit, _ = resting(world, position)
    assert profit.broker_order_id is not None
    assert world.desk.broker(ACCOUNT).cancel(profit.broker_order_id)


def assert_equal(world: Playground) -> None:
    report = compare(world.desk.ledger, world.desk.broker(ACCOUNT), ACCOUNT)
    assert report.consistent, report.differences


def ask(world: Playground, *arguments: str) -> Any:
    """What the command line answers, as JSON."""
    environment = {"TRADING_ASSETS_HOME": str(world.desk.settings.world.home), "TRADING_ASSETS_MODE": ""}
    result = CliRunner().invoke(app, [*arguments, "--world", "play", "--json"], env=environment)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_a_stock_is_bought_as_a_bracket_that_its_decision_foretold(world: Playground) -> None:
    position = buy(world)
    assert position.strategy is Strategy.STOCK and position.multiplier == 1
    entries = [intent for intent in orders_of(world, position) if intent.purpose is Purpose.ENTRY]
    assert {intent.order_class for intent in entries} == {"bracket"}
    assert protection.covers(resting(world, position), position.quantity)
    highest = max(intent.limit_price for intent in entries if intent.limit_price is not None)
    stop, target = position.stop_price, position.target_price
    assert stop is not None and target is not None and stop < highest < target
    with world.desk.ledger.connect() as connection:
        reason = connection.execute(
            select(decisions.c.reason).where(decisions.c.signal_id == position.signal_id)
        ).scalar_one()
    assert reason.startswith(f"bracket with a stop at {stop:.2f} and a take profit at {target:.2f}; ")
    assert_equal(world)


def test_the_manager_leaves_the_legs_alone_and_books_what_one_of_them_sells(world: Playground) -> None:
    (position,) = held(world)
    before = {intent.client_order_id for intent in resting(world, position)}
    manage(world)
    assert {intent.client_order_id for intent in resting(world, position)} == before, "no leg is touched"
    for _ in range(120):
        if not held(world):
            break
        manage(world)
    closed = stored(world, position)
    assert closed.state is PositionState.CLOSED and closed.exit_reason in ("stop_loss", "take_profit")
    assert sold(world, position) == {closed.exit_reason: position.quantity}
    assert not [intent for intent in orders_of(world, position) if intent.purpose is Purpose.EXIT]
    assert_equal(world)


def test_why_and_the_list_of_fills_say_which_leg_sold(world: Playground) -> None:
    rows = ask(world, "data", "executions", "--session", SESSION.isoformat())
    sale = next(row for row in rows if row["side"] == "sell")
    assert sale["reason"] in ("stop_loss", "take_profit")
    page = ask(world, "why", sale["position_id"])
    text = json.dumps(page)
    assert sale["client_order_id"] in text and '"leg_of": "ta-stocks-en-' in text
    environment = {"TRADING_ASSETS_HOME": str(world.desk.settings.world.home), "TRADING_ASSETS_MODE": ""}
    said = CliRunner().invoke(app, ["why", sale["client_order_id"], "--world", "play"], env=environment)
    assert said.exit_code == 0, said.output
    shown = " ".join(said.output.split())
    assert "bought as a bracket: stop at" in shown and f"ended by {sale['reason']}" in shown
    assert "a leg of ta-stocks-en-" in shown


def test_the_manager_that_leaves_first_ends_the_legs_and_sells_once(world: Playground) -> None:
    position = buy(world)
    set_switch(world, KillMode.FLATTEN)
    manage(world)
    set_switch(world, KillMode.OFF)
    assert stored(world, position).exit_reason == "flatten"
    assert sold(world, position) == {"flatten": position.quantity}
    assert {leg.state for leg in orders_of(world, position) if leg.purpose is Purpose.PROTECT} == {OrderState.CANCELED}
    assert world.desk.broker(ACCOUNT).orders("open") == []
    assert_equal(world)


def test_legs_that_are_gone_are_put_back_and_told_unless_the_kill_switch_forbids_orders(world: Playground) -> None:
    with wide_brackets(world):
        position = buy(world)
    cancel_by_hand(world, position)
    set_switch(world, KillMode.ALL)
    manage(world)
    assert resting(world, position) == ()
    assert told(world, position) == ["The kill switch is set to all: no protective order is sent."]
    set_switch(world, KillMode.OFF)
    manage(world)
    assert protection.covers(resting(world, position), position.quantity)
    assert told(world, position)[1].startswith("Its protective orders were gone")
    sent = len(orders_of(world, position))
    manage(world)
    assert len(orders_of(world, position)) == sent, "what covers is left alone"
    assert_equal(world)


def test_a_stock_that_stays_overnight_is_covered_again_in_the_morning(world: Playground) -> None:
    (position,) = held(world)
    desk, close = world.desk, world.session.close
    for minutes in (14, 4):
        desk.clock.wait_until(close - minutes * MINUTE)
        manage(world)
    assert held(world) == [stored(world, position)], "a stock stays where its tier holds something overnight"
    desk.clock.wait_until(close + MINUTE)
    assert reconcile_all(desk, "after the close") == []
    pair = [intent for intent in orders_of(world, position) if intent.purpose is Purpose.PROTECT][-2:]
    assert {intent.state for intent in pair} == {OrderState.EXPIRED}
    assert_equal(world)
    tomorrow = shift(SESSION, 1)
    desk.clock.wait_until(tomorrow.open + MINUTE)
    manage(world)
    assert protection.covers(resting(world, position), position.quantity)
    assert told(world, position) == [], "what has to be is no alert"
    assert_equal(world)
    with desk.ledger.connect() as connection:
        statuses = connection.execute(select(dispatch_status.c.status)).scalars()
    assert {SignalStatus.EXECUTED.value, SignalStatus.SKIPPED.value} >= set(statuses)
