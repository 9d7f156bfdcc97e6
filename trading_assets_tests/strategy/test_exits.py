"""Exit rules: each one fires, each one holds, in order, on half days, and without a usable quote."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_assets.domain.values import (
    Direction,
    KillMode,
    OpenPosition,
    PositionState,
    Priority,
    Quote,
    Right,
    Strategy,
)
from trading_assets.market.sessions import Session, shift
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exits import AccountFacts, ExitMarket, ExitOutcome, describe_exits, evaluate_exit
from trading_assets_tests.strategy.trading_builders import FULL, HALF, NOON, before_close, position, quote

CONFIG = ExitConfig()
CALM = AccountFacts(KillMode.OFF, False)
DAY, SWING, STOCK = Strategy.DAY_TRADE, Strategy.SWING_TRADE, Strategy.STOCK


def judge(
    held: OpenPosition,
    bid: str | None = "2.00",
    *,
    as_of: datetime = NOON,
    session: Session = FULL,
    facts: AccountFacts = CALM,
    underlying: str | None = "100",
    config: ExitConfig = CONFIG,
    **market: Any,
) -> ExitOutcome:
    """Judge with a fresh quote of ``bid``, calm Greeks and a model that agrees, unless ``market`` says otherwise."""
    ask = None if bid is None else str(Decimal(bid) + Decimal("0.05"))
    sold_in_shares = held.right is None
    agreeing = None if bid is None or sold_in_shares or "quote" in market else Decimal(bid) + Decimal("0.025")
    delta = None if sold_in_shares else 0.5 if held.right is Right.CALL else -0.5
    given_market = ExitMarket(
        quote=quote(bid, ask, at=as_of),
        underlying_price=None if underlying is None else Decimal(underlying),
        underlying_at=as_of,
        model_price=agreeing,
        delta=delta,
        theta=None if sold_in_shares else -0.05,
    )
    return evaluate_exit(
        held, replace(given_market, **market), session=session, as_of=as_of, account=facts, config=config
    )


def rule(outcome: ExitOutcome) -> str | None:
    return outcome.decision.rule if outcome.decision is not None else None


def alerts(outcome: ExitOutcome) -> set[str]:
    return {alert.rule for alert in outcome.alerts}


def test_a_quiet_position_is_held_without_alerts() -> None:
    for strategy in (DAY, SWING):
        outcome = judge(position(strategy, dte=10))
        assert outcome == ExitOutcome(None, Decimal("2.00"), 0, ())


def test_flatten_closes_everything_at_market_without_any_quote() -> None:
    facts = AccountFacts(KillMode.FLATTEN, None)
    outcome = judge(position(), quote=None, underlying=None, facts=facts)
    assert outcome.decision is not None
    assert (outcome.decision.rule, outcome.decision.quantity, outcome.decision.market_at_once) == ("flatten", 4, True)


@pytest.mark.parametrize("session", [FULL, HALF])
def test_an_expiring_contract_is_sold_at_market_from_75_minutes_before_its_own_close(session: Session) -> None:
    held = position(SWING, dte=0, session=session, opened_at=session.open)
    early = judge(held, as_of=before_close(76, session), session=session)
    assert rule(early) == "expiry_next_session"
    late = judge(held, as_of=before_close(75, session), session=session, quote=None)
    assert late.decision is not None and late.decision.rule == "expiry" and late.decision.market_at_once
    tomorrow = position(DAY, dte=1, session=session, opened_at=before_close(100, session))
    assert rule(judge(tomorrow, as_of=before_close(75, session), session=session)) is None


def test_a_contract_that_expired_before_today_is_sold_at_once() -> None:
    assert rule(judge(position(DAY, dte=-1))) == "expiry"


@pytest.mark.parametrize(("strategy", "kept", "sold"), [(DAY, "1.01", "1.00"), (SWING, "1.31", "1.30")])
def test_the_stop_fires_at_its_loss_and_not_a_cent_above(strategy: Strategy, kept: str, sold: str) -> None:
    held = position(strategy, dte=10)
    assert rule(judge(held, kept)) is None
    outcome = judge(held, sold)
    assert outcome.decision is not None and outcome.decision.rule == "stop"
    assert outcome.decision.priority is Priority.CRITICAL and not outcome.decision.market_at_once


def test_a_bid_of_zero_on_a_fresh_quote_is_a_price_and_stops() -> None:
    outcome = judge(position(), "0")
    assert rule(outcome) == "stop" and outcome.decision is not None
    assert outcome.decision.numbers["price"] == "0"


def test_a_stock_stops_at_two_average_true_ranges_and_holds_with_an_alert_if_they_are_unknown() -> None:
    held = position(
        STOCK, right=None, strike=None, expiry=None, multiplier=1, entry_price=Decimal(100), entry_underlying=None
    )
    assert rule(judge(held, "99.01", atr=Decimal("0.5"))) is None
    assert rule(judge(held, "99.00", atr=Decimal("0.5"))) == "stop"
    for atr in (None, Decimal("NaN"), Decimal(0)):
        outcome = judge(held, "90", atr=atr)
        assert rule(outcome) is None and "stop" in alerts(outcome)


def test_a_stock_without_a_quote_stops_on_its_own_fresh_price() -> None:
    held = position(STOCK, right=None, strike=None, expiry=None, multiplier=1, entry_price=Decimal(100))
    # The stop of its own bracket stands, whatever the range is today; without a range nothing is missing then.
    for atr in (None, Decimal("0.1"), Decimal(5)):
        assert rule(judge(held, "98.51", atr=atr, stop=Decimal("98.50"))) is None
        assert rule(judge(held, "98.50", atr=atr, stop=Decimal("98.50"))) == "stop"
    assert not [alert for alert in judge(held, "99", atr=None, stop=Decimal(98)).alerts if alert.rule == "stop"]
    outcome = judge(held, quote=None, underlying="98", atr=Decimal("0.5"))
    assert rule(outcome) == "stop" and "quote" in alerts(outcome)


def test_the_daily_loss_limit_closes_day_trades_only() -> None:
    facts = AccountFacts(KillMode.OFF, True)
    assert rule(judge(position(DAY), facts=facts)) == "daily_loss"
    assert rule(judge(position(SWING, dte=10), facts=facts)) is None


def test_an_unknown_daily_result_closes_nothing_and_alerts() -> None:
    outcome = judge(position(DAY), facts=AccountFacts(KillMode.OFF, None))
    assert rule(outcome) is None and alerts(outcome) == {"daily_loss"}


@pytest.mark.parametrize("session", [FULL, HALF])
def test_day_trades_are_flat_five_minutes_before_the_close_and_need_no_quote(session: Session) -> None:
    held = position(DAY, session=session, opened_at=before_close(60, session))
    assert rule(judge(held, as_of=before_close(6, session), session=session)) is None
    late = judge(held, as_of=before_close(5, session), session=session, quote=None, underlying=None)
    assert rule(late) == "session_end"
    assert rule(judge(position(SWING, dte=10), as_of=before_close(5))) is None


@pytest.mark.parametrize(("held", "sold"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_the_target_sells_half_rounded_down_but_at_least_one(held: int, sold: int) -> None:
    outcome = judge(position(quantity=held), "3.00")
    assert outcome.decision is not None and outcome.decision.rule == "target"
    assert outcome.decision.quantity == sold and outcome.stage == 1
    assert outcome.decision.priority is Priority.HIGH
    assert rule(judge(position(quantity=held), "2.99")) is None


def test_the_target_is_taken_once_and_the_rest_trails() -> None:
    rest = position(quantity=2, stage=1, high_water=Decimal("3.00"))
    assert rule(judge(rest, "3.50")) is None
    outcome = judge(rest, "2.60")
    assert outcome.decision is not None and outcome.decision.rule == "trailing"
    assert outcome.decision.quantity == 2 and outcome.stage == 1


def test_the_trail_is_armed_at_thirty_percent_and_gives_back_forty_percent_of_the_peak_gain() -> None:
    armed = position(high_water=Decimal("2.60"))
    assert rule(judge(armed, "2.37")) is None
    assert rule(judge(armed, "2.36")) == "trailing"
    assert rule(judge(position(high_water=Decimal("2.59")), "2.10")) is None


def test_the_trail_never_sits_below_break_even() -> None:
    all_back = CONFIG.model_copy(update={"trailing_give_back": Decimal(1)})
    assert rule(judge(position(high_water=Decimal("2.80")), "2.00", config=all_back)) == "trailing"
    assert rule(judge(position(stage=1, high_water=Decimal("1.90")), "2.00")) == "trailing"


def test_the_high_water_mark_rises_with_fresh_prices_only() -> None:
    held = position(high_water=Decimal("2.20"))
    assert judge(held, "2.40").high_water == Decimal("2.40")
    assert judge(held, "2.10").high_water == Decimal("2.20")
    stale = quote("2.90", "2.95", at=NOON - timedelta(seconds=61))
    assert judge(held, quote=stale, model_price=Decimal("2.80")).high_water == Decimal("2.20")
    assert judge(position(), quote=None).high_water is None


@pytest.mark.parametrize(
    ("direction", "kept", "sold"), [(Direction.BULLISH, "97.01", "97"), (Direction.BEARISH, "102.99", "103")]
)
def test_a_move_of_three_percent_against_the_entry_is_left(direction: Direction, kept: str, sold: str) -> None:
    held = position(direction=direction)
    assert rule(judge(held, underlying=kept)) is None
    assert rule(judge(held, underlying=sold)) == "underlying_move"
    blind = judge(held, underlying=sold, quote=None)
    assert rule(blind) == "underlying_move" and "quote" in alerts(blind)


@pytest.mark.parametrize("market", [{"underlying_at": None}, {"underlying_at": NOON - timedelta(seconds=121)}])
def test_a_stale_underlying_moves_nothing_and_alerts(market: dict[str, Any]) -> None:
    outcome = judge(position(), underlying="90", **market)
    assert rule(outcome) is None and alerts(outcome) == {"underlying_move"}


def test_a_swing_is_left_before_its_expiry_session_and_a_day_trade_is_not() -> None:
    following = (shift(FULL.day, 1).day - FULL.day).days
    assert rule(judge(position(SWING, dte=following))) == "expiry_next_session"
    assert rule(judge(position(SWING, dte=following + 1))) is None
    assert rule(judge(position(DAY, dte=following))) is None


def test_the_next_session_of_a_friday_is_monday() -> None:
    friday = shift(FULL.day, 2)
    assert friday.day.weekday() == 4
    held = position(SWING, dte=3, session=friday, opened_at=friday.open)
    assert rule(judge(held, as_of=before_close(200, friday), session=friday)) == "expiry_next_session"


def test_a_swing_that_loses_with_two_days_to_expiry_is_left() -> None:
    assert rule(judge(position(SWING, dte=2), "1.99")) == "low_dte_losing"
    assert rule(judge(position(SWING, dte=2), "2.00")) is None
    assert rule(judge(position(SWING, dte=3), "1.99")) is None
    assert rule(judge(position(DAY, dte=2), "1.99")) is None


def test_a_day_trade_is_held_for_240_minutes_at_most() -> None:
    held = position(opened_at=NOON - timedelta(minutes=240))
    assert rule(judge(held)) == "max_hold"
    assert rule(judge(held, quote=None)) == "max_hold"
    assert rule(judge(position(opened_at=NOON - timedelta(minutes=239)))) is None


def test_a_swing_is_held_for_five_sessions_at_most_and_a_stock_for_as_long_as_it_runs() -> None:
    assert rule(judge(position(SWING, dte=10, opened_at=shift(FULL.day, -5).open))) == "max_hold"
    assert rule(judge(position(SWING, dte=10, opened_at=shift(FULL.day, -4).open))) is None
    old = position(STOCK, right=None, strike=None, expiry=None, opened_at=shift(FULL.day, -90).open)
    assert rule(judge(old, atr=Decimal(5))) is None


@pytest.mark.parametrize("session", [FULL, HALF])
@pytest.mark.parametrize(
    ("minutes", "bid", "sold"),
    [
        (91, "1.50", False),
        (90, "1.60", False),
        (90, "1.59", True),
        (61, "1.61", False),
        (60, "1.80", False),
        (60, "1.79", True),
        (31, "1.85", False),
        (30, "2.00", False),
        (30, "1.99", True),
    ],
)
def test_losing_day_trades_are_closed_step_by_step_before_the_close(
    session: Session, minutes: int, bid: str, sold: bool
) -> None:
    held = position(session=session, opened_at=before_close(150, session))
    outcome = judge(held, bid, as_of=before_close(minutes, session), session=session)
    assert rule(outcome) == ("end_of_day" if sold else None)
    swing = position(SWING, dte=10, session=session, opened_at=before_close(150, session))
    assert rule(judge(swing, bid, as_of=before_close(minutes, session), session=session)) is None


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        quote(None, "2.05"),
        quote("NaN", "2.05"),
        quote("2.10", "2.05"),
        quote("0.50", "0.55", at=None),
        quote("0.50", "0.55", at=NOON - timedelta(seconds=61)),
        quote("0.50", "0.55", at=NOON + timedelta(minutes=2)),
        quote("0.50", "0.55", symbol="OTHER"),
    ],
)
def test_without_a_usable_quote_the_model_serves_the_stop_only_and_says_so(unusable: Quote | None) -> None:
    stopped = judge(position(), quote=unusable, model_price=Decimal("0.90"))
    assert rule(stopped) == "stop" and "quote" in alerts(stopped)
    assert stopped.decision is not None and stopped.decision.numbers["source"] == "model"
    rich = judge(position(), quote=unusable, model_price=Decimal("5.00"))
    assert rule(rich) is None and "quote" in alerts(rich)
    blind = judge(position(), quote=unusable)
    assert rule(blind) is None
    assert {alert.priority for alert in blind.alerts if alert.rule == "quote"} == {Priority.HIGH}
    old = judge(position(), quote=unusable, model_price=Decimal("0.90"), underlying_at=NOON - timedelta(minutes=10))
    assert rule(old) is None


def test_a_bid_without_an_ask_is_executable() -> None:
    assert rule(judge(position(), quote=quote("0.90", None))) == "stop"


def test_an_unknown_entry_price_holds_every_price_rule_and_alerts() -> None:
    for entry in (None, Decimal("NaN"), Decimal(0)):
        outcome = judge(position(entry_price=entry), "1.00")
        assert rule(outcome) is None and alerts(outcome) == {"entry_price"}


def test_an_unknown_opening_time_alerts() -> None:
    outcome = judge(position(opened_at=None))
    assert rule(outcome) is None and alerts(outcome) == {"max_hold"}


def test_the_kill_switch_all_allows_expiry_exits_only_and_alerts_for_every_other() -> None:
    facts = AccountFacts(KillMode.ALL, False)
    forbidden = judge(position(), "0.50", facts=facts)
    assert rule(forbidden) is None and forbidden.alerts[0].rule == "stop"
    assert "kill switch" in forbidden.alerts[0].reason and forbidden.stage == 0
    expiring = judge(position(dte=0), "0.50", facts=facts, as_of=before_close(70))
    assert rule(expiring) == "expiry"
    assert rule(judge(position(), "3.00", facts=facts)) is None
    assert rule(judge(position(), "0.50", facts=AccountFacts(KillMode.ENTRIES, False))) == "stop"


def test_what_holds_nothing_is_left_alone() -> None:
    facts = AccountFacts(KillMode.FLATTEN, True)
    for held in (position(quantity=0), position(state=PositionState.CLOSED), position(state=PositionState.VOID)):
        assert judge(held, "0.10", facts=facts) == ExitOutcome(None, None, 0, ())
    partly = position(state=PositionState.OPENING, quantity=1)
    assert rule(judge(partly, "0.10")) == "stop"


def test_the_first_due_rule_of_the_table_decides() -> None:
    order = [name for name, _, _ in describe_exits()]
    assert order == [
        "flatten", "expiry", "stop", "daily_loss", "session_end", "target", "trailing", "underlying_move",
        "expiry_next_session", "low_dte_losing", "theta_decay", "max_hold", "earnings", "end_of_day", "overnight",
        "high_delta", "wide_spread", "model_gap", "roll",
    ]  # fmt: skip
    everything = position(DAY, dte=0, opened_at=FULL.open, high_water=Decimal(3))
    at = before_close(4)
    reached = AccountFacts(KillMode.OFF, True)
    assert rule(judge(everything, "0.10", as_of=at, facts=AccountFacts(KillMode.FLATTEN, True))) == "flatten"
    assert rule(judge(everything, "0.10", as_of=at, facts=reached)) == "expiry"
    later = replace(everything, expiry=FULL.day + timedelta(days=3))
    assert rule(judge(later, "0.10", as_of=at, facts=reached)) == "stop"
    assert rule(judge(later, "1.50", as_of=at, facts=reached)) == "daily_loss"
    assert rule(judge(later, "1.50", as_of=at)) == "session_end"
    assert rule(judge(later, "3.00", as_of=before_close(20), underlying="90")) == "target"
    assert rule(judge(later, "2.30", as_of=before_close(20), underlying="90")) == "trailing"
    assert rule(judge(replace(later, high_water=None), "1.90", as_of=before_close(20), underlying="90")) == (
        "underlying_move"
    )
    assert rule(judge(replace(later, high_water=None), "1.90", as_of=before_close(20))) == "max_hold"


CENTS = st.integers(0, 600).map(lambda cents: Decimal(cents) / 100)


@given(
    strategy=st.sampled_from([DAY, SWING]), bid=CENTS, drop=CENTS, peak=CENTS, stage=st.integers(0, 1),
    minutes=st.integers(1, 389), dte=st.integers(0, 30),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_an_exit_once_due_stays_due_as_the_price_worsens(
    strategy: Strategy, bid: Decimal, drop: Decimal, peak: Decimal, stage: int, minutes: int, dte: int
) -> None:
    held = position(strategy, dte=dte, stage=stage, high_water=peak, opened_at=FULL.open)
    first = judge(held, str(bid), as_of=before_close(minutes))
    if rule(first) in (None, "target"):
        return
    worse = judge(
        replace(held, high_water=first.high_water), str(max(Decimal(0), bid - drop)), as_of=before_close(minutes)
    )
    assert worse.decision is not None and worse.decision.quantity == held.quantity


@given(strategy=st.sampled_from([DAY, SWING]), bid=CENTS, minutes=st.integers(0, 200), dte=st.integers(0, 30))
@settings(max_examples=200, deadline=None)
def test_a_half_day_is_a_full_day_counted_back_from_its_own_close(
    strategy: Strategy, bid: Decimal, minutes: int, dte: int
) -> None:
    def on(session: Session) -> str | None:
        # Expiry two or more days on differs by the calendar around the session, not by its length.
        held = position(
            strategy, dte=0 if dte == 0 else dte + 10, session=session, opened_at=before_close(205, session)
        )
        return rule(judge(held, str(bid), as_of=before_close(minutes, session), session=session))

    assert on(FULL) == on(HALF)


@given(bid=CENTS, quantity=st.integers(1, 20), minutes=st.integers(0, 389), reached=st.booleans())
@settings(max_examples=200, deadline=None)
def test_no_exit_sells_more_than_is_held_and_every_exit_says_why(
    bid: Decimal, quantity: int, minutes: int, reached: bool
) -> None:
    outcome = judge(
        position(quantity=quantity), str(bid), as_of=before_close(minutes), facts=AccountFacts(KillMode.OFF, reached)
    )
    if outcome.decision is not None:
        assert 1 <= outcome.decision.quantity <= quantity
        assert outcome.decision.reason.endswith(".")


def test_end_of_day_steps_that_grow_more_tolerant_are_refused() -> None:
    steps = [{"minutes": 60, "max_loss": "0.1"}, {"minutes": 30, "max_loss": "0.2"}]
    with pytest.raises(ValidationError, match="tolerate no more"):
        ExitConfig.model_validate({"end_of_day": steps})
