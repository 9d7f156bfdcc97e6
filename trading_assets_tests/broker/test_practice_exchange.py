"""The adapter, the ladder and the reconciliation against the practice exchange as a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.errors import NotAuthorized
from trading_assets.broker.ladder import Entry, Exit
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import (
    ContractSnapshot,
    Direction,
    KillMode,
    OptionContract,
    PositionState,
    Right,
    Strategy,
)
from trading_assets.ledger import positions
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import ACCOUNT, SECRET, SteppedClock, plan
from trading_assets_tests.broker.fault_proxy import Fault, proxied
from trading_assets_tests.exchange.venue_process import TOKEN, served

SESSION = date(2026, 3, 10)
BEGIN = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
CASH = Decimal(100_000)


@dataclass(frozen=True)
class Practice:
    """A running practice exchange."""

    url: str
    clock: SteppedClock
    broker: AlpacaBroker


def connect(url: str, clock: SteppedClock, key: str = "PKTEST") -> AlpacaBroker:
    return AlpacaBroker(BrokerConnection("PRACTICE", url, url, key, SECRET), clock)


@contextmanager
def running(directory: Path, session: date = SESSION, begin: datetime = BEGIN) -> Iterator[str]:
    """The exchange as a process of its own; yields its address."""
    account = {"name": ACCOUNT, "key": "PKTEST", "secret": SECRET, "cash": str(CASH), "options_level": 2}
    accounts = [account, {**account, "name": "other", "key": "PKOTHER"}]
    with served(directory, begin, session=session.isoformat(), accounts=accounts) as url:
        yield url


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("exchange")) as url:
        yield url


@pytest.fixture
def practice(process: str) -> Iterator[Practice]:
    clock = SteppedClock(process, TOKEN)
    broker = connect(process, clock)
    yield Practice(process, clock, broker)
    broker.close()


def near_the_money(practice: Practice, ticker: str = "NVDA", day: date = SESSION) -> ContractSnapshot:
    """A liquid call with a two-sided quote."""
    quote = practice.broker.quotes([ticker])[ticker]
    assert quote.mid is not None
    chain = practice.broker.option_chain(
        ticker,
        day + timedelta(days=2),
        day + timedelta(days=30),
        low_strike=quote.mid * Decimal("0.97"),
        high_strike=quote.mid * Decimal("1.03"),
        right=Right.CALL,
    )
    usable = [entry for entry in chain if entry.quote.is_two_sided and (entry.quote.bid or 0) > 1]
    return min(usable, key=lambda entry: (entry.quote.ask or 0) - (entry.quote.bid or 0))


def calls(contract: OptionContract, quantity: int = 2) -> Entry:
    """Buying calls of that contract for the signal s1."""
    return Entry(
        ACCOUNT,
        "s1",
        contract.symbol,
        contract.underlying,
        Strategy.SWING_TRADE,
        Direction.BULLISH,
        quantity,
        contract.multiplier,
        contract.right,
        contract.strike,
        contract.expiry,
    )


def test_a_day_of_orders_leaves_ledger_and_exchange_equal(ledger: Engine, practice: Practice) -> None:
    broker, clock = practice.broker, practice.clock
    with ledger.begin() as connection:
        desk.add_account(connection)
        desk.publish(connection, "s1")
    assert reconcile(ledger, broker, clock, ACCOUNT, "start").clean
    chosen = near_the_money(practice)
    contract, ask = chosen.contract, chosen.quote.ask
    assert ask is not None
    entry = calls(contract)
    bought = ladder.enter(
        ledger, broker, clock, entry, plan(str(chosen.quote.bid), str(ask * 2), seconds=5), run_id="r"
    )
    assert bought.state is LadderState.FILLED, bought
    seen = account_snapshot(ledger, broker, clock, ACCOUNT, kill_mode=KillMode.OFF, start_id="start")
    assert (seen.options_level, [p.quantity for p in seen.positions]) == (2, [2])
    assert seen.cash is not None and bought.avg_price is not None
    assert seen.cash == CASH - bought.avg_price * 200
    first = ladder.leave(ledger, broker, clock, Exit(bought.position_id, 1, "target"), plan(None), run_id="r")
    second = ladder.leave(ledger, broker, clock, Exit(bought.position_id, 1, "stop"), plan("0.05"), run_id="r")
    assert (first.state, second.state) == (LadderState.FILLED, LadderState.FILLED)
    assert reconcile(ledger, broker, clock, ACCOUNT, "start").clean
    with ledger.connect() as connection:
        position = positions.get_position(connection, bought.position_id)
    assert position is not None and position.state is PositionState.CLOSED
    report = compare(ledger, broker, ACCOUNT)
    assert report.consistent, report.differences
    assert broker.account().cash == CASH + position.realized_pnl


def test_the_exchange_refuses_wrong_keys_and_tells_accounts_apart(practice: Practice) -> None:
    wrong = connect(practice.url, practice.clock, "PKNOBODY")
    with pytest.raises(NotAuthorized):
        wrong.account()
    other = connect(practice.url, practice.clock, "PKOTHER")
    assert other.account().account_id != practice.broker.account().account_id
    assert other.positions() == []


def test_markets_are_read_whole(practice: Practice) -> None:
    broker = practice.broker
    now = broker.clock_now()
    bars = broker.stock_bars(["NVDA", "SPY"], now - timedelta(minutes=20), now)
    assert set(bars["ticker"]) == {"NVDA", "SPY"}
    assert bars["close"].null_count() == 0 and bars.select("ticker", "ts").is_unique().all()
    daily = broker.daily_bars(["SPY"], SESSION - timedelta(days=430), SESSION - timedelta(days=1))
    assert daily.height >= 280
    chain = broker.option_chain("SPY", SESSION, SESSION + timedelta(days=30))
    symbols = [entry.contract.symbol for entry in chain]
    assert symbols == sorted(set(symbols)) and len(symbols) > 100
    quoted = [entry for entry in chain if entry.quote.is_two_sided]
    assert len(quoted) > len(chain) / 2
    latest = broker.option_quotes(symbols[:150])
    assert set(latest) <= set(symbols)
    assert any(asset.symbol == "NVDA" and asset.optionable for asset in broker.assets())


@pytest.mark.parametrize(
    ("fault", "posts"),
    [
        pytest.param(Fault("POST", "/v2/orders", "lose_answer"), 1, id="F01-time-out-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "lose_request"), 2, id="F02-time-out-before-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "reset_after"), 1, id="F03-reset-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "answer", status=504, forward=True), 1, id="F04-504-after-acceptance"),
        pytest.param(Fault("POST", "/v2/orders", "truncate"), 1, id="F08-truncated"),
    ],
)
def test_F01_F02_F03_F04_F08_a_fault_on_the_wire_neither_loses_nor_doubles_an_order_at_the_exchange(
    fault: Fault, posts: int, ledger: Engine, practice: Practice, request: pytest.FixtureRequest
) -> None:
    signal = request.node.callspec.id
    with ledger.begin() as connection:
        desk.add_account(connection)
        desk.publish(connection, signal)
    contract = near_the_money(practice).contract
    before = len(practice.broker.orders("all"))
    with proxied(practice.url) as proxy:
        proxy.faults.append(fault)
        broker = AlpacaBroker(
            BrokerConnection("PRACTICE", proxy.url, proxy.url, "PKTEST", SECRET), practice.clock, desk.QUICK
        )
        entry = replace(calls(contract, 1), signal_id=signal)
        bought = ladder.enter(ledger, broker, practice.clock, entry, plan("200.00"), run_id="r")
        broker.close()
    assert bought.state is LadderState.FILLED, bought
    assert proxy.count("POST", "/v2/orders") == posts
    assert len(practice.broker.orders("all")) == before + 1
    sold = ladder.leave(
        ledger, practice.broker, practice.clock, Exit(bought.position_id, 1, "stop"), plan("0.05"), run_id="r"
    )
    assert sold.state is LadderState.FILLED


def test_F26_the_brokers_own_liquidation_before_expiry_is_booked_as_foreign(ledger: Engine, tmp_path: Path) -> None:
    with running(tmp_path) as url:
        clock = SteppedClock(url, TOKEN)
        broker = connect(url, clock)
        with ledger.begin() as connection:
            desk.add_account(connection)
            desk.publish(connection, "s1", "SPY")
        reconcile(ledger, broker, clock, ACCOUNT, "start")
        spot = broker.quotes(["SPY"])["SPY"].mid
        assert spot is not None
        today = broker.option_chain("SPY", SESSION, SESSION, high_strike=spot * Decimal("0.99"), right=Right.CALL)
        contract = max((entry for entry in today if entry.quote.is_two_sided), key=lambda e: e.contract.strike).contract
        bought = ladder.enter(ledger, broker, clock, calls(contract), plan("200.00"), run_id="r")
        assert bought.state is LadderState.FILLED, bought
        clock.wait_until(datetime(2026, 3, 10, 20, 30, tzinfo=UTC))
        assert broker.positions() == []
        report = reconcile(ledger, broker, clock, ACCOUNT, "start")
        assert report.clean and report.fills_booked >= 1, report
        with ledger.connect() as connection:
            position = positions.get_position(connection, bought.position_id)
        assert position is not None
        assert (position.state, position.exit_reason) == (PositionState.CLOSED, "foreign")
        consistent = compare(ledger, broker, ACCOUNT)
        assert consistent.consistent, consistent.differences
        broker.close()
