"""Two accounts in one world: own credentials, own decisions, and the trouble of one is not the other's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from trading_assets.automation.names import DISPATCHER_TICK, POSITION_MANAGER_TICK
from trading_assets.automation.tickets import ACCOUNT_TAG
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.values import Side, SignalStatus
from trading_assets.jobs.recovery import reconcile_all, recover
from trading_assets.ledger import accounts, dispatch
from trading_assets.ledger.tables import accounts as rows
from trading_assets.ledger.tables import order_intents
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.broker.stream_desk import until
from trading_assets_tests.e2e.playground import Playground, playground
from trading_assets_tests.fault_suite import Figures

pytestmark = pytest.mark.patient

BOTH_FOLLOW = """
accounts:
  large: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 121000}
  tiny: {limits: {strategies: [swing_trade, day_trade]}, practice_cash: 1800}
"""


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """One day for all tests of this file: each goes on where the one before stopped."""
    with playground(module_world_home, accounts=BOTH_FOLLOW) as opened:
        yield opened


@contextmanager
def keys(world: Playground, account: str, of: str, *, secret: str | None = None) -> Iterator[None]:
    """Within the block ``account`` talks to the broker with the keys of ``of``, or with a wrong ``secret``."""
    desk = world.desk
    connection = desk.runtime.connection(desk.account(of))
    if secret is not None:
        connection = replace(connection, secret=secret)
    own = desk.broker(account)
    desk._brokers[account] = AlpacaBroker(connection, desk.clock, desk.settings.strategy.broker)
    try:
        yield
    finally:
        desk._brokers[account] = own


def dispatched(world: Playground) -> dict[str, bool]:
    """Whether the run of each account succeeded."""
    found = {}
    for outcome in world.ticker.sensor(DISPATCHER_TICK):
        run = world.instance.get_run_by_id(outcome.run_id)
        assert run is not None
        found[run.tags[ACCOUNT_TAG]] = outcome.success
    return found


def statuses(world: Playground, account: str, signals: list[str]) -> set[SignalStatus]:
    with world.desk.ledger.connect() as connection:
        found = {dispatch.status_of(connection, signal, account) for signal in signals}
    assert None not in found, "every signal was published to every account that follows it"
    return {status for status, *_ in found}  # type: ignore[misc]


@pytest.mark.parametrize("failing", ["large", "tiny"])
def test_an_account_whose_keys_are_refused_delays_neither_data_nor_the_other(world: Playground, failing: str) -> None:
    other = {"large": "tiny", "tiny": "large"}[failing]
    with keys(world, failing, failing, secret="not the secret"):
        signals = world.until_a_signal()
        assert dispatched(world) == {failing: False, other: True}
        assert statuses(world, failing, signals) == {SignalStatus.PENDING}, "nothing is decided on what is not known"
        decided = statuses(world, other, signals)
        assert not decided & {SignalStatus.PENDING, SignalStatus.PROCESSING, SignalStatus.FAILED}
        managed = {outcome.success for outcome in world.ticker.sensor(POSITION_MANAGER_TICK)}
        assert True in managed, "the other account is looked after"


def test_F31_keys_of_the_other_account_are_refused_before_anything_is_ordered(world: Playground) -> None:
    with keys(world, "tiny", "large"):
        signals = world.until_a_signal()
        assert dispatched(world)["tiny"] is False
        assert statuses(world, "tiny", signals) == {SignalStatus.PENDING}
        with world.desk.ledger.connect() as connection:
            sent = connection.execute(select(order_intents.c.client_order_id).where(order_intents.c.account == "tiny"))
            tiny = {order.client_order_id for order in world.desk.broker("large").orders("all")} & set(sent.scalars())
        assert not tiny


def test_each_account_decides_for_itself_and_within_its_means(world: Playground) -> None:
    for _ in range(2):
        signals = world.until_a_signal()
        assert set(dispatched(world).values()) == {True}
        for account in ("large", "tiny"):
            assert not statuses(world, account, signals) & {SignalStatus.PENDING, SignalStatus.PROCESSING}
        world.ticker.sensor(POSITION_MANAGER_TICK)
    for order in world.desk.broker("tiny").orders("all"):
        assert order.quantity is not None
        assert order.quantity <= 2
        if order.side is Side.BUY and order.filled_quantity and order.filled_avg_price is not None:
            assert order.filled_avg_price * order.filled_quantity * 100 <= 450, "a quarter of 1,800 dollars"


@contextmanager
def proxied_account(world: Playground, account: str) -> Iterator[FaultProxy]:
    """Within the block ``account`` meets its broker through a proxy, and waits for its answers for as long as it holds
    them back."""
    desk, own = world.desk, world.desk.broker(account)
    connection = desk.runtime.connection(desk.account(account))
    patient = desk.settings.strategy.broker.model_copy(update={"read_timeout_seconds": 60.0})
    with proxied(connection.trading_url) as proxy:
        desk._brokers[account] = AlpacaBroker(replace(connection, trading_url=proxy.url), desk.clock, patient)
        try:
            yield proxy
        finally:
            desk._brokers[account] = own


def compared_at(world: Playground, account: str) -> datetime | None:
    with world.desk.ledger.connect() as connection:
        return accounts.reconciled_at(connection, account, world.desk.start_id)


@pytest.mark.parametrize("hanging", ["large", "tiny"])
def test_F01_F24_an_account_that_hangs_at_a_start_keeps_no_other_from_being_compared(
    world: Playground, hanging: str, scorecard: Figures
) -> None:
    other = {"large": "tiny", "tiny": "large"}[hanging]
    reconcile_all(world.desk, "before")
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    before, ended = compared_at(world, other), list[str]()
    with proxied_account(world, hanging) as proxy:
        proxy.faults.append(Fault("GET", "/v2/account$", "lose_request", times=99))
        start = threading.Thread(target=lambda: ended.extend(recover(world.desk, world.instance) or ["nothing"]))
        start.start()
        until(lambda: proxy.count("GET", "/v2/account$") > 0)
        until(lambda: compared_at(world, other) != before)
        assert start.is_alive() and not ended, "the one is still waited for while the other is compared"
    scorecard.add(faults_injected=1)
    start.join(60)
    assert not start.is_alive() and ended and proxy.count("GET", "/v2/account$") == 1, "it is not asked again"


@pytest.mark.parametrize("odd", ["large", "tiny"])
def test_F09_F24_an_account_about_which_the_broker_says_what_no_ledger_holds_keeps_no_other_from_being_compared(
    world: Playground, odd: str, scorecard: Figures
) -> None:
    other = {"large": "tiny", "tiny": "large"}[odd]
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    before = {name: compared_at(world, name) for name in (odd, other)}
    monster = {"symbol": "KO", "qty": "1", "side": "long", "avg_entry_price": "1e20"}
    with proxied_account(world, odd) as proxy:
        proxy.faults.append(Fault("GET", "/v2/positions", "rewrite", times=99, rewrite=lambda held: [*held, monster]))
        said = reconcile_all(world.desk, "recovery")
        assert proxy.taken > 0
    scorecard.add(faults_injected=1)
    assert all(compared_at(world, name) != before[name] for name in (odd, other))
    assert [sentence for sentence in said if odd in sentence and "KO" in sentence]
    assert not [sentence for sentence in said if other in sentence]
    assert reconcile_all(world.desk, "recovery") == [], "the broker says it no more"


@pytest.mark.parametrize("odd", ["large", "tiny"])
def test_a_mistake_in_the_comparison_of_one_account_keeps_no_other_from_being_compared(
    world: Playground, odd: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    other, compare_one = {"large": "tiny", "tiny": "large"}[odd], reconcile

    def mistaken(engine: Any, broker: Any, clock: Any, account: str, *rest: Any, **named: Any) -> Any:
        if account == odd:
            raise ZeroDivisionError("nobody foresaw it")
        return compare_one(engine, broker, clock, account, *rest, **named)

    monkeypatch.setattr("trading_assets.jobs.recovery.reconcile", mistaken)
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    before = {name: compared_at(world, name) for name in (odd, other)}
    said = reconcile_all(world.desk, "recovery")
    assert compared_at(world, other) != before[other] and compared_at(world, odd) == before[odd]
    assert [sentence for sentence in said if odd in sentence and "could not be reconciled" in sentence]
    assert [record for record in caplog.records if record.exc_info and odd in record.getMessage()]


def test_F31_of_two_new_accounts_with_the_same_keys_the_first_configured_gets_the_brokers_account(
    world: Playground, scorecard: Figures
) -> None:
    desk, ids = world.desk, dict[str, str | None]()
    reconcile_all(desk, "before")
    with desk.ledger.begin() as connection:
        for record in accounts.all_accounts(connection):
            ids[record.account] = record.broker_account_id
            connection.execute(update(rows).where(rows.c.account == record.account).values(broker_account_id=None))
    assert None not in ids.values() and len(set(ids.values())) == 2

    def slow(answer: Any) -> Any:
        """The first answers late: by then the other may have taken its place."""
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline and owner(world, ids["large"]) is None:
            time.sleep(0.05)
        return answer

    with keys(world, "tiny", "large"), proxied_account(world, "large") as proxy:
        proxy.faults.append(Fault("GET", "/v2/positions", "rewrite", times=1, rewrite=slow))
        said = reconcile_all(desk, "recovery")
        assert proxy.taken == 1
    scorecard.add(faults_injected=1)
    assert owner(world, ids["large"]) == "large"
    assert [sentence for sentence in said if "tiny" in sentence and "belongs to account 'large'" in sentence]
    assert [sentence for sentence in reconcile_all(desk, "after") if "could not be reconciled" in sentence] == []
    assert owner(world, ids["tiny"]) == "tiny"


def owner(world: Playground, broker_account_id: str | None) -> str | None:
    assert broker_account_id is not None
    with world.desk.ledger.connect() as connection:
        return accounts.owner_of(connection, broker_account_id)
