"""What the tests of rolls share: an account that may trade several legs, a call that is held, the one it is rolled
into, and the invariants of both."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Engine

from trading_assets.broker import ladder, rolling
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState, Rung
from trading_assets.broker.consistency import compare
from trading_assets.broker.ladder import Entry, Exit
from trading_assets.broker.reconciliation import ReconciliationReport, reconcile
from trading_assets.broker.rolling import Roll, RollResult
from trading_assets.domain import crashpoints
from trading_assets.domain.money import CENT
from trading_assets.domain.values import ContractSnapshot, Direction, Right, Strategy
from trading_assets.ledger import order_legs, orders, positions
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets_tests.broker import bracket_desk, desk
from trading_assets_tests.broker.desk import ACCOUNT, SteppedClock
from trading_assets_tests.exchange.venue_process import TOKEN

TICKER = "NVDA"
#: The expiries that are held and rolled into.
HELD, NEXT = date(2026, 3, 20), date(2026, 4, 17)


@contextmanager
def running(directory: Path, accounts: int, *, options_level: int = 3) -> Iterator[str]:
    """An exchange with a fault switchboard and so many accounts that may trade several legs; yields its address."""
    with bracket_desk.running(directory, accounts, options_level=options_level, faults=True) as url:
        yield url


@dataclass(frozen=True)
class RollBench:
    """A ledger with one account, and that account at the exchange."""

    ledger: Engine
    url: str
    key: str
    broker: AlpacaBroker

    @property
    def clock(self) -> SteppedClock:
        return SteppedClock(self.url, TOKEN)

    @property
    def account(self) -> str:
        """The account's name at the exchange."""
        return f"a{self.key.removeprefix('PK')}".lower()

    def step(self, seconds: float) -> None:
        self.clock.wait_until(self.clock.now() + timedelta(seconds=seconds))

    def call(self, expiry: date) -> ContractSnapshot:
        """The call nearest to the money."""
        spot = self.broker.quotes([TICKER])[TICKER].mid
        assert spot is not None
        low, high = spot * Decimal("0.95"), spot * Decimal("1.05")
        chain = self.broker.option_chain(TICKER, expiry, expiry, low_strike=low, high_strike=high, right=Right.CALL)
        rows = [row for row in chain if row.quote.is_two_sided]
        return min(rows, key=lambda row: abs(row.contract.strike - spot))

    def buy(self, quantity: int = 2, signal_id: str = "s1") -> Position:
        """Buy the call that will be rolled."""
        contract = self.call(HELD).contract
        entry = Entry(
            ACCOUNT,
            signal_id,
            contract.symbol,
            TICKER,
            Strategy.SWING_TRADE,
            Direction.BULLISH,
            quantity,
            contract.multiplier,
            contract.right,
            contract.strike,
            contract.expiry,
        )
        result = ladder.enter(self.ledger, self.broker, self.clock, entry, desk.plan("200.00"), run_id="run")
        assert result.state is LadderState.FILLED, result
        return self.position(result.position_id)

    def plan(self, position: Position, quantity: int, *, generous: str = "0.50") -> tuple[Roll, tuple[Rung, ...]]:
        """Rolling ``quantity`` at the quotes of now, with so much net room that it fills."""
        new = self.call(NEXT)
        old = self.broker.option_quotes([position.symbol])[position.symbol]
        assert old.bid is not None and new.quote.ask is not None
        roll = Roll(position.position_id, new.contract, quantity, old.bid, new.quote.ask, None, new.delta)
        net = (new.quote.ask - old.bid + Decimal(generous)).quantize(CENT)
        return roll, (Rung(net - Decimal("0.10"), 10), Rung(net, 10))

    def roll(
        self, position: Position, quantity: int = 2, *, generous: str = "0.50", broker: AlpacaBroker | None = None
    ) -> RollResult:
        """Roll at the quotes of now."""
        order, rungs = self.plan(position, quantity, generous=generous)
        return rolling.roll(self.ledger, broker or self.broker, self.clock, order, rungs, run_id="run")

    def leave(self, position: Position, quantity: int) -> None:
        """Sell at the market."""
        order = Exit(position.position_id, quantity, "flatten")
        result = ladder.leave(self.ledger, self.broker, self.clock, order, desk.plan(None, None, None), run_id="run")
        assert result.state is LadderState.FILLED, result

    def reconcile(self) -> ReconciliationReport:
        return reconcile(self.ledger, self.broker, self.clock, ACCOUNT, "start")

    def position(self, position_id: str) -> Position:
        with self.ledger.connect() as connection:
            found = positions.get_position(connection, position_id)
        assert found is not None
        return found

    def live(self) -> dict[str, int]:
        """What the ledger holds, by symbol."""
        with self.ledger.connect() as connection:
            return {p.symbol: p.quantity for p in positions.live_positions(connection, ACCOUNT) if p.quantity}

    def held(self) -> dict[str, int]:
        """What the exchange says is held."""
        return {position.symbol: int(position.quantity) for position in self.broker.positions()}

    def intents(self) -> tuple[OrderIntent, ...]:
        with self.ledger.connect() as connection:
            return orders.of_account(connection, ACCOUNT)

    def rolls(self) -> list[OrderIntent]:
        return [intent for intent in self.intents() if intent.order_class == orders.COMBO]

    def assert_whole(self) -> None:
        """I1 every order is known and resolved, I2 nothing is doubled, I3 ledger and exchange agree in everything, and
        no leg traded without the other."""
        report = self.reconcile()
        assert report.clean, report.differences
        assert not report.adopted, "what a roll bought is no foreign position"
        consistent = compare(self.ledger, self.broker, ACCOUNT)
        assert consistent.consistent, consistent.differences
        intents = self.intents()
        assert not [intent for intent in intents if intent.is_live]
        shown = self.broker.orders("all")
        at_exchange = {each.order_id for order in shown for each in (order, *order.legs)}
        assert {intent.broker_order_id for intent in intents if intent.broker_order_id} <= at_exchange
        ours = {order.client_order_id for order in shown if order.client_order_id.startswith("ta-")}
        assert ours <= {intent.client_order_id for intent in intents}
        assert len({order.client_order_id for order in shown}) == len(shown)
        assert self.live() == self.held()
        with self.ledger.connect() as connection:
            for whole in self.rolls():
                legs = order_legs.combo_legs(connection, whole.client_order_id)
                assert {leg.filled_quantity for leg in legs} == {whole.filled_quantity}


def opened(ledger: Engine, url: str, number: int) -> RollBench:
    """The account of that number and a ledger that knows it."""
    with ledger.begin() as connection:
        desk.add_account(connection)
        for signal_id in ("s1", "s2"):
            desk.publish(connection, signal_id, TICKER)
    key = f"PK{number}"
    bench = RollBench(ledger, url, key, bracket_desk.connect(url, key))
    bench.reconcile()
    return bench


# --- a process that dies ----------------------------------------------------------------------------------------------


def _roll(database_url: str, url: str, key: str, position_id: str, quantity: int, point: str, passes: int) -> None:
    """Roll and die with SIGKILL at the passage of ``point`` of that number."""
    left = passes

    def die(name: str) -> None:
        nonlocal left
        left -= name == point
        if left == 0 and name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    bench = RollBench(open_ledger(database_url), url, key, bracket_desk.connect(url, key))
    crashpoints.install(die)
    bench.roll(bench.position(position_id), quantity)


def roll_and_die(bench: RollBench, database_url: str, position: Position, point: str, passes: int = 1) -> int:
    """Roll all of it in a process of its own; returns its exit code (minus the signal that killed it)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "alpaca.trading.client", "alpaca.data.historical.option"])
    arguments = (database_url, bench.url, bench.key, position.position_id, position.quantity, point, passes)
    process = context.Process(target=_roll, args=arguments)
    process.start()
    process.join(60)
    code = process.exitcode
    process.close()
    assert code is not None, "the process neither died nor ended"
    return code
