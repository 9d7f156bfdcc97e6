"""Every gate denies and passes through the real dispatcher: sensor, run, broker, ledger.

One world serves all cases. A case changes one thing (a row of the ledger, a number of the configuration, the signal),
offers a signal, lets the sensor start its run, and reads what was recorded with the decision.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dagster import DagsterInvalidConfigError
from sqlalchemy import select
from typer.testing import CliRunner

from trading_assets.automation.names import DISPATCHER_TICK, KILL_SWITCH_JOB, POSITION_MANAGER_TICK
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.cli import app
from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, KillMode, PositionState, Regime, Signal, Strategy
from trading_assets.jobs import weighing
from trading_assets.jobs.backfill import QUIET
from trading_assets.jobs.entering import dispatch_account
from trading_assets.ledger import accounts, dispatch, orders, positions
from trading_assets.ledger.tables import decisions, dispatch_status, equity_marks, order_intents
from trading_assets.market.sessions import MINUTE
from trading_assets.risk.config import AccountMode
from trading_assets.risk.gates import DEFAULT_GATES
from trading_assets.settings import Settings
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.broker.spoiled_quotes import QUOTE_FAULTS, QUOTE_PATHS
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground
from trading_assets_tests.fault_suite import Figures

ACCOUNT = "large"
Gates = dict[str, dict[str, Any]]
Change = Callable[[Settings], Settings]
_number = count(1)


@dataclass
class Floor:
    """The world, a signal in a name that is held (a swing), and one in a name that could be bought, with its gates."""

    world: Playground
    held: Signal
    other: Signal
    passed: Gates
    #: Identity of the newest offer, and of the newest that added to what is held.
    newest: str = ""
    added: str = ""

    def offer(self, signal: Signal, **changes: Any) -> Gates:
        """Publish ``signal`` as decided now, dispatch it, and give what each gate recorded."""
        now = self.world.desk.clock.now()
        given = {name: value(now) if callable(value) else value for name, value in changes.items()}
        fresh = replace(signal, **({"known_at": now, "bar_start": now - MINUTE} | given))
        identity = signal_id(f"case {next(_number)}", fresh.ticker, now, fresh.action, fresh.strategy)
        fresh, self.newest = replace(fresh, signal_id=identity), identity
        with self.world.desk.ledger.begin() as connection:
            dispatch.publish(connection, [fresh], [ACCOUNT], "test", now)
        outcomes = self.world.ticker.sensor(DISPATCHER_TICK)
        assert outcomes and all(outcome.success for outcome in outcomes)
        with self.world.desk.ledger.connect() as connection:
            rows: Any = connection.execute(
                select(decisions.c.gates).where(decisions.c.signal_id == identity)
            ).scalar_one()
        assert [row["gate"] for row in rows] == [gate.id for gate in DEFAULT_GATES], "every gate answers, in order"
        return {row["gate"]: row for row in rows}

    @contextmanager
    def configured(self, change: Change) -> Iterator[None]:
        """Within the block the world runs under changed settings."""
        desk = self.world.desk
        before = desk.settings
        desk.__dict__["settings"] = change(before)
        try:
            yield
        finally:
            desk.__dict__["settings"] = before

    def command(self, *arguments: str) -> Any:
        """What the command line answers, as JSON."""
        environment = {"TRADING_ASSETS_HOME": str(self.world.desk.settings.world.home), "TRADING_ASSETS_MODE": ""}
        result = CliRunner().invoke(app, [*arguments, "--world", "play", "--json"], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == 0, result.output
        return json.loads(result.output)


def denials(gates: Gates) -> dict[str, str]:
    return {name: row["reason"] for name, row in gates.items() if not row["passed"]}


def holdings(world: Playground) -> list[Any]:
    with world.desk.ledger.connect() as connection:
        return [position for position in positions.live_positions(connection, ACCOUNT) if position.quantity]


def sells(world: Playground) -> int:
    with world.desk.ledger.connect() as connection:
        return len(connection.execute(select(order_intents).where(order_intents.c.purpose == "EXIT")).all())


def swings(world: Playground) -> list[Signal]:
    """A confident bullish swing in every name, those whose contracts are least dear first."""
    rows = world.desk.frames.read("features", [world.session.key]).filter(pl.col("as_of") == pl.col("as_of").max())
    known = rows.drop_nulls(["daily_atr_pct_median60", "rv_rank"]).sort("rv_rank").select(pl.exclude("ts", "as_of"))
    now = world.desk.clock.now()
    return [
        Signal(
            signal_id="", session=world.session.day, ticker=row["ticker"], action=Action.BUY_CALL,
            strategy=Strategy.SWING_TRADE, direction=Direction.BULLISH, bar_start=now, known_at=now, confidence=0.9,
            watchlist_score=0.5, urgent=False, rule_set="test", config_hash="c" * 64, features=row,
        )
        for row in known.to_dicts()
    ]  # fmt: skip


@pytest.fixture(scope="module")
def floor(module_world_home: Path) -> Iterator[Floor]:
    """A world two hours after its open. One name is held after a signal that passed every gate, one may be bought."""
    with playground(module_world_home, accounts=ONE_ACCOUNT) as world:
        world.minute(world.session.open + timedelta(minutes=120))
        # What the minute itself decided is too old by then, so that only the cases' own signals are dispatched.
        world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=6))
        names = swings(world)
        found = Floor(world, names[0], names[0], {})
        while not holdings(world):
            assert names, "nothing could be bought"
            found.held = names.pop(0)
            found.passed = found.offer(found.held)
        world.desk.clock.wait_until(world.desk.clock.now() + timedelta(seconds=1))
        with found.configured(sizing(risk_swing="0.000001")), found.configured(gates(max_correlation=0.0)):
            # Nothing but its size and its (positive) correlation with what is held speaks against it.
            while True:
                assert names, "no second name could be bought"
                found.other = names.pop(0)
                if set(denials(found.offer(found.other))) == {"sizing", "correlation"}:
                    break
        yield found


# --- what a case changes ----------------------------------------------------------------------------------------------


def strategy(section: str, **values: Any) -> Change:
    def change(settings: Settings) -> Settings:
        model = getattr(settings.strategy, section).model_copy(update=values)
        return replace(settings, strategy=settings.strategy.model_copy(update={section: model}))

    return change


def gates(**values: Any) -> Change:
    return strategy("gates", **values)


def sizing(**values: Any) -> Change:
    """Numbers of every tier; text stands for an exact amount."""
    exact = {name: Decimal(value) if isinstance(value, str) else value for name, value in values.items()}

    def change(settings: Settings) -> Settings:
        config = settings.strategy.sizing
        tiers = tuple(tier.model_copy(update=exact) for tier in config.tiers)
        return strategy("sizing", tiers=tiers)(settings)

    return change


def limits(**values: Any) -> Change:
    def change(settings: Settings) -> Settings:
        rows = [
            account.model_copy(update={"limits": account.limits.model_copy(update=values)})
            for account in settings.accounts
        ]
        return replace(settings, accounts=tuple(rows))

    return change


def one_sector(settings: Settings) -> Settings:
    everything = dict.fromkeys(settings.strategy.universe.tickers, "Everything")
    both = strategy("universe", sectors=everything)(settings)
    return gates(sector_share=Decimal("0.01"))(both)


def few_sessions(settings: Settings) -> Settings:
    everything = dict.fromkeys(settings.strategy.universe.tickers, "Everything")
    return gates(min_correlation_sessions=200)(strategy("universe", sectors=everything)(settings))


def earnings_today(settings: Settings) -> Settings:
    names = settings.strategy.universe.tickers
    return replace(settings, earnings=dict.fromkeys(names, (SESSION,)))


def unchanged(settings: Settings) -> Settings:
    return settings


OLD = {"bar_start": lambda now: now - timedelta(minutes=6)}
#: gate, changed settings, changed signal, whether it is in the name that is held, words of the reason
CASES: list[tuple[str, Change, dict[str, Any], bool, str]] = [
    ("daily_loss_limit", sizing(daily_loss="0.0000001"), {}, False, "reached the daily loss limit"),
    ("trading_hours", gates(open_delay_minutes=390), {}, False, "outside"),
    ("account_ready", gates(options_level=4), {}, False, "options level 2 is below 4"),
    ("duplicate_position", unchanged, {}, True, "already has a position"),
    ("bar_freshness", unchanged, OLD, False, "is 300 s old"),
    ("feature_freshness", unchanged, OLD, False, "is 300 s old"),
    ("signal_freshness", unchanged, {"known_at": lambda now: now + MINUTE}, False, "unknown age of the signal"),
    ("max_positions", sizing(max_positions=1), {}, False, "1 is the most"),
    ("max_exposure", sizing(max_exposure="0.0001"), {}, False, "exceeds"),
    ("max_open_risk", sizing(max_open_risk="0.0001"), {}, False, "exceeds"),
    ("trades_per_day", gates(trades_per_day=1), {}, False, "1 is the most"),
    ("ticker_daily_limit", gates(ticker_daily_limit=1), {}, True, "1 is the most"),
    ("ticker_cooldown", unchanged, {}, True, "15 are needed"),
    ("entries_per_hour", gates(entries_per_hour=1), {}, False, "1 is the most"),
    ("sector_exposure", one_sector, {}, False, "at stake in Everything after this trade exceeds"),
    ("correlation", gates(max_correlation=0.0), {}, False, "held or ordered in the same direction"),
    ("correlation", few_sessions, {}, False, "too few common sessions"),
    ("confidence", unchanged, {"confidence": 0.5}, False, "is below"),
    ("action_allowed", limits(mode=AccountMode.STOCK_ONLY), {}, False, "not allowed in mode stock_only"),
    ("sell_has_position", unchanged, {"action": Action.SELL}, False, "is held that could be sold"),
    ("earnings_window", earnings_today, {}, False, "has earnings on 2026-03-11"),
    ("contract", strategy("contracts", min_premium=Decimal(100_000)), {}, False, "refused"),
    ("portfolio_greeks", sizing(max_dollar_delta="0.0001"), {}, False, "dollar_delta"),
    ("portfolio_greeks", sizing(max_vega="0.0000001"), {}, False, "vega_per_point"),
    ("portfolio_greeks", sizing(max_theta="0.0000001"), {}, False, "theta_per_day"),
    ("sizing", sizing(risk_swing="0.000001"), {}, False, "0 by budget"),
]  # fmt: skip


def test_a_sound_signal_passes_every_gate_and_is_bought(floor: Floor) -> None:
    assert [name for name, row in floor.passed.items() if row["passed"]] == [gate.id for gate in DEFAULT_GATES]
    (position,) = holdings(floor.world)
    assert position.underlying == floor.held.ticker and position.state is PositionState.OPEN


@pytest.mark.parametrize(
    ("gate", "change", "signal", "held", "words"), CASES, ids=[f"{case[0]}: {case[4]}" for case in CASES]
)
def test_the_gate_denies_and_nothing_is_ordered(
    floor: Floor, gate: str, change: Change, signal: dict[str, Any], held: bool, words: str
) -> None:
    placed = len(floor.world.broker_orders())
    with floor.configured(change):
        found = denials(floor.offer(floor.held if held else floor.other, **signal))
    assert words in found[gate]
    assert len(floor.world.broker_orders()) == placed


def test_an_extreme_regime_denies(floor: Floor) -> None:
    frames, key, now = floor.world.desk.frames, floor.world.session.key, floor.world.desk.clock.now()
    newest = frames.read("market_context", [key]).sort("as_of").tail(1)
    calm = floor.offer(floor.held)
    assert calm["volatility_regime"]["passed"]
    for regime, denied in ((Regime.EXTREME, True), (Regime(newest["regime"][0]), False)):
        now += timedelta(milliseconds=1)
        row = newest.with_columns(
            pl.lit(regime.value).alias("regime"), pl.lit(now).cast(newest.schema["as_of"]).alias("as_of")
        )
        frames.append("market_context", key, row, now)
        assert ("volatility_regime" in denials(floor.offer(floor.held))) is denied


@dataclass
class LaterClock:
    """The world's clock as a machine shows it that got its answers some seconds ago."""

    inner: Clock
    behind: timedelta

    def now(self) -> datetime:
        return self.inner.now() + self.behind

    def wait_until(self, instant: datetime) -> None:
        self.inner.wait_until(instant)


def test_a_quote_that_took_too_long_to_arrive_denies(floor: Floor) -> None:
    desk = floor.world.desk
    inner = desk.clock
    assert floor.passed["quote_freshness"]["passed"]
    desk.__dict__["clock"] = LaterClock(inner, timedelta(seconds=59))
    try:
        with floor.configured(gates(max_quote_age_s=58)):
            assert "the quote is 59 s old" in denials(floor.offer(floor.other))["quote_freshness"]
        assert floor.offer(floor.held)["quote_freshness"]["passed"]
    finally:
        desk.__dict__["clock"] = inner


def test_a_drawdown_pauses_until_a_person_resumes_and_the_mark_starts_anew(floor: Floor) -> None:
    ledger = floor.world.desk.ledger
    assert floor.passed["drawdown_pause"]["passed"]
    with ledger.begin() as connection:
        connection.execute(equity_marks.update().values(high_water=equity_marks.c.equity * 2))
    assert "10%" in denials(floor.offer(floor.held))["drawdown_pause"]
    (shown,) = floor.command("kill-switch")["accounts"]
    assert shown["paused_at"] is None, "seen once, it denies; one odd quote pauses nobody"
    with ledger.begin() as connection:
        connection.execute(equity_marks.update().values(low_since=equity_marks.c.low_since - timedelta(seconds=60)))
    assert "10% pauses" in denials(floor.offer(floor.held))["drawdown_pause"]
    with ledger.begin() as connection:
        connection.execute(equity_marks.update().values(high_water=equity_marks.c.equity))
    said = denials(floor.offer(floor.held))["drawdown_pause"]
    assert "trading-assets resume" in said, "the pause was written down and outlives what brought it about"
    (shown,) = floor.command("kill-switch")["accounts"]
    assert shown["paused_at"] is not None and "10% pauses" in shown["pause_reason"]

    (resumed,) = floor.command("resume", "--account", ACCOUNT)["resumed"]
    assert resumed["account"] == ACCOUNT
    assert floor.command("resume") == {"resumed": []}
    assert floor.offer(floor.held)["drawdown_pause"]["passed"]
    (shown,) = floor.command("kill-switch")["accounts"]
    assert shown["paused_at"] is None and shown["high_water"] == shown["equity"]


def test_a_strategy_with_a_losing_record_is_sized_by_the_least_scale_and_the_run_says_so(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def losing(_connection: Any, account: str, strategy: Strategy) -> tuple[float, ...]:
        asked.append((account, strategy))
        return (-0.5,) * 120

    def size() -> dict[str, Any]:
        with floor.world.desk.ledger.connect() as connection:
            query = select(decisions.c.sizing).where(decisions.c.signal_id == floor.newest)
            row: dict[str, Any] = connection.execute(query).scalar_one()
        return row

    floor.offer(floor.held)
    assert size()["factors"]["kelly"] == "1" and size()["alert"] is None
    with monkeypatch.context() as patched:
        patched.setattr(weighing, "closed_returns", losing)
        floor.offer(floor.held)
    assert asked == [(ACCOUNT, Strategy.SWING_TRADE)]
    assert size()["factors"]["kelly"] == "0.25" and "0 wins in 120 trades" in size()["alert"]
    (run,) = floor.world.instance.get_run_records(limit=1)
    logged = [entry.user_message for entry in floor.world.instance.all_logs(run.dagster_run.run_id)]
    assert any("swing_trade: 0 wins in 120 trades" in line for line in logged)


@pytest.mark.parametrize("scope", [[], ["--account", ACCOUNT]], ids=["all accounts", "one account"])
def test_the_kill_switch_of_the_command_line_is_honoured_by_the_next_run(floor: Floor, scope: list[str]) -> None:
    for mode in ("entries", "all", "flatten"):
        shown = floor.command("kill-switch", mode, *scope, "--reason", "a test says so")
        assert {row["kill_mode"] for row in shown["accounts"]} == {mode}
        assert shown["switches"][-1]["reason"] == "a test says so"
        assert mode in denials(floor.offer(floor.held))["kill_switch"]
    floor.command("kill-switch", "off", *scope)
    assert floor.offer(floor.held)["kill_switch"]["passed"]


def switched_in_the_ui(floor: Floor, config: dict[str, str], tags: dict[str, str] | None = None) -> Any:
    """A run of the job as the launchpad starts it."""
    return floor.world.definitions.resolve_job_def(KILL_SWITCH_JOB).execute_in_process(
        instance=floor.world.instance,
        run_config={**QUIET, "ops": {"set_switch": {"config": config}}},
        tags=tags,
        raise_on_error=False,
    )


@pytest.mark.parametrize("scope", [{}, {"account": ACCOUNT}], ids=["all accounts", "one account"])
def test_the_kill_switch_of_the_ui_is_honoured_by_the_next_run_and_never_set_by_a_repeated_one(
    floor: Floor, scope: dict[str, str]
) -> None:
    for mode in ("entries", "all", "flatten"):
        done = switched_in_the_ui(floor, {"mode": mode, "reason": "a test says so", **scope})
        assert done.success
        assert mode in denials(floor.offer(floor.held))["kill_switch"]
    shown = floor.command("kill-switch")
    (switch,) = [row for row in shown["switches"] if row["scope"] == scope.get("account", "*")]
    assert (switch["mode"], switch["reason"]) == ("flatten", "a test says so")
    repeated = {"dagster/parent_run_id": done.run_id, "dagster/root_run_id": done.run_id}
    assert not switched_in_the_ui(floor, {"mode": "off", "reason": "again", **scope}, repeated).success
    assert floor.command("kill-switch") == shown
    assert not switched_in_the_ui(floor, {"mode": "off", "reason": " ", **scope}).success
    assert switched_in_the_ui(floor, {"mode": "off", "reason": "it is over", **scope}).success
    assert floor.offer(floor.held)["kill_switch"]["passed"]


def test_the_kill_switch_of_the_ui_refuses_an_account_that_nobody_knows_and_a_mode_that_is_none(floor: Floor) -> None:
    assert not switched_in_the_ui(floor, {"mode": "all", "reason": "mistyped", "account": "lareg"}).success
    with pytest.raises(DagsterInvalidConfigError):
        switched_in_the_ui(floor, {"mode": "al", "reason": "mistyped"})
    with floor.world.desk.ledger.connect() as connection:
        assert accounts.kill_mode(connection, ACCOUNT) is KillMode.OFF


def test_an_account_that_nobody_knows_is_refused_with_the_names_that_exist(floor: Floor) -> None:
    for command in (["kill-switch", "all"], ["kill-switch"], ["resume"]):
        with pytest.raises(TradingAssetsError, match="Known are: large"):
            floor.command(*command, "--account", "lareg")
    with floor.world.desk.ledger.connect() as connection:
        assert accounts.kill_mode(connection, ACCOUNT) is KillMode.OFF


def adding(min_profit: str) -> Change:
    def change(settings: Settings) -> Settings:
        config = settings.strategy.sizing.adding.model_copy(update={"min_profit": Decimal(min_profit)})
        return strategy("sizing", adding=config)(settings)

    return change


def test_a_further_signal_adds_to_what_is_held_twice_at_most_and_only_in_profit(floor: Floor) -> None:
    """Also a loss is profit enough here: prices do not rise by 15 % because a test asks them to."""
    (before,) = holdings(floor.world)
    ordered = len(floor.world.broker_orders())
    with floor.configured(adding("9")):
        said = denials(floor.offer(floor.held))["duplicate_position"]
    assert "nothing is added to it" in said and "is below 900%" in said
    with floor.configured(adding("-1")):
        with floor.configured(strategy("exits", swing_stop=Decimal("0.000001"))):
            said = denials(floor.offer(floor.held))["duplicate_position"]
        assert "the exit rule stop is due" in said
        assert len(floor.world.broker_orders()) == ordered
        held = before.quantity
        for _ in (1, 2):
            gates = floor.offer(floor.held)
            assert not denials(gates) and "adds to a position" in gates["duplicate_position"]["reason"]
            (after,) = holdings(floor.world)
            assert after.position_id == before.position_id and held < after.quantity <= 2 * held
            assert after.quantity == after.quantity_opened and after.state is PositionState.OPEN
            held = after.quantity
        floor.added = floor.newest
        told = floor.command("why", floor.newest)
        said = denials(floor.offer(floor.held))["duplicate_position"]
    assert "2 adds were made, 2 are the most" in said
    (row,) = told["signals"][0]["accounts"]
    assert row["status"] == "EXECUTED" and f"adds to {before.position_id}" in row["judgements"][0]["reason"]
    (position,) = row["positions"]
    assert position["position_id"] == before.position_id and position["quantity"] == after.quantity
    add = next(order for order in position["orders"] if order["reason"] == "add" and order["filled_quantity"])
    by_order = floor.command("why", add["client_order_id"])
    assert "adds to" in by_order["signals"][0]["accounts"][0]["judgements"][0]["reason"]
    assert by_order["signals"][0]["signal_id"] == add["signal_id"] != before.signal_id


@pytest.fixture
def added(floor: Floor) -> str:
    """A signal that added to what is held: of the test before, or made here where that test did not run."""
    if not floor.added:
        with floor.configured(adding("-1")):
            assert not denials(floor.offer(floor.held))
        floor.added = floor.newest
    return floor.added


def test_F11_a_run_that_died_after_its_add_is_settled_by_what_the_add_bought(floor: Floor, added: str) -> None:
    placed = len(floor.world.broker_orders())
    with floor.world.desk.ledger.begin() as connection:
        add = orders.of_signal(connection, ACCOUNT, added)
        lost = {"status": "PROCESSING", "run_id": "gone", "lease_until": floor.world.session.open}
        mine = dispatch_status.c.signal_id == added
        connection.execute(dispatch_status.update().where(mine).values(**lost))
    dispatch_account(floor.world.desk, ACCOUNT, "next", logging.getLogger(__name__))
    with floor.world.desk.ledger.connect() as connection:
        row = connection.execute(select(dispatch_status).where(dispatch_status.c.signal_id == added)).one()
    quantity = sum(intent.filled_quantity for intent in add)
    assert (row.status, row.reason) == (
        "EXECUTED",
        f"bought {quantity} by run gone, which ended before saying so",
    )
    assert len(floor.world.broker_orders()) == placed


def test_flatten_of_the_command_line_closes_what_is_held_within_one_cycle(floor: Floor) -> None:
    """The last test of the file: afterwards nothing is held."""
    assert holdings(floor.world)
    floor.command("kill-switch", "all")
    before = sells(floor.world)
    floor.world.desk.clock.wait_until(floor.world.desk.clock.now() + MINUTE)
    assert all(outcome.success for outcome in floor.world.ticker.sensor(POSITION_MANAGER_TICK))
    assert sells(floor.world) == before and holdings(floor.world), "'all' orders nothing"
    floor.command("kill-switch", "flatten")
    floor.world.desk.clock.wait_until(floor.world.desk.clock.now() + MINUTE)
    assert all(outcome.success for outcome in floor.world.ticker.sensor(POSITION_MANAGER_TICK))
    assert holdings(floor.world) == []


def test_every_gate_has_a_case() -> None:
    own = {"kill_switch", "drawdown_pause", "volatility_regime", "quote_freshness"}
    assert {case[0] for case in CASES} | own == {gate.id for gate in DEFAULT_GATES}


# --- failures of prices and clocks ------------------------------------------------------------------------------------


@contextmanager
def spoiled(world: Playground, rewrite: Callable[[Any], Any]) -> Iterator[FaultProxy]:
    """Within the block the account sees the exchange through a proxy that rewrites every quote."""
    desk = world.desk
    direct, connection = desk.broker(ACCOUNT), desk.runtime.connection(desk.account(ACCOUNT))
    with proxied(connection.trading_url) as proxy:
        proxy.faults.append(Fault("GET", QUOTE_PATHS, "rewrite", times=10_000, rewrite=rewrite))
        through = replace(connection, trading_url=proxy.url, data_url=proxy.url)
        desk._brokers[ACCOUNT] = AlpacaBroker(through, desk.clock, desk.settings.strategy.broker)
        try:
            yield proxy
        finally:
            desk._brokers.pop(ACCOUNT).close()
            desk._brokers[ACCOUNT] = direct


@pytest.mark.parametrize("fault", QUOTE_FAULTS, ids=str)
def test_F34_nothing_is_bought_on_a_quote_that_is_none(floor: Floor, fault: str, scorecard: Figures) -> None:
    placed = len(floor.world.broker_orders())
    with spoiled(floor.world, QUOTE_FAULTS[fault]) as proxy:
        denied = denials(floor.offer(floor.other))
        assert proxy.count("POST", "/v2/orders") == 0
        assert proxy.taken > 0
    assert "contract" in denied, denied
    assert len(floor.world.broker_orders()) == placed
    scorecard.add(faults_injected=proxy.taken, orders_placed=0, lost=0, doubled=0, limits_broken=0)


@pytest.mark.parametrize(
    ("skew", "denied"),
    [(timedelta(seconds=2), False), (timedelta(seconds=-2), False), (timedelta(minutes=2), True), (-2 * MINUTE, True)],
    ids=["2 s ahead", "2 s behind", "2 min ahead", "2 min behind"],
)
def test_F44_a_skew_of_two_seconds_is_borne_and_one_of_two_minutes_denies(
    floor: Floor, skew: timedelta, denied: bool, scorecard: Figures
) -> None:
    desk, placed = floor.world.desk, len(floor.world.broker_orders())
    inner = desk.clock
    desk.__dict__["clock"] = LaterClock(inner, skew)
    try:
        # Offered under a budget of nothing: only the clock decides whether more than the size speaks against it.
        with floor.configured(sizing(risk_swing="0.000001")):
            found = denials(floor.offer(floor.other))
    finally:
        desk.__dict__["clock"] = inner
    assert bool({"contract", "quote_freshness"} & set(found)) is denied, found
    assert len(floor.world.broker_orders()) == placed
    scorecard.add(faults_injected=1, orders_placed=0)
