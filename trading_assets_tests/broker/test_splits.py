"""A split over night of what is held is told apart from a trade by hand, a phantom and what nothing explains (F29)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder, protection
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.ladder import Exit
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.domain import crashpoints
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import PositionState
from trading_assets.jobs.managing import certain
from trading_assets.ledger import positions, splits
from trading_assets.ledger.positions import Position
from trading_assets.market.sessions import shift
from trading_assets_tests.broker.bracket_desk import TICKER, bracket, shares
from trading_assets_tests.broker.desk import ACCOUNT, SECRET, SYMBOL, SteppedClock, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, SESSION, TOKEN, prepare

MONDAY = shift(SESSION, 1)
NEXT_DAY = timedelta(days=1)
FAR_AWAY = (Decimal("0.8"), Decimal("1.2"))
HALVED = "NVDA260320C00090000"


def the_position(engine: Engine) -> Position:
    with engine.connect() as connection:
        (position,) = positions.live_positions(connection, ACCOUNT)
    return position


def listed(new: int, old: int, ticker: str = "NVDA", day: str = "2026-03-11") -> dict[str, Any]:
    return {
        "id": f"split of {ticker} on {day}",
        "symbol": ticker,
        "new_rate": new,
        "old_rate": old,
        "ex_date": day,
        "process_date": day,
    }


def test_F29_a_stock_that_was_split_over_night_keeps_its_bracket_and_its_money(engine: Engine, tmp_path: Path) -> None:
    account = {"name": "one", "key": "PKTEST", "secret": SECRET, "cash": "90000", "options_level": 2}
    split = {"type": "split", "symbol": TICKER, "ex_session": MONDAY.key, "new": 2, "old": 1}
    running = prepare(
        tmp_path / "exchange", CLOSE - 9 * MINUTE, last_session=MONDAY.key, accounts=[account], actions=[split]
    )
    url = running.start().url
    clock = SteppedClock(url, TOKEN)
    broker = AlpacaBroker(BrokerConnection("PRACTICE", url, url, "PKTEST", SECRET), clock)
    try:
        ask = broker.quotes([TICKER])[TICKER].ask
        assert ask is not None
        # An odd cent, of which a half is no price that a broker takes.
        stop, target = ((ask * share).quantize(Decimal("0.1")) + Decimal("0.01") for share in FAR_AWAY)
        brackets = bracket(ask + 5, stop=stop, target=target)
        bought = ladder.enter(engine, broker, clock, shares(10), brackets, run_id="run")
        assert bought.state is LadderState.FILLED
        assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
        before = the_position(engine)
        with engine.begin() as connection:
            positions.raise_high_water(connection, before.position_id, Decimal("900"))
        clock.wait_until(CLOSE + MINUTE)
        assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
        clock.wait_until(MONDAY.open + MINUTE)
        report = reconcile(engine, broker, clock, ACCOUNT, "start")
        assert report.clean and not report.adopted and not report.phantoms
        (sentence,) = report.splits
        assert sentence in report.alerts and "a split of 2 for 1" in sentence and before.position_id in sentence
        after = the_position(engine)
        assert (after.quantity, after.quantity_opened, after.state) == (20, 20, PositionState.OPEN)
        assert (after.position_id, after.opened_at, after.realized_pnl) == (
            before.position_id,
            before.opened_at,
            Decimal(0),
        )
        assert (after.entry_price or 0) * 2 == before.entry_price
        for now, then in ((after.stop_price, before.stop_price), (after.target_price, before.target_price)):
            assert now is not None and then is not None and abs(now * 2 - then) <= Decimal("0.01")
        assert after.high_water == 450
        again = reconcile(engine, broker, clock, ACCOUNT, "start")
        assert again.clean and not again.splits and the_position(engine) == after
        protection.place(engine, broker, clock, after, 20, run_id="run")
        assert protection.covers(protection.live(engine, after.position_id), 20)
        protection.end(engine, broker, clock, after.position_id, run_id="run")
        left = ladder.leave(engine, broker, clock, Exit(after.position_id, 20, "flatten"), plan(None), run_id="run")
        assert left.state is LadderState.FILLED
        assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
        told = compare(engine, broker, ACCOUNT)
        assert told.consistent, told.differences
        with engine.connect() as connection:
            closed = positions.get_position(connection, after.position_id)
            kinds = [kind for _, kind, _ in positions.events_of(connection, after.position_id)]
        assert closed is not None and closed.state is PositionState.CLOSED
        assert kinds.count("split") == 1
        cash = broker.account().cash
        assert cash is not None and closed.realized_pnl == cash - 90000
    finally:
        broker.close()
        running.stop()


@pytest.fixture
def held(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange) -> Position:
    """Two calls bought the day before, at a strike of 180."""
    assert ladder.enter(engine, broker, clock, entry(), plan("2.50"), run_id="run").state is LadderState.FILLED
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    exchange.now += NEXT_DAY
    return the_position(engine)


def compared(engine: Engine, broker: AlpacaBroker, clock: SteppedClock) -> ReconciliationReport:
    return reconcile(engine, broker, clock, ACCOUNT, "start")


def test_F29_contracts_that_followed_a_split_are_neither_phantom_nor_adopted(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    exchange.splits = [listed(2, 1)]
    exchange.holdings = {HALVED: (4, Decimal("1.25"))}
    report = compared(engine, broker, clock)
    assert report.clean and len(report.splits) == 1 and not report.missing
    after = the_position(engine)
    assert (after.position_id, after.symbol, after.strike) == (held.position_id, HALVED, Decimal(90))
    assert (after.quantity, after.entry_price, after.multiplier) == (4, Decimal("1.25"), 100)
    with engine.connect() as connection:
        (row,) = splits.of_position(connection, held.position_id)
    assert (row.symbol_before, row.quantity_before, row.quantity_after) == (SYMBOL, 2, 4)
    exchange.splits.append(listed(2, 1) | {"id": "the same one under another id"})
    exchange.now += NEXT_DAY
    report = compared(engine, broker, clock)
    assert report.clean and not report.splits and the_position(engine) == after


def test_F29_a_split_that_the_broker_has_not_carried_out_holds_what_needs_a_price(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    exchange.splits = [listed(2, 1)]
    for _ in range(2):
        report = compared(engine, broker, clock)
        assert report.blocked == [SYMBOL] and "a split of 2 for 1 is due" in report.differences[0]
        with engine.connect() as connection:
            seen = positions.open_positions(connection, ACCOUNT)
        (sellable,) = certain(seen, report)
        assert sellable.entry_price is None and sellable.quantity == 2
        assert the_position(engine) == held
    exchange.holdings = {HALVED: (4, Decimal("1.25"))}
    assert compared(engine, broker, clock).clean
    assert the_position(engine).quantity == 4


@pytest.mark.parametrize("quantity", [3, 5, 8])
def test_F29_what_no_split_explains_stays_unexplained(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    held: Position,
    quantity: int,
) -> None:
    exchange.splits = [listed(2, 1)]
    exchange.holdings = {SYMBOL: (quantity, Decimal("1.25"))}
    for _ in range(2):
        report = compared(engine, broker, clock)
        assert report.blocked == [SYMBOL] and report.unexplained == {SYMBOL: str(quantity)}
        assert not report.splits and not report.adopted and not report.phantoms
        exchange.now += timedelta(minutes=2)
    assert the_position(engine) == held


def test_F29_a_split_before_the_purchase_changes_nothing(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    exchange.splits = [listed(2, 1, day="2026-03-10"), listed(3, 1, ticker="KO")]
    report = compared(engine, broker, clock)
    assert report.clean and not report.splits and the_position(engine) == held


def test_F29_a_list_of_splits_that_cannot_be_read_is_told_and_asked_for_again(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy: FaultProxy,
    held: Position,
) -> None:
    exchange.splits = [listed(2, 1)]
    exchange.holdings = {HALVED: (4, Decimal("1.25"))}
    fault = Fault("GET", "/v1/corporate-actions", "answer", status=500, times=99)
    proxy.faults.append(fault)
    report = compared(engine, broker, clock)
    assert any("list of splits of NVDA cannot be read" in alert for alert in report.alerts)
    for _ in range(2):
        assert {SYMBOL, HALVED} <= set(report.blocked) and not report.phantoms and not report.adopted
        exchange.now += timedelta(minutes=2)
        report = compared(engine, broker, clock)
    proxy.faults.clear()
    exchange.now += timedelta(minutes=2)
    report = compared(engine, broker, clock)
    assert (the_position(engine).symbol, the_position(engine).quantity) == (HALVED, 4)


ADJUSTED = "NVDA1260320C00180000"


def test_F29_a_contract_with_another_deliverable_is_followed_and_can_be_sold(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    exchange.splits = [listed(3, 2)]
    exchange.holdings = {ADJUSTED: (2, Decimal("2.50"))}
    report = compared(engine, broker, clock)
    assert report.clean and len(report.splits) == 1 and not report.adopted
    after = the_position(engine)
    assert (after.position_id, after.symbol, after.quantity) == (held.position_id, ADJUSTED, 2)
    assert (after.entry_price, after.strike, after.multiplier) == (held.entry_price, held.strike, 100)
    left = ladder.leave(engine, broker, clock, Exit(after.position_id, 2, "flatten"), plan("3.00"), run_id="run")
    assert left.state is LadderState.FILLED
    (sale,) = exchange.by_client_id(left.orders[0])
    assert (sale.body["symbol"], sale.body["position_intent"]) == (ADJUSTED, "sell_to_close")
    assert compared(engine, broker, clock).clean
    with engine.connect() as connection:
        closed = positions.get_position(connection, after.position_id)
    assert closed is not None and closed.state is PositionState.CLOSED and closed.realized_pnl == 100


def test_F29_a_contract_with_another_deliverable_is_never_taken_for_a_stock(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.holdings = {ADJUSTED: (2, Decimal("2.50"))}
    report = compared(engine, broker, clock)
    assert report.blocked == [ADJUSTED] and "deliverable is not known" in report.differences[0]
    exchange.trade_by_hand(ADJUSTED, "buy", 1, "2.60")
    report = compared(engine, broker, clock)
    assert report.blocked == [ADJUSTED] and not report.adopted
    with engine.connect() as connection:
        assert positions.live_positions(connection, ACCOUNT) == ()


@pytest.mark.parametrize("became", ["NVDA1260320C00180000", "NVDQ260320C00180000", SYMBOL])
def test_F29_what_another_corporate_action_changed_is_neither_adopted_nor_closed(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    held: Position,
    became: str,
) -> None:
    line = {"activity_type": "OPCA", "date": "2026-03-11", "net_amount": "0"}
    exchange.activities += [
        {**line, "id": "20260311::out", "symbol": SYMBOL, "qty": "-2"},
        {**line, "id": "20260311::in", "symbol": became, "qty": "3"},
    ]
    exchange.holdings = {became: (3, Decimal("1.60"))}
    for _ in range(3):
        report = compared(engine, broker, clock)
        assert SYMBOL in report.blocked and not report.phantoms
        assert any("a corporate action (OPCA, 20260311::" in alert for alert in report.alerts)
        assert report.missing or report.unexplained
        exchange.now += timedelta(minutes=2)
    assert the_position(engine) == held


def test_F29_a_reverse_split_leaves_whole_units_and_the_rest_is_the_brokers_to_pay(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.now += NEXT_DAY
    exchange.splits = [listed(1, 3, ticker="F")]
    exchange.holdings = {"F": (3, Decimal("36.00"))}
    assert compared(engine, broker, clock).clean
    after = the_position(engine)
    assert (after.quantity, after.entry_price) == (3, Decimal("36.000000"))
    exchange.trade_by_hand("F", "sell", 3, "40.00")
    assert compared(engine, broker, clock).clean
    with engine.connect() as connection:
        closed = positions.get_position(connection, after.position_id)
    assert closed is not None and closed.state is PositionState.CLOSED
    assert closed.realized_pnl == 12


def test_F29_a_crash_after_the_split_was_booked_books_it_once(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    class Died(BaseException):
        pass

    def die(name: str) -> None:
        if name == "reconciliation.before_commit":
            raise Died

    exchange.splits = [listed(2, 1)]
    exchange.holdings = {HALVED: (4, Decimal("1.25"))}
    crashpoints.install(die)
    try:
        with pytest.raises(Died):
            compared(engine, broker, clock)
    finally:
        crashpoints.install(None)
    report = compared(engine, broker, clock)
    assert report.clean and not report.splits
    assert (the_position(engine).quantity, the_position(engine).entry_price) == (4, Decimal("1.25"))


def test_F29_a_split_listed_after_what_it_made_was_adopted_stops_no_comparison(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, held: Position
) -> None:
    exchange.holdings = {HALVED: (4, Decimal("1.25"))}
    assert compared(engine, broker, clock).adopted == [HALVED]
    exchange.splits = [listed(2, 1)]
    for _ in range(3):
        exchange.now += timedelta(minutes=1)
        report = compared(engine, broker, clock)
        assert not report.splits and not report.adopted
    assert report.clean
    after = the_position(engine)
    assert (after.symbol, after.quantity, after.origin) == (HALVED, 4, "adopted")
    with engine.connect() as connection:
        old = positions.get_position(connection, held.position_id)
    assert old is not None and (old.state, old.exit_reason) == (PositionState.CLOSED, positions.PHANTOM)


def test_F29_contracts_of_which_one_becomes_the_other_all_follow_a_split(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    quartered, eighth = "NVDA260320C00045000", "NVDA260320C00022500"
    for symbol in (SYMBOL, HALVED, quartered):
        # The oldest is the first to be looked at, and its place is taken.
        exchange.trade_by_hand(symbol, "buy", 2, "2.50")
        assert compared(engine, broker, clock).clean
        exchange.now += timedelta(minutes=1)
    exchange.now += NEXT_DAY
    exchange.splits = [listed(2, 1)]
    report = compared(engine, broker, clock)
    assert sorted(report.blocked) == sorted((SYMBOL, HALVED, quartered)) and not report.splits
    exchange.holdings = {symbol: (4, Decimal("1.25")) for symbol in (HALVED, quartered, eighth)}
    report = compared(engine, broker, clock)
    assert report.clean and len(report.splits) == 3
    with engine.connect() as connection:
        live = positions.live_positions(connection, ACCOUNT)
    assert [(one.symbol, one.quantity, one.strike) for one in live] == [
        (HALVED, 4, Decimal(90)),
        (quartered, 4, Decimal(45)),
        (eighth, 4, Decimal("22.5")),
    ]


@pytest.fixture
def shares_held(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange) -> Position:
    """Ten shares bought by hand the day before."""
    exchange.trade_by_hand("F", "buy", 10, "12.00")
    assert compared(engine, broker, clock).clean
    exchange.now += NEXT_DAY
    return the_position(engine)


def test_F29_a_ratio_that_the_list_corrects_is_the_one_that_counts(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, shares_held: Position
) -> None:
    exchange.splits = [listed(2, 1, ticker="F")]
    exchange.holdings = {"F": (30, Decimal("4.00"))}
    assert compared(engine, broker, clock).unexplained == {"F": "30"}
    exchange.splits = [listed(3, 1, ticker="F")]
    report = compared(engine, broker, clock)
    assert report.clean and len(report.splits) == 1
    assert (the_position(engine).quantity, the_position(engine).entry_price) == (30, Decimal("4.00"))
    # What a position went through stays as it was booked, whatever is listed later.
    exchange.splits = [listed(2, 1, ticker="F")]
    exchange.now += NEXT_DAY
    assert compared(engine, broker, clock).clean and the_position(engine).quantity == 30


def test_F29_a_split_that_is_listed_for_another_day_instead_is_gone_through_once(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, shares_held: Position
) -> None:
    exchange.splits = [listed(2, 1, ticker="F")]
    assert compared(engine, broker, clock).splits_due.keys() == {"F"}
    exchange.now += NEXT_DAY
    exchange.splits = [listed(2, 1, ticker="F", day="2026-03-12")]
    exchange.holdings = {"F": (20, Decimal("6.00"))}
    for days in range(2):
        report = compared(engine, broker, clock)
        assert report.clean and len(report.splits) == (0 if days else 1) and not report.splits_due
        (sellable,) = certain([positions.as_open_position(the_position(engine))], report)
        assert (sellable.quantity, sellable.entry_price) == (20, Decimal("6.00"))
        exchange.now += NEXT_DAY


def test_F29_a_split_that_neither_list_nor_broker_knows_the_day_after_holds_nothing_back(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, shares_held: Position
) -> None:
    exchange.splits = [listed(2, 1, ticker="F")]
    assert compared(engine, broker, clock).splits_due.keys() == {"F"}
    exchange.splits = []
    exchange.now += timedelta(hours=2)
    assert compared(engine, broker, clock).splits_due.keys() == {"F"}, "on its day one odd answer is not enough"
    exchange.now += NEXT_DAY
    report = compared(engine, broker, clock)
    assert report.clean and not report.splits and the_position(engine) == shares_held
    (alert,) = report.alerts
    assert "a split of 2 for 1 on 2026-03-11 is not listed any more" in alert
    exchange.splits = [listed(2, 1, ticker="F", day="2026-03-12")]
    exchange.holdings = {"F": (20, Decimal("6.00"))}
    assert compared(engine, broker, clock).clean and the_position(engine).quantity == 20
