"""Exits on Greeks and earnings, conditions that are only told, and inputs that are missing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.domain.values import Priority, Right, Strategy
from trading_assets.strategy.exits import AlertKind, ExitDecision, ordered, urgency
from trading_assets_tests.strategy.test_exits import CENTS, CONFIG, DAY, STOCK, SWING, alerts, judge, rule
from trading_assets_tests.strategy.trading_builders import position, quote

# --- decay and earnings -----------------------------------------------------------------------------------------------


def test_a_swing_near_expiry_that_decays_by_more_than_30_percent_a_day_is_left() -> None:
    held = position(SWING, dte=2)
    assert rule(judge(held, theta=-0.60)) is None, "exactly 30 % of 2.00 is not more"
    assert rule(judge(held, theta=-0.6001)) == "theta_decay"
    assert rule(judge(position(SWING, dte=3), theta=-1.5)) is None
    assert rule(judge(position(DAY, dte=2), theta=-1.5)) is None
    assert rule(judge(held, theta=0.7)) is None, "time pays the holder of some deep puts"


@pytest.mark.parametrize("theta", [None, float("nan"), float("-inf"), -999.0])
def test_an_unknown_or_impossible_theta_holds_with_an_alert_and_is_not_zero(theta: float | None) -> None:
    outcome = judge(position(SWING, dte=2), theta=theta)
    assert rule(outcome) is None and outcome.decision is None
    assert [(alert.rule, alert.priority, alert.kind) for alert in outcome.alerts] == [
        ("theta_decay", Priority.HIGH, AlertKind.MISSING)
    ]
    assert judge(position(SWING, dte=2), theta=0.0).alerts == (), "a theta of zero is known"
    assert judge(position(SWING, dte=10), theta=theta).alerts == (), "far from expiry nobody asks"


def test_a_worthless_swing_near_expiry_counts_as_decaying() -> None:
    # The stop comes first; without a known entry only the decay is left to act.
    outcome = judge(position(SWING, dte=2, entry_price=None), "0", theta=-0.01)
    assert rule(outcome) == "theta_decay"


@pytest.mark.parametrize(("strategy", "sold"), [(SWING, True), (STOCK, True), (DAY, False)])
def test_what_would_be_held_over_earnings_is_left_in_the_session_before(strategy: Strategy, sold: bool) -> None:
    share = strategy is STOCK
    changes: dict[str, Any] = {"right": None, "strike": None, "expiry": None} if share else {}
    market: dict[str, Any] = {"atr": Decimal(1)} if share else {}
    held = position(strategy, dte=10, **changes)
    assert rule(judge(held, earnings_next_session=True, **market)) == ("earnings" if sold else None)
    for answer in (False, None):
        outcome = judge(held, earnings_next_session=answer, **market)
        assert rule(outcome) is None and outcome.alerts == (), "no calendar is no alert"


# --- what is told -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("right", "sign"), [(Right.CALL, 1), (Right.PUT, -1)])
def test_a_delta_above_85_hundredths_of_a_swing_is_told(right: Right, sign: int) -> None:
    held = position(SWING, dte=10, right=right)
    assert judge(held, delta=0.85 * sign).alerts == ()
    (told,) = judge(held, delta=0.8501 * sign).alerts
    assert (told.rule, told.priority, told.kind) == ("high_delta", Priority.MEDIUM, AlertKind.DUE)
    assert judge(position(DAY, dte=10, right=right), delta=0.9 * sign).alerts == ()
    for unusable in (None, float("nan"), -999.0, 0.9 * -sign):
        (missing,) = judge(held, delta=unusable).alerts
        assert (missing.rule, missing.kind) == ("high_delta", AlertKind.MISSING)


def test_a_spread_wider_than_15_percent_of_mid_is_told() -> None:
    held, agreeing = position(dte=10), Decimal(2)
    assert judge(held, quote=quote("1.85", "2.15"), model_price=agreeing).alerts == (), "exactly 15 %"
    (told,) = judge(held, quote=quote("1.84", "2.15"), model_price=agreeing).alerts
    assert (told.rule, told.kind) == ("wide_spread", AlertKind.DUE)
    (missing,) = judge(held, quote=quote("1.84", None), model_price=agreeing).alerts
    assert (missing.rule, missing.kind) == ("wide_spread", AlertKind.MISSING)


@pytest.mark.parametrize(("model", "told"), [("1.61", False), ("1.60", True), ("2.39", False), ("2.40", True)])
def test_a_model_value_20_percent_off_the_mid_price_is_told(model: str, told: bool) -> None:
    outcome = judge(position(dte=10), quote=quote("1.98", "2.02"), model_price=Decimal(model))
    assert alerts(outcome) == ({"model_gap"} if told else set())
    assert outcome.decision is None


def test_without_a_volatility_the_model_check_holds_and_says_so() -> None:
    (missing,) = judge(position(dte=10), model_price=None).alerts
    assert (missing.rule, missing.priority, missing.kind) == ("model_gap", Priority.MEDIUM, AlertKind.MISSING)
    zero = judge(position(dte=10), model_price=Decimal(0))
    assert [alert.kind for alert in zero.alerts] == [AlertKind.DUE], "a value of zero is known, and far off"


def test_medium_conditions_act_only_where_the_configuration_says_so() -> None:
    acting = CONFIG.model_copy(update={"act_on_medium": True})
    held = position(SWING, dte=10)
    outcome = judge(held, delta=0.9, config=acting)
    assert outcome.decision is not None and outcome.alerts == ()
    assert (outcome.decision.rule, outcome.decision.priority) == ("high_delta", Priority.MEDIUM)
    assert rule(judge(held, "1.30", delta=0.9, config=acting)) == "stop", "the more urgent one decides"


def test_what_is_told_is_told_beside_an_exit() -> None:
    outcome = judge(position(SWING, dte=10), "1.30", delta=0.9)
    assert rule(outcome) == "stop" and alerts(outcome) == {"high_delta"}


def test_every_alert_carries_position_reason_action_and_a_condition_of_its_own() -> None:
    outcome = judge(position(SWING, dte=2, opened_at=None), quote=None, underlying=None, delta=None, theta=None)
    assert len(outcome.alerts) >= 5
    for alert in outcome.alerts:
        assert alert.position_id == "p1" and alert.reason.endswith(".") and alert.recommended_action.endswith(".")
    conditions = [alert.condition for alert in outcome.alerts]
    assert len(conditions) == len(set(conditions))


def test_an_exit_that_is_worked_is_told_with_its_quantity() -> None:
    decision = judge(position(), "0.50").decision
    assert decision is not None
    told = ordered(position(), decision)
    assert told.condition == "stop:ordered:CRITICAL"
    assert told.recommended_action == "None: 4 of 4 are being sold by limit orders."


# --- what is missing --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "missing",
    [
        {"quote": None, "model_price": None},
        {"underlying_price": None},
        {"underlying_at": None},
        {"delta": None},
        {"theta": None},
        {"model_price": None},
        {"earnings_next_session": None},
    ],
)
@pytest.mark.parametrize("strategy", [DAY, SWING])
def test_a_missing_input_alone_closes_nothing(strategy: Strategy, missing: dict[str, Any]) -> None:
    assert judge(position(strategy, dte=3), **missing).decision is None


@pytest.mark.parametrize(
    "name", ["entry_price", "entry_underlying", "opened_at", "expiry", "high_water", "entry_delta"]
)
@pytest.mark.parametrize("strategy", [DAY, SWING])
def test_a_missing_fact_of_the_position_alone_closes_nothing(strategy: Strategy, name: str) -> None:
    absent: dict[str, Any] = {name: None}
    assert judge(position(strategy, dte=3, **absent)).decision is None


def test_levels_are_exact_decimals() -> None:
    held = position(SWING, dte=10, entry_price=Decimal("0.1"))
    due = judge(held, "0.065").decision
    assert due is not None and due.rule == "stop" and Decimal(str(due.numbers["stop"])) == Decimal("0.065")
    third = position(SWING, dte=10, entry_price=Decimal("0.3"), high_water=Decimal("0.39"))
    assert rule(judge(third, "0.354")) == "trailing", "0.39 - 0.4 x 0.09 is 0.354 exactly"
    assert rule(judge(third, "0.3541")) is None


@given(
    strategy=st.sampled_from([DAY, SWING]), bid=CENTS, drop=CENTS, theta=st.floats(-3, 0), more=st.floats(0, 3),
    dte=st.integers(1, 4), reports=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_an_exit_on_greeks_or_earnings_stays_due_as_price_and_decay_worsen(
    strategy: Strategy, bid: Decimal, drop: Decimal, theta: float, more: float, dte: int, reports: bool
) -> None:
    held = position(strategy, dte=dte, entry_price=None)
    first = judge(held, str(bid), theta=theta, earnings_next_session=reports)
    if rule(first) is None:
        return
    worse = judge(held, str(max(Decimal(0), bid - drop)), theta=theta - more, earnings_next_session=reports)
    assert worse.decision is not None


def test_urgency_follows_priority_and_then_the_table() -> None:
    def decision(name: str, priority: Priority) -> ExitDecision:
        return ExitDecision(name, priority, 1, False, "It is due.", {})

    found = [
        decision("wide_spread", Priority.MEDIUM),
        decision("end_of_day", Priority.HIGH),
        decision("target", Priority.HIGH),
        decision("overnight", Priority.CRITICAL),
        decision("stop", Priority.CRITICAL),
        decision("expiry", Priority.CRITICAL),
    ]
    names = [one.rule for one in sorted(found, key=urgency)]
    assert names == ["expiry", "stop", "overnight", "target", "end_of_day", "wide_spread"]
