"""Configuration of gates and sizing: every limit of an account, by tier, with its unit and range.

What belongs here: the typed, validated numbers of ``risk.gates`` and ``risk.sizing``, and what an account may be
restricted to. What does not: numbers of contracts, orders and exits (``strategy.config_trading``). Fractions are
decimals (0.10 = 10 %).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, model_validator

from trading_assets.domain.values import Regime, Strategy


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AccountMode(StrEnum):
    """Which instruments an account may buy."""

    OPTIONS_ONLY = "options_only"
    HYBRID = "hybrid"
    STOCK_ONLY = "stock_only"


class TierConfig(_Frozen):
    """Limits of one size class of accounts."""

    name: str = Field(min_length=1, description="tiny, small, medium or large")
    max_equity: Decimal | None = Field(gt=0, description="largest equity of the tier, dollars; none for the last tier")
    risk_day: Decimal = Field(gt=0, le=1, description="premium at risk per day trade, over equity")
    risk_swing: Decimal = Field(gt=0, le=1, description="premium at risk per swing trade, over equity")
    max_contracts: int = Field(ge=1, le=1000, description="most contracts per trade")
    daily_loss: Decimal = Field(gt=0, le=1, description="daily loss limit over the previous close's equity")
    max_positions: int = Field(ge=1, le=100, description="most positions at once")
    max_exposure: Decimal = Field(gt=0, le=1, description="cost of all positions over equity")
    max_exposure_amount: Decimal | None = Field(default=None, gt=0, description="same, most dollars; none for no limit")
    min_confidence: float = Field(ge=0, le=1, description="least confidence of a signal")
    holds_overnight: bool = Field(description="whether any position may stay overnight")
    drawdown: Decimal = Field(
        default=Decimal("0.10"), gt=0, le=1, description="loss from the high-water equity that pauses the account"
    )
    max_open_risk: Decimal = Field(
        default=Decimal("0.10"), gt=0, le=1, description="loss at all stops together, over equity"
    )
    max_dollar_delta: Decimal | None = Field(
        default=None, gt=0, le=100, description="dollar delta kept overnight over equity; none: only recorded"
    )
    max_vega: Decimal | None = Field(
        default=None, gt=0, le=1, description="gain or loss per volatility point over equity; none: only recorded"
    )
    max_theta: Decimal | None = Field(
        default=None, gt=0, le=1, description="gain or loss per calendar day over equity; none: only recorded"
    )


def _tier(
    name: str,
    top: str | None,
    risk: tuple[str, str],
    contracts: int,
    loss: str,
    positions: int,
    exposure: str,
    confidence: float,
    *,
    exposure_amount: str | None = None,
    overnight: bool = True,
    drawdown: str,
    open_risk: str,
    delta: str | None = None,
) -> TierConfig:
    return TierConfig(
        name=name,
        max_equity=None if top is None else Decimal(top),
        risk_day=Decimal(risk[0]),
        risk_swing=Decimal(risk[1]),
        max_contracts=contracts,
        daily_loss=Decimal(loss),
        max_positions=positions,
        max_exposure=Decimal(exposure),
        max_exposure_amount=None if exposure_amount is None else Decimal(exposure_amount),
        min_confidence=confidence,
        holds_overnight=overnight,
        drawdown=Decimal(drawdown),
        max_open_risk=Decimal(open_risk),
        max_dollar_delta=None if delta is None else Decimal(delta),
        max_vega=None if delta is None else Decimal("0.01"),
        max_theta=None if delta is None else Decimal("0.01"),
    )


DEFAULT_TIERS: tuple[TierConfig, ...] = (
    _tier(
        "tiny", "2000", ("0.25", "0.10"), 2, "0.12", 2, "0.50", 0.75, overnight=False, drawdown="0.35", open_risk="0.30"
    ),
    _tier("small", "10000", ("0.12", "0.08"), 3, "0.08", 5, "0.50", 0.70, drawdown="0.25", open_risk="0.20"),
    _tier(
        "medium", "50000", ("0.04", "0.05"), 5, "0.04", 5, "0.30", 0.70, drawdown="0.15", open_risk="0.10", delta="2.5"
    ),
    _tier(
        "large",
        None,
        ("0.01", "0.02"),
        10,
        "0.02",
        5,
        "0.25",
        0.65,
        exposure_amount="10000",
        drawdown="0.10",
        open_risk="0.10",
        delta="1.5",
    ),
)


class RegimeFactors(_Frozen):
    """Size factor per volatility regime. An unknown regime is sized as elevated."""

    complacent: Decimal = Field(default=Decimal("0.8"), ge=0, le=1, description="VIX below 12")
    normal: Decimal = Field(default=Decimal(1), ge=0, le=1, description="VIX 12 to 20")
    elevated: Decimal = Field(default=Decimal("0.5"), ge=0, le=1, description="VIX 20 to 30, or unknown")
    high: Decimal = Field(default=Decimal("0.25"), ge=0, le=1, description="VIX 30 to 40")
    extreme: Decimal = Field(default=Decimal(0), ge=0, le=1, description="VIX from 40 on")

    def of(self, regime: Regime | None) -> Decimal:
        """The factor of ``regime``; None counts as elevated."""
        factor: Decimal = getattr(self, (regime or Regime.ELEVATED).value)
        return factor


class KellyConfig(_Frozen):
    """Scaling by the strategy's own record."""

    min_outcomes: int = Field(default=100, ge=30, description="outcomes below which the scale is 1")
    confidence: float = Field(default=0.90, gt=0.5, lt=1, description="confidence of the lower bound of the win rate")
    fraction: Decimal = Field(default=Decimal("0.5"), gt=0, le=1, description="part of the full Kelly fraction")
    minimum: Decimal = Field(default=Decimal("0.25"), gt=0, le=1, description="least scale: no strategy is locked out")


class AddingConfig(_Frozen):
    """Buying more of what is held."""

    max_adds: int = Field(default=2, ge=0, le=10, description="adds to one position")
    min_profit: Decimal = Field(default=Decimal("0.15"), gt=0, le=10, description="profit over premium before an add")


class SizingConfig(_Frozen):
    """How many contracts or shares."""

    tiers: tuple[TierConfig, ...] = Field(default=DEFAULT_TIERS, min_length=1, description="smallest tier first")
    volatility_scale_min: Decimal = Field(default=Decimal("0.5"), gt=0, le=1, description="least volatility scaling")
    volatility_scale_max: Decimal = Field(default=Decimal(1), gt=0, le=1, description="largest volatility scaling")
    regime: RegimeFactors = Field(default=RegimeFactors(), description="size factor per volatility regime")
    kelly: KellyConfig = Field(default=KellyConfig(), description="scaling by the strategy's own record")
    half_limit_at: Decimal = Field(
        default=Decimal("0.5"), gt=0, le=1, description="part of the daily loss limit at which sizes shrink"
    )
    half_limit_factor: Decimal = Field(default=Decimal("0.5"), ge=0, le=1, description="size factor from there on")
    single_contract_when_elevated: bool = Field(
        default=True, description="allow one contract in the elevated regime if it fits the unscaled budget"
    )
    trading_capital: Decimal = Field(
        default=Decimal("0.70"), gt=0, le=1, description="equity for day and swing trades; the rest is long-term"
    )
    stock_risk: Decimal = Field(default=Decimal("0.01"), gt=0, le=1, description="equity at risk per stock trade")
    stock_stop_atr: Decimal = Field(default=Decimal(2), gt=0, le=20, description="distance of a stock's stop, in ATRs")
    stock_max: Decimal = Field(default=Decimal("0.25"), gt=0, le=1, description="largest stock position over equity")
    adding: AddingConfig = Field(default=AddingConfig(), description="buying more of what is held")

    @model_validator(mode="after")
    def _ordered(self) -> SizingConfig:
        tops = [tier.max_equity for tier in self.tiers]
        if tops[-1] is not None or any(top is None for top in tops[:-1]):
            raise ValueError("exactly the last tier has no max_equity")
        known = [top for top in tops if top is not None]
        if known != sorted(set(known)):
            raise ValueError("tiers must rise in max_equity")
        if self.volatility_scale_min > self.volatility_scale_max:
            raise ValueError("volatility_scale_min exceeds volatility_scale_max")
        return self


class GateConfig(_Frozen):
    """Thresholds of the gates that are the same for every tier."""

    open_delay_minutes: int = Field(default=15, ge=0, le=390, description="no entry this long after the open")
    day_cutoff_minutes: int = Field(default=120, ge=5, le=390, description="no day trade from here to the close")
    swing_cutoff_minutes: int = Field(default=60, ge=5, le=390, description="no swing or stock from here to the close")
    expiry_day_cutoff_minutes: int = Field(
        default=150, ge=75, le=390, description="no contract that expires today from here to the close"
    )
    options_level: int = Field(default=2, ge=1, le=4, description="broker's trading level that buying options needs")
    max_bar_age_s: float = Field(default=120, gt=0, le=3600, description="oldest end of the deciding bar, seconds")
    max_feature_age_s: float = Field(default=180, gt=0, le=3600, description="oldest features, seconds")
    max_quote_age_s: float = Field(default=60, gt=0, le=3600, description="oldest quote, seconds")
    max_signal_age_s: float = Field(default=300, gt=0, le=3600, description="oldest signal, seconds")
    clock_skew_s: float = Field(default=5, ge=0, le=60, description="how far ahead a source's time may be, seconds")
    drawdown_confirm_s: float = Field(
        default=60, ge=0, le=3600, description="a drawdown seen for so long pauses the account, seconds"
    )
    trades_per_day: int = Field(default=10, ge=1, le=1000, description="entries per account and session")
    ticker_daily_limit: int = Field(default=2, ge=1, le=100, description="entries per ticker, account and session")
    ticker_cooldown_minutes: int = Field(default=15, ge=0, le=390, description="after the ticker's last fill")
    entries_per_hour: int = Field(default=3, ge=1, le=100, description="entries per account in any 60 minutes")
    sector_share: Decimal = Field(
        default=Decimal("0.40"), gt=0, le=1, description="cost in one sector over the account's exposure limit"
    )
    max_correlation: float = Field(
        default=0.85, ge=0, le=1, description="shrunk correlation with a position in the same direction"
    )
    correlation_sessions: int = Field(default=60, ge=10, le=250, description="daily returns that a correlation is of")
    min_correlation_sessions: int = Field(
        default=10, ge=2, le=250, description="common returns below which the sector decides instead"
    )
    earnings_sessions: int = Field(default=1, ge=0, le=20, description="no entry within so many sessions of earnings")
    earnings_calendar: str | None = Field(
        default=None, min_length=1, description="CSV file with ticker,date; beside this file unless it is a full path"
    )
    min_confidence_day: float = Field(default=0.75, ge=0, le=1, description="least confidence of a day trade")
    min_confidence_swing: float = Field(default=0.65, ge=0, le=1, description="least confidence of a swing trade")
    min_confidence_stock: float = Field(default=0.55, ge=0, le=1, description="least confidence of a stock trade")

    def min_confidence(self, strategy: Strategy) -> float:
        """The strategy's least confidence."""
        return {
            Strategy.DAY_TRADE: self.min_confidence_day,
            Strategy.SWING_TRADE: self.min_confidence_swing,
            Strategy.STOCK: self.min_confidence_stock,
        }[strategy]


class Weekday(StrEnum):
    """Days on which an exchange may open, as they are written in ``accounts.yaml``."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"


class EntrySchedule(_Frozen):
    """When one account may enter. It only narrows the hours of the gates; exits know no schedule."""

    weekdays: tuple[Weekday, ...] = Field(
        default=tuple(Weekday), min_length=1, description="New York weekdays with entries"
    )
    minutes_after_open: int | None = Field(default=None, ge=0, le=390, description="no entry this long after the open")
    minutes_before_close: int | None = Field(default=None, ge=5, le=390, description="no entry from here to the close")

    def has(self, day: date) -> bool:
        """Whether the account enters on that day at all."""
        return day.strftime("%A").lower() in self.weekdays


class AccountLimits(_Frozen):
    """What one account may do. Numbers only tighten those of its tier, they never loosen them."""

    mode: AccountMode = Field(default=AccountMode.OPTIONS_ONLY, description="instruments the account may buy")
    strategies: tuple[Strategy, ...] = Field(
        default=(Strategy.DAY_TRADE, Strategy.SWING_TRADE), min_length=1, description="strategies the account follows"
    )
    max_contracts: int | None = Field(default=None, ge=1, description="most contracts per trade")
    max_positions: int | None = Field(default=None, ge=1, description="most positions at once")
    max_exposure: Decimal | None = Field(default=None, gt=0, description="cost of all positions, dollars")
    trades_per_day: int | None = Field(default=None, ge=1, description="entries per session")
    min_confidence: float | None = Field(default=None, ge=0, le=1, description="least confidence of a signal")
    schedule: EntrySchedule = Field(default=EntrySchedule(), description="when it may enter")
