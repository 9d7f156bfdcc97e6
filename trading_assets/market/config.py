"""Numbers of the market rules: feature windows, timeframe weights, volatility regimes. Defaults are the rulebook's.

What belongs here: validated settings of pure market functions. Windows whose length is part of a stored column's name
(``sma20``, ``rsi14``, ...) are no settings; they stand as constants beside their formula.
"""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TimeframeWeights(BaseModel):
    """Weights of the five trends in ``mtf_alignment``. A timeframe without a trend drops out of the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    d1: float = Field(default=9.0, ge=0, le=100, description="weight of the 1-day trend")
    h1: float = Field(default=7.0, ge=0, le=100, description="weight of the 1-hour trend")
    m15: float = Field(default=4.0, gt=0, le=100, description="weight of the 15-minute trend, which is required")
    m5: float = Field(default=2.0, gt=0, le=100, description="weight of the 5-minute trend, which is required")
    m1: float = Field(default=1.0, ge=0, le=100, description="weight of the 1-minute trend")


class FeatureConfig(BaseModel):
    """How features are computed from minute and daily bars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    span_factor: float = Field(
        default=3.0,
        ge=1,
        le=100,
        description="a window of n bars must span at most this many times n slots of its session time",
    )
    macd_fast: int = Field(default=12, ge=2, le=100, description="bars of the fast exponential mean")
    macd_slow: int = Field(default=26, ge=3, le=200, description="bars of the slow exponential mean")
    macd_signal: int = Field(default=9, ge=2, le=100, description="bars of the signal line's exponential mean")
    bollinger_window: int = Field(default=20, ge=2, le=200, description="bars of the Bollinger band")
    bollinger_width: float = Field(
        default=2.0, gt=0, le=10, description="population standard deviations from band to mean"
    )
    volume_window: int = Field(default=20, ge=1, le=200, description="bars before the deciding one in its volume ratio")
    timeframe_weights: TimeframeWeights = Field(
        default_factory=TimeframeWeights, description="weights of the trends in the alignment"
    )
    daily_atr_window: int = Field(default=14, ge=2, le=100, description="daily bars of the average true range")
    realized_vol_window: int = Field(default=20, ge=2, le=252, description="daily returns of one realised volatility")
    rv_rank_window: int = Field(
        default=252, ge=10, le=1000, description="most sessions that a realised-volatility rank looks at"
    )
    rv_rank_minimum: int = Field(default=10, ge=2, le=252, description="fewest sessions of a realised-volatility rank")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.macd_fast >= self.macd_slow:
            raise ValueError(f"macd_fast ({self.macd_fast}) must be below macd_slow ({self.macd_slow})")
        if self.rv_rank_minimum > self.rv_rank_window:
            raise ValueError("rv_rank_minimum must not exceed rv_rank_window")
        return self


class ContextConfig(BaseModel):
    """Index trend and volatility regime."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: str = Field(default="SPY", pattern=r"^[A-Z]{1,6}$", description="ticker whose trend stands for the market")
    normal_from: float = Field(
        default=12.0, gt=0, le=200, description="VIX points; below this the regime is complacent"
    )
    elevated_from: float = Field(default=20.0, gt=0, le=200, description="VIX points from which the regime is elevated")
    high_from: float = Field(default=30.0, gt=0, le=200, description="VIX points from which the regime is high")
    extreme_from: float = Field(default=40.0, gt=0, le=200, description="VIX points from which the regime is extreme")
    iv_days: float = Field(
        default=30.0, gt=0, le=365, description="constant maturity of the implied volatility, calendar days"
    )
    iv_min_dte: float = Field(default=7.0, ge=0, le=365, description="nearest expiry used for it, calendar days")
    iv_max_dte: float = Field(default=120.0, gt=0, le=1000, description="farthest expiry used for it, calendar days")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.normal_from < self.elevated_from < self.high_from < self.extreme_from:
            raise ValueError("regime thresholds must rise: normal_from < elevated_from < high_from < extreme_from")
        if not self.iv_min_dte <= self.iv_days <= self.iv_max_dte:
            raise ValueError("iv_days must lie between iv_min_dte and iv_max_dte")
        return self
