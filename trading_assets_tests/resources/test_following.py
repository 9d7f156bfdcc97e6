"""Who is followed: the newest universe that was known and what is open; the configured ones until there is one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from trading_assets.automation.discovering import due_at
from trading_assets.ledger import universe as store
from trading_assets.ledger.universe import Member, Status, UniverseRun
from trading_assets.market.sessions import require_session
from trading_assets.news.discovery.config import DiscoveryConfig
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig
from trading_assets_tests.ledger.factory import intent, position, register

DAY = require_session(datetime(2026, 3, 11, tzinfo=UTC).date())
HOUR = timedelta(hours=1)


def desk_of(ledger: Engine, *, mode: str = "discovered", recorded: tuple[str, ...] | None = None) -> Desk:
    """A desk that knows its configuration and its ledger, and nothing else."""
    strategy = StrategyConfig.model_validate({"universe": {"mode": mode, "tickers": ["AAPL", "KO"]}})
    runtime = SimpleNamespace(
        recorded_tickers=lambda: recorded, ledger_url=ledger.url.render_as_string(hide_password=False)
    )
    return Desk(lambda: cast("Any", SimpleNamespace(strategy=strategy)), lambda _: cast("Any", runtime))


def run(identity: str, known_at: datetime, *, error: str | None = None) -> UniverseRun:
    return UniverseRun(identity, known_at, known_at, "ranker", "ranker", "1", {}, 5, "run", error=error)


def add(ledger: Engine, identity: str, known_at: datetime, *symbols: str, error: str | None = None) -> None:
    members = [Member(place, symbol, Status.ACTIVE) for place, symbol in enumerate(symbols, 1)]
    members.append(Member(len(symbols) + 1, "RSRV", Status.RESERVE))
    members.append(Member(len(symbols) + 2, "WRONG", Status.REJECTED, "it is no symbol"))
    with ledger.begin() as connection:
        store.add_run(connection, run(identity, known_at, error=error), members)


@pytest.fixture
def desk(ledger: Engine) -> Iterator[Desk]:
    found = desk_of(ledger)
    yield found
    found.ledger.dispose()


def test_a_desk_that_lives_on_follows_the_newest_universe_and_never_drops_what_is_open(
    desk: Desk, ledger: Engine
) -> None:
    assert desk.universe == ("AAPL", "KO", "SPY"), "until a first discovery succeeded"
    add(ledger, "failed", DAY.open - 3 * HOUR, "EVIL", error="no answer")
    assert desk.universe == ("AAPL", "KO", "SPY")
    add(ledger, "first", DAY.open - 2 * HOUR, "AMD", "KO")
    assert desk.universe == ("AMD", "KO", "SPY")
    assert desk.tickers.symbols == {"AMD", "KO", "SPY"}
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="KO", created_at=DAY.open + HOUR)
        position(connection, "p2", symbol="BTC/USD", underlying="BTC/USD", contract_right=None, multiplier=1)
    add(ledger, "second", DAY.open + 2 * HOUR, "NVDA")
    assert desk.universe == ("KO", "NVDA", "SPY"), "also if the position was opened after it was asked what is open"
    assert desk.tickers.symbols == {"KO", "NVDA", "SPY"}
    add(ledger, "third", DAY.open + 3 * HOUR, "EVIL", error="no answer")
    assert desk.universe == ("KO", "NVDA", "SPY")


def test_a_past_day_is_rebuilt_with_everyone_who_was_followed_in_it(desk: Desk, ledger: Engine) -> None:
    before, after = DAY.day - timedelta(days=1), DAY.day + timedelta(days=1)
    add(ledger, "first", DAY.open + HOUR, "AMD")
    add(ledger, "second", DAY.close - HOUR, "NVDA")
    add(ledger, "evening", DAY.close + HOUR, "BAC")
    assert desk.universe_in(before) == ("AAPL", "KO", "SPY")
    assert desk.universe_in(DAY.day) == ("AAPL", "AMD", "KO", "NVDA", "SPY")
    assert desk.universe_in(after) == ("BAC", "SPY")
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="XOM", created_at=DAY.open - 20 * HOUR, state="CLOSED", quantity=0,
                 closed_at=DAY.open + HOUR, exit_reason="target")  # fmt: skip
    assert "XOM" in desk.universe_in(DAY.day) and "XOM" not in desk.universe_in(after)


def test_who_entered_in_a_session_is_told_with_the_instant_since_which_it_is_followed_again(
    desk: Desk, ledger: Engine
) -> None:
    assert desk.entered(DAY.open) == {}
    add(ledger, "first", DAY.open - HOUR, "AMD", "KO", "TSLA")
    assert desk.entered(DAY.open) == {}, "what was followed at the open did not enter"
    add(ledger, "second", DAY.open + HOUR, "AMD", "NVDA")
    add(ledger, "third", DAY.open + 2 * HOUR, "AMD", "NVDA", "TSLA")
    assert desk.entered(DAY.open) == {"NVDA": DAY.open + HOUR, "TSLA": DAY.open + 2 * HOUR}
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="XOM")
        position(connection, "p2", underlying="CVX", symbol="CVX", created_at=DAY.open + 3 * HOUR)
        intent(connection, "o1", "p2", underlying="CVX", symbol="CVX", created_at=DAY.open + 4 * HOUR)
    assert desk.entered(DAY.open)["XOM"] == DAY.open + 2 * HOUR, "what no universe names is looked at like the newest"
    assert desk.entered(DAY.open)["CVX"] == DAY.open + 3 * HOUR, "or it is followed since it was opened"


@pytest.mark.parametrize(
    ("mode", "recorded", "expected"),
    [("fixed", None, ("AAPL", "KO", "SPY")), ("discovered", ("AAPL", "XOM"), ("AAPL",))],
    ids=["fixed", "recorded"],
)
def test_a_fixed_universe_and_a_recorded_world_ask_no_ledger(
    mode: str, recorded: tuple[str, ...] | None, expected: tuple[str, ...], ledger: Engine
) -> None:
    add(ledger, "first", DAY.open, "NVDA")
    desk = desk_of(ledger, mode=mode, recorded=recorded)
    assert desk.universe == desk.universe_in(DAY.day) == expected
    assert desk.entered(DAY.open) == {} and not desk.discovers
    assert "ledger" not in vars(desk)


def test_a_discovery_is_due_every_six_hours_of_new_yorks_day_and_sooner_after_a_failure() -> None:
    config = DiscoveryConfig()
    now = datetime(2026, 3, 11, 13, 0, tzinfo=UTC)
    assert due_at(None, now, config) == now
    at_nine = run("a", now)
    assert due_at(at_nine, now, config) == datetime(2026, 3, 11, 18, 0, tzinfo=UTC), "at 14 in New York"
    late = run("b", datetime(2026, 3, 12, 0, 30, tzinfo=UTC))
    assert due_at(late, now, config) == datetime(2026, 3, 12, 6, 0, tzinfo=UTC), "at 2 on the next day"
    on_time = run("c", datetime(2026, 3, 11, 18, 0, tzinfo=UTC))
    assert due_at(on_time, now, config) == datetime(2026, 3, 12, 0, 0, tzinfo=UTC)
    assert due_at(run("d", now, error="no answer"), now, config) == now + timedelta(minutes=30)
