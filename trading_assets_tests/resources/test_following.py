"""Who is followed: the newest universe that was known and what is open; the configured ones until there is one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Engine

from trading_assets.assets.universe import _tracked
from trading_assets.automation.discovering import due_at
from trading_assets.ledger import universe as store
from trading_assets.ledger.universe import Member, Status, UniverseRun
from trading_assets.market.sessions import require_session
from trading_assets.news.discovery.config import DiscoveryConfig
from trading_assets.news.discovery.validation import with_kept
from trading_assets.resources.desk import Desk
from trading_assets.strategy_config import StrategyConfig
from trading_assets_tests.ledger.factory import intent, position, register

DAY = require_session(datetime(2026, 3, 11, tzinfo=UTC).date())
HOUR = timedelta(hours=1)


def desk_of(
    ledger: Engine,
    *,
    mode: str = "discovered",
    recorded: tuple[str, ...] | None = None,
    tickers: tuple[str, ...] = ("AAPL", "KO"),
) -> Desk:
    """A desk that knows its configuration and its ledger, and nothing else."""
    strategy = StrategyConfig.model_validate({"universe": {"mode": mode, "tickers": tickers}})
    runtime = SimpleNamespace(
        recorded_tickers=lambda: recorded, ledger_url=ledger.url.render_as_string(hide_password=False)
    )
    return Desk(lambda: cast("Any", SimpleNamespace(strategy=strategy)), lambda _: cast("Any", runtime))


def run(identity: str, known_at: datetime, *, error: str | None = None, followed: bool = True) -> UniverseRun:
    return UniverseRun(
        identity, known_at, known_at, "ranker", "ranker", "1", {}, 5, "run", error=error, followed=followed
    )


def add(
    ledger: Engine,
    identity: str,
    known_at: datetime,
    *symbols: str,
    error: str | None = None,
    followed: bool = True,
) -> None:
    members = [Member(place, symbol, Status.ACTIVE) for place, symbol in enumerate(symbols, 1)]
    members.append(Member(len(symbols) + 1, "RSRV", Status.RESERVE))
    members.append(Member(len(symbols) + 2, "WRONG", Status.REJECTED, "it is no symbol"))
    with ledger.begin() as connection:
        store.add_run(connection, run(identity, known_at, error=error, followed=followed), members)


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
    ("mode", "recorded", "expected", "held"),
    [
        ("fixed", None, ("AAPL", "KO", "SPY"), ("AMD", "XOM")),
        ("discovered", ("AAPL", "XOM"), ("AAPL",), ("XOM",)),
        ("fixed", ("AAPL", "XOM"), ("AAPL",), ("XOM",)),
    ],
    ids=["fixed", "discovered_recorded", "recorded"],
)
def test_what_is_open_is_followed_also_by_who_discovers_nothing_and_is_not_entered_for_that(
    mode: str, recorded: tuple[str, ...] | None, expected: tuple[str, ...], held: tuple[str, ...], ledger: Engine
) -> None:
    desk = desk_of(ledger, mode=mode, recorded=recorded)
    desk.write_down("run", DAY.open - HOUR)
    assert not desk.discovers
    assert desk.universe == desk.universe_in(DAY.day) == expected
    assert desk.entered(DAY.open) == {}
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="XOM", created_at=DAY.open + HOUR)
        position(connection, "p2", underlying="AMD", symbol="AMD", created_at=DAY.open + HOUR)
        position(connection, "p3", underlying="GME1", symbol="GME1", created_at=DAY.open + HOUR)
    assert desk.universe == desk.universe_in(DAY.day) == tuple(sorted({*expected, *held}))
    assert desk.entered(DAY.open) == dict.fromkeys(held, DAY.open + HOUR), "its material is fetched like an entrant's"
    [(_, entered)] = desk.eligible_in(DAY.day)
    assert entered - {"SPY"} == set(expected) - {"SPY"}
    desk.ledger.dispose()


def test_a_ticker_that_is_configured_in_mid_session_entered_then_and_one_taken_out_is_told_as_it_was(
    ledger: Engine,
) -> None:
    first, second = desk_of(ledger, mode="fixed"), desk_of(ledger, mode="fixed", tickers=("AAPL", "NVDA"))
    for instant in (DAY.open - HOUR, DAY.open, DAY.open + HOUR):
        first.write_down(f"run {instant}", instant)
    at = DAY.open + 2 * HOUR
    for instant in (at, at + HOUR):
        second.write_down(f"run {instant}", instant)
    assert second.universe == ("AAPL", "NVDA", "SPY")
    assert second.entered(DAY.open) == {"NVDA": at}
    assert second.universe_in(DAY.day) == ("AAPL", "KO", "NVDA", "SPY")
    assert second.eligible_in(DAY.day) == (
        (DAY.open - HOUR, frozenset({"AAPL", "KO", "SPY"})),
        (at, frozenset({"AAPL", "NVDA", "SPY"})),
    )
    for desk in (first, second):
        desk.ledger.dispose()


def test_a_discovery_of_a_person_who_follows_configured_tickers_never_counts_and_the_switch_makes_entrants(
    ledger: Engine,
) -> None:
    fixed, later = desk_of(ledger, mode="fixed"), desk_of(ledger)
    fixed.write_down("run", DAY.open - HOUR)
    add(ledger, "looked at", DAY.open, "AMD", "NVDA", followed=False)
    later.write_down("minute", DAY.open + HOUR)
    assert later.universe == ("AAPL", "KO", "SPY"), "nothing of it was fetched"
    with ledger.connect() as connection:
        newest = store.newest_run(connection, counting=False)
    now = DAY.open + HOUR
    assert due_at(newest, now, DiscoveryConfig()) == now, "who begins to discover does not wait for the next six hours"
    add(ledger, "followed", now, "AMD")
    later.write_down("minute", now + HOUR)
    assert set(later.universe) == {"AMD", "SPY"}
    assert later.entered(DAY.open) == {"AMD": now}
    fixed.write_down("minute", now + 2 * HOUR)
    assert fixed.universe == ("AAPL", "KO", "SPY")
    assert fixed.entered(DAY.open) == {"AAPL": now + 2 * HOUR, "KO": now + 2 * HOUR}, "who comes back waits, too"
    assert later.universe == ("AAPL", "KO", "SPY"), "and an old discovery is not taken up again"
    for desk in (fixed, later):
        desk.ledger.dispose()


def test_what_a_discovery_kept_is_followed_and_not_entered(desk: Desk, ledger: Engine) -> None:
    at = DAY.open + HOUR
    with ledger.begin() as connection:
        kept = Member(2, "KO", Status.KEPT, "something is open in it")
        store.add_run(connection, run("first", at), [Member(1, "AMD", Status.ACTIVE), kept])
    assert desk.universe == ("AMD", "KO", "SPY")
    assert desk.eligible_in(DAY.day) == (
        (DAY.open, frozenset({"AAPL", "KO", "SPY"})),
        (at, frozenset({"AMD", "SPY"})),
    )


def test_F25_what_no_stock_is_called_is_kept_by_a_discovery_and_not_asked_about(desk: Desk, ledger: Engine) -> None:
    """The broker's data server refuses a question for all tickers for one such name: no bar of any would come."""
    at = DAY.open + HOUR
    with ledger.begin() as connection:
        register(connection, "tiny")
        position(connection, "p1", underlying="G0260P102", symbol="G0260P102", created_at=at - HOUR)
        members = with_kept([Member(1, "AMD", Status.ACTIVE)], store.at_stake(connection), "SPY")
        store.add_run(connection, run("first", at), members)
    assert {member.symbol for member in members if member.status is Status.KEPT} == {"G0260P102"}
    assert desk.universe == ("AMD", "SPY")
    assert desk.universe_in(DAY.day) == ("AAPL", "AMD", "KO", "SPY")


def test_tickers_are_discovered_unless_a_person_configures_others_than_the_default_ones() -> None:
    def discovers(**universe: Any) -> bool:
        return StrategyConfig.model_validate({"universe": universe}).universe.discovers

    default = list(StrategyConfig().universe.tickers)
    assert discovers() and discovers(tickers=default[::-1]) and discovers(sectors={"AAPL": "Technology"})
    assert not discovers(tickers=["AAPL", "KO"]), "who names tickers wants no others traded"
    assert not discovers(tickers=[*default, "GME"])
    assert discovers(mode="discovered", tickers=["AAPL", "KO"])
    assert not discovers(mode="fixed")


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


def test_a_configured_ticker_that_left_may_come_back_without_news(desk: Desk, ledger: Engine) -> None:
    add(ledger, "first", DAY.open - 2 * HOUR, "AMD", "KO")
    assert "AAPL" not in desk.universe
    assert _tracked(desk, DAY.open) == {"AAPL": ("configured",), "AMD": ("followed",), "KO": ("followed",)}
