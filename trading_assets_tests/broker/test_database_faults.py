"""F47 and F30: the ledger's database goes away at the worst moments, and what was learnt before outlives every restart.

A PostgreSQL server of this module's own is killed, starved of disk and of connections while orders are under way.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection

from trading_assets.broker import ladder
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.climbing import LadderResult, LadderState
from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.ledger import equity_marks, positions, reconciliations
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.schema import upgrade
from trading_assets.risk.exposure import drawdown
from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.crash_hooks import at
from trading_assets_tests.broker.crashing import run_and_die
from trading_assets_tests.broker.desk import ACCOUNT, SYMBOL, SteppedClock, assert_nothing_lost_or_doubled
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange
from trading_assets_tests.fault_suite import Figures

# Each kill of a server costs its start.
pytestmark = pytest.mark.patient


@pytest.fixture(scope="module")
def server(module_world_home: Path) -> Iterator[EmbeddedPostgres]:
    """A durable server that may be killed."""
    server = EmbeddedPostgres(module_world_home / "postgres", own=module_world_home)
    server.start()
    yield server
    server.start()
    server.stop()


@pytest.fixture
def database_url(server: EmbeddedPostgres) -> str:
    """A fresh, migrated ledger on that server."""
    server.start()
    name = f"ledger_{uuid.uuid4().hex[:12]}"
    server.ensure_database(name)
    engine = open_ledger(server.url(name))
    upgrade(engine)
    engine.dispose()
    return server.url(name)


def kill(server: EmbeddedPostgres) -> None:
    """SIGKILL to the server and everything it has forked, as if the machine had lost its power."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    family = [postmaster, *postmaster.children()]
    for process in family:
        process.kill()
    server._reap()
    deadline = time.monotonic() + 30
    while any(lives(process) for process in family):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def buy(engine: Engine, broker: AlpacaBroker, clock: SteppedClock, signal: str = "s1") -> LadderResult:
    return ladder.enter(engine, broker, clock, desk.entry(signal), desk.plan("2.50"), run_id="run")


def assert_found_again(
    engine: Engine, broker: AlpacaBroker, clock: SteppedClock, exchange: ScriptedExchange, posts: int
) -> None:
    """After one reconciliation ledger and broker agree, and the broker was asked ``posts`` times in all."""
    report = reconcile(engine, broker, clock, ACCOUNT, "next")
    assert report.clean, report.differences
    assert exchange.posts == posts
    assert_nothing_lost_or_doubled(engine, exchange)
    consistent = compare(engine, broker, ACCOUNT)
    assert consistent.consistent, consistent.differences
    with engine.connect() as connection:
        live = positions.live_positions(connection, ACCOUNT)
    assert sum(position.quantity for position in live) == exchange.holdings.get(SYMBOL, (0, 0))[0]


@pytest.mark.parametrize(
    ("point", "posts"),
    [
        ("submission.before_intent", 0),
        # Whether it may still leave cannot be asked: it does not.
        ("submission.after_intent", 0),
        ("submission.after_post", 1),
        ("booking.before_commit", 1),
    ],
)
def test_F47_a_database_killed_at_any_step_of_an_entry_loses_and_doubles_nothing(
    point: str,
    posts: int,
    server: EmbeddedPostgres,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    scorecard: Figures,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    with at(point, lambda: kill(server)), pytest.raises(SQLAlchemyError):
        buy(engine, broker, clock)
    scorecard.add(faults_injected=1)
    server.start()
    assert_found_again(engine, broker, clock, exchange, posts)


@pytest.mark.parametrize("point", ["submission.after_post", "booking.before_commit"])
def test_F47_a_connection_dropped_in_a_transaction_is_replaced_and_the_work_made_up(
    point: str,
    engine: Engine,
    database_url: str,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    scorecard: Figures,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    other = open_ledger(database_url)

    def drop() -> None:
        with other.connect() as connection:
            dropped = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            ).scalar_one()
        assert dropped >= 1

    with at(point, drop):
        try:
            result = buy(engine, broker, clock)
        except DBAPIError:
            # In the middle of a transaction: the work is lost, and made up below.
            assert point == "booking.before_commit"
        else:
            assert result.state is LadderState.FILLED, "between two transactions nobody need notice"
    scorecard.add(faults_injected=1)
    other.dispose()
    assert_found_again(engine, broker, clock, exchange, 1)


@contextmanager
def full_disk(engine: Engine, server: EmbeddedPostgres, table: str) -> Iterator[None]:
    """Within the block the file of an empty table lies on a device that is full: the kernel itself says so."""
    with engine.connect() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == 0
        place = connection.execute(text("SELECT pg_relation_filepath(:table)"), {"table": table}).scalar_one()
    file = server.data / place
    kept = file.with_name(file.name + ".kept")
    file.rename(kept)
    file.symlink_to("/dev/full")
    # Connections that have the file open would write to it still.
    engine.dispose()
    try:
        yield
    finally:
        engine.dispose()
        file.unlink()
        kept.rename(file)


@pytest.mark.parametrize(("table", "posts"), [("order_intents", 0), ("position_events", 0), ("dispatch_executions", 1)])
def test_F47_a_full_disk_sends_nothing_that_was_not_written_down_and_loses_nothing_that_was_sent(
    table: str,
    posts: int,
    server: EmbeddedPostgres,
    engine: Engine,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    scorecard: Figures,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    with full_disk(engine, server, table):
        for _ in range(2):
            with pytest.raises(DBAPIError, match="No space left on device"):
                if posts and exchange.posts:
                    reconcile(engine, broker, clock, ACCOUNT, "start")
                else:
                    buy(engine, broker, clock)
    scorecard.add(faults_injected=1)
    assert_found_again(engine, broker, clock, exchange, posts)


@pytest.mark.parametrize(("point", "posts"), [("submission.before_intent", 0), ("submission.after_post", 1)])
def test_F47_an_exhausted_pool_sends_nothing_unwritten_and_what_was_sent_is_found_again(
    point: str,
    posts: int,
    engine: Engine,
    database_url: str,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
    scorecard: Figures,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    small = open_ledger(database_url, pool_size=1)
    small.pool._timeout = 0.3  # type: ignore[attr-defined]
    taken: list[Connection] = []

    def exhaust() -> None:
        taken.extend(small.connect() for _ in range(2))

    with at(point, exhaust), pytest.raises(NoConnection, match="limit of size 1 overflow 1"):
        buy(small, broker, clock)
    scorecard.add(faults_injected=1)
    for connection in taken:
        connection.close()
    assert exchange.posts == posts
    assert_found_again(small, broker, clock, exchange, posts)
    small.dispose()


def test_F30_baseline_high_water_marks_and_a_pause_survive_the_process_and_the_database(
    server: EmbeddedPostgres,
    engine: Engine,
    database_url: str,
    exchange_url: str,
    broker: AlpacaBroker,
    clock: SteppedClock,
    exchange: ScriptedExchange,
) -> None:
    reconcile(engine, broker, clock, ACCOUNT, "start")
    bought = buy(engine, broker, clock)
    with engine.begin() as connection:
        positions.update_position(connection, bought.position_id, high_water=Decimal("4.10"))
    # Another process sees the account at its best, and is killed right behind it.
    exchange.cash = Decimal(120_000)
    assert run_and_die(database_url, exchange_url, "observe", "reconciliation.before_commit") < 0
    with engine.begin() as connection:
        assert equity_marks.pause(connection, ACCOUNT, clock.now(), "it fell")
    kill(server)
    server.start()

    exchange.cash = Decimal(90_000)
    fresh = open_ledger(database_url)
    seen = account_snapshot(fresh, broker, clock, ACCOUNT, start_id="after the restart")
    assert (seen.equity, seen.high_water, seen.pause_reason) == (Decimal(90_000), Decimal(120_000), "it fell")
    assert drawdown(seen) == pytest.approx(0.25), "measured from the best that was ever seen, not from the restart"
    assert seen.last_equity == Decimal(100_000), "the day's baseline is the broker's"
    assert [position.high_water for position in seen.positions] == [Decimal("4.10")]
    with fresh.connect() as connection:
        assert reconciliations.read_account(connection, ACCOUNT).opening_cash == Decimal(100_000)
    reconcile(fresh, broker, clock, ACCOUNT, "after the restart")
    again = account_snapshot(fresh, broker, clock, ACCOUNT, start_id="after the restart")
    assert (again.high_water, again.pause_reason) == (seen.high_water, seen.pause_reason)
    fresh.dispose()
