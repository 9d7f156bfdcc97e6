"""Rolls while something goes wrong: both legs or none, nothing lost, nothing doubled."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from trading_assets.broker.climbing import LadderState
from trading_assets.broker.combos import ComboLeg, ComboRequest
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.rolling import RollResult
from trading_assets.broker.trade_stream.applying import Outcome, apply
from trading_assets.broker.trade_stream.frames import read_frame
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import KillMode, OrderState, PositionState, Side
from trading_assets.ledger import accounts, executions, order_legs, orders, positions
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import bracket_desk, roll_desk
from trading_assets_tests.broker.crash_hooks import at
from trading_assets_tests.broker.desk import ACCOUNT, SECRET
from trading_assets_tests.broker.fault_proxy import HTML, Fault, proxied
from trading_assets_tests.broker.roll_desk import RollBench, opened, roll_and_die
from trading_assets_tests.broker.stream_desk import following, until
from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.venue_process import TOKEN
from trading_assets_tests.fault_suite import Figures

KILLED = -signal.SIGKILL
POST, LOOK_UP = "/v2/orders", "by_client_order_id"
_numbers = count()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with roll_desk.running(tmp_path_factory.mktemp("faults"), 60) as address:
        yield address


@pytest.fixture
def bench(ledger: Engine, url: str, scorecard: Figures) -> Iterator[RollBench]:
    found = opened(ledger, url, next(_numbers))
    yield found
    scorecard.add(orders_placed=len(found.broker.orders("all")))
    found.broker.close()


@pytest.fixture
def board(url: str) -> Iterator[SwitchboardClient]:
    client = SwitchboardClient(url, TOKEN)
    yield client
    client.clear()
    client.close()


def rolled_or_not(bench: RollBench, rolled: bool) -> None:
    """Either all of it is in the next contract, or all of it is where it was."""
    (symbol,) = bench.held()
    assert (symbol[4:10] == "260417") == rolled
    assert bench.held() == {symbol: 2}
    bench.assert_whole()


# --- processes that die -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "passage", "rolled"),
    [
        ("rolling.before_intent", 1, False),
        ("rolling.after_intent", 1, False),
        ("rolling.after_post", 1, True),
        ("rolling.after_answer", 1, True),
        ("booking.before_commit", 1, True),
        ("booking.after_commit", 1, True),
    ],
)
def test_F11_a_roll_killed_at_any_step_is_found_whole_by_the_next_process(
    point: str, passage: int, rolled: bool, bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    assert roll_and_die(bench, database_url, old, point, passage) == KILLED
    scorecard.add(faults_injected=1)
    bench.step(3)
    assert bench.reconcile().clean
    rolled_or_not(bench, rolled)
    if not rolled:
        assert bench.position(old.position_id).state is PositionState.OPEN
        assert bench.roll(bench.position(old.position_id)).state is LadderState.FILLED
        rolled_or_not(bench, True)
    assert sum(intent.filled_quantity for intent in bench.rolls()) == 2


def test_F12_two_at_once_roll_a_position_once(bench: RollBench, scorecard: Figures) -> None:
    old = bench.buy(2)
    together = threading.Barrier(2)

    def one(_: int) -> RollResult | SymbolBlocked:
        together.wait(30)
        try:
            return bench.roll(old)
        except SymbolBlocked as error:
            return error

    with ThreadPoolExecutor(2) as both:
        results = list(both.map(one, range(2)))
    scorecard.add(faults_injected=1)
    done = [result for result in results if isinstance(result, RollResult)]
    assert sum(result.filled_quantity for result in done) == 2, results
    assert sum(intent.filled_quantity for intent in bench.rolls()) == 2
    rolled_or_not(bench, True)


# --- answers that tell nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        pytest.param(Fault("POST", POST, "lose_answer"), 1, id="F01-time-out-after-acceptance"),
        pytest.param(Fault("POST", POST, "lose_request"), 2, id="F02-time-out-before-acceptance"),
        pytest.param(Fault("POST", POST, "reset_after"), 1, id="F03-reset-after-acceptance"),
        pytest.param(Fault("POST", POST, "answer", status=504, forward=True), 1, id="F04-504-after-acceptance"),
        pytest.param(
            Fault(
                "POST",
                POST,
                "answer",
                status=422,
                body=b'{"code":40010001,"message":"client_order_id must be unique"}',
                forward=True,
            ),
            1,
            id="F05-id-in-use",
        ),
        pytest.param(Fault("POST", POST, "answer", body=HTML, forward=True), 1, id="F08-html-as-200"),
    ],
)
def test_F01_F02_F03_F04_F05_F08_a_roll_with_a_lost_answer_is_sent_once_and_adopted_with_both_legs(
    fault: Fault, posts: int, bench: RollBench, scorecard: Figures
) -> None:
    old = bench.buy(2)
    with proxied(bench.url) as proxy:
        proxy.faults.append(fault)
        broker = bracket_desk.connect(proxy.url, bench.key)
        result = bench.roll(old, broker=broker)
        broker.close()
        assert proxy.count("POST", POST) == posts
        scorecard.add(faults_injected=proxy.taken)
    assert result.state is LadderState.FILLED, result
    rolled_or_not(bench, True)


def test_F09_an_unknown_word_about_a_leg_costs_that_word_and_not_the_roll(bench: RollBench, scorecard: Figures) -> None:
    def spoiled(answer: Any) -> Any:
        for leg in answer["legs"]:
            leg |= {"status": "awaiting_regulator", "side": "sideways", "type": "moonshot", "qty": None}
        return answer

    old = bench.buy(2)
    with proxied(bench.url) as proxy:
        proxy.faults.append(Fault("POST", POST, "rewrite", rewrite=spoiled))
        proxy.faults.append(Fault("GET", POST + "/", "rewrite", rewrite=spoiled))
        broker = bracket_desk.connect(proxy.url, bench.key)
        result = bench.roll(old, broker=broker)
        broker.close()
        scorecard.add(faults_injected=proxy.taken)
        assert proxy.taken == 2
    assert result.state is LadderState.FILLED, result
    rolled_or_not(bench, True)


def test_F28_a_look_that_is_refused_for_a_moment_leaves_no_roll_working_without_its_end(
    bench: RollBench, scorecard: Figures
) -> None:
    old = bench.buy(2)
    refusal = b'{"code":40110000,"message":"request is not authorized"}'
    with proxied(bench.url) as proxy:
        proxy.faults.append(Fault("GET", "/v2/orders/", "answer", status=401, body=refusal, times=2))
        broker = bracket_desk.connect(proxy.url, bench.key)
        result = bench.roll(old, broker=broker)
        broker.close()
        scorecard.add(faults_injected=proxy.taken)
    assert result.state is LadderState.FILLED, result
    rolled_or_not(bench, True)


def test_F01_F07_a_roll_of_unknown_fate_blocks_both_symbols_until_it_is_found(
    bench: RollBench, scorecard: Figures
) -> None:
    old = bench.buy(2)
    with proxied(bench.url) as proxy:
        proxy.faults += [Fault("POST", POST, "lose_answer"), Fault("GET", LOOK_UP, "answer", status=503, times=99)]
        broker = bracket_desk.connect(proxy.url, bench.key)
        result = bench.roll(old, broker=broker)
        broker.close()
        scorecard.add(faults_injected=proxy.taken)
    assert (result.state, result.filled_quantity) == (LadderState.UNKNOWN, 0)
    new = bench.position(result.rolled_to)
    with bench.ledger.connect() as connection:
        assert orders.unknown_symbols(connection, ACCOUNT) == {old.symbol, new.symbol, roll_desk.TICKER}
        assert [row.client_order_id for row in orders.unknown_intents(connection)] == list(result.orders)
    assert (bench.position(old.position_id).state, new.state) == (PositionState.CLOSING, PositionState.OPENING)
    with pytest.raises(SymbolBlocked):
        bench.roll(bench.position(old.position_id))
    with pytest.raises(SymbolBlocked):
        bench.leave(bench.position(old.position_id), 2)
    bench.step(5)
    assert bench.reconcile().clean
    rolled_or_not(bench, True)


def test_F02_a_roll_that_arrives_after_it_was_given_up_is_still_known_as_ours(
    bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    order, rungs = bench.plan(old, 2)
    assert roll_and_die(bench, database_url, old, "rolling.after_intent") == KILLED
    scorecard.add(faults_injected=1)
    assert bench.reconcile().clean
    (given_up,) = bench.rolls()
    assert (given_up.state, given_up.limit_price is not None) == (OrderState.ABANDONED, True)
    new = order.contract.symbol
    late = ComboRequest(
        given_up.client_order_id,
        2,
        given_up.limit_price,
        (ComboLeg(old.symbol, Side.SELL, opens=False), ComboLeg(new, Side.BUY, opens=True)),
    )
    bench.broker.submit(late)
    bench.step(20)
    assert bench.held() == {new: 2} and len(rungs) == 2
    rolled_or_not(bench, True)
    assert bench.position(old.position_id).exit_reason == orders.ROLL
    with bench.ledger.connect() as connection:
        (successor,) = positions.rolled_to(connection, old.position_id)
    assert (successor.state, successor.quantity) == (PositionState.OPEN, 2)


def test_F02_a_roll_that_arrives_late_and_still_works_is_ended(
    bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    assert roll_and_die(bench, database_url, old, "rolling.after_intent") == KILLED
    scorecard.add(faults_injected=1)
    assert bench.reconcile().clean
    (given_up,) = bench.rolls()
    new = bench.call(roll_desk.NEXT).contract.symbol
    legs = (ComboLeg(old.symbol, Side.SELL, opens=False), ComboLeg(new, Side.BUY, opens=True))
    bench.broker.submit(ComboRequest(given_up.client_order_id, 2, Decimal("0.01"), legs))
    assert bench.reconcile().alerts
    assert bench.broker.orders("open") == []
    rolled_or_not(bench, False)


# --- fills ------------------------------------------------------------------------------------------------------------


def test_F20_a_partial_fill_rolls_what_was_filled_and_the_rest_stays_and_may_be_rolled_later(
    bench: RollBench, board: SwitchboardClient, scorecard: Figures
) -> None:
    old = bench.buy(5)
    with board.during("partial_then_cancel", account=bench.account, quantity=2, count=2):
        result = bench.roll(old, 5)
    scorecard.add(faults_injected=len(board.fired("partial_then_cancel")))
    assert (result.state, result.filled_quantity) == (LadderState.PARTIAL, 4), result
    left, new = bench.position(old.position_id), bench.position(result.rolled_to)
    assert (left.state, left.quantity) == (PositionState.OPEN, 1)
    assert (new.state, new.quantity, new.quantity_opened) == (PositionState.OPEN, 4, 4)
    bench.assert_whole()
    again = bench.roll(left, 1)
    assert (again.state, again.rolled_to) == (LadderState.FILLED, new.position_id)
    assert bench.position(new.position_id).quantity == 5
    assert bench.position(old.position_id).state is PositionState.CLOSED
    bench.assert_whole()


def test_F21_a_fill_that_comes_while_the_cancel_is_lost_is_booked_with_both_legs(
    bench: RollBench, board: SwitchboardClient, scorecard: Figures
) -> None:
    old = bench.buy(2)
    board.arm("no_fills", account=bench.account, duration_s=10.5, clock="exchange")
    with proxied(bench.url) as proxy:
        proxy.faults.append(Fault("DELETE", POST, "lose_request"))
        broker = bracket_desk.connect(proxy.url, bench.key)
        result = bench.roll(old, broker=broker)
        broker.close()
        scorecard.add(faults_injected=proxy.taken + 1)
        assert proxy.taken == 1, "the first rung was to be cancelled"
    assert (result.state, result.filled_quantity, len(result.orders)) == (LadderState.FILLED, 2, 1)
    rolled_or_not(bench, True)


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
def test_F23_a_bust_of_one_leg_computes_both_positions_and_the_whole_anew(
    side: Side, bench: RollBench, scorecard: Figures
) -> None:
    old = bench.buy(2)
    result = bench.roll(old)
    assert result.state is LadderState.FILLED
    with bench.ledger.connect() as connection:
        (leg,) = [one for one in order_legs.combo_legs(connection, result.orders[0]) if one.side is side]
        assert leg.broker_order_id is not None
        fill = executions.of_broker_order(connection, leg.broker_order_id)[-1]
    # The exchange takes back no execution of a multi-leg order: this is the frame by which a broker would tell it.
    shown = httpx.get(f"{bench.url}/v2/orders/{leg.broker_order_id}", headers=headers(bench), trust_env=False).json()
    assert shown["order_class"] == "mleg"
    data = {
        "event": "trade_bust",
        "timestamp": bench.clock.now().isoformat(),
        "order": shown,
        "execution_id": "5f3c1d1e-0000-4000-8000-000000000001",
        "previous_execution_id": executions.fill_id(fill.execution_id),
        "price": str(fill.price),
        "qty": str(fill.quantity),
    }
    update = read_frame(json.dumps({"stream": "trade_updates", "data": data}))
    assert update is not None
    now = bench.clock.now()
    assert apply(bench.ledger, ACCOUNT, update, at=now, run_id="stream") is Outcome.DONE
    scorecard.add(faults_injected=1)
    before, after = bench.position(old.position_id), bench.position(result.rolled_to)
    if side is Side.SELL:
        assert (before.state, before.quantity) == (PositionState.OPEN, fill.quantity)
        assert (after.state, after.quantity) == (PositionState.OPEN, 2)
    else:
        assert (before.state, before.quantity) == (PositionState.CLOSED, 0)
        assert after.quantity == 2 - fill.quantity
        assert after.state is (PositionState.OPEN if after.quantity else PositionState.VOID)
    assert bench.rolls()[0].filled_quantity == 2 - fill.quantity
    with bench.ledger.connect() as connection:
        told = [kind for _, kind, _ in positions.events_of(connection, leg.position_id)]
    assert {"trade_bust", "alert"} <= set(told)
    assert apply(bench.ledger, ACCOUNT, update, at=now, run_id="stream") is Outcome.DONE, "it may come twice"
    assert bench.position(old.position_id) == before and bench.position(result.rolled_to) == after


def headers(bench: RollBench) -> dict[str, str]:
    return {"APCA-API-KEY-ID": bench.key, "APCA-API-SECRET-KEY": SECRET}


def test_F17_what_no_look_saw_of_a_roll_the_stream_service_books_from_the_lists(
    bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    assert roll_and_die(bench, database_url, old, "rolling.after_answer") == KILLED
    scorecard.add(faults_injected=1)
    bench.step(20)
    with following(bench.ledger, followed(bench), bench.clock):
        until(lambda: bench.live() == bench.held() and len(bench.live()) == 1, lambda: str(bench.live()))
    assert bench.position(old.position_id).state is PositionState.CLOSED
    (whole,) = bench.rolls()
    assert (whole.state, whole.filled_quantity) == (OrderState.FILLED, 2)
    rolled_or_not(bench, True)


def test_F11_F17_the_legs_of_a_roll_that_died_without_an_answer_are_not_foreign_to_the_stream_service(
    bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    assert roll_and_die(bench, database_url, old, "rolling.after_post") == KILLED
    scorecard.add(faults_injected=1)
    bench.step(20)
    new = next(symbol for symbol in bench.held() if symbol != old.symbol)
    with following(bench.ledger, followed(bench), bench.clock):
        assert [whole.state for whole in bench.rolls()] == [OrderState.INTENT]
        assert reasons(bench) == ["entry"], "whose they are is not known yet"
        assert bench.reconcile().clean
        until(lambda: bench.live() == bench.held() == {new: 2}, lambda: str(bench.live()))
    ours_after_all(bench, old)


def test_F02_F17_a_roll_that_arrives_after_it_was_given_up_is_known_as_ours_by_the_stream_service(
    bench: RollBench, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    order, _ = bench.plan(old, 2)
    assert roll_and_die(bench, database_url, old, "rolling.after_intent") == KILLED
    scorecard.add(faults_injected=1)
    assert bench.reconcile().clean
    (given_up,) = bench.rolls()
    assert given_up.state is OrderState.ABANDONED
    new = order.contract.symbol
    legs = (ComboLeg(old.symbol, Side.SELL, opens=False), ComboLeg(new, Side.BUY, opens=True))
    with following(bench.ledger, followed(bench), bench.clock):
        bench.broker.submit(ComboRequest(given_up.client_order_id, 2, given_up.limit_price, legs))
        bench.step(20)
        until(lambda: bench.live() == bench.held() == {new: 2}, lambda: str(bench.live()))
    ours_after_all(bench, old)


@pytest.mark.parametrize("days", [0, 30])
def test_F25_a_trade_by_hand_asks_for_no_roll_that_cannot_be_it(
    days: int, bench: RollBench, board: SwitchboardClient, database_url: str, scorecard: Figures
) -> None:
    old = bench.buy(2)
    assert roll_and_die(bench, database_url, old, "rolling.after_intent") == KILLED
    assert bench.reconcile().clean
    with bench.ledger.begin() as connection:
        connection.execute(text(f"UPDATE order_intents SET created_at = created_at - interval '{days} days'"))
    # The roll of today sells what it held; one of last month could have done anything since.
    side = "sell" if days else "buy"
    board.arm("hand_trade", account=bench.account, symbol=old.symbol, side=side, quantity=1)
    bench.step(5)
    scorecard.add(faults_injected=2)
    with proxied(bench.url) as proxy:
        broker = bracket_desk.connect(proxy.url, bench.key)
        assert reconcile(bench.ledger, broker, bench.clock, ACCOUNT, "start").fills_booked == 1
        broker.close()
        assert proxy.count("GET", LOOK_UP) == 0
    assert reasons(bench) == ["entry", "foreign"]


def followed(bench: RollBench) -> BrokerConnection:
    return BrokerConnection("PRACTICE", bench.url, bench.url, bench.key, SECRET)


def reasons(bench: RollBench) -> list[str]:
    with bench.ledger.connect() as connection:
        return sorted({row.reason for row in executions.of_account(connection, ACCOUNT)})


def ours_after_all(bench: RollBench, old: Position) -> None:
    """The roll is filled, what it closed was rolled, and what it opened follows from it."""
    (whole,) = bench.rolls()
    assert (whole.state, whole.filled_quantity) == (OrderState.FILLED, 2)
    assert reasons(bench) == ["entry", orders.ROLL]
    assert bench.position(old.position_id).exit_reason == orders.ROLL
    with bench.ledger.connect() as connection:
        (successor,) = positions.rolled_to(connection, old.position_id)
    assert (successor.state, successor.quantity) == (PositionState.OPEN, 2)
    rolled_or_not(bench, True)


# --- what must not be sent --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [KillMode.ENTRIES, KillMode.ALL, KillMode.FLATTEN])
def test_no_kill_switch_lets_a_roll_through(mode: KillMode, bench: RollBench) -> None:
    old = bench.buy(2)
    with bench.ledger.begin() as connection:
        accounts.set_kill_switch(connection, accounts.ALL_ACCOUNTS, mode, bench.clock.now(), "a test says so")
    with pytest.raises(SymbolBlocked, match=mode.value):
        bench.roll(old)
    assert bench.rolls() == []
    rolled_or_not(bench, False)


def test_F02_a_lost_roll_is_not_sent_once_more_against_a_kill_switch_set_meanwhile(
    bench: RollBench, scorecard: Figures
) -> None:
    old = bench.buy(2)

    def switch() -> None:
        with bench.ledger.begin() as connection:
            accounts.set_kill_switch(connection, ACCOUNT, KillMode.ENTRIES, bench.clock.now(), "a test")

    with proxied(bench.url) as proxy:
        proxy.faults.append(Fault("POST", POST, "lose_request"))
        broker = bracket_desk.connect(proxy.url, bench.key)
        with at("rolling.after_post", switch), pytest.raises(SymbolBlocked, match="kill switch"):
            bench.roll(old, broker=broker)
        assert proxy.count("POST", POST) == 1
    scorecard.add(faults_injected=1)
    assert [intent.state for intent in bench.rolls()] == [OrderState.ABANDONED]
    assert bench.position(old.position_id).state is PositionState.OPEN
    rolled_or_not(bench, False)


def test_F25_never_more_is_rolled_than_the_broker_shows_held(
    bench: RollBench, board: SwitchboardClient, scorecard: Figures
) -> None:
    old = bench.buy(3)
    board.arm("hand_trade", account=bench.account, symbol=old.symbol, side="sell", quantity=2)
    bench.step(5)
    scorecard.add(faults_injected=1)
    result = bench.roll(old, 3)
    assert result.filled_quantity == 1, result
    bench.assert_whole()
    assert bench.held() == {bench.position(result.rolled_to).symbol: 1}


def test_F25_what_was_sold_by_hand_is_not_rolled(
    bench: RollBench, board: SwitchboardClient, scorecard: Figures
) -> None:
    old = bench.buy(2)
    board.arm("hand_trade", account=bench.account, symbol=old.symbol, side="sell", quantity=2)
    bench.step(5)
    scorecard.add(faults_injected=1)
    with pytest.raises(NothingHeld):
        bench.roll(old)
    bench.assert_whole()
    assert bench.held() == {}


def test_F10_a_refused_roll_is_not_tried_at_another_price_and_changes_nothing(
    bench: RollBench, board: SwitchboardClient, scorecard: Figures
) -> None:
    old = bench.buy(2)
    with board.during("reject_order", account=bench.account, reason="buying_power"):
        result = bench.roll(old)
    scorecard.add(faults_injected=1)
    assert result.state is LadderState.REJECTED and result.error
    assert len(bench.rolls()) == 1
    rolled_or_not(bench, False)
