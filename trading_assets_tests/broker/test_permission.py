"""What an entry was allowed by is asked again before each of its orders leaves; an exit goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderResult, LadderState
from trading_assets.broker.errors import NoLongerAllowed
from trading_assets.broker.ladder import Exit
from trading_assets.broker.rate_budget import RateBudget, Share, Word
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import KillMode, OrderState, PositionState
from trading_assets.ledger import accounts, orders, positions
from trading_assets.ledger.account_lock import AccountBusy, AccountLock, AccountLockLost, account_lock
from trading_assets.ledger.engine import ledger_url
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.crash_hooks import at
from trading_assets_tests.broker.desk import ACCOUNT, SteppedClock, assert_nothing_lost_or_doubled, entry, plan
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, never

ORDERS = "/v2/orders"


def switch(engine: Engine, clock: SteppedClock, mode: KillMode) -> Callable[[], None]:
    """Sets the kill switch of the account."""

    def set_it() -> None:
        with engine.begin() as connection:
            accounts.set_kill_switch(connection, ACCOUNT, mode, clock.now(), "a test")

    return set_it


def cut(database_url: str) -> None:
    """Ends every connection that carries an account's lock, as a restart of the database does."""
    address = ledger_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name LIKE 'account-lock%'"
        ).fetchall()
    assert ended == [(True,)]


def buy(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, *prices: str) -> LadderResult:
    return ladder.enter(engine, broker, clock, entry(), plan(*prices or ("2.50",)), run_id="run")


def sell(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, bought: LadderResult) -> LadderResult:
    order = Exit(bought.position_id, 2, "stop")
    return ladder.leave(engine, broker, clock, order, plan("2.40"), run_id="run")


def intents(engine: Engine) -> tuple[orders.OrderIntent, ...]:
    with engine.connect() as connection:
        return orders.of_account(connection, ACCOUNT)


def state_of(engine: Engine) -> PositionState | None:
    with engine.connect() as connection:
        position = positions.get_position(connection, intents(engine)[0].position_id)
    return None if position is None else position.state


# --- the second try ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [KillMode.ENTRIES, KillMode.ALL, KillMode.FLATTEN], ids=lambda mode: mode.value)
def test_F02_a_lost_entry_is_not_sent_once_more_against_a_kill_switch_set_meanwhile(
    mode: KillMode,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    proxy: FaultProxy,
    exchange: ScriptedExchange,
) -> None:
    proxy.faults.append(Fault("POST", ORDERS, "lose_request"))
    with at("submission.after_post", switch(engine, clock, mode)), pytest.raises(NoLongerAllowed, match="kill switch"):
        buy(engine, broker, clock)
    assert (proxy.count("POST", ORDERS), exchange.posts) == (1, 0)
    (intent,) = intents(engine)
    assert intent.state is OrderState.ABANDONED
    assert intent.error is not None and "kill switch" in intent.error
    assert state_of(engine) is PositionState.VOID
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F01_an_entry_that_landed_is_adopted_whatever_the_kill_switch_says_by_then(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    proxy.faults.append(Fault("POST", ORDERS, "lose_answer"))
    with at("submission.after_post", switch(engine, clock, KillMode.ENTRIES)):
        assert buy(engine, broker, clock).state is LadderState.FILLED
    assert exchange.posts == 1
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F01_a_kill_switch_makes_an_unclear_entry_unknown_and_not_abandoned(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    proxy.faults.append(Fault("POST", ORDERS, "lose_answer"))
    proxy.faults.append(Fault("GET", "by_client_order_id", "answer", status=503, times=99))
    with at("submission.after_post", switch(engine, clock, KillMode.ENTRIES)):
        assert buy(engine, broker, clock).state is LadderState.UNKNOWN
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F02_a_lost_exit_is_sent_once_more_while_a_kill_switch_forbids_entries(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    bought = buy(engine, broker, clock)
    proxy.faults.append(Fault("POST", ORDERS, "lose_request"))
    with at("exit.after_post", switch(engine, clock, KillMode.ENTRIES)):
        assert sell(engine, broker, clock, bought).state is LadderState.FILLED
    assert (proxy.count("POST", ORDERS), exchange.posts) == (3, 2)
    assert_nothing_lost_or_doubled(engine, exchange)


# --- the account's lock -----------------------------------------------------------------------------------------------


def test_a_lock_is_verified_as_long_as_its_own_session_holds_it(database_url: str) -> None:
    with account_lock(database_url, ACCOUNT) as lock:
        lock.verify()
        with pytest.raises(AccountBusy), account_lock(database_url, ACCOUNT):
            pass
        lock.connection.execute("SELECT pg_advisory_unlock_all()")
        with pytest.raises(AccountLockLost):
            lock.verify()
        with account_lock(database_url, ACCOUNT) as other:
            other.verify()
            with pytest.raises(AccountLockLost):
                lock.verify()


@pytest.mark.parametrize(
    ("point", "posts"),
    [("submission.before_intent", 0), ("submission.after_intent", 0), ("submission.after_answer", 1)],
    ids=["before-the-intent", "before-the-request", "while-an-order-works"],
)
def test_F47_F12_a_run_that_lost_the_accounts_lock_sends_no_further_entry_and_ends_what_works(
    point: str,
    posts: int,
    engine: Engine,
    database_url: str,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    exchange.script = never

    def climb(lock: AccountLock) -> None:
        permit = lambda _: lock.verify()  # noqa: E731
        ladder.enter(engine, broker, clock, entry(), plan("2.50", "2.55", "2.60"), run_id="run", permit=permit)

    with (
        account_lock(database_url, ACCOUNT) as lock,
        at(point, lambda: cut(database_url)),
        pytest.raises(AccountLockLost),
    ):
        climb(lock)
    assert exchange.posts == posts
    assert not any(order.is_open for order in exchange.orders.values())
    assert not any(intent.is_live for intent in intents(engine))
    assert_nothing_lost_or_doubled(engine, exchange)
    with account_lock(database_url, ACCOUNT) as taken:
        taken.verify()


# --- rate limits ------------------------------------------------------------------------------------------------------


def limited_for(clock: SteppedClock, proxy: FaultProxy, seconds: float) -> float:
    reset = clock.now().timestamp() + seconds
    proxy.faults.append(Fault("POST", ORDERS, "answer", status=429, headers={"X-RateLimit-Reset": str(reset)}))
    return reset


def test_F06_an_entry_does_not_wait_for_a_distant_reset_while_an_exit_may_wait_for_the_account(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    reset = limited_for(clock, proxy, 25)
    result = buy(engine, broker, clock)
    assert (result.state, exchange.posts) == (LadderState.UNFILLED, 0)
    assert result.error is not None and "rate limit" in result.error
    assert clock.now().timestamp() < reset
    assert [intent.state for intent in intents(engine)] == [OrderState.ABANDONED]
    assert state_of(engine) is PositionState.VOID
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F06_an_exit_waits_for_the_reset_and_gets_out(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    bought = buy(engine, broker, clock)
    reset = limited_for(clock, proxy, 25)
    assert sell(engine, broker, clock, bought).state is LadderState.FILLED
    assert max(order.submitted_at.timestamp() for order in exchange.orders.values()) >= reset
    assert_nothing_lost_or_doubled(engine, exchange)


def test_F06_an_entry_that_the_accounts_own_budget_holds_back_is_not_sent_and_an_exit_is(
    engine: Engine, clock: SteppedClock, proxy: FaultProxy, exchange: ScriptedExchange, tmp_path: Path
) -> None:
    connection = BrokerConnection("PRACTICE", proxy.url, proxy.url, "PKTEST", desk.SECRET, budget=tmp_path)
    broker = AlpacaBroker(connection, clock, desk.QUICK)
    bought = buy(engine, broker, clock)
    budget = RateBudget(tmp_path / "trading")
    taken = budget.take(Share.EXIT)
    assert isinstance(taken, int)
    # So many are left that only exits may have them.
    budget.answered(taken, Word(1_000, 50, 1, 40.0))
    other = replace(entry("s2"), symbol="AAPL260320C00200000", underlying="AAPL")
    result = ladder.enter(engine, broker, clock, other, plan("2.50"), run_id="run")
    assert (result.state, exchange.posts) == (LadderState.UNFILLED, 1)
    assert result.error is not None and "used up for others" in result.error
    assert sell(engine, broker, clock, bought).state is LadderState.FILLED
    assert_nothing_lost_or_doubled(engine, exchange)
    broker.close()
