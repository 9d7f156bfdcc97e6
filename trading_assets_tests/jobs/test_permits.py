"""Between a decision and the second try of its order minutes pass: what a dispatch was allowed by is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey
from sqlalchemy import select, text

from trading_assets.automation.names import DISPATCHER_TICK
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import NoLongerAllowed
from trading_assets.domain.values import OrderState, SignalStatus
from trading_assets.jobs.permits import LEASE, Permit
from trading_assets.jobs.publishing import publish_fresh
from trading_assets.ledger import dispatch, orders
from trading_assets.ledger.account_lock import AccountLockLost, account_lock
from trading_assets.ledger.dispatch import ClaimLost
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.tables import dispatch_status
from trading_assets_tests.broker.crash_hooks import at
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, Playground, playground

ACCOUNT = "large"


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """One day for all tests of this file: each goes on where the one before stopped."""
    with playground(module_world_home, accounts=ONE_ACCOUNT, history=3) as opened:
        yield opened


LOST = Fault("POST", "/v2/orders", "reset_before", times=999)


@contextmanager
def orders_meet(world: Playground, fault: Fault) -> Iterator[FaultProxy]:
    """Within the block every order that the account sends meets ``fault``."""
    desk = world.desk
    own = desk.broker(ACCOUNT)
    connection = desk.runtime.connection(desk.account(ACCOUNT))
    config = desk.settings.strategy.broker.model_copy(update={"lookup_seconds": (1.0, 2.0)})
    with proxied(connection.trading_url) as proxy:
        proxy.faults.append(replace(fault))
        desk._brokers[ACCOUNT] = AlpacaBroker(replace(connection, trading_url=proxy.url), desk.clock, config)
        try:
            yield proxy
        finally:
            desk._brokers[ACCOUNT] = own


def working(world: Playground) -> OrderIntent:
    """The order that is under way."""
    with world.desk.ledger.connect() as connection:
        (intent,) = orders.live_intents(connection, ACCOUNT)
    return intent


def six_minutes_pass(world: Playground) -> None:
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=6))


def the_lock_is_lost(world: Playground) -> None:
    ended = text(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name LIKE 'account-lock%'"
    )
    with world.desk.ledger.connect() as connection:
        assert connection.execute(ended).scalars().all() == [True]


def test_F12_a_permit_renews_its_claim_and_ends_with_it_with_the_age_of_its_signal_and_with_the_hours_of_entries(
    world: Playground,
) -> None:
    world.until_a_signal()
    desk, session = world.desk, world.session
    publish_fresh(desk, "first")
    begun = desk.clock.now()
    with desk.ledger.begin() as connection:
        claimed = dispatch.claim(connection, ACCOUNT, "first", begun, timedelta(seconds=1), limit=1)[0]

    def ask(permit: Permit) -> datetime:
        """The claim's end after the permit was asked."""
        with desk.ledger.begin() as connection:
            permit(connection)
            row = select(dispatch_status.c.lease_until).where(
                dispatch_status.c.signal_id == claimed.signal.signal_id, dispatch_status.c.account == ACCOUNT
            )
            until: datetime = connection.execute(row).scalar_one()
        return until

    with account_lock(desk.runtime.ledger_url, ACCOUNT) as lock:
        permit = Permit(desk, lock, claimed, None, session, "first")
        assert ask(permit) >= begun + LEASE
        with pytest.raises(ClaimLost, match="held by run first"):
            ask(replace(permit, run_id="second"))
        early = replace(session, close=desk.clock.now() + timedelta(minutes=60))
        with pytest.raises(NoLongerAllowed, match="the time for entries ended"):
            ask(replace(permit, session=early))
        old = replace(claimed.signal, known_at=claimed.signal.known_at - timedelta(minutes=6))
        with pytest.raises(NoLongerAllowed, match="more than 300 s"):
            ask(replace(permit, claimed=replace(claimed, signal=old)))
        ask(permit)
        lock.connection.close()
        with pytest.raises(AccountLockLost):
            ask(permit)


@pytest.mark.parametrize(
    ("happens", "said", "fails"),
    [
        pytest.param(six_minutes_pass, "s old, more than 300 s", False, id="F48-the-signal-grows-old"),
        pytest.param(the_lock_is_lost, "the lock of account 'large' was lost", True, id="F47-the-lock-is-lost"),
    ],
)
def test_F02_F47_F48_an_order_that_did_not_arrive_is_not_sent_once_more_when(
    happens: Callable[[Playground], None], said: str, fails: bool, world: Playground
) -> None:
    seen: list[OrderIntent] = []

    def trouble() -> None:
        seen.append(working(world))
        happens(world)

    with orders_meet(world, LOST) as proxy:
        for _ in range(12):
            world.until_a_signal()
            with at("submission.after_post", trouble):
                (outcome,) = world.ticker.sensor(DISPATCHER_TICK)
            if seen:
                break
        assert seen, "nothing was ordered"
        assert proxy.count("POST", "/v2/orders") == 1
    assert outcome.success is not fails
    name, signal = seen[0].client_order_id, seen[0].signal_id
    assert signal is not None
    with world.desk.ledger.connect() as connection:
        intent = orders.get_intent(connection, name)
        told = dispatch.status_of(connection, signal, ACCOUNT)
    assert intent is not None and intent.state is OrderState.ABANDONED
    assert said in (intent.error or "")
    assert told is not None
    if fails:
        assert told[0] is SignalStatus.PROCESSING, "whoever takes it next asks the broker first"
        run = world.instance.get_run_by_id(outcome.run_id)
        assert run is not None and run.is_failure
    else:
        assert told[0] is SignalStatus.SKIPPED and said in (told[1] or "")
    assert not world.broker_orders()


@pytest.fixture
def another_world(world_home: Path) -> Iterator[Playground]:
    """A day of which no signal was used up."""
    with playground(world_home, accounts=ONE_ACCOUNT, history=3) as opened:
        yield opened


def test_F10_a_permanently_refused_order_is_sent_once_and_told_with_all_its_names(another_world: Playground) -> None:
    world = another_world
    refused = b'{"code":40310000,"message":"account not eligible to trade uncovered option contracts"}'
    with orders_meet(world, Fault("POST", "/v2/orders", "answer", status=403, body=refused, times=999)) as proxy:
        for _ in range(12):
            world.until_a_signal()
            outcomes = [*world.ticker.sensor(DISPATCHER_TICK)]
            if sent := proxy.count("POST", "/v2/orders"):
                break
        assert sent, "nothing was ordered"
        for _ in range(3):
            world.desk.clock.wait_until(world.desk.clock.now() + timedelta(seconds=20))
            outcomes += world.ticker.sensor(DISPATCHER_TICK)
        assert proxy.count("POST", "/v2/orders") == sent, "a batch is not tried again"
    with world.desk.ledger.connect() as connection:
        intents = [i for i in orders.of_account(connection, ACCOUNT) if i.state is OrderState.REJECTED]
        told = {i: dispatch.status_of(connection, str(i.signal_id), ACCOUNT) for i in intents}
    assert len(intents) == sent == len({intent.signal_id for intent in intents})
    event: Any = world.instance.get_latest_materialization_event(AssetKey("orders"))
    failed = event.asset_materialization.metadata["failed"].value
    lines = [one.user_message for outcome in outcomes for one in world.instance.all_logs(outcome.run_id)]
    for intent, status in told.items():
        assert status is not None and status[0] is SignalStatus.FAILED
        assert intent.client_order_id in (status[1] or "") and "not eligible" in (status[1] or "")
        names = (str(intent.signal_id), intent.client_order_id)
        assert all(name in failed for name in names)
        assert any(all(name in line for name in (*names, f"account {ACCOUNT}")) for line in lines)
