"""Configuration of what happens around an order: which contract, at which limits, and when to leave.

What belongs here: the typed, validated numbers of contract selection, limit ladders and exits, each with its unit and
range. What does not: numbers of watchlist and signals (``strategy.config``) and of gates and sizing (``risk.config``).
Fractions are decimals (0.10 = 10 %), minutes and seconds say so in their name.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DteWindow(_Frozen):
    """An inclusive range of days to expiry: calendar days in New York."""

    minimum: int = Field(ge=0, le=1000, description="fewest days to expiry")
    maximum: int = Field(ge=0, le=1000, description="most days to expiry")

    @model_validator(mode="after")
    def _ordered(self) -> DteWindow:
        if self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum} exceeds maximum {self.maximum}")
        return self

    def contains(self, dte: int) -> bool:
        """Whether ``dte`` lies in the window, both ends included."""
        return self.minimum <= dte <= self.maximum


class DeltaBand(_Frozen):
    """An inclusive range of absolute deltas."""

    low: float = Field(ge=0, le=1, description="smallest absolute delta inside the band")
    high: float = Field(ge=0, le=1, description="largest absolute delta inside the band")

    @model_validator(mode="after")
    def _ordered(self) -> DeltaBand:
        if self.low > self.high:
            raise ValueError(f"low {self.low} exceeds high {self.high}")
        return self


class QualityConfig(_Frozen):
    """The quality score of a contract: four parts that add up to 100 points."""

    spread_points: float = Field(default=40, ge=0, le=100, description="points of a spread of zero")
    spread_scale: float = Field(default=0.10, gt=0, le=1, description="spread over mid that earns no points")
    volume_points: float = Field(default=30, ge=0, le=100, description="points from full_volume on")
    volume_points_half: float = Field(default=15, ge=0, le=100, description="points at half_volume")
    half_volume: int = Field(default=200, ge=0, description="contracts today from which volume earns points")
    full_volume: int = Field(default=1000, ge=1, description="contracts today that earn all points")
    delta_points: float = Field(default=20, ge=0, le=100, description="points inside the delta band")
    delta_points_near: float = Field(default=15, ge=0, le=100, description="points within near of the band")
    delta_points_far: float = Field(default=10, ge=0, le=100, description="points within far of the band")
    delta_points_else: float = Field(default=5, ge=0, le=100, description="points farther from the band")
    delta_near: float = Field(default=0.05, ge=0, le=1, description="distance to the band that counts as near")
    delta_far: float = Field(default=0.15, ge=0, le=1, description="distance to the band that counts as far")
    strike_points: float = Field(default=10, ge=0, le=100, description="points at the target strike")
    strike_scale: float = Field(default=0.05, gt=0, le=1, description="distance over target that earns no points")
    minimum: float = Field(default=60, ge=0, le=100, description="least quality that may be traded")

    @model_validator(mode="after")
    def _complete(self) -> QualityConfig:
        if self.half_volume >= self.full_volume:
            raise ValueError(f"half_volume {self.half_volume} is not below full_volume {self.full_volume}")
        total = self.spread_points + self.volume_points + self.delta_points + self.strike_points
        if abs(total - 100) > 1e-9:
            raise ValueError(f"the parts of the quality add up to {total:g} points, expected 100")
        return self


class ContractConfig(_Frozen):
    """Which contracts may be bought, and which of them is the best."""

    strike_range: Decimal = Field(default=Decimal("0.10"), gt=0, le=1, description="strikes within this of spot")
    day_dte: DteWindow = Field(default=DteWindow(minimum=0, maximum=1), description="day trade expiries")
    day_fallback_dte: DteWindow = Field(
        default=DteWindow(minimum=2, maximum=6), description="nearest expiry taken where none of day_dte is listed"
    )
    swing_dte: DteWindow = Field(default=DteWindow(minimum=14, maximum=30), description="swing trade expiries")
    day_target_delta: float = Field(default=0.35, gt=0, lt=1, description="absolute delta that sets the day strike")
    day_delta: DeltaBand = Field(default=DeltaBand(low=0.30, high=0.40), description="best deltas of a day trade")
    swing_delta: DeltaBand = Field(default=DeltaBand(low=0.45, high=0.55), description="best deltas of a swing trade")
    expiry_day_cutoff_minutes: int = Field(
        default=150, ge=75, le=390, description="no entry into a contract on its expiry day from this long before close"
    )
    max_quote_age_s: float = Field(default=60, gt=0, le=900, description="oldest quote that may be traded on, seconds")
    clock_skew_s: float = Field(default=5, ge=0, le=60, description="how far ahead a quote's time may be, seconds")
    max_spread: Decimal = Field(default=Decimal("0.10"), gt=0, le=1, description="widest spread over mid")
    min_premium: Decimal = Field(default=Decimal("0.30"), ge=0, description="least mid price per share, dollars")
    feed_has_volume: bool = Field(default=True, description="whether the option feed reports today's volume at all")
    feed_has_open_interest: bool = Field(default=True, description="whether the option feed reports open interest")
    min_volume: int = Field(default=100, ge=0, description="contracts today that make a contract liquid")
    min_open_interest: int = Field(default=500, ge=0, description="open contracts that make a contract liquid")
    max_iv_rank: float = Field(default=0.80, ge=0, le=1, description="highest volatility rank at which to buy")
    iv_rank_sessions: int = Field(default=252, ge=2, le=2000, description="sessions over which the IV rank is taken")
    min_iv_observations: int = Field(
        default=60, ge=2, le=2000, description="archived IVs below which the realised rank stands in"
    )
    min_realised_sessions: int = Field(default=10, ge=2, le=2000, description="sessions the realised rank needs")
    realised_size_factor: Decimal = Field(
        default=Decimal("0.5"), ge=0, le=1, description="size factor where the realised rank stands in"
    )
    rate: float = Field(default=0.04, ge=-0.05, le=0.25, description="annual interest rate for computed Greeks")
    dividend: float = Field(default=0.0, ge=0, le=0.25, description="annual dividend yield for computed Greeks")
    dividend_yields: dict[str, Annotated[float, Field(ge=0, le=0.25)]] = Field(
        default={}, description="annual dividend yield by underlying, in place of `dividend` where it is known"
    )
    quality: QualityConfig = Field(default=QualityConfig(), description="the quality score")

    def dividend_of(self, underlying: str) -> float:
        """Annual dividend yield by which contracts of ``underlying`` are computed."""
        return self.dividend_yields.get(underlying, self.dividend)


class OrderConfig(_Frozen):
    """The limit ladders."""

    entry_steps: tuple[Decimal, ...] = Field(
        default=(Decimal("0.25"), Decimal("0.40")),
        min_length=0,
        max_length=5,
        description="limits before the ask, as fractions of the spread above mid, rising and below one half",
    )
    rung_seconds: float = Field(default=10, gt=0, le=120, description="how long a rung works before the next, seconds")
    stock_target: Decimal = Field(
        default=Decimal(2), gt=0, le=20, description="take profit of a stock's bracket, over the distance of its stop"
    )
    exit_ticks: tuple[int, ...] = Field(
        default=(0, 1), min_length=1, max_length=5, description="exit limits as ticks below the bid, rising"
    )

    @model_validator(mode="after")
    def _rising(self) -> OrderConfig:
        for step in self.entry_steps:
            if not 0 <= step < Decimal("0.5"):
                raise ValueError(f"entry step {step} is outside 0 to 0.5 of the spread")
        if list(self.entry_steps) != sorted(self.entry_steps):
            raise ValueError(f"entry steps {self.entry_steps} do not rise")
        if list(self.exit_ticks) != sorted(self.exit_ticks) or self.exit_ticks[0] < 0:
            raise ValueError(f"exit ticks {self.exit_ticks} do not rise from 0")
        return self


class EndOfDayStep(_Frozen):
    """From so many minutes before the close on, a day trade that loses more than ``max_loss`` is closed."""

    minutes: int = Field(ge=1, le=390, description="minutes before the close")
    max_loss: Decimal = Field(ge=0, lt=1, description="loss over premium that is still tolerated")


class OvernightRule(_Frozen):
    """What one volatility regime tolerates overnight."""

    min_pnl: Decimal = Field(ge=-1, le=10, description="least profit over premium to stay")
    limit_factor: Decimal = Field(ge=0, le=1, description="part of the overnight premium limit that applies")


class OvernightConfig(_Frozen):
    """Which swings may stay over night."""

    minutes: int = Field(default=15, ge=6, le=120, description="minutes before the close at which swings are judged")
    escalate_minutes: int = Field(
        default=5, ge=0, le=60, description="from here to the close a position that must not stay exits as CRITICAL"
    )
    min_dte: int = Field(default=5, ge=1, le=60, description="fewest days to expiry to stay")
    max_premium: Decimal = Field(default=Decimal(5000), ge=0, description="most premium overnight, dollars")
    max_premium_of_equity: Decimal = Field(default=Decimal("0.05"), ge=0, le=1, description="same, over equity")
    base: OvernightRule = Field(
        default=OvernightRule(min_pnl=Decimal("-0.15"), limit_factor=Decimal(1)), description="complacent and normal"
    )
    elevated: OvernightRule = Field(
        default=OvernightRule(min_pnl=Decimal(0), limit_factor=Decimal("0.5")), description="elevated or unknown"
    )
    high: OvernightRule = Field(
        default=OvernightRule(min_pnl=Decimal("0.10"), limit_factor=Decimal("0.25")), description="high"
    )


class ExitConfig(_Frozen):
    """When a position is left. Losses and gains are fractions of the entry premium."""

    max_quote_age_s: float = Field(default=60, gt=0, le=900, description="oldest quote that is a price, seconds")
    max_underlying_age_s: float = Field(default=120, gt=0, le=900, description="oldest underlying price, seconds")
    clock_skew_s: float = Field(default=5, ge=0, le=60, description="how far ahead a source's time may be, seconds")
    expiry_minutes: int = Field(default=75, ge=30, le=390, description="out of an expiring contract before the close")
    day_stop: Decimal = Field(default=Decimal("0.50"), gt=0, le=1, description="stop of a day trade")
    swing_stop: Decimal = Field(default=Decimal("0.35"), gt=0, le=1, description="stop of a swing trade")
    stock_stop_atr: Decimal = Field(default=Decimal(2), gt=0, le=20, description="stop of a stock, in ATRs")
    session_end_minutes: int = Field(default=5, ge=1, le=120, description="day trades flat before the close")
    target: Decimal = Field(default=Decimal("0.50"), gt=0, le=10, description="gain at which half is sold")
    trailing_arm: Decimal = Field(default=Decimal("0.30"), gt=0, le=10, description="peak gain that arms the trail")
    trailing_give_back: Decimal = Field(default=Decimal("0.40"), gt=0, le=1, description="part of the peak gain lost")
    underlying_move: Decimal = Field(default=Decimal("0.03"), gt=0, le=1, description="move against the entry")
    low_dte: int = Field(
        default=2, ge=0, le=30, description="days to expiry at which a losing or fast decaying swing is closed"
    )
    max_theta: Decimal = Field(
        default=Decimal("0.30"), gt=0, le=10, description="most a swing at low_dte may decay in a day, over its bid"
    )
    day_max_hold_minutes: int = Field(default=240, ge=1, le=390, description="longest day trade")
    swing_max_hold_sessions: int = Field(default=5, ge=1, le=60, description="longest swing, sessions after entry")
    end_of_day: tuple[EndOfDayStep, ...] = Field(
        default=(
            EndOfDayStep(minutes=90, max_loss=Decimal("0.20")),
            EndOfDayStep(minutes=60, max_loss=Decimal("0.10")),
            EndOfDayStep(minutes=30, max_loss=Decimal(0)),
        ),
        description="graduated end of day for day trades, earliest first",
    )
    overnight: OvernightConfig = Field(default=OvernightConfig(), description="which swings may stay over night")
    high_delta: Decimal = Field(
        default=Decimal("0.85"), gt=0, lt=1, description="absolute delta of a swing above which a person is told"
    )
    wide_spread: Decimal = Field(
        default=Decimal("0.15"), gt=0, le=2, description="spread over mid above which a person is told"
    )
    model_gap: Decimal = Field(
        default=Decimal("0.20"), gt=0, le=10, description="distance of the model value from mid, over mid, to be told"
    )
    act_on_medium: bool = Field(default=False, description="whether MEDIUM conditions close the position, too")
    alert_quiet_minutes: int = Field(
        default=15, ge=0, le=390, description="the same condition of a position is told once per so many minutes"
    )
    roll_entry_dte: int = Field(
        default=21, ge=1, le=400, description="only positions with more days to expiry at entry are rolled"
    )
    roll_dte: int = Field(default=21, ge=1, le=400, description="days to expiry from which on a roll is due")
    roll_min_pnl: Decimal = Field(
        default=Decimal("-0.10"), ge=-1, le=10, description="a roll needs a better result than this"
    )
    roll_delta_tolerance: float = Field(
        default=0.10, gt=0, le=0.5, description="how far the new contract's absolute delta may be from the old one's"
    )
    order_rolls: bool = Field(
        default=True,
        description="whether rolls are ordered where the broker lets the account trade several legs; else only told",
    )

    @model_validator(mode="after")
    def _graduated(self) -> ExitConfig:
        for earlier, later in zip(self.end_of_day, self.end_of_day[1:], strict=False):
            if earlier.minutes <= later.minutes or earlier.max_loss < later.max_loss:
                raise ValueError("end_of_day steps must come closer to the close and tolerate no more each time")
        if self.roll_dte > self.roll_entry_dte:
            raise ValueError(f"roll_dte {self.roll_dte} exceeds roll_entry_dte {self.roll_entry_dte}: due at entry")
        return self
