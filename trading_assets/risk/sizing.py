"""How many contracts or shares: a budget, one floor at the end, and the smallest of all limits.

What belongs here: the size of one entry with every factor and constraint that led to it. What does not: whether the
entry is allowed at all (``risk.gates``). Zero means no trade, and ``binding`` names the constraint that says so. An
unknown input makes its constraint unknown, which is zero and binds first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from trading_assets.domain.values import AccountSnapshot, ContractSnapshot, Regime, Strategy
from trading_assets.risk.config import AccountLimits, SizingConfig, TierConfig
from trading_assets.risk.exposure import (
    daily_loss_limit,
    day_result,
    finite,
    finite_float,
    in_flight_cost,
    tier_for,
)
from trading_assets.risk.kelly import StrategyOutcomes, kelly_scale
from trading_assets.risk.open_risk import stop_fraction
from trading_assets.risk.rooms import Book, Constraint, book_rooms, capital_rooms, fits, minus

__all__ = [
    "Book",
    "Constraint",
    "SizingDecision",
    "StrategyOutcomes",
    "half_limit_scale",
    "size_option",
    "size_stock",
    "tier_for",
    "volatility_scale",
]


@dataclass(frozen=True, slots=True)
class SizingDecision:
    """The size of one entry.

    ``budget`` is the premium (or, for stock, the loss at the stop) that may be at risk, dollars; ``unit_cost`` the most
    one contract or share may cost; ``factors`` what the budget was made of, None where unknown; ``binding`` the
    constraint that set ``quantity``; ``unit_risk`` what one contract or share would lose (a day trade or stock at its
    stop, anything else whole); ``alert`` what a person should read about the strategy's record, None if nothing.
    """

    quantity: int
    budget: Decimal | None
    unit_cost: Decimal | None
    factors: Mapping[str, Decimal | None]
    constraints: tuple[Constraint, ...]
    binding: str
    reason: str
    unit_risk: Decimal | None = None
    alert: str | None = None


def volatility_scale(current: float | None, median: float | None, config: SizingConfig) -> Decimal | None:
    """Median daily ATR % of 60 sessions over the current one, held within 0.5 to 1; None if either is unknown."""
    now, usual = finite_float(current), finite_float(median)
    if now is None or usual is None or now <= 0 or usual <= 0:
        return None
    scale = Decimal(str(usual)) / Decimal(str(now))
    return min(config.volatility_scale_max, max(config.volatility_scale_min, scale))


def half_limit_scale(account: AccountSnapshot, config: SizingConfig) -> Decimal | None:
    """0.5 once today's loss reaches half of the daily loss limit, else 1; None if the result or limit is unknown."""
    result, limit = day_result(account), daily_loss_limit(account, config)
    if result is None or limit is None:
        return None
    return config.half_limit_factor if result <= -limit * config.half_limit_at else Decimal(1)


def _product(factors: Mapping[str, Decimal | None]) -> Decimal | None:
    result = Decimal(1)
    for factor in factors.values():
        if factor is None:
            return None
        result *= factor
    return result


def _decide(
    budget: Decimal | None,
    unit: Decimal | None,
    factors: Mapping[str, Decimal | None],
    constraints: tuple[Constraint, ...],
    unit_risk: Decimal | None,
    alert: str | None = None,
) -> SizingDecision:
    """The smallest constraint wins; an unknown one counts as the smallest; of equals the first is named."""
    tightest = min(constraints, key=lambda item: -1 if item.limit is None else item.limit)
    quantity = tightest.limit or 0
    said = f"{quantity} by {tightest.name}: {tightest.reason}"
    return SizingDecision(quantity, budget, unit, dict(factors), constraints, tightest.name, said, unit_risk, alert)


def _tier_cap(tier: TierConfig | None, limits: AccountLimits, held: int) -> Constraint:
    if tier is None:
        return Constraint("tier_cap", None, "unknown equity, hence unknown tier")
    cap = tier.max_contracts if limits.max_contracts is None else min(tier.max_contracts, limits.max_contracts)
    had = f", {held} are held" if held else ""
    return Constraint("tier_cap", max(0, cap - held), f"at most {cap} contracts in tier {tier.name}{had}")


def size_option(
    *,
    account: AccountSnapshot,
    strategy: Strategy,
    price: Decimal | None,
    regime: Regime | None,
    daily_atr_pct: float | None,
    daily_atr_pct_median60: float | None,
    rank_factor: Decimal | None,
    config: SizingConfig,
    limits: AccountLimits,
    book: Book,
    contract: ContractSnapshot | None,
    outcomes: StrategyOutcomes | None = None,
    multiplier: int = 100,
    held: int = 0,
) -> SizingDecision:
    """Contracts to buy at ``price``, the highest permitted one per share: the whole premium is at risk.

    budget = equity x tier % x volatility scaling x regime x Kelly x half-limit x volatility-rank factor; then one floor
    and the minimum with tier cap, buying power and room. In the elevated regime (or an unknown one) a single contract
    is allowed if it fits equity x tier %. ``contract`` carries the Greeks of one contract, ``outcomes`` the strategy's
    record in this account (None: none yet), ``held`` the contracts that an add adds to: the tier's cap is for all of
    them, an add is never larger than what is held, and no contract is allowed beyond its scaled budget. ``ValueError``
    for stocks.
    """
    if strategy is Strategy.STOCK:
        raise ValueError("size_option sizes options, use size_stock")
    equity, tier, paid = finite(account.equity), tier_for(account.equity, config), finite(price)
    unit = paid * multiplier if paid is not None and paid > 0 else None
    fraction = None if tier is None else tier.risk_day if strategy is Strategy.DAY_TRADE else tier.risk_swing
    risk = None if unit is None else unit * stop_fraction(strategy, book.exits)
    kelly = None if fraction is None else kelly_scale(outcomes, fraction, config.kelly)
    factors: dict[str, Decimal | None] = {
        "tier": fraction,
        "volatility": volatility_scale(daily_atr_pct, daily_atr_pct_median60, config),
        "regime": config.regime.of(regime),
        "kelly": None if kelly is None else kelly.scale,
        "half_limit": half_limit_scale(account, config),
        "volatility_rank": finite(rank_factor),
    }
    product = _product(factors)
    budget = None if equity is None or product is None else max(Decimal(0), equity * product)
    constraints = (
        _budget_constraint(equity, factors, budget, unit, regime, config, held),
        _tier_cap(tier, limits, held),
        *([Constraint("add_cap", held, f"an add is at most the {held} that are held")] if held else []),
        fits(
            "options_buying_power",
            minus(finite(account.options_buying_power), in_flight_cost(account)),
            unit,
            "options buying power after orders in flight",
        ),
        *capital_rooms(account, tier, unit, config, limits),
        *book_rooms(account, strategy, tier, unit, risk, contract, config, limits, book),
    )
    return _decide(budget, unit, factors, constraints, risk, None if kelly is None else kelly.alert)


def _budget_constraint(
    equity: Decimal | None,
    factors: Mapping[str, Decimal | None],
    budget: Decimal | None,
    unit: Decimal | None,
    regime: Regime | None,
    config: SizingConfig,
    held: int,
) -> Constraint:
    unknown = [name for name, factor in factors.items() if factor is None]
    if equity is None:
        return Constraint("budget", None, "unknown equity")
    if unknown:
        return Constraint("budget", None, f"unknown factor {', '.join(unknown)}")
    if unit is None:
        return Constraint("budget", None, "unknown price")
    fitting, fraction = fits("budget", budget, unit, "budget"), factors["tier"]
    elevated = (regime or Regime.ELEVATED) is Regime.ELEVATED and config.single_contract_when_elevated and not held
    if fitting.limit == 0 and elevated and budget is not None and budget > 0 and fraction is not None:
        unscaled = equity * fraction
        if unit <= unscaled:
            return Constraint("budget", 1, f"one contract at {unit:.2f} fits the unscaled budget of {unscaled:.2f}")
    return fitting


def size_stock(
    *,
    account: AccountSnapshot,
    price: Decimal | None,
    atr: Decimal | None,
    regime: Regime | None,
    config: SizingConfig,
    limits: AccountLimits,
    book: Book,
) -> SizingDecision:
    """Shares to buy at ``price``, the highest permitted one.

    1 % of equity over twice the 14-bar ATR of 5-minute bars (dollars), at most 25 % of equity, and within cash and the
    room under the limits. The budget shrinks in a tense regime and at half the daily loss limit, like that of options.
    """
    equity, tier, paid, range_ = finite(account.equity), tier_for(account.equity, config), finite(price), finite(atr)
    unit = paid if paid is not None and paid > 0 else None
    distance = range_ * config.stock_stop_atr if range_ is not None and range_ > 0 else None
    factors: dict[str, Decimal | None] = {
        "risk": config.stock_risk,
        "regime": config.regime.of(regime),
        "half_limit": half_limit_scale(account, config),
    }
    product = _product(factors)
    budget = None if equity is None or product is None else max(Decimal(0), equity * product)
    largest = None if equity is None else equity * config.stock_max
    risk = None if unit is None or distance is None else min(unit, distance)
    constraints = (
        fits("budget", budget, distance, "budget at the distance of the stop"),
        fits("stock_max", largest, unit, "largest position in one stock"),
        fits("cash", minus(finite(account.cash), in_flight_cost(account)), unit, "cash after orders in flight"),
        *capital_rooms(account, tier, unit, config, limits),
        *book_rooms(account, Strategy.STOCK, tier, unit, risk, None, config, limits, book),
    )
    return _decide(budget, unit, factors, constraints, risk)
