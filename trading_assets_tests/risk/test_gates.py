"""Gates: each one passes, each one denies, each one denies what is unknown, and nothing worse ever passes again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.domain.values import (
    AccountSnapshot,
    Action,
    Direction,
    GateResult,
    KillMode,
    OrderState,
    PositionState,
    Purpose,
    Regime,
    Right,
    Strategy,
)
from trading_assets.market.correlation import Correlation
from trading_assets.market.sessions import Session
from trading_assets.risk.account_gates import entry_hours
from trading_assets.risk.adding import AddDecision
from trading_assets.risk.config import AccountLimits, AccountMode, EntrySchedule, GateConfig, SizingConfig, Weekday
from trading_assets.risk.exposure import daily_loss_reached, drawdown_reached, may_hold_overnight
from trading_assets.risk.gates import DEFAULT_GATES, GateContext, describe_gates, evaluate
from trading_assets_tests.risk.builders import (
    HALF,
    NOW,
    SESSION,
    SIZING,
    account,
    context,
    facts,
    fill,
    held,
    order,
    per_share,
    selection,
    signal,
    sizing,
)

NAN = Decimal("NaN")
ADD = AddDecision(True, Decimal("0.2"), "a profit of 20.0% reaches 15%")
Worsen = Callable[[GateContext], GateContext]
ORDER = [
    "kill_switch", "daily_loss_limit", "drawdown_pause", "volatility_regime", "trading_hours", "account_ready",
    "duplicate_position", "bar_freshness", "feature_freshness", "quote_freshness", "signal_freshness", "max_positions",
    "max_exposure", "max_open_risk", "trades_per_day", "ticker_daily_limit", "ticker_cooldown", "entries_per_hour",
    "sector_exposure", "correlation", "confidence", "action_allowed", "sell_has_position", "earnings_window",
    "contract", "portfolio_greeks", "sizing",
]  # fmt: skip


def result(gate: str, given_context: GateContext) -> GateResult:
    return next(item for item in evaluate(given_context).results if item.gate == gate)


def many(count: int, **changes: Any) -> tuple[Any, ...]:
    return tuple(fill(f"T{place}", signal=f"s{place}", **changes) for place in range(count))


LARGE_SWING = {
    "account": account("121000"), "signal": signal(strategy=Strategy.SWING_TRADE), "sizing": sizing(1, "1000"),
}  # fmt: skip
STOCK = {"action": Action.BUY_STOCK, "strategy": Strategy.STOCK}
STOCK_LIMITS = AccountLimits(mode=AccountMode.HYBRID, strategies=(Strategy.STOCK, Strategy.DAY_TRADE))


def entering(**schedule: Any) -> AccountLimits:
    return AccountLimits(schedule=EntrySchedule(**schedule))


DENIALS: list[tuple[str, dict[str, Any], str]] = [
    ("kill_switch", {"account": account(kill_mode=KillMode.ENTRIES)}, "entries"),
    ("kill_switch", {"account": account(kill_mode=KillMode.ALL)}, "all"),
    ("kill_switch", {"account": account(kill_mode=KillMode.FLATTEN)}, "flatten"),
    ("daily_loss_limit", {"account": account(realized_pnl_today=Decimal(-400))}, "reached"),
    (
        "daily_loss_limit",
        {"account": account(realized_pnl_today=Decimal(-300), unrealized_pnl=Decimal(-100))},
        "reached",
    ),
    ("daily_loss_limit", {"account": account(realized_pnl_today=None)}, "unknown"),
    ("daily_loss_limit", {"account": account(unrealized_pnl=NAN)}, "unknown"),
    ("daily_loss_limit", {"account": account(last_equity=None)}, "unknown"),
    ("daily_loss_limit", {"account": account(last_equity=Decimal(0))}, "unknown"),
    ("daily_loss_limit", {"account": account(equity=None)}, "unknown"),
    ("daily_loss_limit", {"account": account(cash_flow_today=None)}, "unknown"),
    ("drawdown_pause", {"account": account("5000", high_water=Decimal("6666.67"))}, "25%"),
    ("drawdown_pause", {"account": account(high_water=None)}, "unknown"),
    ("drawdown_pause", {"account": account(high_water=NAN)}, "unknown"),
    ("drawdown_pause", {"account": account(high_water=Decimal(0))}, "unknown"),
    ("drawdown_pause", {"account": account(None, high_water=Decimal(5000))}, "unknown"),
    ("drawdown_pause", {"account": account(paused_at=NOW, pause_reason="it fell")}, "it fell; 'trading-assets resume'"),
    ("volatility_regime", {"regime": Regime.EXTREME}, "extreme"),
    ("trading_hours", {"session": None}, "no trading session"),
    ("trading_hours", {"as_of": SESSION.open + timedelta(minutes=14, seconds=59)}, "outside"),
    ("trading_hours", {"as_of": SESSION.close - timedelta(minutes=120)}, "outside"),
    ("trading_hours", {"as_of": NOW.replace(tzinfo=None)}, "unknown"),
    (
        "trading_hours",
        {"as_of": SESSION.open + timedelta(minutes=59, seconds=59), "limits": entering(minutes_after_open=60)},
        "outside 60 min after open",
    ),
    (
        "trading_hours",
        {"as_of": SESSION.close - timedelta(minutes=180), "limits": entering(minutes_before_close=180)},
        "180 min before close",
    ),
    ("trading_hours", {"limits": entering(weekdays=(Weekday.TUESDAY,))}, "enters on tuesday only"),
    ("account_ready", {"account": account(trading_blocked=True)}, "blocked"),
    ("account_ready", {"account": account(trading_blocked=None)}, "unknown"),
    ("account_ready", {"account": account(broker_account_id="b-2")}, "is not b-1"),
    ("account_ready", {"account": account(broker_account_id=None)}, "unknown"),
    ("account_ready", {"account": account(expected_broker_account_id=None)}, "unknown"),
    ("account_ready", {"account": account(status="SUBMITTED")}, "SUBMITTED"),
    ("account_ready", {"account": account(status=None)}, "unknown"),
    ("account_ready", {"account": account(options_level=1)}, "level 1"),
    ("account_ready", {"account": account(options_level=None)}, "unknown"),
    ("account_ready", {"account": account(reconciled_at=None)}, "not reconciled"),
    ("account_ready", {"account": account(blocked_symbols=frozenset({"NVDA260205C00182000"}))}, "unknown outcome"),
    ("account_ready", {"account": account(blocked_symbols=frozenset({"NVDA"}))}, "unknown outcome"),
    ("account_ready", {"account": account(live_orders=(order("NVDA", state=OrderState.UNKNOWN),))}, "unknown outcome"),
    ("duplicate_position", {"account": account(positions=(held("NVDA"),))}, "already"),
    (
        "duplicate_position",
        {"account": account(positions=(held("NVDA", state=PositionState.OPENING, quantity=0),))},
        "already",
    ),
    ("duplicate_position", {"account": account(positions=(held("NVDA", state=PositionState.CLOSING),))}, "already"),
    ("duplicate_position", {"account": account(live_orders=(order("NVDA"),))}, "already"),
    ("bar_freshness", {"bar_end": None}, "unknown"),
    ("bar_freshness", {"bar_end": NOW - timedelta(seconds=121)}, "121 s"),
    ("feature_freshness", {"feature_at": None}, "unknown"),
    ("feature_freshness", {"feature_at": NOW - timedelta(seconds=181)}, "181 s"),
    ("quote_freshness", {"quote_at": None}, "unknown"),
    ("quote_freshness", {"quote_at": NOW - timedelta(seconds=61)}, "61 s"),
    ("quote_freshness", {"quote_at": NOW + timedelta(seconds=120)}, "unknown"),
    ("quote_freshness", {"quote_at": NOW.replace(tzinfo=None)}, "unknown"),
    ("signal_freshness", {"signal_known_at": None}, "unknown"),
    ("signal_freshness", {"signal_known_at": NOW - timedelta(seconds=301)}, "301 s"),
    ("max_positions", {"account": account(positions=tuple(held(f"T{n}") for n in range(5)))}, "5 is the most"),
    (
        "max_positions",
        {"account": account(positions=tuple(held(f"T{n}") for n in range(4)), live_orders=(order("MSFT"),))},
        "5 is the most",
    ),
    ("max_positions", {"account": account("1500", positions=(held("A"), held("B")))}, "2 is the most"),
    ("max_positions", {"limits": AccountLimits(max_positions=1), "account": account(positions=(held("A"),))}, "1 is"),
    ("max_positions", {"account": account(equity=None)}, "unknown"),
    ("max_exposure", {"account": account(positions=(held("A", "22.51"),))}, "exceeds"),
    ("max_exposure", {"account": account(live_orders=(order("A", "22.51"),))}, "exceeds"),
    ("max_exposure", {"sizing": sizing(11)}, "exceeds"),
    ("max_exposure", {"sizing": sizing(0, "2501")}, "exceeds"),
    ("max_exposure", {"account": account(positions=(held("A", None),))}, "unknown"),
    ("max_exposure", {"account": account(live_orders=(order("A", None),))}, "unknown"),
    ("max_exposure", {"account": account(equity="NaN")}, "unknown"),
    ("max_exposure", {"sizing": None}, "unknown"),
    ("max_exposure", {"sizing": sizing(1, None)}, "unknown"),
    ("max_open_risk", {"account": account(positions=(held("A", "8.76"),))}, "exceeds"),
    ("max_open_risk", {"account": account(positions=(held("A", "17.51", strategy=Strategy.DAY_TRADE),))}, "exceeds"),
    ("max_open_risk", {"account": account(live_orders=(order("A", "8.76"),))}, "exceeds"),
    ("max_open_risk", {"sizing": sizing(9)}, "exceeds"),
    ("max_open_risk", {"sizing": sizing(0, "2001")}, "exceeds"),
    ("max_open_risk", {"account": account(positions=(held("A", None),))}, "unknown"),
    ("max_open_risk", {"account": account(live_orders=(order("A", None),))}, "unknown"),
    ("max_open_risk", {"account": account(None)}, "unknown"),
    ("max_open_risk", {"sizing": None}, "unknown"),
    ("max_open_risk", {"sizing": sizing(1, None)}, "unknown"),
    ("sector_exposure", {"account": account(positions=(held("AMD", "7.51"),))}, "Semiconductors after this trade"),
    ("sector_exposure", {"account": account(live_orders=(order("AMD", "7.51"),))}, "exceeds 1000"),
    ("sector_exposure", {"account": account(positions=(held("AMD"),)), "sizing": None}, "unknown cost"),
    ("sector_exposure", {"account": account(positions=(held("AMD", None),))}, "unknown cost"),
    ("sector_exposure", {"account": account(None, positions=(held("AMD"),))}, "unknown equity"),
    ("sector_exposure", {"facts": facts(sectors=None)}, "unknown sector"),
    ("sector_exposure", {"facts": None}, "unknown sector"),
    (
        "correlation",
        {"account": account(positions=(held("AAPL"),)), "facts": facts(correlations={"AAPL": Correlation(0.86, 60)})},
        "0.86 with AAPL",
    ),
    (
        "correlation",
        {"account": account(live_orders=(order("MSFT"),)), "facts": facts(correlations={"MSFT": Correlation(0.9, 60)})},
        "0.90 with MSFT",
    ),
    (
        "correlation",
        {"account": account(positions=(held("AMD"),)), "facts": facts(correlations={"AMD": Correlation(0.1, 9)})},
        "too few common sessions",
    ),
    ("correlation", {"account": account(positions=(held("AMD"),)), "facts": facts(correlations={})}, "too few"),
    ("correlation", {"account": account(positions=(held("KO"),)), "facts": facts(correlations=None)}, "unknown"),
    ("correlation", {"account": account(positions=(held("KO"),)), "facts": None}, "unknown"),
    (
        "correlation",
        {
            "account": account(positions=(held("KO"),)),
            "facts": facts(correlations={"KO": Correlation(float("nan"), 60)}),
        },
        "no number",
    ),
    ("sell_has_position", {"signal": signal(action=Action.SELL)}, "nothing of NVDA"),
    ("earnings_window", {"facts": facts(earnings={"NVDA": (SESSION.day,)})}, "has earnings on 2026-02-04"),
    ("earnings_window", {"facts": facts(earnings={"NVDA": (SESSION.day + timedelta(days=1),)})}, "earnings"),
    ("earnings_window", {"facts": facts(earnings={"NVDA": (SESSION.day - timedelta(days=1),)})}, "earnings"),
    ("earnings_window", {"facts": facts(earnings={}), "session": None}, "no trading session"),
    ("earnings_window", {"facts": facts(earnings={"AMD": (SESSION.day - timedelta(days=1),)})}, "ends before today"),
    ("earnings_window", {"facts": facts(earnings={})}, "ends before today"),
    ("earnings_window", {"facts": facts(earnings_trouble="line 3: no day")}, "line 3: no day"),
    ("sector_exposure", {"facts": facts(sectors={}), "account": account(positions=(held("AMD", "7.51"),))}, "unnamed"),
    ("portfolio_greeks", {**LARGE_SWING, "sizing": sizing(29)}, "dollar_delta of 184730"),
    ("portfolio_greeks", {**LARGE_SWING, "facts": facts(spot=None)}, "unknown dollar_delta"),
    ("portfolio_greeks", {**LARGE_SWING, "facts": None}, "unknown dollar_delta"),
    ("portfolio_greeks", {**LARGE_SWING, "sizing": None}, "unknown"),
    ("portfolio_greeks", {**LARGE_SWING, "selection": None}, "unknown"),
    ("portfolio_greeks", {**LARGE_SWING, "account": account(None)}, "unknown"),
    (
        "portfolio_greeks",
        {**LARGE_SWING, "account": account("121000", positions=(held("AAPL"),))},
        "unknown dollar_delta of AAPL260306C00100000",
    ),
    (
        "portfolio_greeks",
        {**LARGE_SWING, "account": account("121000", live_orders=(order("MSFT"),))},
        "unknown dollar_delta of MSFT260306C00100000",
    ),
    (
        "portfolio_greeks",
        {
            **LARGE_SWING,
            "account": account("121000", positions=(held("AAPL", quantity=10),)),
            "facts": facts(greeks={held("AAPL").symbol: per_share(held("AAPL").symbol, 0.0, vega=1.21)}),
        },
        "vega_per_point",
    ),
    (
        "portfolio_greeks",
        {
            **LARGE_SWING,
            "account": account("121000", positions=(held("AAPL", quantity=10),)),
            "facts": facts(greeks={held("AAPL").symbol: per_share(held("AAPL").symbol, 0.0, theta=-1.21)}),
        },
        "theta_per_day",
    ),
    ("trades_per_day", {"account": account(fills_today=many(10))}, "10 is the most"),
    ("trades_per_day", {"account": account(fills_today=many(9), live_orders=(order("MSFT"),))}, "10 is the most"),
    ("trades_per_day", {"limits": AccountLimits(trades_per_day=2), "account": account(fills_today=many(2))}, "2 is"),
    (
        "ticker_daily_limit",
        {"account": account(fills_today=(fill("NVDA", signal="a"), fill("NVDA", signal="b")))},
        "2 is the most",
    ),
    (
        "ticker_daily_limit",
        {"account": account(fills_today=(fill("NVDA", signal=None), fill("NVDA", signal=None)))},
        "2 is the most",
    ),
    ("ticker_cooldown", {"account": account(fills_today=(fill("NVDA", 14.9),))}, "are needed"),
    ("ticker_cooldown", {"account": account(fills_today=(fill("NVDA", 1, purpose=Purpose.EXIT),))}, "are needed"),
    ("ticker_cooldown", {"account": account(fills_today=(fill("NVDA", -1),))}, "are needed"),
    ("entries_per_hour", {"account": account(fills_today=many(3, minutes_ago=59))}, "3 is the most"),
    (
        "entries_per_hour",
        {"account": account(fills_today=many(2, minutes_ago=59), live_orders=(order("MSFT"),))},
        "3 is the most",
    ),
    ("confidence", {"signal": signal(confidence=0.749)}, "below"),
    ("confidence", {"signal": signal(confidence=float("nan"))}, "unknown"),
    ("confidence", {"account": account(equity=None)}, "unknown"),
    ("confidence", {"limits": AccountLimits(min_confidence=0.95)}, "below"),
    ("confidence", {"signal": signal(strategy=Strategy.SWING_TRADE, confidence=0.69)}, "below"),
    ("action_allowed", {"signal": signal(**STOCK)}, "not allowed"),
    ("action_allowed", {"signal": signal(action=Action.SELL)}, "not allowed"),
    ("action_allowed", {"signal": signal(action=Action.HOLD)}, "not allowed"),
    ("action_allowed", {"limits": AccountLimits(mode=AccountMode.STOCK_ONLY)}, "not allowed"),
    ("action_allowed", {"limits": AccountLimits(strategies=(Strategy.SWING_TRADE,))}, "does not follow"),
    ("action_allowed", {"signal": signal(strategy=Strategy.STOCK), "limits": STOCK_LIMITS}, "does not belong"),
    ("contract", {"selection": None}, "unknown"),
    ("contract", {"selection": replace(selection(), chosen=None, reason="all 7 contracts were refused")}, "all 7"),
    ("contract", {"selection": selection(right=Right.PUT)}, "is no call"),
    ("contract", {"selection": selection(underlying="AMD")}, "is no call"),
    ("sizing", {"sizing": None}, "unknown"),
    ("sizing", {"sizing": sizing(0)}, "no size remains"),
]


def test_every_gate_answers_in_order_and_all_pass_for_a_sound_trade() -> None:
    report = evaluate(context())
    assert [item.gate for item in report.results] == ORDER
    assert report.passed and report.denials == ()


@pytest.mark.parametrize(("gate", "changes", "words"), DENIALS)
def test_the_gate_denies_says_why_and_hides_no_other_answer(gate: str, changes: dict[str, Any], words: str) -> None:
    report = evaluate(context(**changes))
    assert len(report.results) == len(ORDER) and not report.passed
    assert gate in report.denials
    assert words in result(gate, context(**changes)).reason


def test_every_gate_has_a_denial_and_every_answer_is_json() -> None:
    assert {gate for gate, _, _ in DENIALS} == set(ORDER)
    for _, changes, _ in DENIALS:
        text = json.dumps([asdict(item) for item in evaluate(context(**changes)).results], allow_nan=False)
        assert text.startswith("[{")


PASSES: list[tuple[str, dict[str, Any]]] = [
    ("daily_loss_limit", {"account": account(realized_pnl_today=Decimal("-399.99"))}),
    ("daily_loss_limit", {"account": account("4000", last_equity=Decimal(5000), cash_flow_today=Decimal(-1000))}),
    ("drawdown_pause", {"account": account("5000", high_water=Decimal(6666))}),
    ("drawdown_pause", {"account": account("1301", high_water=Decimal(2000))}),
    ("volatility_regime", {"regime": None}),
    ("volatility_regime", {"regime": Regime.HIGH}),
    ("trading_hours", {"as_of": SESSION.open + timedelta(minutes=15)}),
    ("trading_hours", {"as_of": SESSION.close - timedelta(minutes=120, seconds=1)}),
    (
        "trading_hours",
        {"as_of": SESSION.close - timedelta(minutes=61), "signal": signal(strategy=Strategy.SWING_TRADE)},
    ),
    ("account_ready", {"account": account(options_level=2)}),
    ("account_ready", {"account": account(options_level=None), "signal": signal(**STOCK)}),
    ("account_ready", {"account": account(blocked_symbols=frozenset({"AMD"}))}),
    ("duplicate_position", {"account": account(positions=(held("NVDA", state=PositionState.CLOSED),))}),
    ("duplicate_position", {"account": account(live_orders=(order("NVDA", purpose=Purpose.EXIT),))}),
    ("bar_freshness", {"bar_end": NOW - timedelta(seconds=120)}),
    ("feature_freshness", {"feature_at": NOW - timedelta(seconds=180)}),
    ("quote_freshness", {"quote_at": NOW - timedelta(seconds=60)}),
    ("quote_freshness", {"quote_at": NOW + timedelta(seconds=2)}),
    ("signal_freshness", {"signal_known_at": NOW - timedelta(seconds=300)}),
    ("max_positions", {"account": account(positions=tuple(held(f"T{n}") for n in range(4)))}),
    (
        "max_positions",
        {"account": account(positions=tuple(held(f"T{n}") for n in range(4)), live_orders=(order("T1"),))},
    ),
    ("max_exposure", {"account": account(positions=(held("A", "22.50"),))}),
    ("max_exposure", {"account": account(positions=(held("A", None, quantity=0, state=PositionState.OPENING),))}),
    ("max_open_risk", {"account": account(positions=(held("A", "8.75"),))}),
    ("max_open_risk", {"account": account(positions=(held("A", "17.50", strategy=Strategy.DAY_TRADE),))}),
    (
        "max_open_risk",
        {
            "account": account(
                positions=(
                    held("A", "90", symbol="A", strategy=Strategy.STOCK, multiplier=1, quantity=10, signal_id="s"),
                )
            )
        },
    ),
    ("sector_exposure", {"account": account(positions=(held("AMD", "7.50"),))}),
    ("sector_exposure", {"account": account(positions=(held("KO", "20"),))}),
    ("sector_exposure", {"sizing": sizing(1, "9999")}),
    (
        "sector_exposure",
        {"account": account(positions=(held("ZZZ", "20"),)), "facts": facts(sectors={"NVDA": "Chips"})},
    ),
    (
        "correlation",
        {"account": account(positions=(held("AAPL"),)), "facts": facts(correlations={"AAPL": Correlation(0.85, 60)})},
    ),
    (
        "correlation",
        {
            "account": account(positions=(held("AAPL", direction=Direction.BEARISH),)),
            "facts": facts(correlations={"AAPL": Correlation(0.99, 60)}),
        },
    ),
    ("correlation", {"account": account(positions=(held("KO"),)), "facts": facts(correlations={})}),
    ("correlation", {"facts": None}),
    ("sell_has_position", {"signal": signal(action=Action.SELL), "account": account(positions=(held("NVDA"),))}),
    ("earnings_window", {"facts": None}),
    ("earnings_window", {"facts": facts(earnings={"NVDA": (SESSION.day + timedelta(days=2),)})}),
    ("earnings_window", {"facts": facts(earnings={"AMD": (SESSION.day,)})}),
    ("portfolio_greeks", {**LARGE_SWING, "sizing": sizing(28)}),
    ("portfolio_greeks", {"account": account("121000", positions=(held("AAPL"),)), "facts": None}),
    ("portfolio_greeks", {"account": account("5000"), "facts": None}),
    ("portfolio_greeks", {**LARGE_SWING, "account": account("5000"), "facts": None}),
    (
        "portfolio_greeks",
        {**LARGE_SWING, "account": account("121000", positions=(held("AAPL", strategy=Strategy.DAY_TRADE),))},
    ),
    ("trades_per_day", {"account": account(fills_today=many(9))}),
    ("trades_per_day", {"account": account(fills_today=tuple(fill("AMD", signal="one") for _ in range(30)))}),
    ("ticker_daily_limit", {"account": account(fills_today=(fill("NVDA", signal="a"), fill("AMD", signal="b")))}),
    ("ticker_cooldown", {"account": account(fills_today=(fill("NVDA", 15), fill("AMD", 1)))}),
    ("entries_per_hour", {"account": account(fills_today=(*many(2, minutes_ago=10), fill("Z", 60, signal="old")))}),
    ("entries_per_hour", {"account": account(fills_today=many(9, minutes_ago=5, purpose=Purpose.EXIT))}),
    ("confidence", {"signal": signal(confidence=0.75)}),
    ("confidence", {"signal": signal(strategy=Strategy.SWING_TRADE, confidence=0.70)}),
    ("confidence", {"account": account("121000"), "signal": signal(strategy=Strategy.SWING_TRADE, confidence=0.65)}),
    ("action_allowed", {"signal": signal(**STOCK), "limits": STOCK_LIMITS}),
    ("contract", {"signal": signal(**STOCK), "selection": None}),
    (
        "contract",
        {
            "signal": signal(action=Action.BUY_PUT, direction=Direction.BEARISH),
            "selection": selection(right=Right.PUT),
        },
    ),
]


@pytest.mark.parametrize(("gate", "changes"), PASSES)
def test_the_gate_passes_up_to_its_threshold(gate: str, changes: dict[str, Any]) -> None:
    assert result(gate, context(**changes)).passed


@pytest.mark.parametrize("session", [SESSION, HALF])
def test_hours_count_back_from_the_sessions_own_close(session: Session) -> None:
    def passes(minutes: int, **changes: Any) -> bool:
        at = session.close - timedelta(minutes=minutes)
        return result("trading_hours", context(session=session, as_of=at, **changes)).passed

    today = replace(selection(), chosen=None)
    expiring = selection(expiry=session.day)
    assert passes(121, selection=today) and not passes(120, selection=today)
    assert passes(151, selection=expiring) and not passes(150, selection=expiring)
    swing = signal(strategy=Strategy.SWING_TRADE)
    assert passes(61, selection=None, signal=swing) and not passes(60, selection=None, signal=swing)


@pytest.mark.parametrize(
    ("equity", "loss"), [("1000", "-120"), ("5000", "-400"), ("40000", "-1600"), ("100000", "-2000")]
)
def test_each_tier_has_its_own_daily_loss_limit(equity: str, loss: str) -> None:
    reached = account(equity, unrealized_pnl=Decimal(loss))
    nearly = account(equity, unrealized_pnl=Decimal(loss) + Decimal("0.01"))
    assert not result("daily_loss_limit", context(account=reached)).passed
    assert result("daily_loss_limit", context(account=nearly)).passed
    assert daily_loss_reached(reached, SIZING) is True and daily_loss_reached(nearly, SIZING) is False


def test_an_unknown_result_neither_reaches_the_limit_nor_denies_that_it_did() -> None:
    assert daily_loss_reached(account(unrealized_pnl=None), SIZING) is None
    assert may_hold_overnight(account("1000"), SIZING) is False
    assert may_hold_overnight(account("5000"), SIZING) is True
    assert may_hold_overnight(account(None), SIZING) is None


def test_the_large_tier_is_capped_in_dollars_too() -> None:
    roomy = context(account=account("121000"), sizing=sizing(1, "10000"))
    assert result("max_exposure", roomy).passed
    assert not result("max_exposure", replace(roomy, sizing=sizing(1, "10000.01"))).passed
    tight = replace(roomy, limits=AccountLimits(max_exposure=Decimal(5000)))
    assert not result("max_exposure", tight).passed


def test_a_position_that_may_not_grow_says_why_beside_the_duplicate() -> None:
    refused = replace(ADD, allowed=False, reason="a profit of 3.0% is below 15%")
    found = result("duplicate_position", context(account=account(positions=(held("NVDA"),)), add=refused))
    assert not found.passed and found.reason.endswith("nothing is added to it: a profit of 3.0% is below 15%")


def test_an_add_is_exempt_from_the_gates_that_keep_a_second_position_out_and_from_no_other() -> None:
    busy = account(
        positions=(*(held(f"T{n}") for n in range(4)), held("NVDA")),
        fills_today=(fill("NVDA", 1, signal="a"), fill("NVDA", 1, signal="b")),
    )
    second, add = evaluate(context(account=busy)), evaluate(context(account=busy, add=ADD))
    exempt = {"duplicate_position", "ticker_daily_limit", "ticker_cooldown", "max_positions"}
    assert set(second.denials) - set(add.denials) == exempt
    assert set(add.denials) <= set(second.denials)


@pytest.mark.parametrize(("high", "limit"), [("2000", "0.35"), ("10000", "0.25"), ("50000", "0.15"), ("99999", "0.10")])
def test_each_tier_has_its_own_drawdown_and_a_loss_does_not_lead_to_a_laxer_one(high: str, limit: str) -> None:
    mark = Decimal(high)
    at = account(str(mark * (1 - Decimal(limit))), high_water=mark)
    above = account(str(mark * (1 - Decimal(limit)) + Decimal("0.01")), high_water=mark)
    assert drawdown_reached(at, SIZING) is True and drawdown_reached(above, SIZING) is False
    assert not result("drawdown_pause", context(account=at)).passed
    assert result("drawdown_pause", context(account=above)).passed


NEEDED = [
    "cash_flow_today", "high_water", "equity", "last_equity", "realized_pnl_today", "unrealized_pnl", "status",
    "trading_blocked", "options_level", "reconciled_at", "broker_account_id", "expected_broker_account_id",
]  # fmt: skip


@pytest.mark.parametrize("field", NEEDED)
def test_a_missing_fact_of_the_account_denies(field: str) -> None:
    sound = context(account=account("121000"), signal=signal(strategy=Strategy.SWING_TRADE), sizing=sizing())
    assert evaluate(sound).passed
    assert not evaluate(replace(sound, account=replace(sound.account, **{field: None}))).passed  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sectors", "correlations", "greeks", "spot"])
def test_a_missing_fact_about_what_is_held_denies(name: str) -> None:
    holding = account("121000", positions=(held("AAPL"),))
    known = facts(greeks={held("AAPL").symbol: per_share(held("AAPL").symbol)})
    sound = context(account=holding, signal=signal(strategy=Strategy.SWING_TRADE), facts=known, sizing=sizing())
    assert evaluate(sound).passed
    assert not evaluate(replace(sound, facts=replace(known, **{name: None}))).passed


def test_no_gates_at_all_is_no_permission() -> None:
    assert not evaluate(context(), gates=()).passed


def test_each_gate_describes_itself_in_one_line() -> None:
    described = describe_gates()
    assert [name for name, _ in described] == ORDER
    assert all(text.endswith(".") and "\n" not in text for _, text in described)


def _later(at: datetime | None, seconds: int) -> datetime | None:
    return None if at is None else at - timedelta(seconds=seconds)


def _lose(dollars: int) -> Worsen:
    def worsen(c: GateContext) -> GateContext:
        known = c.account.realized_pnl_today
        return c if known is None else replace(c, account=replace(c.account, realized_pnl_today=known - dollars))

    return worsen


def _age(row: tuple[str, int]) -> Worsen:
    name, seconds = row
    return lambda c: replace(c, **{name: _later(getattr(c, name), seconds)})  # type: ignore[arg-type]


def _forget(name: str) -> Worsen:
    return lambda c: replace(c, **{name: None})  # type: ignore[arg-type]


def _forget_fact(name: str) -> Worsen:
    return lambda c: c if c.facts is None else replace(c, facts=replace(c.facts, **{name: None}))


def _couple(row: tuple[str, float, int]) -> Worsen:
    name, more, fewer = row

    def worsen(c: GateContext) -> GateContext:
        if c.facts is None or c.facts.correlations is None or name not in c.facts.correlations:
            return c
        old = c.facts.correlations[name]
        if old.value is None:
            return c
        # Fewer sessions are worse only as long as they leave a number, which is at least as high.
        pair = Correlation(min(1.0, old.value + more), max(10, old.sessions - fewer))
        return replace(c, facts=replace(c.facts, correlations={**c.facts.correlations, name: pair}))

    return worsen


def _sink(dollars: int) -> Worsen:
    def worsen(c: GateContext) -> GateContext:
        high = c.account.high_water
        return c if high is None else replace(c, account=replace(c.account, high_water=high + dollars))

    return worsen


def _earn(days: int) -> Worsen:
    near = (SESSION.day + timedelta(days=days),)

    def worsen(c: GateContext) -> GateContext:
        if c.facts is None:
            return c
        # A calendar that reaches into the future: more days in it are worse, a longer one is not.
        found = c.facts.earnings or {"": (SESSION.day + timedelta(days=90),)}
        return replace(c, facts=replace(c.facts, earnings={**found, "NVDA": (*found.get("NVDA", ()), *near)}))

    return worsen


def _forget_amount(name: str) -> Worsen:
    return lambda c: replace(c, account=replace(c.account, **{name: None}))  # type: ignore[arg-type]


def _hold(name: str) -> Worsen:
    return lambda c: replace(c, account=replace(c.account, positions=(*c.account.positions, held(name, "5"))))


def _fly(name: str) -> Worsen:
    return lambda c: replace(c, account=replace(c.account, live_orders=(*c.account.live_orders, order(name))))


def _filled(row: tuple[str, int, int]) -> Worsen:
    one = fill(row[0], row[1], signal=f"x{row[2]}")
    return lambda c: replace(c, account=replace(c.account, fills_today=(*c.account.fills_today, one)))


def _doubt(less: float) -> Worsen:
    return lambda c: replace(c, signal=replace(c.signal, confidence=c.signal.confidence - less))


def _dearer(more: int) -> Worsen:
    def worsen(c: GateContext) -> GateContext:
        unit = c.sizing.unit_cost if c.sizing is not None else None
        return c if unit is None else replace(c, sizing=sizing(1, str(unit + more)))

    return worsen


def _kill(mode: KillMode) -> Worsen:
    return lambda c: replace(c, account=replace(c.account, kill_mode=mode))


def _panic(_: None) -> Worsen:
    return lambda c: replace(c, regime=Regime.EXTREME)


INSTANTS = ["bar_end", "feature_at", "quote_at", "signal_known_at"]
FACTS = [
    "equity",
    "last_equity",
    "cash_flow_today",
    "high_water",
    "realized_pnl_today",
    "unrealized_pnl",
    "status",
    "reconciled_at",
    "options_level",
]
TICKERS = st.sampled_from(["A", "B", "NVDA"])
#: Each turns a context into one that is the same or worse.
WORSE = st.one_of(
    st.integers(0, 500).map(_lose),
    st.tuples(st.sampled_from(INSTANTS), st.integers(0, 400)).map(_age),
    st.sampled_from([*INSTANTS, "session", "selection", "sizing"]).map(_forget),
    st.sampled_from(FACTS).map(_forget_amount),
    TICKERS.map(_hold),
    TICKERS.map(_fly),
    st.tuples(TICKERS, st.integers(0, 80), st.integers(0, 9)).map(_filled),
    st.floats(0, 0.5).map(_doubt),
    st.integers(0, 3000).map(_dearer),
    st.sampled_from([KillMode.ENTRIES, KillMode.ALL, KillMode.FLATTEN]).map(_kill),
    st.none().map(_panic),
    st.sampled_from(["sectors", "correlations", "greeks", "spot"]).map(_forget_fact),
    st.tuples(TICKERS, st.floats(0, 1), st.integers(0, 60)).map(_couple),
    st.integers(0, 5000).map(_sink),
    st.integers(-3, 3).map(_earn),
)


#: A day trade of a small account, and a swing of a large one, which the limits on Greeks hold for.
STARTS = [context(), context(**LARGE_SWING)]


@given(st.sampled_from(STARTS), st.lists(WORSE, min_size=1, max_size=6))
@settings(max_examples=300, deadline=None)
def test_a_more_adverse_input_never_turns_a_denial_into_a_pass(current: GateContext, steps: list[Worsen]) -> None:
    denied = set(evaluate(current).denials)
    for step in steps:
        current = step(current)
        now = set(evaluate(current).denials)
        assert denied <= now
        denied = now


@given(
    st.sampled_from(["equity", "last_equity", "realized_pnl_today", "unrealized_pnl"]),
    st.sampled_from([None, Decimal("NaN"), Decimal("Infinity"), Decimal("-Infinity")]),
)
@settings(deadline=None)
def test_an_amount_that_is_no_number_denies_like_a_missing_one(field: str, junk: Decimal | None) -> None:
    broken: AccountSnapshot = replace(account(), **{field: junk})  # type: ignore[arg-type]
    assert "daily_loss_limit" in evaluate(context(account=broken)).denials


def test_defaults_of_the_gate_order_are_complete() -> None:
    assert len(DEFAULT_GATES) == len({gate.id for gate in DEFAULT_GATES}) == 27
    assert isinstance(SIZING, SizingConfig)


@pytest.mark.parametrize("strategy", [Strategy.DAY_TRADE, Strategy.SWING_TRADE, Strategy.STOCK])
def test_a_schedule_narrows_the_hours_of_an_account_and_never_widens_them(strategy: Strategy) -> None:
    config = GateConfig()
    usual = entry_hours(SESSION, strategy, None, config, EntrySchedule())
    wide = EntrySchedule(minutes_after_open=0, minutes_before_close=5)
    assert entry_hours(SESSION, strategy, None, config, wide) == usual
    narrow = entry_hours(
        SESSION, strategy, None, config, EntrySchedule(minutes_after_open=30, minutes_before_close=200)
    )
    assert narrow == (SESSION.open + timedelta(minutes=30), SESSION.close - timedelta(minutes=200))
    first, last = entry_hours(SESSION, strategy, None, config, EntrySchedule(weekdays=(Weekday.FRIDAY,)))
    assert first >= last, "4 February 2026 is a Wednesday: there is no instant to enter at"
    assert EntrySchedule(weekdays=(Weekday.WEDNESDAY,)).has(SESSION.day)
