"""Every exit rule fires through the real position manager on the practice exchange.

One session for the whole file: each test goes on where the one before stopped. Positions are bought at the exchange and
booked as if their entry had been another one, so that exactly one rule is due.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from trading_assets.domain.values import AccountSnapshot, ContractSnapshot, KillMode, Priority, Strategy
from trading_assets.jobs import exit_cycle
from trading_assets.jobs.marking import Marking
from trading_assets.ledger import listings
from trading_assets.ledger.tables import active_positions, position_events
from trading_assets.market.greeks import black_scholes_price
from trading_assets.market.options import years_to_expiry
from trading_assets.market.sessions import MINUTE, shift
from trading_assets.strategy.exits import describe_exits
from trading_assets.world.paths import World
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground
from trading_assets_tests.jobs.holdings import (
    LATER,
    Pick,
    Steer,
    acquire,
    alerts,
    any_pick,
    contract,
    held,
    manage,
    manage_here,
    set_switch,
    sold,
)

DAY, SWING = Strategy.DAY_TRADE, Strategy.SWING_TRADE
SOON = SESSION + timedelta(days=2)
TOMORROW = shift(SESSION, 1).day


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """A session two hours old: five-minute ranges of stocks are known.

    Model values use a rate that the market does not: a call that lives for weeks is then worth more than its quote.
    """
    configured = World(module_world_home, "play")
    configured.create()
    (configured.directory / "strategy.yaml").write_text("contracts: {rate: 0.25}\n")
    with playground(module_world_home, accounts=ONE_ACCOUNT, history=0) as opened:
        opened.minute(opened.session.open + 120 * MINUTE)
        yield opened


# --- at noon: rules that need no late hour ----------------------------------------------------------------------------


def decays_fast(row: ContractSnapshot, spot: Decimal) -> bool:
    bid, theta = row.quote.bid, row.theta
    return bid is not None and theta is not None and bid >= Decimal("0.10") and -theta > 0.36 * float(bid)


@dataclass(frozen=True)
class Case:
    """One position that one rule closes. ``days`` None buys the stock."""

    name: str
    rule: str
    ticker: str
    expiry: Any
    values: Steer
    pick: Pick = any_pick
    quantity: int = 1
    sells: int | None = None


NOON = (
    Case("stop of a swing", "stop", "AAPL", LATER, lambda s: {"strategy": SWING, "entry_price": s.part("1.7")}),
    Case("stop of a day trade", "stop", "BA", LATER, lambda s: {"strategy": DAY, "entry_price": s.part("2.2")}),
    Case("stop of a stock", "stop", "KO", None, lambda s: {"entry_price": s.part("1.2")}),
    Case(
        "target",
        "target",
        "AMD",
        LATER,
        lambda s: {"strategy": SWING, "entry_price": s.part("0.6")},
        quantity=5,
        sells=2,
    ),
    Case(
        "target of a single contract",
        "target",
        "UBER",
        LATER,
        lambda s: {"strategy": SWING, "entry_price": s.part("0.6")},
    ),
    Case(
        "trailing",
        "trailing",
        "MSFT",
        LATER,
        lambda s: {"strategy": SWING, "entry_price": s.part("0.9"), "high_water": s.part("1.6")},
    ),
    Case(
        "underlying move",
        "underlying_move",
        "META",
        LATER,
        lambda s: {"strategy": SWING, "entry_underlying": s.spot * Decimal("1.05")},
    ),
    Case(
        "expiry next session",
        "expiry_next_session",
        "AMZN",
        SOON,
        lambda s: {"strategy": SWING, "expiry": TOMORROW},
    ),
    Case(
        "losing near expiry",
        "low_dte_losing",
        "GOOGL",
        SOON,
        lambda s: {"strategy": SWING, "entry_price": s.part("1.15")},
    ),
    Case(
        "decay near expiry",
        "theta_decay",
        "TSLA",
        SOON,
        lambda s: {"strategy": SWING, "entry_price": s.part("0.8")},
        pick=decays_fast,
    ),
    Case(
        "longest hold of a day trade",
        "max_hold",
        "NFLX",
        LATER,
        lambda s: {"strategy": DAY, "opened_at": s.now - timedelta(minutes=240)},
    ),
    Case(
        "longest hold of a swing",
        "max_hold",
        "DIS",
        LATER,
        lambda s: {"strategy": SWING, "opened_at": shift(SESSION, -5).open},
    ),
)


@pytest.fixture(scope="module")
def noon(world: Playground) -> dict[str, str]:
    """Symbol by case, after the position manager looked at all of them."""
    symbols = {
        case.name: case.ticker if case.expiry is None else contract(world, case.ticker, case.expiry, case.pick)
        for case in NOON
    }
    acquire(world, {symbols[case.name]: (case.quantity, case.values) for case in NOON})
    manage(world)
    return symbols


@pytest.mark.parametrize("case", NOON, ids=lambda case: case.name)
def test_the_rule_sells_what_it_should_and_says_so(world: Playground, noon: dict[str, str], case: Case) -> None:
    symbol, quantity = noon[case.name], case.sells if case.sells is not None else case.quantity
    assert sold(world, symbol) == {case.rule: quantity}
    (told,) = [row for row in alerts(world, symbol) if row["kind"] == "ordered"]
    assert told["rule"] == case.rule
    assert told["priority"] == {name: priority for name, priority, _ in describe_exits()}[case.rule]
    assert told["reason"].endswith(".") and told["numbers"]
    assert f"{quantity} of {case.quantity} are being sold" in told["recommended_action"]


def test_the_critical_exits_went_out_before_the_high_ones(world: Playground, noon: dict[str, str]) -> None:
    with world.desk.ledger.connect() as connection:
        query = (
            select(position_events.c.details["priority"].astext)
            .where(position_events.c.kind == "exit_decided")
            .order_by(position_events.c.event_id)
        )
        found = list(connection.execute(query).scalars())
    assert set(found) == {Priority.CRITICAL.value, Priority.HIGH.value}
    assert found == sorted(found), "C comes before H"


# --- facts of the account ---------------------------------------------------------------------------------------------


def test_a_swing_is_sold_before_the_session_in_which_its_underlying_reports(world: Playground) -> None:
    symbol = contract(world, "ORCL", LATER)
    acquire(world, {symbol: (1, lambda _: {"strategy": SWING})})
    manage_here(world)
    manage_here(world, earnings={"ORCL": [SESSION], "NVDA": [TOMORROW]})
    assert sold(world, symbol) == {}, "without a calendar, or on another day, nothing is due"
    manage_here(world, earnings={"ORCL": [TOMORROW]})
    assert sold(world, symbol) == {"earnings": 1}


def test_the_daily_loss_limit_closes_a_day_trade_and_leaves_a_swing(world: Playground, noon: dict[str, str]) -> None:
    day, swing = contract(world, "WMT", LATER), contract(world, "JPM", LATER)
    acquire(world, {day: (1, lambda _: {"strategy": DAY}), swing: (1, lambda _: {"strategy": SWING})})
    loser = active_positions.c.symbol == noon["stop of a swing"]
    with world.desk.ledger.begin() as connection:
        before = connection.execute(select(active_positions.c.entry_price).where(loser)).scalar_one()
        connection.execute(active_positions.update().where(loser).values(entry_price=before + 100))
    manage(world)
    with world.desk.ledger.begin() as connection:
        connection.execute(active_positions.update().where(loser).values(entry_price=before))
    assert sold(world, day) == {"daily_loss": 1}
    assert sold(world, swing) == {}


def test_the_days_loss_is_that_of_the_whole_equity_and_not_only_of_what_is_held(
    world: Playground, noon: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    day = contract(world, "NKE", LATER)
    acquire(world, {day: (1, lambda _: {"strategy": DAY})})

    def fallen(_ledger: object, _broker: object, _clock: object, snapshot: AccountSnapshot) -> AccountSnapshot:
        assert snapshot.cash_flow_today is None, "no stop waited for it"
        assert snapshot.equity is not None
        return replace(snapshot, last_equity=snapshot.equity * 2, cash_flow_today=Decimal(0))

    with monkeypatch.context() as patched:
        patched.setattr(exit_cycle, "observed_equity", fallen)
        manage(world)
    assert sold(world, day) == {"daily_loss": 1}


# --- what is told and not done ----------------------------------------------------------------------------------------


def is_deep(row: ContractSnapshot, spot: Decimal) -> bool:
    return row.delta is not None and row.delta > 0.87


def is_wide(row: ContractSnapshot, spot: Decimal) -> bool:
    bid, ask, mid = row.quote.bid, row.quote.ask, row.quote.mid
    return bid is not None and ask is not None and mid is not None and bid > 0 and ask - bid > mid / 5


def is_off_model(world: Playground, row: ContractSnapshot, spot: Decimal) -> bool:
    mid, config = row.quote.mid, world.desk.settings.strategy.contracts
    if mid is None or row.iv is None or not row.quote.bid:
        return False
    years = years_to_expiry(row.contract.expiry, world.desk.clock.now())
    value = black_scholes_price(float(spot), float(row.contract.strike), years, row.iv, config.rate, 0.0, True)
    return abs(float(value) - float(mid)) > 0.3 * float(mid)


@pytest.fixture(scope="module")
def watched(world: Playground, noon: dict[str, str]) -> dict[str, str]:
    """Symbol by rule: swings of which a person is told, after one look."""
    symbols = {
        "high_delta": contract(world, "NVDA", LATER, is_deep),
        "wide_spread": contract(world, "PFE", LATER, is_wide),
        "model_gap": contract(
            world, "BAC", SESSION + timedelta(days=44), lambda row, spot: is_off_model(world, row, spot)
        ),
        "roll": contract(world, "XOM", LATER),
    }
    acquire(world, {symbol: (1, lambda _: {"strategy": SWING}) for rule, symbol in symbols.items() if rule != "roll"})
    long_ago = {"strategy": SWING, "opened_at": shift(SESSION, -4).open, "entry_delta": 0.55}
    acquire(world, {symbols["roll"]: (1, lambda _: long_ago)})
    manage(world)
    return symbols


@pytest.mark.parametrize("rule", ["high_delta", "wide_spread", "model_gap", "roll"])
def test_the_rule_tells_a_person_and_sells_nothing(world: Playground, watched: dict[str, str], rule: str) -> None:
    symbol = watched[rule]
    (told,) = [row for row in alerts(world, symbol) if row["rule"] == rule]
    assert told["kind"] == "due" and told["numbers"] and told["recommended_action"]
    assert told["priority"] == {name: priority for name, priority, _ in describe_exits()}[rule]
    assert sold(world, symbol) == {}


def test_a_roll_names_both_legs(world: Playground, watched: dict[str, str]) -> None:
    (told,) = [row for row in alerts(world, watched["roll"]) if row["rule"] == "roll"]
    assert f"sell 1 {watched['roll']}" in told["recommended_action"]
    assert "call of 2026-04-17 with a delta near 0.55" in told["recommended_action"]


def test_what_lasts_is_told_once_in_fifteen_minutes(world: Playground, watched: dict[str, str]) -> None:
    def times() -> int:
        return len([row for row in alerts(world, watched["high_delta"]) if row["rule"] == "high_delta"])

    manage(world)
    assert times() == 1
    world.desk.clock.wait_until(world.desk.clock.now() + 15 * MINUTE)
    manage(world)
    assert times() == 2


def test_the_kill_switch_forbids_an_exit_and_says_so_and_flatten_closes_everything(
    world: Playground, watched: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    symbol = contract(world, "CVX", LATER)
    acquire(world, {symbol: (1, lambda seen: {"strategy": SWING, "entry_price": seen.part("2")})})
    set_switch(world, KillMode.ALL)
    manage(world)
    manage(world)
    assert [row["rule"] for row in alerts(world, symbol) if row["kind"] == "forbidden"] == ["stop", "stop"]
    assert sold(world, symbol) == {}
    set_switch(world, KillMode.FLATTEN)
    everything = list(held(world))
    assert len(everything) >= 4

    def asked(*_: object) -> None:
        raise AssertionError("flatten needs no price and must not wait for one")

    with monkeypatch.context() as patched:
        patched.setattr(Marking, "quoted", asked)
        manage(world)
    set_switch(world, KillMode.OFF)
    assert held(world) == {}
    assert {rule for one in everything for rule in sold(world, one)} - {"target"} == {"flatten"}


# --- the end of the day -----------------------------------------------------------------------------------------------


def test_an_expiring_contract_is_sold_75_minutes_before_the_close(world: Playground, noon: dict[str, str]) -> None:
    world.desk.clock.wait_until(world.session.close - 78 * MINUTE)
    symbol = contract(world, "NVDA", SESSION, is_deep)
    acquire(world, {symbol: (1, lambda seen: {"strategy": DAY, "entry_price": seen.part("0.9")})})
    manage(world)
    assert sold(world, symbol) == {}
    world.desk.clock.wait_until(world.session.close - 76 * MINUTE)
    manage(world)
    assert sold(world, symbol) == {"expiry": 1}


@pytest.mark.parametrize(
    ("ticker", "minutes", "values", "rule"),
    [
        ("AAPL", 30, {"strategy": DAY, "entry_price": "1.10"}, "end_of_day"),
        ("MSFT", 15, {"strategy": SWING, "entry_price": "1.25"}, "overnight"),
        ("META", 5, {"strategy": DAY, "entry_price": "0.90"}, "session_end"),
    ],
)
def test_the_close_draws_near(
    world: Playground, noon: dict[str, str], ticker: str, minutes: int, values: dict[str, Any], rule: str
) -> None:
    world.desk.clock.wait_until(world.session.close - (minutes + 2) * MINUTE)
    symbol = contract(world, ticker, SESSION + timedelta(days=30))
    acquire(world, {symbol: (1, lambda seen: {**values, "entry_price": seen.part(values["entry_price"])})})
    world.desk.clock.wait_until(world.session.close - (minutes + 1) * MINUTE)
    manage(world)
    assert sold(world, symbol) == {rule: 1}


def test_every_rule_of_the_table_was_shown(world: Playground, noon: dict[str, str]) -> None:
    with world.desk.ledger.connect() as connection:
        shown = {row["rule"] for row in listings.alerts(connection, SESSION) if row["kind"] in ("ordered", "due")}
    assert shown == {name for name, _, _ in describe_exits()}
