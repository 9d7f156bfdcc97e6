"""When a swing is due to be rolled, and into what."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from trading_assets.domain.values import KillMode, Priority, Strategy
from trading_assets.market.sessions import shift
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exits import AccountFacts, AlertKind, ExitMarket, ExitOutcome, evaluate_exit
from trading_assets.strategy.rolling import monthly_expiry, next_monthly
from trading_assets_tests.strategy.trading_builders import FULL, NOON, position, quote

CALM = AccountFacts(KillMode.OFF, False)


def judge(bid: str | None = "2.00", *, facts: AccountFacts = CALM, **changes: Any) -> ExitOutcome:
    """A swing bought four sessions ago with 25 days to expiry at 2.00 and a delta of 0.52."""
    arguments: dict[str, Any] = {
        "strategy": Strategy.SWING_TRADE,
        "dte": 21,
        "opened_at": shift(FULL.day, -4).open,
        "entry_delta": 0.52,
        **changes,
    }
    market = ExitMarket(
        quote=None if bid is None else quote(bid, str(Decimal(bid) + Decimal("0.04"))),
        underlying_price=Decimal(100),
        underlying_at=NOON,
        model_price=None if bid is None else Decimal(bid),
        delta=0.5,
        theta=-0.05,
    )
    return evaluate_exit(position(**arguments), market, session=FULL, as_of=NOON, account=facts, config=ExitConfig())


def test_a_swing_bought_far_from_expiry_is_due_at_21_days_and_names_both_legs() -> None:
    outcome = judge()
    assert outcome.decision is None, "nothing is ordered"
    roll = outcome.roll
    assert roll is not None
    assert (roll.close_symbol, roll.quantity, roll.target_delta) == ("X", 4, 0.52)
    assert FULL.day + timedelta(days=21) == date(2026, 2, 25)
    assert roll.target_expiry == date(2026, 3, 20), "the first monthly after the held contract's expiry"
    (told,) = outcome.alerts
    assert (told.rule, told.priority, told.kind) == ("roll", Priority.HIGH, AlertKind.DUE)
    assert "sell 4 X" in told.recommended_action and "2026-03-20" in told.recommended_action


@pytest.mark.parametrize(
    ("dte", "sessions_ago", "due"),
    [(21, 4, True), (22, 4, False), (20, 4, True), (16, 4, True), (15, 4, False), (21, 0, False), (21, 1, True)],
)
def test_days_left_now_and_at_entry_both_count(dte: int, sessions_ago: int, due: bool) -> None:
    # FULL is a Wednesday: four sessions before it is a Thursday, six days earlier.
    outcome = judge(dte=dte, opened_at=shift(FULL.day, -sessions_ago).open)
    assert (outcome.roll is not None) is due


@pytest.mark.parametrize(("bid", "due"), [("1.81", True), ("1.80", False), ("2.40", True)])
def test_only_a_result_better_than_minus_ten_percent_is_rolled(bid: str, due: bool) -> None:
    assert (judge(bid).roll is not None) is due


def test_leaving_comes_before_rolling_and_the_kill_switch_before_both() -> None:
    assert judge("1.30").decision is not None and judge("1.30").roll is None
    assert judge("3.00").decision is not None and judge("3.00").roll is None
    for mode in (KillMode.ENTRIES, KillMode.ALL, KillMode.FLATTEN):
        assert judge(facts=AccountFacts(mode, False)).roll is None


@pytest.mark.parametrize("missing", ["entry_price", "opened_at", "expiry"])
def test_a_missing_fact_rolls_nothing(missing: str) -> None:
    absent: dict[str, Any] = {missing: None}
    outcome = judge(**absent)
    assert outcome.roll is None and "roll" not in {alert.rule for alert in outcome.alerts}


def test_without_a_quote_nothing_is_rolled() -> None:
    assert judge(None).roll is None


@pytest.mark.parametrize("delta", [None, 0.0, float("nan"), -999.0])
def test_an_unknown_delta_at_entry_is_told_and_not_guessed(delta: float | None) -> None:
    outcome = judge(entry_delta=delta)
    assert outcome.roll is None
    assert [(alert.rule, alert.kind) for alert in outcome.alerts] == [("roll", AlertKind.MISSING)]


def test_a_put_is_rolled_by_the_size_of_its_delta() -> None:
    roll = judge(entry_delta=-0.48).roll
    assert roll is not None and roll.target_delta == 0.48


def test_day_trades_and_stocks_are_never_rolled() -> None:
    assert judge(strategy=Strategy.DAY_TRADE).roll is None
    assert judge(strategy=Strategy.STOCK, right=None, strike=None, expiry=None).roll is None


@pytest.mark.parametrize(
    ("year", "month", "expiry"),
    [(2026, 3, date(2026, 3, 20)), (2026, 5, date(2026, 5, 15)), (2026, 6, date(2026, 6, 18))],
)
def test_a_monthly_contract_expires_on_the_third_friday_or_the_session_before(
    year: int, month: int, expiry: date
) -> None:
    assert monthly_expiry(year, month) == expiry


def test_the_next_monthly_is_later_than_the_day_and_crosses_the_year() -> None:
    assert next_monthly(date(2026, 3, 19)) == date(2026, 3, 20)
    assert next_monthly(date(2026, 3, 20)) == date(2026, 4, 17)
    assert next_monthly(date(2026, 6, 18)) == date(2026, 7, 17), "19 June is a holiday: its monthly is the 18th"
    assert next_monthly(date(2025, 12, 19)) == date(2026, 1, 16)


def test_a_roll_that_would_be_due_at_entry_is_refused() -> None:
    with pytest.raises(ValidationError, match="due at entry"):
        ExitConfig(roll_dte=25)
