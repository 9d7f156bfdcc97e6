"""Which swings may stay overnight."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.domain.values import KillMode, PositionState, Priority, Regime, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exits import OvernightDecision, OvernightPosition, overnight_decisions
from trading_assets_tests.strategy.trading_builders import FULL, HALF, before_close, position

CONFIG = ExitConfig()
LATE = before_close(15)


def swing(name: str = "p1", price: str | None = "2.00", **changes: Any) -> OvernightPosition:
    arguments: dict[str, Any] = {"strategy": Strategy.SWING_TRADE, "dte": 20, "quantity": 1, **changes}
    held = position(position_id=name, **arguments)
    return OvernightPosition(held, None if price is None else Decimal(price))


def judge(
    *items: OvernightPosition,
    as_of: datetime = LATE,
    session: Session = FULL,
    equity: str | None = "50000",
    regime: Regime | None = Regime.NORMAL,
    may_hold: bool | None = True,
    kill_mode: KillMode = KillMode.OFF,
) -> tuple[OvernightDecision, ...]:
    return overnight_decisions(
        items,
        session=session,
        as_of=as_of,
        equity=None if equity is None else Decimal(equity),
        regime=regime,
        may_hold=may_hold,
        kill_mode=kill_mode,
        config=CONFIG,
    )


def stays(*items: OvernightPosition, **changes: Any) -> list[bool]:
    return [decision.stays for decision in judge(*items, **changes)]


@pytest.mark.parametrize("session", [FULL, HALF])
def test_nothing_is_judged_earlier_than_15_minutes_before_the_sessions_own_close(session: Session) -> None:
    bad = swing(price="1.00", session=session)
    assert judge(bad, as_of=before_close(16, session), session=session) == ()
    found = judge(bad, as_of=before_close(15, session), session=session)
    assert len(found) == 1 and found[0].decision is not None
    assert found[0].decision.rule == "overnight" and found[0].decision.priority is Priority.HIGH


def test_in_the_last_five_minutes_the_exit_is_critical() -> None:
    (found,) = judge(swing(price="1.00"), as_of=before_close(5))
    assert found.decision is not None and found.decision.priority is Priority.CRITICAL


@pytest.mark.parametrize(
    ("regime", "least"),
    [
        (Regime.COMPLACENT, "1.70"),
        (Regime.NORMAL, "1.70"),
        (Regime.ELEVATED, "2.00"),
        (None, "2.00"),
        (Regime.HIGH, "2.20"),
    ],
)
def test_the_regime_sets_the_least_result(regime: Regime | None, least: str) -> None:
    assert stays(swing(price=least), regime=regime) == [True]
    assert stays(swing(price=str(Decimal(least) - Decimal("0.01"))), regime=regime) == [False]


def test_an_extreme_regime_and_a_tiny_account_hold_nothing() -> None:
    assert stays(swing(price="9"), regime=Regime.EXTREME) == [False]
    assert stays(swing(price="9"), may_hold=False) == [False]
    assert stays(swing(price="9"), may_hold=None) == [False]


def test_five_days_to_expiry_are_needed() -> None:
    assert stays(swing(dte=5)) == [True]
    assert stays(swing(dte=4)) == [False]
    assert stays(swing(expiry=None)) == [False]


@pytest.mark.parametrize("item", [swing(price=None), swing(price="NaN"), swing(entry_price=None)])
def test_an_unknown_result_does_not_stay(item: OvernightPosition) -> None:
    (found,) = judge(item)
    assert not found.stays and found.decision is not None


def test_the_weakest_is_closed_first_until_the_premium_fits() -> None:
    # 5 % of 10,000 is 500: two positions of about 200 fit, three do not.
    items = [swing("a", "2.10"), swing("b", "1.80"), swing("c", "2.40")]
    assert stays(*items, equity="10000") == [True, False, True]
    assert stays(*items, equity="5000") == [False, False, True]


def test_the_limit_is_at_most_5000_dollars_and_shrinks_in_a_tense_regime() -> None:
    assert stays(swing(quantity=25), equity="1000000") == [True]
    assert stays(swing(quantity=26), equity="1000000") == [False]
    assert stays(swing(quantity=12), equity="1000000", regime=Regime.ELEVATED) == [True]
    assert stays(swing(quantity=13), equity="1000000", regime=Regime.ELEVATED) == [False]
    assert stays(swing(quantity=5, price="2.40"), equity="1000000", regime=Regime.HIGH) == [True]
    assert stays(swing(quantity=6, price="2.40"), equity="1000000", regime=Regime.HIGH) == [False]


def test_an_unknown_equity_keeps_no_option() -> None:
    assert stays(swing(), equity=None) == [False]
    assert stays(swing(), equity="NaN") == [False]


def test_day_trades_and_closed_positions_are_not_judged_and_a_stock_stays() -> None:
    stock = swing("s", "2.00", strategy=Strategy.STOCK, right=None, strike=None, expiry=None)
    day = swing("d", strategy=Strategy.DAY_TRADE)
    gone = swing("g", state=PositionState.CLOSED, quantity=0)
    assert [found.position_id for found in judge(stock, day, gone)] == ["s"]
    assert stays(stock) == [True]
    assert stays(stock, may_hold=False) == [False]


def test_the_kill_switch_all_orders_nothing_and_alerts() -> None:
    (found,) = judge(swing(price="1.00"), kill_mode=KillMode.ALL)
    assert not found.stays and found.decision is None and found.alerts[0].rule == "overnight"


@given(
    st.lists(st.tuples(st.integers(100, 400), st.integers(1, 9)), min_size=1, max_size=6),
    st.integers(0, 200_000),
    st.sampled_from([*Regime, None]),
)
@settings(max_examples=150, deadline=None)
def test_what_stays_fits_the_limit_and_is_never_weaker_than_what_was_closed_for_it(
    rows: list[tuple[int, int]], equity: int, regime: Regime | None
) -> None:
    items = [swing(f"p{place}", str(Decimal(cents) / 100), quantity=n) for place, (cents, n) in enumerate(rows)]
    found = judge(*items, equity=str(equity), regime=regime)
    kept = [item for item, decision in zip(items, found, strict=True) if decision.stays]
    total = sum((item.price or Decimal(0)) * item.position.quantity * 100 for item in kept)
    assert total <= min(Decimal(5000), Decimal(equity) * Decimal("0.05"))
    squeezed = [item for item, one in zip(items, found, strict=True) if "weakest" in one.reason]
    for weak in squeezed:
        assert all((item.price or 0) >= (weak.price or 0) for item in kept)
