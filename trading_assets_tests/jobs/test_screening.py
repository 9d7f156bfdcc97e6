"""What a burst is, what is denied without a look at the market, and what is not: in a real world, one account."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sqlalchemy import select

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.reconciliation import reconcile
from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, OpenPosition, Signal, SignalStatus, Strategy
from trading_assets.explain.accounts import make_signal
from trading_assets.explain.paper import plain
from trading_assets.explain.reading import read_signal
from trading_assets.explain.render_accounts import account_blocks
from trading_assets.jobs.entering import dispatch_account
from trading_assets.jobs.lately import Lately
from trading_assets.jobs.screening import BURST, OF_THE_MARKET, Screening
from trading_assets.ledger import dispatch, positions
from trading_assets.ledger.account_lock import account_lock
from trading_assets.ledger.tables import decisions, dispatch_status
from trading_assets.market.sessions import MINUTE
from trading_assets.risk.gates import DEFAULT_GATES
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, Playground, playground
from trading_assets_tests.fault_suite import Figures

ACCOUNT = "large"
_number = count(1)


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """A world two hours after its open; what its minute decided is too old by then."""
    with playground(module_world_home, accounts=ONE_ACCOUNT, history=3) as opened:
        opened.minute(opened.session.open + timedelta(minutes=120))
        opened.desk.clock.wait_until(opened.desk.clock.now() + timedelta(minutes=6))
        yield opened


def publish(world: Playground, number: int, **changes: Any) -> list[str]:
    """Publish so many signals, decided now, in as many names as there are; their ids."""
    desk, now = world.desk, world.desk.clock.now()
    rows = desk.frames.read("features", [world.session.key]).filter(pl.col("as_of") == pl.col("as_of").max())
    known = rows.drop_nulls(["daily_atr_pct_median60", "rv_rank"]).sort("rv_rank").select(pl.exclude("ts", "as_of"))
    features, wanted = known.to_dicts(), []
    for place in range(number):
        row = features[place % len(features)]
        fresh = Signal(
            signal_id="", session=world.session.day, ticker=row["ticker"], action=Action.BUY_CALL,
            strategy=Strategy.SWING_TRADE, direction=Direction.BULLISH, bar_start=now - MINUTE, known_at=now,
            confidence=0.9, watchlist_score=0.5, urgent=False, rule_set="test", config_hash="c" * 64, features=row,
        )  # fmt: skip
        fresh = replace(fresh, **changes)
        identity = signal_id(f"burst {next(_number)}", fresh.ticker, now, fresh.action, fresh.strategy)
        wanted.append(replace(fresh, signal_id=identity))
    with desk.ledger.begin() as connection:
        dispatch.publish(connection, wanted, [ACCOUNT], "test", now)
    return [one.signal_id for one in wanted]


def screen(world: Playground) -> Counter[str]:
    """One screening, as a dispatch that just took the account makes it."""
    desk = world.desk
    with account_lock(desk.runtime.ledger_url, ACCOUNT, wait=10) as lock:
        lately = Lately(desk, ACCOUNT)
        lately.compared(reconcile(desk.ledger, desk.broker(ACCOUNT), desk.clock, ACCOUNT, desk.start_id))
        return Screening(desk, ACCOUNT, world.session, "screen", lately).deny(lock)


def forget(world: Playground) -> None:
    """What is open from here on is too old."""
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=6))


def judged(world: Playground, ids: list[str]) -> list[Any]:
    with world.desk.ledger.connect() as connection:
        return list(connection.execute(select(decisions).where(decisions.c.signal_id.in_(ids))).mappings())


def statuses(world: Playground, ids: list[str]) -> Counter[str]:
    query = select(dispatch_status.c.status).where(dispatch_status.c.signal_id.in_(ids))
    with world.desk.ledger.connect() as connection:
        return Counter(connection.execute(query).scalars())


def page(world: Playground, identity: str) -> str:
    """What a person reads about the signal in the account."""
    with world.desk.ledger.connect() as connection:
        view = make_signal(read_signal(connection, identity), None)
    assert view is not None
    return plain([block for account in view.accounts for block in account_blocks(account)])


@contextmanager
def through_proxy(world: Playground) -> Iterator[FaultProxy]:
    """Within the block the account speaks to the exchange through a proxy."""
    desk = world.desk
    direct, connection = desk.broker(ACCOUNT), desk.runtime.connection(desk.account(ACCOUNT))
    with proxied(connection.trading_url) as proxy:
        through = replace(connection, trading_url=proxy.url, data_url=proxy.url)
        desk._brokers[ACCOUNT] = AlpacaBroker(through, desk.clock, desk.settings.strategy.broker)
        try:
            yield proxy
        finally:
            desk._brokers.pop(ACCOUNT).close()
            desk._brokers[ACCOUNT] = direct


def test_a_few_open_signals_are_no_burst_and_one_more_is(world: Playground) -> None:
    ids = publish(world, BURST, confidence=0.1)
    assert screen(world) == Counter()
    assert statuses(world, ids) == {SignalStatus.PENDING.value: BURST}
    ids += publish(world, 1, confidence=0.1)
    with through_proxy(world) as proxy:
        assert screen(world) == {"confidence": BURST + 1}
        assert proxy.count("GET", "/v2/positions") > 0
        assert proxy.count("GET", "/snapshots") + proxy.count("GET", "/contracts") + proxy.count("GET", "/quotes") == 0
    assert statuses(world, ids) == {SignalStatus.SKIPPED.value: BURST + 1}
    for row in judged(world, ids):
        assert [gate["gate"] for gate in row["gates"]] == [gate.id for gate in DEFAULT_GATES]
        denied = {gate["gate"] for gate in row["gates"] if not gate["passed"]}
        assert denied - OF_THE_MARKET == {"confidence"}
        assert {"contract", "sizing"} <= denied, "what was not read denies"
        assert row["outcome"] == "SKIP" and row["selection"] is None
        assert row["reason"].startswith("confidence: confidence 0.100 is below 0.")
        assert set(row["inputs"]) == {"account", "facts"}
    told = page(world, ids[0])
    assert f"{len(DEFAULT_GATES)} gates, denied by quote_freshness" in told
    assert "one of a burst, the market was not asked" in told


def test_F28_positions_that_cannot_be_read_deny_no_burst(world: Playground, scorecard: Figures) -> None:
    ids = publish(world, BURST + 5, confidence=0.1)
    desk = world.desk
    with through_proxy(world) as proxy, account_lock(desk.runtime.ledger_url, ACCOUNT, wait=10) as lock:
        lately = Lately(desk, ACCOUNT)
        lately.compared(reconcile(desk.ledger, desk.broker(ACCOUNT), desk.clock, ACCOUNT, desk.start_id))
        proxy.faults.append(Fault("GET", "/v2/positions", "answer", times=10_000, status=503))
        screening = Screening(desk, ACCOUNT, world.session, "screen", lately)
        assert screening.deny(lock) == Counter()
        assert proxy.taken > 0
        assert statuses(world, ids) == {SignalStatus.PENDING.value: BURST + 5}
        proxy.faults.clear()
        assert screening.deny(lock) == {"confidence": BURST + 5}
        scorecard.add(faults_injected=proxy.taken, orders_placed=0, lost=0, doubled=0, limits_broken=0)


def test_a_burst_whose_market_context_cannot_be_read_is_told_signal_by_signal(world: Playground) -> None:
    ids = publish(world, BURST + 1)
    folder = world.desk.frames.folder("market_context", world.session.key)
    spoilt = folder / "part-20260311T180000000000Z.parquet"
    spoilt.write_bytes(b"no parquet")
    try:
        report = dispatch_account(world.desk, ACCOUNT, "spoilt", logging.getLogger(__name__))
    finally:
        spoilt.unlink()
    assert not report.screened and set(report.failed) == set(ids)
    assert all("cannot be read" in reason for reason in report.failed.values()), report.failed
    assert statuses(world, ids) == {SignalStatus.FAILED.value: len(ids)}


def test_a_burst_is_dispatched_best_first_and_what_was_bought_denies_the_rest(world: Playground) -> None:
    weak = publish(world, 5, confidence=0.1)
    strong = publish(world, 30)
    report = dispatch_account(world.desk, ACCOUNT, "run", logging.getLogger(__name__))
    most = world.desk.settings.strategy.gates.entries_per_hour
    assert len(report.entered) == most, report.skipped
    assert report.screened["confidence"] == 5
    assert report.screened["entries_per_hour"] + report.screened.get("duplicate_position", 0) >= 1
    assert sum(report.screened.values()) + report.claimed == 35
    rows = {row["signal_id"]: row for row in judged(world, [*weak, *strong])}
    assert len(rows) == 35, "each is decided, once"
    bought = [place for place, identity in enumerate(strong) if rows[identity]["outcome"] == "ENTER"]
    assert len(bought) == most
    for place in range(bought[-1]):
        row = rows[strong[place]]
        told = {gate["gate"] for gate in row["gates"] if not gate["passed"]} - OF_THE_MARKET
        # Whoever stood before the last one that was bought was weighed, or the account itself spoke against it.
        assert row["selection"] is not None or told, row["reason"]


def holding(world: Playground) -> OpenPosition:
    with world.desk.ledger.connect() as connection:
        return positions.open_positions(connection, ACCOUNT)[0]


@contextmanager
def adding_from(world: Playground, least_profit: str) -> Iterator[None]:
    """Within the block adds need so much profit, and there may be as many entries as anybody likes."""
    desk = world.desk
    kept = desk.settings
    free = kept.strategy.gates.model_copy(update={"entries_per_hour": 100, "trades_per_day": 100})
    adding = kept.strategy.sizing.adding.model_copy(update={"min_profit": Decimal(least_profit)})
    sizing = kept.strategy.sizing.model_copy(update={"adding": adding})
    desk.__dict__["settings"] = replace(
        kept, strategy=kept.strategy.model_copy(update={"gates": free, "sizing": sizing})
    )
    try:
        yield
    finally:
        desk.__dict__["settings"] = kept


def test_a_signal_that_may_add_to_what_is_held_is_not_screened_away(world: Playground) -> None:
    """A loss is profit enough here: prices do not rise by 15 % because a test asks them to."""
    forget(world)
    held = holding(world)
    ids = publish(world, BURST + 1, ticker=held.underlying, strategy=held.strategy, direction=held.direction)
    with adding_from(world, "-9"):
        assert screen(world) == Counter(), [row["reason"] for row in judged(world, ids)][:1]
    with adding_from(world, "9"):
        assert screen(world) == {"duplicate_position": BURST + 1}
    assert all("nothing is added to it: a profit of" in row["reason"] for row in judged(world, ids))
    assert all(set(row["inputs"]) == {"account", "facts", "add"} for row in judged(world, ids))
