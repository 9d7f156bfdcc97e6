"""Contracts that are exercised or assigned before they expire, in whole or in part, and the stock that comes of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.domain.values import PositionState
from trading_assets.ledger import executions, positions
from trading_assets.ledger.positions import Position
from trading_assets.market.sessions import require_session
from trading_assets_tests.broker import bracket_desk, roll_desk
from trading_assets_tests.broker.desk import ACCOUNT, SECRET, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.fault_suite import Figures

HISTORY = "/v2/account/activities.*OPEXC"
STRIKE = Decimal(180)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def held(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> Position:
    """Two calls at a strike of 180, bought at 2.50 ten days before they expire."""
    assert ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run").state is LadderState.FILLED
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    return the(engine, SYMBOL)


def the(engine: Engine, symbol: str) -> Position:
    with engine.connect() as connection:
        (found,) = (p for p in positions.live_positions(connection, ACCOUNT) if p.symbol == symbol)
    return found


def again(engine: Engine, position: Position) -> Position:
    with engine.connect() as connection:
        found = positions.get_position(connection, position.position_id)
    assert found is not None
    return found


def later(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, minutes: int = 1) -> ReconciliationReport:
    clock.wait_until(clock.now() + minutes * MINUTE)
    return reconcile(engine, broker, clock, ACCOUNT, "start")


def told(number: int, kind: str, symbol: str, quantity: int, price: str = "0", group: str = "") -> dict[str, Any]:
    line = {
        "id": f"20260310::{number}",
        "activity_type": kind,
        "date": "2026-03-10",
        "symbol": symbol,
        "qty": str(quantity),
        "price": price,
        "net_amount": str(-quantity * Decimal(price)),
    }
    return line | ({"group_id": group} if group else {})


def test_F27_an_early_exercise_is_booked_as_what_it_is_and_its_stock_follows_from_it(
    ledger: Engine, tmp_path: Path, scorecard: Figures
) -> None:
    with bracket_desk.running(tmp_path, 1, last=bracket_desk.NEXT, options_level=3, faults=True) as url:
        bench = roll_desk.opened(ledger, url, 0)
        call = bench.buy(2)
        bench.reconcile()
        path = f"{url}/v2/positions/{call.symbol}/exercise"
        keys = {"APCA-API-KEY-ID": bench.key, "APCA-API-SECRET-KEY": SECRET}
        assert httpx.post(path, headers=keys, trust_env=False).status_code == 200
        scorecard.add(faults_injected=1)
        bench.clock.wait_until(require_session(bracket_desk.NEXT).open - 4 * MINUTE)
        assert bench.held() == {call.underlying: 200}
        report = bench.reconcile()
        assert report.clean and report.ended_contracts == 1, report.differences
        assert not (report.adopted or report.phantoms or report.missing)
        for _ in range(3):
            bench.step(60)
            assert bench.reconcile().clean
        ended, stock = again(ledger, call), the(ledger, call.underlying)
        assert call.entry_price is not None
        assert (ended.state, ended.exit_reason) == (PositionState.CLOSED, "exercised")
        assert ended.realized_pnl == -call.entry_price * 200
        assert (stock.quantity, stock.entry_price, stock.state) == (200, call.strike, PositionState.OPEN)
        consistent = compare(ledger, bench.broker, ACCOUNT)
        assert consistent.consistent, consistent.differences
        bench.broker.close()


@pytest.mark.parametrize("group", ["", "one settlement"])
def test_F27_a_part_that_is_exercised_leaves_the_rest_with_its_rules_and_is_booked_once(
    group: str,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    held: Position,
    scorecard: Figures,
) -> None:
    exchange.trade_by_hand("NVDA", "buy", 50, "170")
    assert later(engine, broker, clock).clean
    exchange.holdings |= {SYMBOL: (1, Decimal("2.50")), "NVDA": (150, Decimal("176.67"))}
    exchange.cash -= 100 * STRIKE
    exchange.activities = [told(1, "OPEXC", SYMBOL, -1, group=group), told(2, "OPTRD", "NVDA", 100, "180", group)]
    scorecard.add(faults_injected=1)
    for _ in range(3):
        report = later(engine, broker, clock)
        assert report.clean and not report.unexplained, report.differences
    rest, stock = again(engine, held), the(engine, "NVDA")
    assert (rest.state, rest.quantity, rest.realized_pnl) == (PositionState.OPEN, 1, Decimal(-250))
    assert (stock.quantity, stock.entry_price) == (150, Decimal("176.666667"))
    consistent = compare(engine, broker, ACCOUNT)
    assert consistent.consistent, consistent.differences
    # The rest goes the same way on another day: the line of the first is no second exercise.
    exchange.holdings = {"NVDA": (250, Decimal(178))}
    exchange.cash -= 100 * STRIKE
    assert later(engine, broker, clock).missing == {SYMBOL: clock.now().isoformat()}
    exchange.activities += [told(3, "OPEXC", SYMBOL, -1, group=group + "2"), told(4, "OPTRD", "NVDA", 100, "180", "")]
    later(engine, broker, clock)
    assert (again(engine, held).exit_reason, again(engine, held).realized_pnl) == ("exercised", Decimal(-500))


def test_F27_a_put_that_is_exercised_sells_the_stock_that_was_held(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, scorecard: Figures
) -> None:
    put = "NVDA260320P00180000"
    exchange.holdings = {put: (1, Decimal(3)), "NVDA": (120, Decimal(170))}
    assert sorted(reconcile(engine, broker, clock, ACCOUNT, "start").adopted) == ["NVDA", put]
    option, stock = the(engine, put), the(engine, "NVDA")
    exchange.holdings = {"NVDA": (20, Decimal(170))}
    exchange.activities = [told(1, "OPEXC", put, -1), told(2, "OPTRD", "NVDA", -100, "180")]
    scorecard.add(faults_injected=1)
    assert later(engine, broker, clock).clean
    assert (again(engine, option).exit_reason, again(engine, option).realized_pnl) == ("exercised", Decimal(-300))
    assert (again(engine, stock).quantity, again(engine, stock).realized_pnl) == (20, Decimal(1000))


def test_F27_a_word_that_comes_on_the_next_day_still_explains_what_was_closed_as_phantom(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy: FaultProxy,
    held: Position,
    scorecard: Figures,
) -> None:
    exchange.holdings = {"NVDA": (200, STRIKE)}
    reports = [later(engine, broker, clock) for _ in range(3)]
    assert [report.phantoms for report in reports] == [[], [SYMBOL], []]
    assert the(engine, "NVDA").quantity == 200
    before = proxy.count("GET", HISTORY)
    exchange.activities = [told(1, "OPASN", SYMBOL, -2), told(2, "OPTRD", "NVDA", 200, "180")]
    scorecard.add(faults_injected=1)
    for _ in range(5):
        later(engine, broker, clock)
    assert proxy.count("GET", HISTORY) == before, "what is over is not asked about every minute"
    for _ in range(9):
        assert later(engine, broker, clock, 8).clean
    assert before < proxy.count("GET", HISTORY) <= before + 2
    ended = again(engine, held)
    assert (ended.state, ended.exit_reason) == (PositionState.CLOSED, "assigned")
    assert ended.realized_pnl == Decimal(-500)
    assert the(engine, "NVDA").quantity == 200, "the stock was taken over already"
    with engine.connect() as connection:
        assert sum(1 for row in executions.of_account(connection, ACCOUNT) if row.reason == "assigned") == 1


def test_F27_a_line_about_more_than_what_is_missing_explains_nothing(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    held: Position,
    scorecard: Figures,
) -> None:
    exchange.holdings = {SYMBOL: (1, Decimal("2.50"))}
    exchange.activities = [told(1, "OPEXC", SYMBOL, -2), told(2, "OPTRD", "NVDA", 200, "180")]
    scorecard.add(faults_injected=1)
    report = later(engine, broker, clock)
    assert report.unexplained == {SYMBOL: "1"} and report.ended_contracts == 0
    exchange.holdings = {"NVDA": (200, STRIKE)}
    assert later(engine, broker, clock).clean
    assert (again(engine, held).realized_pnl, the(engine, "NVDA").quantity) == (Decimal(-500), 200)


def test_while_nothing_differs_the_history_is_not_asked_about_contracts(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, held: Position
) -> None:
    proxy.seen.clear()
    for _ in range(3):
        assert later(engine, broker, clock, 31).clean
    assert proxy.count("GET", HISTORY) == 0
