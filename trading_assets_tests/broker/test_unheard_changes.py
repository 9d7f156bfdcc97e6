"""A bust or a correction that no stream heard is read from the lists of the broker; nothing is booked twice for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.changes import book_change
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import PositionState, Side
from trading_assets.ledger import accounts, positions
from trading_assets.ledger.execution_changes import BUST, ExecutionChange, changed_ids
from trading_assets.ledger.executions import fill_id
from trading_assets.ledger.listings import alerts
from trading_assets.world.clocks import ExchangeClock
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.broker.stream_desk import CONFIG, fills, position, sell, send
from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, SESSION, TOKEN, Exchange, prepare


@dataclass
class Bed:
    """A running exchange with its switchboard, the adapter that trades, and a ledger; nobody listens to the stream."""

    exchange: Exchange
    board: SwitchboardClient
    clock: ExchangeClock
    broker: AlpacaBroker
    engine: Engine
    signal: str

    def buy(self, quantity: int) -> str:
        """Buy so many KO and book the fills; the position's id."""
        intent = send(self.engine, self.broker, self.clock, "KO", quantity, signal_id=self.signal)
        self.exchange.step(30)
        assert self.compared().clean and self.held() == quantity
        self.exchange.step(601)
        return intent.position_id

    def sell(self, quantity: int) -> None:
        """Sell so many of it, and book the fills."""
        sell(self.engine, self.broker, self.clock, position(self.engine, f"p-{self.signal}"), quantity, "stop")
        self.exchange.step(30)
        assert self.compared().clean
        self.exchange.step(601)

    def compared(self) -> ReconciliationReport:
        return reconcile(self.engine, self.broker, self.clock, ACCOUNT, "start")

    def agrees(self) -> None:
        """Fills, positions and cash are the same here and at the broker."""
        assert self.compared().clean
        # What a broker calls an order that it took a fill of back is its own affair.
        told = [said for said in compare(self.engine, self.broker, ACCOUNT).differences if "FILLED in the" not in said]
        assert told == []

    def held(self) -> int:
        with self.engine.connect() as connection:
            return sum(one.quantity for one in positions.live_positions(connection, ACCOUNT))

    def told(self) -> list[str]:
        with self.engine.connect() as connection:
            return [alert["reason"] for alert in alerts(connection, SESSION)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    exchange = prepare(tmp_path_factory.mktemp("exchange"), OPEN + timedelta(minutes=30), faults=True).start()
    yield exchange
    exchange.stop()


@pytest.fixture
def bed(running: Exchange, ledger: Engine) -> Iterator[Bed]:
    clock = ExchangeClock(running.url, TOKEN)
    running.trading().close_all_positions(cancel_orders=True)
    running.step(60)
    signal = f"{uuid4()}"
    with ledger.begin() as connection:
        accounts.upsert_account(connection, ACCOUNT, "PRACTICE", clock.now())
        desk.publish(connection, signal, "KO")
    broker = AlpacaBroker(BrokerConnection("PRACTICE", running.url, running.url, KEY, SECRET), clock, CONFIG)
    reconcile(ledger, broker, clock, ACCOUNT, "start")
    yield Bed(running, SwitchboardClient(running.url, TOKEN), clock, broker, ledger, signal)
    broker.close()


def test_F17_F23_a_correction_to_less_that_nobody_heard_is_no_further_fill(bed: Bed) -> None:
    held = position(bed.engine, bed.buy(8))
    newest = fills(bed.engine)[-1]
    less = newest.quantity - 1
    bed.board.arm("correct", account="one", symbol="KO", side="buy", quantity=less, price="50.5")
    bed.exchange.step(1)
    seen = bed.compared()
    assert bed.held() == 8, "what a list leaves out once may only be late, and what it shows instead is no further fill"
    assert seen.blocked == ["KO"] and seen.unexplained == {"KO": "7"}
    bed.exchange.step(61)
    bed.compared()
    assert bed.held() == 7 and bed.compared().clean
    after = position(bed.engine, held.position_id)
    assert (after.state, after.quantity, after.quantity_opened) == (PositionState.OPEN, 7, 7)
    assert fills(bed.engine)[-1].price == Decimal("50.5")
    bed.agrees()
    assert [said for said in bed.told() if "corrected" in said and f"{less} at 50.5" in said]


def test_F17_F23_a_corrected_price_that_nobody_heard_is_the_entrys(bed: Bed) -> None:
    held = bed.buy(3)
    newest = fills(bed.engine)[-1]
    bed.board.arm("correct", account="one", symbol="KO", side="buy", price="40.25")
    bed.exchange.step(1)
    assert bed.compared().clean, "both hold the same: nothing is blocked for a price"
    bed.exchange.step(61)
    bed.compared()
    assert fills(bed.engine)[-1].price == Decimal("40.25") != newest.price
    assert position(bed.engine, held).quantity == 3
    bed.agrees()
    assert bed.compared().not_listed == {}


def test_F17_F23_a_bust_of_a_purchase_that_nobody_heard_leaves_no_position(bed: Bed) -> None:
    held = bed.buy(2)
    for _ in fills(bed.engine):
        bed.board.arm("bust", account="one", symbol="KO", side="buy")
    bed.exchange.step(1)
    assert bed.compared().missing.keys() == {"KO"} and bed.held() == 2
    bed.exchange.step(61)
    done = bed.compared()
    assert (done.phantoms, bed.held(), fills(bed.engine)) == ([], 0, ()), "it is known what became of it"
    assert position(bed.engine, held).state is PositionState.VOID
    bed.agrees()
    assert [said for said in bed.told() if said.startswith("The broker took back the buy of")]


def test_F17_F23_a_bust_of_a_sale_that_nobody_heard_opens_the_position_and_adopts_nothing(bed: Bed) -> None:
    held = bed.buy(4)
    bed.sell(4)
    assert position(bed.engine, held).state is PositionState.CLOSED
    for _ in [fill for fill in fills(bed.engine) if fill.side is Side.SELL]:
        bed.board.arm("bust", account="one", symbol="KO", side="sell")
    bed.exchange.step(1)
    seen = bed.compared()
    assert (seen.adopted, seen.blocked, bed.held()) == ([], ["KO"], 0), "not taken over before it is understood"
    bed.exchange.step(61)
    assert bed.compared().adopted == []
    again = position(bed.engine, held)
    assert (again.state, again.quantity, again.origin) == (PositionState.OPEN, 4, "signal")
    bed.agrees()


def test_F23_a_bust_that_the_stream_tells_after_the_lists_did_changes_nothing_more(bed: Bed) -> None:
    held = bed.buy(5)
    newest = fills(bed.engine)[-1]
    bed.board.arm("bust", account="one", execution_id=newest.execution_id)
    bed.exchange.step(1)
    bed.compared()
    bed.exchange.step(61)
    bed.compared()
    assert bed.held() == 5 - newest.quantity
    late = ExecutionChange(
        account=ACCOUNT,
        change_id=f"{BUST}:{fill_id(newest.execution_id)}",
        fill_id=fill_id(newest.execution_id),
        new_fill_id=None,
        broker_order_id=newest.broker_order_id,
        kind=BUST,
        quantity=None,
        price=None,
        changed_at=bed.clock.now(),
        booked_at=bed.clock.now(),
        run_id="trade-stream",
    )
    assert book_change(bed.engine, late, at=bed.clock.now())
    assert position(bed.engine, held).quantity == 5 - newest.quantity
    assert len([said for said in bed.told() if "took back" in said]) == 1
    bed.agrees()


@pytest.mark.parametrize("lags", ["list", "list and positions", "order and positions"])
def test_F17_F28_a_list_that_lags_takes_nothing_back(
    lags: str, engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = lambda order: [(1, 2, "2.50"), (2, 3, "2.50")]
    intent = send(engine, broker, clock, SYMBOL, 5, limit=Decimal("2.90"))
    exchange.advance(exchange.now + timedelta(minutes=11))
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    if "list" in lags:
        exchange.fills.pop()
    if "positions" in lags:
        exchange.holdings[SYMBOL] = (2, Decimal("2.50"))
    if "order" in lags:
        [order] = exchange.by_client_id(intent.client_order_id)
        order.filled, order.cost = 2, Decimal(5)
    for _ in range(3):
        reconcile(engine, broker, clock, ACCOUNT, "start")
        exchange.advance(exchange.now + timedelta(seconds=61))
    assert [fill.quantity for fill in fills(engine)] == [2, 3]


def test_F17_F28_a_broker_that_shows_everything_as_it_was_minutes_ago_takes_nothing_back(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    """The stream tells a fill, and order, list and position are those from before it, all of one piece, for a while."""
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = lambda order: [(1, 2, "2.50"), (2, 3, "2.50")]
    intent = send(engine, broker, clock, SYMBOL, 5, limit=Decimal("2.90"))
    exchange.advance(exchange.now + timedelta(minutes=1))
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    [order] = exchange.by_client_id(intent.client_order_id)
    late, now = exchange.fills.pop(), (order.filled, order.cost, exchange.holdings[SYMBOL])
    order.filled, order.cost, exchange.holdings[SYMBOL] = 2, Decimal(5), (2, Decimal("2.50"))
    for _ in range(8):
        assert reconcile(engine, broker, clock, ACCOUNT, "start").blocked == [SYMBOL]
        exchange.advance(exchange.now + timedelta(seconds=61))
    exchange.fills.append(late)
    order.filled, order.cost, exchange.holdings[SYMBOL] = now
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    assert [fill.quantity for fill in fills(engine)] == [2, 3]


def test_F18_F23_a_fill_that_the_list_shows_under_another_name_was_not_changed(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    exchange.script = lambda order: [(1, 2, "2.5012345"), (2, 3, "2.50")]
    send(engine, broker, clock, SYMBOL, 5, limit=Decimal("2.90"))
    exchange.advance(exchange.now + timedelta(minutes=1))
    assert reconcile(engine, broker, clock, ACCOUNT, "start").clean
    for row in exchange.fills:
        row["id"] = f"{row['id'].partition('::')[0]}::{uuid4()}"
    for _ in range(3):
        exchange.advance(exchange.now + timedelta(minutes=9))
        report = reconcile(engine, broker, clock, ACCOUNT, "start")
        assert report.clean and report.alerts == [] and report.not_listed == {}
    with engine.connect() as connection:
        assert changed_ids(connection, ACCOUNT) == frozenset()
