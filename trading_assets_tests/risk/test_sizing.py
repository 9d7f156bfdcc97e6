"""Sizing: the worked checks, every factor, every constraint, and that no cap is ever exceeded."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trading_assets.domain.values import AccountSnapshot, Regime, Strategy
from trading_assets.risk.config import DEFAULT_TIERS, AccountLimits, SizingConfig
from trading_assets.risk.exposure import exposure, exposure_limit, tier_for
from trading_assets.risk.gates import evaluate
from trading_assets.risk.kelly import KellyScale, StrategyOutcomes, kelly_scale, outcomes_of, win_rate_lower_bound
from trading_assets.risk.sizing import SizingDecision, half_limit_scale, size_option, size_stock, volatility_scale
from trading_assets_tests.risk.builders import (
    SIZING,
    account,
    book,
    context,
    facts,
    held,
    order,
    per_share,
    selection,
    signal,
    sizing,
)

DAY, SWING = Strategy.DAY_TRADE, Strategy.SWING_TRADE


def size(snapshot: AccountSnapshot, price: str | None, strategy: Strategy = DAY, **changes: Any) -> SizingDecision:
    arguments: dict[str, Any] = {
        "regime": Regime.NORMAL,
        "daily_atr_pct": 2.0,
        "daily_atr_pct_median60": 2.0,
        "rank_factor": Decimal(1),
        "config": SIZING,
        "limits": AccountLimits(),
        "book": book(),
        "contract": selection().chosen,
    }
    return size_option(
        account=snapshot,
        strategy=strategy,
        price=None if price is None else Decimal(price),
        **{**arguments, **changes},
    )


def test_a_tiny_account_of_1000_buys_one_contract_at_2_50() -> None:
    decision = size(account("1000"), "2.50")
    assert (decision.quantity, decision.budget, decision.unit_cost) == (1, Decimal(250), Decimal(250))
    assert decision.binding == "budget"


def test_a_large_account_of_121000_buys_one_swing_at_17_15_and_no_day_trade() -> None:
    assert size(account("121000"), "17.15", SWING).quantity == 1
    none = size(account("121000"), "17.15", DAY)
    assert none.quantity == 0 and none.binding == "budget"
    assert "1210.00" in none.reason and "1715.00" in none.reason


@pytest.mark.parametrize(
    ("equity", "name"),
    [("0", "tiny"), ("2000", "tiny"), ("2000.01", "small"), ("10000", "small"), ("10001", "medium"),
     ("50000", "medium"), ("50001", "large"), ("1000000", "large")],
)  # fmt: skip
def test_the_tier_follows_equity(equity: str, name: str) -> None:
    tier = tier_for(Decimal(equity), SIZING)
    assert tier is not None and tier.name == name


def test_an_unknown_equity_has_no_tier_and_no_size() -> None:
    for equity in (None, Decimal("NaN")):
        assert tier_for(equity, SIZING) is None
        decision = size(replace(account("5000"), equity=equity), "1")
        assert decision.quantity == 0 and "unknown" in decision.reason


def test_the_defaults_of_the_tiers() -> None:
    rows = {tier.name: tier for tier in DEFAULT_TIERS}
    assert [str(rows[name].risk_day) for name in ("tiny", "small", "medium", "large")] == [
        "0.25",
        "0.12",
        "0.04",
        "0.01",
    ]
    assert [str(tier.risk_swing) for tier in DEFAULT_TIERS] == ["0.10", "0.08", "0.05", "0.02"]
    assert [tier.max_contracts for tier in DEFAULT_TIERS] == [2, 3, 5, 10]
    assert [str(tier.daily_loss) for tier in DEFAULT_TIERS] == ["0.12", "0.08", "0.04", "0.02"]
    assert [tier.min_confidence for tier in DEFAULT_TIERS] == [0.75, 0.70, 0.70, 0.65]
    assert [tier.max_positions for tier in DEFAULT_TIERS] == [2, 5, 5, 5]


@pytest.mark.parametrize(
    ("now", "usual", "scale"), [(2.0, 2.0, "1"), (4.0, 3.0, "0.75"), (10.0, 2.0, "0.5"), (1.0, 2.0, "1")]
)
def test_volatility_scaling_is_the_usual_over_the_current_range_within_bounds(
    now: float, usual: float, scale: str
) -> None:
    assert volatility_scale(now, usual, SIZING) == Decimal(scale)
    assert size(account("5000"), "1.00", daily_atr_pct=now, daily_atr_pct_median60=usual).factors["volatility"] == (
        Decimal(scale)
    )


@pytest.mark.parametrize("now", [None, float("nan"), 0.0, -1.0])
def test_an_unknown_range_gives_no_size(now: float | None) -> None:
    for pair in ((now, 2.0), (2.0, now)):
        decision = size(account("5000"), "1", daily_atr_pct=pair[0], daily_atr_pct_median60=pair[1])
        assert decision.quantity == 0 and decision.binding == "budget" and "volatility" in decision.reason


@pytest.mark.parametrize(
    ("regime", "budget"),
    [(Regime.COMPLACENT, 480), (Regime.NORMAL, 600), (Regime.ELEVATED, 300), (None, 300), (Regime.HIGH, 150),
     (Regime.EXTREME, 0)],
)  # fmt: skip
def test_the_regime_scales_the_budget_and_an_unknown_one_counts_as_elevated(regime: Regime | None, budget: int) -> None:
    assert size(account("5000"), "1.00", regime=regime).budget == budget


@pytest.mark.parametrize("regime", [Regime.ELEVATED, None])
def test_in_an_elevated_regime_one_contract_is_allowed_if_it_fits_the_unscaled_budget(regime: Regime | None) -> None:
    assert size(account("5000"), "6.00", regime=regime).quantity == 1
    assert size(account("5000"), "6.01", regime=regime).quantity == 0
    assert size(account("5000"), "6.00", regime=Regime.HIGH).quantity == 0
    assert size(account("5000"), "6.00", regime=regime, rank_factor=None).quantity == 0
    off = SIZING.model_copy(update={"single_contract_when_elevated": False})
    assert size(account("5000"), "6.00", regime=regime, config=off).quantity == 0


def test_half_of_the_daily_loss_limit_halves_the_size_and_an_unknown_result_gives_none() -> None:
    assert half_limit_scale(account("5000", realized_pnl_today=Decimal("-199.99")), SIZING) == 1
    hurt = account("5000", realized_pnl_today=Decimal(-200))
    assert half_limit_scale(hurt, SIZING) == Decimal("0.5")
    assert size(hurt, "1.00").budget == 300
    unknown = size(account("5000", unrealized_pnl=None), "1.00")
    assert unknown.quantity == 0 and "half_limit" in unknown.reason


def test_the_rank_factor_scales_the_budget_and_an_unknown_one_gives_none() -> None:
    assert size(account("5000"), "1.00", rank_factor=Decimal("0.5")).budget == 300
    assert size(account("5000"), "1.00", rank_factor=None).quantity == 0


def test_all_factors_multiply_and_only_the_end_is_floored() -> None:
    hurt = account("5000", realized_pnl_today=Decimal(-200))
    decision = size(hurt, "0.40", regime=Regime.COMPLACENT, daily_atr_pct=4.0, daily_atr_pct_median60=3.0)
    assert decision.budget == Decimal("180.0000")
    assert decision.quantity == 3 and decision.binding == "tier_cap"
    assert {item.name: item.limit for item in decision.constraints}["budget"] == 4


@pytest.mark.parametrize(
    ("snapshot", "changes", "quantity", "binding"),
    [
        (account("5000"), {}, 3, "tier_cap"),
        (account("5000"), {"limits": AccountLimits(max_contracts=1)}, 1, "tier_cap"),
        (account("5000"), {"limits": AccountLimits(max_contracts=50)}, 3, "tier_cap"),
        (account("5000", options_buying_power=Decimal(299)), {}, 2, "options_buying_power"),
        (account("5000", options_buying_power=Decimal(299), live_orders=(order("A", "1"),)), {}, 1,
         "options_buying_power"),
        (account("5000", options_buying_power=None), {}, 0, "options_buying_power"),
        (account("5000", live_orders=(order("A", None),)), {}, 0, "options_buying_power"),
        (account("5000", positions=(held("A", "2.50"),)), {"limits": AccountLimits(max_exposure=Decimal(350))}, 1,
         "max_exposure"),
        (account("5000", positions=(held("A", "25", strategy=DAY),)), {}, 0, "max_exposure"),
        (account("5000", positions=(held("A", None),)), {}, 0, "max_exposure"),
        (account("5000", positions=(held("A", "9.25"),)), {}, 1, "max_open_risk"),
        (account("5000", positions=(held("A", "9.25"),)), {"strategy": SWING}, 0, "max_open_risk"),
        (account("5000", positions=(held("AMD", "8.50"),)), {}, 1, "sector_exposure"),
        (account("5000", positions=(held("AMD", "9.50"),)), {}, 0, "sector_exposure"),
        (account("5000"), {"book": book(facts=None)}, 0, "sector_exposure"),
        (account("121000"), {"strategy": SWING, "limits": AccountLimits(max_contracts=2)}, 2, "tier_cap"),
        (account("121000"), {"strategy": SWING, "book": book(facts=facts(spot=None))}, 0, "portfolio_greeks"),
        (account("121000"), {"strategy": SWING, "contract": None}, 0, "portfolio_greeks"),
        (account("121000"), {"strategy": SWING, "book": book(facts=facts(spot=Decimal(2592)))}, 2, "portfolio_greeks"),
        (account("121000", positions=(held("KO"),)), {"strategy": SWING}, 0, "portfolio_greeks"),
        (account("121000", positions=(held("KO"),)), {}, 10, "tier_cap"),
        (account("5000"), {"limits": AccountLimits(max_exposure=Decimal(250))}, 2, "max_exposure"),
        (account("5000"), {"config": SIZING.model_copy(update={"trading_capital": Decimal("0.03")})}, 1,
         "capital_split"),
    ],
)  # fmt: skip
def test_the_tightest_constraint_sets_the_size_and_is_named(
    snapshot: AccountSnapshot, changes: dict[str, Any], quantity: int, binding: str
) -> None:
    decision = size(snapshot, "1.00", **changes)
    assert (decision.quantity, decision.binding) == (quantity, binding)


@pytest.mark.parametrize("price", [None, "NaN", "0", "-1"])
def test_an_unknown_price_gives_no_size(price: str | None) -> None:
    decision = size(account("5000"), price)
    assert decision.quantity == 0 and decision.unit_cost is None and "unknown" in decision.reason


AMOUNTS = st.integers(0, 300_000).map(Decimal)
PRICES = st.integers(1, 6000).map(lambda cents: Decimal(cents) / 100)


@given(
    equity=AMOUNTS, power=AMOUNTS, used=PRICES, price=PRICES, now=st.floats(0.1, 20), usual=st.floats(0.1, 20),
    regime=st.sampled_from([*Regime, None]), strategy=st.sampled_from([DAY, SWING]), loss=st.integers(0, 5000),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_the_size_never_exceeds_any_cap_and_no_budget_means_no_trade(
    equity: Decimal, power: Decimal, used: Decimal, price: Decimal, now: float, usual: float,
    regime: Regime | None, strategy: Strategy, loss: int,
) -> None:  # fmt: skip
    snapshot = account(
        str(equity), options_buying_power=power, positions=(held("A", str(used)),), unrealized_pnl=Decimal(-loss)
    )
    decision = size(snapshot, str(price), strategy, regime=regime, daily_atr_pct=now, daily_atr_pct_median60=usual)
    tier = tier_for(equity, SIZING)
    assert tier is not None and decision.quantity >= 0
    cost = price * 100 * decision.quantity
    unscaled = equity * (tier.risk_day if strategy is DAY else tier.risk_swing)
    limit, at_stake = exposure_limit(equity, tier, AccountLimits()), exposure(snapshot)
    assert decision.quantity <= tier.max_contracts and cost <= unscaled
    if decision.quantity > 0:
        assert limit is not None and at_stake is not None and decision.budget is not None
        assert cost <= power and at_stake + cost <= limit and decision.budget > 0
        assert decision.quantity == 1 or cost <= decision.budget
    else:
        named = {item.name: item.limit for item in decision.constraints}
        assert not named[decision.binding]
    if not decision.budget:
        assert decision.quantity == 0


@given(price=PRICES, dearer=PRICES, now=st.floats(0.5, 10), tenser=st.floats(0, 10), power=AMOUNTS, less=AMOUNTS)
@settings(max_examples=200, deadline=None)
def test_a_worse_market_never_gives_a_larger_size(
    price: Decimal, dearer: Decimal, now: float, tenser: float, power: Decimal, less: Decimal
) -> None:
    better = size(account("9000", options_buying_power=power), str(price), daily_atr_pct=now)
    worse = size(
        account("9000", options_buying_power=max(Decimal(0), power - less)),
        str(price + dearer),
        daily_atr_pct=now + tenser,
    )
    assert worse.quantity <= better.quantity


@given(
    equity=st.integers(10_001, 300_000).map(Decimal), price=PRICES, held_at=PRICES, delta=st.floats(0.01, 1),
    other=st.floats(-1, 1), quantity=st.integers(1, 30), strategy=st.sampled_from([DAY, SWING]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_a_size_that_is_given_passes_every_gate_that_could_have_bound_it(
    equity: Decimal, price: Decimal, held_at: Decimal, delta: float, other: float, quantity: int, strategy: Strategy
) -> None:
    position = held("AMD", str(held_at), quantity=quantity)
    snapshot = account(str(equity), positions=(position,))
    known = facts(greeks={position.symbol: per_share(position.symbol, other)})
    choice = selection()
    assert choice.chosen is not None
    choice = replace(choice, chosen=replace(choice.chosen, delta=delta))
    decision = size(snapshot, str(price), strategy, book=book(facts=known), contract=choice.chosen)
    if decision.quantity == 0:
        return
    report = evaluate(
        context(account=snapshot, facts=known, selection=choice, sizing=decision, signal=signal(strategy=strategy))
    )
    assert not {"max_exposure", "max_open_risk", "sector_exposure", "sizing"} & set(report.denials)
    if "portfolio_greeks" in report.denials:
        # Only where more than the limit was held against the trade's direction, which no size could mend.
        assert other < 0


def test_the_six_contracts_that_a_predecessor_reported_do_not_fit_a_large_account() -> None:
    # 1 % of 121,000 over 1,715 is 0.7 of a contract. Six would be 10,290 dollars: above the exposure cap of 10,000.
    decision = size(account("121000"), "17.15", DAY)
    assert decision.quantity == 0 and decision.budget == 1210
    assert 6 * Decimal("1715") > Decimal(10_000)
    six = context(account=account("121000"), sizing=sizing(6, "1715"))
    assert "max_exposure" in evaluate(six).denials


def stock(snapshot: AccountSnapshot, price: str | None, atr: str | None, **changes: Any) -> SizingDecision:
    arguments: dict[str, Any] = {
        "regime": Regime.NORMAL, "config": SIZING, "limits": AccountLimits(), "book": book(),
    }  # fmt: skip
    return size_stock(
        account=snapshot,
        price=None if price is None else Decimal(price),
        atr=None if atr is None else Decimal(atr),
        **{**arguments, **changes},
    )


def test_a_stock_risks_one_percent_of_equity_at_two_average_true_ranges() -> None:
    decision = stock(account("40000"), "100", "2.10")
    assert decision.quantity == 95 and decision.binding == "budget"
    assert decision.budget == 400


def test_a_stock_is_at_most_a_quarter_of_equity_and_within_cash_and_exposure() -> None:
    assert stock(account("40000"), "100", "0.10").binding == "stock_max"
    assert stock(account("40000"), "100", "0.10").quantity == 100
    assert stock(account("40000", cash=Decimal(950)), "100", "0.10").quantity == 9
    full = stock(account("40000", positions=(held("A", "120", strategy=DAY),)), "100", "0.10")
    assert full.quantity == 0 and full.binding == "max_exposure"


@pytest.mark.parametrize(("price", "atr"), [(None, "1"), ("100", None), ("100", "0"), ("NaN", "1"), ("100", "NaN")])
def test_a_stock_without_price_or_range_has_no_size(price: str | None, atr: str | None) -> None:
    decision = stock(account("40000"), price, atr)
    assert decision.quantity == 0 and "unknown" in decision.reason


def test_stocks_and_options_are_sized_by_their_own_rule() -> None:
    with pytest.raises(ValueError, match="size_stock"):
        size(account(), "1", Strategy.STOCK)


def test_the_kelly_scale_is_one_until_a_hundred_outcomes_exist() -> None:
    losing = StrategyOutcomes(99, 0, 0.5, 0.4)
    assert kelly_scale(None, Decimal("0.25"), SIZING.kelly) == KellyScale(Decimal(1), None)
    assert kelly_scale(losing, Decimal("0.25"), SIZING.kelly) == KellyScale(Decimal(1), None)


@pytest.mark.parametrize(
    "outcomes",
    [StrategyOutcomes(200, 60, 0.5, 0.5), StrategyOutcomes(200, 300, 0.5, 0.5), StrategyOutcomes(200, 100, 0.5, 0.0),
     StrategyOutcomes(200, 100, float("nan"), 0.5), StrategyOutcomes(200, 0, 0.0, 0.5)],
)  # fmt: skip
def test_no_edge_or_a_senseless_record_gives_the_least_scale_and_never_zero(outcomes: StrategyOutcomes) -> None:
    kelly = kelly_scale(outcomes, Decimal("0.25"), SIZING.kelly)
    assert kelly.scale == Decimal("0.25") and kelly.alert is not None and str(outcomes.count) in kelly.alert


def test_the_kelly_scale_follows_the_lower_bound_of_the_win_rate() -> None:
    # By hand: 120 of 200, z = 1.28155 -> p = 0.5549; b = 1 -> f = 0.1098; half of it over 0.4 is 0.1372 of equity.
    assert win_rate_lower_bound(120, 200, 0.90) == pytest.approx(0.5549, abs=1e-4)
    outcomes = StrategyOutcomes(200, 120, 0.4, 0.4)
    kelly = kelly_scale(outcomes, Decimal("0.25"), SIZING.kelly)
    assert float(kelly.scale) == pytest.approx(0.1372 / 0.25, abs=2e-3)
    assert kelly.edge == pytest.approx(0.1098, abs=2e-4) and kelly.alert is None
    assert kelly_scale(outcomes, Decimal("0.01"), SIZING.kelly).scale == 1


def test_a_strategy_without_an_edge_is_sized_by_the_least_scale_and_a_person_is_told() -> None:
    decision = size(account("5000"), "1.00", outcomes=StrategyOutcomes(200, 60, 0.5, 0.5))
    assert decision.budget == 150 and decision.factors["kelly"] == Decimal("0.25")
    assert decision.alert is not None and "60 wins in 200 trades" in decision.alert
    assert size(account("5000"), "1.00").alert is None


def test_a_record_is_made_of_the_results_of_closed_trades() -> None:
    assert outcomes_of([0.5, -0.25, 0.25, 0.0, -0.75]) == StrategyOutcomes(5, 2, 0.375, 0.5)
    assert outcomes_of([]) == StrategyOutcomes(0, 0, 0.0, 1.0)
    assert outcomes_of([-0.5]) == StrategyOutcomes(1, 0, 0.0, 0.5)
    assert outcomes_of([0.5, 0.0]) == StrategyOutcomes(2, 1, 0.5, 1.0), "without a loss yet, all may be lost"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1, 20), min_size=100, max_size=160), st.floats(1, 5), st.sampled_from(["0.01", "0.25"]))
def test_one_more_loss_as_large_as_the_mean_one_never_raises_the_scale(
    returns: list[float], times: float, tier: str
) -> None:
    loss = -outcomes_of(returns).mean_loss * times
    before, after = (
        kelly_scale(outcomes_of(record), Decimal(tier), SIZING.kelly).scale for record in (returns, [*returns, loss])
    )
    assert Decimal("0.25") <= after <= before <= 1


def test_tiers_out_of_order_and_unknown_keys_are_refused() -> None:
    tiny, *rest = (tier.model_dump() for tier in DEFAULT_TIERS)
    for bad in ({"tiers": [*rest, tiny]}, {"tiers": [tiny]}, {"stock_riks": 1}, {"trading_capital": 1.5}):
        with pytest.raises(ValidationError):
            SizingConfig.model_validate(bad)


def test_an_add_counts_what_is_held_against_the_cap_of_the_tier() -> None:
    """Ten contracts are the most of a large account, however they were bought."""
    rich = account("121000")
    assert size(rich, "0.30").quantity == 10
    more = size(rich, "0.30", held=7)
    assert (more.quantity, more.binding) == (3, "tier_cap") and "7 are held" in more.reason
    assert size(rich, "0.30", held=12).quantity == 0


def test_an_add_is_never_larger_than_what_is_held() -> None:
    more = size(account("121000"), "0.30", held=2)
    assert (more.quantity, more.binding) == (2, "add_cap")


def test_an_add_in_an_elevated_regime_gets_no_contract_beyond_the_scaled_budget() -> None:
    """The one contract that may exceed the scaled budget is the first."""
    rich = account("121000")
    assert size(rich, "12.00", regime=Regime.ELEVATED).quantity == 1
    assert size(rich, "12.00", regime=Regime.ELEVATED, held=1).quantity == 0
