"""What the tests of brackets share: a practice exchange that is stepped, an account of its own for each test, and the
invariants of a stock that is bought with its stop and its take profit."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from trading_assets.broker import ladder, protection
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderPlan, LadderResult, Rung
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.consistency import compare
from trading_assets.broker.ladder import Entry, Exit
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.broker.values import BrokerOrder
from trading_assets.domain import crashpoints
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import Direction, PositionState, Purpose, Strategy
from trading_assets.ledger import order_legs, orders, positions
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT, SECRET, SteppedClock
from trading_assets_tests.exchange.venue_process import TOKEN, served

SESSION, NEXT = date(2026, 3, 10), date(2026, 3, 11)
BEGIN = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
TICKER = "MSFT"
#: A stop and a take profit so far away that no minute of the test reaches them.
FAR = Decimal("0.2")
QUICK = BrokerConfig(connect_timeout_seconds=5.0, read_timeout_seconds=2.0, poll_seconds=2.0)


@contextmanager
def running(
    directory: Path, accounts: int, *, last: date | None = None, options_level: int = 2, faults: bool = False
) -> Iterator[str]:
    """The exchange as a process of its own with so many accounts; yields its address."""
    names = ("TEST", *map(str, range(accounts)))
    config: dict[str, object] = {
        "session": SESSION.isoformat(),
        "rules": {"requests_per_minute": 100_000},
        "accounts": [
            {"name": f"a{key}".lower(), "key": f"PK{key}", "secret": SECRET, "cash": "9000000"}
            | {"options_level": options_level}
            for key in names
        ],
        "faults": faults,
    }
    if last is not None:
        config["last_session"] = last.isoformat()
    with served(directory, BEGIN, **config) as url:
        yield url


def connect(url: str, key: str) -> AlpacaBroker:
    """The real adapter for one account of the exchange at ``url``."""
    return AlpacaBroker(BrokerConnection("PRACTICE", url, url, key, SECRET), SteppedClock(url, TOKEN), QUICK)


@dataclass(frozen=True)
class Bench:
    """A ledger with one account, and that account at the exchange."""

    ledger: Engine
    url: str
    key: str
    broker: AlpacaBroker

    @property
    def clock(self) -> SteppedClock:
        return SteppedClock(self.url, TOKEN)

    def step(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now() + timedelta(seconds=seconds))

    def ask(self, ticker: str = TICKER) -> Decimal:
        found = self.broker.quotes([ticker])[ticker].ask
        assert found is not None
        return found

    def bid(self, ticker: str = TICKER) -> Decimal:
        found = self.broker.quotes([ticker])[ticker].bid
        assert found is not None
        return found

    def reconcile(self) -> ReconciliationReport:
        return reconcile(self.ledger, self.broker, self.clock, ACCOUNT, "start")

    def enter(
        self, plan: LadderPlan, quantity: int = 10, *, signal_id: str = "s1", broker: AlpacaBroker | None = None
    ) -> LadderResult:
        entry = shares(quantity, signal_id)
        return ladder.enter(self.ledger, broker or self.broker, self.clock, entry, plan, run_id="run")

    def leave(self, position_id: str, quantity: int, *prices: str | None) -> LadderResult:
        """Sell; without prices at the market."""
        order = Exit(position_id, quantity, "flatten")
        plan = desk.plan(*(prices or (None,)))
        return ladder.leave(self.ledger, self.broker, self.clock, order, plan, run_id="run")

    def position(self, position_id: str) -> Position:
        with self.ledger.connect() as connection:
            found = positions.get_position(connection, position_id)
        assert found is not None
        return found

    def held(self, ticker: str = TICKER) -> int:
        """What the exchange says is held."""
        return next((int(p.quantity) for p in self.broker.positions() if p.symbol == ticker), 0)

    def intents(self) -> tuple[OrderIntent, ...]:
        with self.ledger.connect() as connection:
            return orders.of_account(connection, ACCOUNT)

    def protections(self, position_id: str, *, live: bool = True) -> tuple[OrderIntent, ...]:
        with self.ledger.connect() as connection:
            return order_legs.protections(connection, position_id, live=live)

    def open_orders(self) -> list[BrokerOrder]:
        return self.broker.orders("open")

    def until_flat(self, position_id: str, minutes: int = 120) -> Position:
        """Reconcile minute by minute until the position is closed."""
        for _ in range(minutes):
            assert self.reconcile().clean
            if self.position(position_id).state is PositionState.CLOSED:
                return self.position(position_id)
            self.step(60)
        raise AssertionError(f"still {self.position(position_id)} with {self.open_orders()}")

    def assert_whole(self) -> None:
        """I1 every order is known and resolved, I2 nothing is doubled, I3 ledger and exchange agree in everything."""
        report = self.reconcile()
        assert report.clean, report.differences
        consistent = compare(self.ledger, self.broker, ACCOUNT)
        assert consistent.consistent, consistent.differences
        intents = self.intents()
        at_exchange = self.broker.orders("all")
        assert {order.order_id for order in at_exchange} == {i.broker_order_id for i in intents if i.broker_order_id}
        assert len({order.client_order_id for order in at_exchange}) == len(at_exchange)
        live = [intent for intent in intents if intent.is_live]
        assert not [intent for intent in live if intent.purpose is Purpose.ENTRY]
        with self.ledger.connect() as connection:
            held = {p.position_id: p.quantity for p in positions.live_positions(connection, ACCOUNT)}
        for position_id, quantity in held.items():
            mine = [intent for intent in live if intent.position_id == position_id]
            assert not mine or protection.covers(tuple(mine), quantity), mine
        assert {intent.position_id for intent in live} <= set(held)
        bought = sum(i.filled_quantity for i in intents if i.purpose is Purpose.ENTRY)
        sold = sum(i.filled_quantity for i in intents if i.purpose is not Purpose.ENTRY)
        assert bought - sold == sum(held.values()) == self.held()


def shares(quantity: int, signal_id: str = "s1") -> Entry:
    """Buying shares for a signal."""
    return Entry(ACCOUNT, signal_id, TICKER, TICKER, Strategy.STOCK, Direction.BULLISH, quantity, 1)


def bracket(
    *limits: Decimal | str, stop: Decimal | None = None, target: Decimal | None = None, seconds: float = 10
) -> LadderPlan:
    """A ladder of brackets; stop and take profit a fifth away where they are not given."""
    rungs = [Decimal(limit) for limit in limits]
    below, above = (rungs[-1] * (1 - FAR)).quantize(Decimal("0.01")), (rungs[-1] * (1 + FAR)).quantize(Decimal("0.01"))
    return LadderPlan(
        tuple(Rung(limit, seconds) for limit in rungs), take_profit=target or above, stop_loss=stop or below
    )


# --- a process that dies ----------------------------------------------------------------------------------------------


def _trade(
    database_url: str, url: str, key: str, action: str, point: str, passes: int, plan: LadderPlan, quantity: int
) -> None:
    """Do one action and die with SIGKILL at the passage of ``point`` of that number."""
    left = passes

    def die(name: str) -> None:
        nonlocal left
        left -= name == point
        if left == 0 and name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    bench = Bench(open_ledger(database_url), url, key, connect(url, key))
    crashpoints.install(die)
    with bench.ledger.connect() as connection:
        live = positions.live_positions(connection, ACCOUNT)
    if action == "enter":
        bench.enter(plan, quantity)
    elif action == "leave":
        bench.leave(live[0].position_id, live[0].quantity)
    elif action == "protect":
        protection.place(bench.ledger, bench.broker, bench.clock, live[0], live[0].quantity, run_id="dying")
    else:
        bench.reconcile()


def run_and_die(
    bench: Bench, database_url: str, action: str, point: str, plan: LadderPlan, passes: int = 1, *, quantity: int = 10
) -> int:
    """Run an action in a process of its own; returns its exit code (minus the signal that killed it)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "alpaca.trading.client", "alpaca.data.historical.option"])
    arguments = (database_url, bench.url, bench.key, action, point, passes, plan, quantity)
    process = context.Process(target=_trade, args=arguments)
    process.start()
    process.join(60)
    code = process.exitcode
    process.close()
    assert code is not None, "the process neither died nor ended"
    return code
