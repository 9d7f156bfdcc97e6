"""Frames and polling book the same fills at once, in any order and form; fills are taken back and corrected."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, text

from trading_assets.broker import working
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.trade_stream.applying import Outcome, apply
from trading_assets.broker.trade_stream.frames import TradeUpdate, read_frame
from trading_assets.broker.trade_stream.service import follow_all
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import OrderState, PositionState
from trading_assets.ledger import positions
from trading_assets.ledger.account_lock import account_lock
from trading_assets.ledger.listings import alerts
from trading_assets.ledger.orders import OrderIntent
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock
from trading_assets_tests.broker.scripted_exchange import START, Order, ScriptedExchange, never
from trading_assets_tests.broker.stream_desk import (
    BY_FRAMES,
    fills,
    following,
    health,
    position,
    sell,
    send,
    stored,
    until,
)
from trading_assets_tests.broker.stream_proxy import StreamProxy, proxying
from trading_assets_tests.fault_suite import Figures


@pytest.fixture
def proxy_stream(exchange_url: str) -> Iterator[StreamProxy]:
    """A stream on which only the test speaks."""
    with proxying(exchange_url, stream=False) as running:
        yield running


def at(proxy: StreamProxy) -> BrokerConnection:
    return BrokerConnection("PRACTICE", proxy.url, proxy.url, "PKTEST", desk.SECRET)


def bought(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, *parts: int
) -> OrderIntent:
    """An order whose fills of these sizes lie at the broker; nobody has looked since it was sent."""
    exchange.script = lambda order: [(number, size, f"2.{number}") for number, size in enumerate(parts, 1)]
    intent = send(engine, broker, clock, SYMBOL, sum(parts), limit=Decimal("2.90"))
    exchange.advance(exchange.now.replace(minute=exchange.now.minute + 1))
    return intent


def frames(exchange: ScriptedExchange, intent: OrderIntent) -> list[str]:
    """What the stream tells of an order's fills: an execution's id alone, and the order as it was after it."""
    [order] = exchange.by_client_id(intent.client_order_id)
    rows = [row for row in exchange.fills if row["order_id"] == order.order_id]
    return [json.dumps(told(order, row)) for row in rows]


def told(order: Order, row: dict[str, Any], **data: Any) -> dict[str, Any]:
    done = int(row["cum_qty"]) == order.quantity
    after = {**order.wire(), "filled_qty": row["cum_qty"], "status": "filled" if done else "partially_filled"}
    event = {
        "event": "fill" if done else "partial_fill",
        "timestamp": row["transaction_time"],
        "order": after,
        "price": row["price"],
        "qty": row["qty"],
        "execution_id": row["id"].partition("::")[2],
    }
    return {"stream": "trade_updates", "data": event | data}


def update(frame: str | dict[str, Any]) -> TradeUpdate:
    found = read_frame(frame if isinstance(frame, str) else json.dumps(frame))
    assert found is not None
    return found


def heard(engine: Engine, frame: str | dict[str, Any]) -> Outcome:
    return apply(engine, ACCOUNT, update(frame), at=START, run_id="trade-stream")


def test_F18_a_fill_told_by_frame_and_by_list_is_one_fill_under_two_names(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2, 3)
    first, second = frames(exchange, intent)
    assert heard(engine, first) is Outcome.DONE
    working.look(engine, broker, clock, intent, run_id="poll")
    assert [heard(engine, frame) for frame in (second, first, second)] == [Outcome.DONE] * 3
    assert [(fill.quantity, "::" in fill.execution_id) for fill in fills(engine)] == [(2, False), (3, True)]
    assert position(engine).quantity == 5 and stored(engine, intent).state is OrderState.FILLED
    assert position(engine).entry_price == Decimal("2.16")


def test_F18_a_fill_that_does_not_continue_what_is_booked_waits_for_the_lists(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2, 3)
    first, second = frames(exchange, intent)
    assert heard(engine, second) is Outcome.OWED and fills(engine) == ()
    assert heard(engine, first) is Outcome.DONE
    assert heard(engine, second) is Outcome.DONE
    assert position(engine).quantity == 5


def test_F20_partial_fills_then_a_cancel_of_the_rest_end_the_order_where_it_stood(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    exchange.script = lambda order: [(1, 2, "2.10")]
    intent = send(engine, broker, clock, SYMBOL, 5, limit=Decimal("2.90"))
    exchange.advance(exchange.now.replace(minute=1))
    broker.cancel(str(intent.broker_order_id))
    [partial] = frames(exchange, intent)
    [order] = exchange.by_client_id(intent.client_order_id)
    end = {"event": "canceled", "timestamp": START.isoformat(), "order": order.wire()}
    ended = {"stream": "trade_updates", "data": end}
    assert heard(engine, ended) is Outcome.OWED, "an end whose fills are not booked is not the end"
    assert stored(engine, intent).is_live
    assert heard(engine, partial) is Outcome.DONE
    assert heard(engine, ended) is Outcome.DONE
    assert (stored(engine, intent).state, position(engine).quantity) == (OrderState.CANCELED, 2)


def test_F21_a_fill_that_overtakes_the_answer_to_its_submission_is_left_to_it(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2)
    with engine.begin() as connection:
        connection.execute(text("UPDATE order_intents SET state = 'UNKNOWN', broker_order_id = NULL"))
    [fill] = frames(exchange, intent)
    assert heard(engine, fill) is Outcome.OWED and fills(engine) == ()
    reconcile(engine, broker, clock, ACCOUNT, "start")
    assert heard(engine, fill) is Outcome.DONE and position(engine).quantity == 2


def test_F21_a_fill_told_before_its_answer_is_stored_is_booked_as_soon_as_it_is_and_without_another_frame(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy_stream: StreamProxy
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    with following(engine, at(proxy_stream), clock, config=BY_FRAMES):
        intent = bought(engine, broker, clock, exchange, 2)
        with engine.begin() as connection:
            connection.execute(text("UPDATE order_intents SET state = 'INTENT', broker_order_id = NULL"))
        before = health(engine).backfills
        for frame in frames(exchange, intent):
            proxy_stream.say(frame)
        until(lambda: health(engine).backfills > before)
        assert fills(engine) == (), "neither to an order that is not known yet, nor as one of somebody else"
        with engine.begin() as connection:
            accepted = text("UPDATE order_intents SET state = 'ACCEPTED', broker_order_id = :order")
            connection.execute(accepted, {"order": intent.broker_order_id})
        until(lambda: stored(engine, intent).state is OrderState.FILLED)
    assert [(fill.quantity, fill.reason) for fill in fills(engine)] == [(2, "entry")]
    assert position(engine).quantity == 2 and position(engine).state is PositionState.OPEN


def test_F18_a_poller_and_the_stream_at_once_give_each_fill_once_and_no_deadlock(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, *[1] * 12)
    told_frames, start, failed = frames(exchange, intent), threading.Barrier(4), []

    def stream(order: list[str]) -> None:
        start.wait()
        for frame in order:
            heard(engine, frame)

    def poll() -> None:
        start.wait()
        for _ in range(6):
            working.look(engine, broker, clock, intent, run_id="poll")

    def guarded(work: Any, *given: Any) -> None:
        try:
            work(*given)
        except BaseException as error:
            failed.append(error)
            raise

    threads = [
        threading.Thread(target=guarded, args=(stream, told_frames)),
        threading.Thread(target=guarded, args=(stream, told_frames[::-1])),
        threading.Thread(target=guarded, args=(poll,)),
        threading.Thread(target=guarded, args=(poll,)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed and not any(thread.is_alive() for thread in threads)
    assert len(fills(engine)) == 12 and len({fill.cumulative_quantity for fill in fills(engine)}) == 12
    assert position(engine).quantity == 12 and stored(engine, intent).filled_quantity == 12


def test_F23_a_bust_takes_a_fill_back_with_quantity_price_and_result_and_tells_it(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2, 3)
    [order] = exchange.by_client_id(intent.client_order_id)
    working.look(engine, broker, clock, intent, run_id="poll")
    row = exchange.fills[0]
    bust = told(order, row, event="trade_bust", execution_id=row["id"].partition("::")[2])
    assert [heard(engine, bust), heard(engine, bust)] == [Outcome.DONE] * 2
    assert [fill.quantity for fill in fills(engine)] == [3]
    held = position(engine)
    assert (held.quantity, held.quantity_opened, held.entry_price) == (3, 3, Decimal("2.2"))
    assert stored(engine, intent).filled_quantity == 3
    working.look(engine, broker, clock, stored(engine, intent), run_id="poll")
    assert position(engine).quantity == 3, "the broker's list of fills does not bring it back"
    with engine.connect() as connection:
        told_to_people = [alert["reason"] for alert in alerts(connection, START.date())]
        story = [kind for _, kind, _ in positions.events_of(connection, "p-s1")]
    assert told_to_people == [f"The broker took back the buy of 2 {SYMBOL} at 2.1."]
    assert story.count("trade_bust") == 1


def test_F23_a_busted_sale_opens_the_position_again_and_half_may_be_taken_again(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2)
    working.look(engine, broker, clock, intent, run_id="poll")
    exchange.script = lambda order: [(1, 2, "3.00")]
    sale = sell(engine, broker, clock, position(engine), 2, "target")
    exchange.advance(exchange.now.replace(minute=5))
    [fill] = frames(exchange, sale)
    assert heard(engine, fill) is Outcome.DONE
    closed = position(engine)
    assert (closed.state, closed.stage, closed.realized_pnl) == (PositionState.CLOSED, 1, Decimal(180))
    [order] = exchange.by_client_id(sale.client_order_id)
    row = exchange.fills[-1]
    assert heard(engine, told(order, row, event="trade_bust")) is Outcome.DONE
    again = position(engine)
    assert (again.state, again.quantity, again.stage, again.realized_pnl) == (PositionState.OPEN, 2, 0, Decimal(0))
    assert again.exit_reason is None and again.closed_at is None


def test_F23_a_correction_gives_the_right_price_and_its_new_identity_books_nothing(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    intent = bought(engine, broker, clock, exchange, 2)
    [order] = exchange.by_client_id(intent.client_order_id)
    working.look(engine, broker, clock, intent, run_id="poll")
    row, renamed = exchange.fills[0], str(uuid4())
    old = row["id"].partition("::")[2]
    right = told(order, row, event="trade_correct", price="2.05", previous_execution_id=old, execution_id=renamed)
    assert [heard(engine, right), heard(engine, right)] == [Outcome.DONE] * 2
    assert position(engine).entry_price == Decimal("2.05") and stored(engine, intent).filled_avg_price == Decimal(
        "2.05"
    )
    exchange.fills.append({**row, "id": f"20260310150100000::{renamed}", "price": "2.05", "cum_qty": "2"})
    reconcile(engine, broker, clock, ACCOUNT, "start")
    assert [(fill.quantity, fill.price) for fill in fills(engine)] == [(2, Decimal("2.05"))]
    bust = told(order, row, event="trade_bust", execution_id=renamed)
    assert heard(engine, bust) is Outcome.DONE
    assert fills(engine) == () and position(engine).state is PositionState.VOID


def test_F23_a_bust_that_comes_before_its_fill_counts_once_the_fill_is_booked(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, proxy_stream: StreamProxy
) -> None:
    with following(engine, at(proxy_stream), clock, config=BY_FRAMES):
        intent = bought(engine, broker, clock, exchange, 2, 3)
        [order] = exchange.by_client_id(intent.client_order_id)
        proxy_stream.say(told(order, exchange.fills[0], event="trade_bust"))
        until(lambda: position(engine).quantity == 3)
        for frame in frames(exchange, intent):
            proxy_stream.say(frame)
        until(lambda: health(engine).frames == 3)
    assert [fill.quantity for fill in fills(engine)] == [3] and health(engine).odd_frames == 0


def test_a_fill_by_hand_waits_for_a_run_that_holds_the_account_and_is_then_booked(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy_stream: StreamProxy,
    database_url: str,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    with following(engine, at(proxy_stream), clock, config=BY_FRAMES):
        with account_lock(database_url, ACCOUNT):
            order = exchange.trade_by_hand("AAPL", "buy", 3, "200")
            before = health(engine).backfills
            proxy_stream.say(told(order, exchange.fills[-1]))
            until(lambda: health(engine).backfills > before)
            own = bought(engine, broker, clock, exchange, 2)
            for frame in frames(exchange, own):
                proxy_stream.say(frame)
            until(lambda: stored(engine, own).state is OrderState.FILLED)
            assert [fill.symbol for fill in fills(engine)] == [SYMBOL], "our own fills wait for nobody"
        until(lambda: len(fills(engine)) == 2)
    assert {fill.reason for fill in fills(engine)} == {"entry", "foreign"}


def test_an_order_whose_legs_fill_in_one_frame_is_read_from_the_lists(exchange: ScriptedExchange) -> None:
    exchange.script = never
    order = exchange.trade_by_hand("AAPL", "buy", 3, "200")
    frame = told(order, exchange.fills[-1])
    frame["data"]["order"]["order_class"] = "mleg"
    frame["data"]["legs"] = [{"symbol": "AAPL"}]
    assert update(frame).by_list and update(frame).fill is None


def test_an_account_whose_thread_ends_by_itself_ends_the_service_and_is_named() -> None:
    class Broken:
        def run(self) -> None:
            return

    assert follow_all({"one": Broken()}, threading.Event()) == ["one"]  # type: ignore[dict-item]


def test_F23_F47_a_bust_that_is_told_while_the_ledger_fails_is_booked_once_it_answers(
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    proxy_stream: StreamProxy,
    scorecard: Figures,
) -> None:
    intent = bought(engine, broker, clock, exchange, 2, 3)
    [order] = exchange.by_client_id(intent.client_order_id)
    working.look(engine, broker, clock, intent, run_id="poll")
    first, second = exchange.fills
    with following(engine, at(proxy_stream), clock, config=BY_FRAMES):
        with engine.connect() as other:
            other.execute(text("LOCK TABLE execution_changes IN ACCESS EXCLUSIVE MODE"))
            proxy_stream.say(told(order, first, event="trade_bust"))
            until(lambda: cut_off_who_waits_for(other, "execution_changes"))
        scorecard.add(faults_injected=1)
        until(lambda: position(engine).quantity == 3)
        proxy_stream.say(told(order, second, event="trade_correct", price="2.05"))
        until(lambda: position(engine).entry_price == Decimal("2.05"))
    assert health(engine).odd_frames == 0 and health(engine).connections >= 2


def cut_off_who_waits_for(connection: Connection, table: str) -> bool:
    """End the sessions that wait for a lock of the table, as a server that is restarted does; False if none does."""
    ended = connection.execute(
        text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks "
            "WHERE NOT granted AND relation = CAST(:table AS regclass)"
        ),
        {"table": table},
    )
    return bool(ended.scalar_one())
