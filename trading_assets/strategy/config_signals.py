"""Configuration of what is watched and signalled: the view of the news, the watchlist, signals and the rule sets.

What belongs here: the typed, validated numbers of ``strategy.news_view``, ``strategy.watchlist`` and
``strategy.signals``. What does not: numbers of contracts, orders and exits (``strategy.config_trading``). Fractions are
decimals (0.02 = 2 %).
"""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

#: Rule sets that an account may follow, and those that are known by name and not offered.
OFFERED_RULE_SETS = ("momentum", "gap_fade", "webhook")
REFUSED_RULE_SETS = ("conservative", "premium_selling")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TradeMode(StrEnum):
    """Which instruments signals may ask for."""

    OPTIONS_ONLY = "options_only"
    HYBRID = "hybrid"
    STOCK_ONLY = "stock_only"


class NewsViewConfig(_Frozen):
    """Which stories count at an instant."""

    window_minutes: int = Field(default=60, ge=1, le=1440, description="clusters known this long before count")
    max_story_age_minutes: int = Field(
        default=180, ge=1, le=10_080, description="a story published longer before is not news"
    )


class WatchlistConfig(_Frozen):
    """Scores and membership."""

    every_minutes: int = Field(default=5, ge=1, le=60, description="grid of watchlist decisions, from the open")
    size: int = Field(default=30, ge=1, le=1000, description="most members")
    enter_score: float = Field(default=0.30, ge=0, le=1, description="least score to enter")
    leave_score: float = Field(default=0.25, ge=0, le=1, description="a member below this leaves")
    retention_minutes: int = Field(default=30, ge=1, le=390, description="a member without features stays this long")
    weight_technical: float = Field(default=0.40, ge=0, le=1, description="weight of the technical setup")
    weight_volume: float = Field(default=0.30, ge=0, le=1, description="weight of relative volume")
    weight_sentiment: float = Field(default=0.20, ge=0, le=1, description="weight of sentiment")
    weight_performance: float = Field(default=0.10, ge=0, le=1, description="weight of the last 60 bars' return")
    full_volume_ratio: float = Field(default=3.0, gt=0, le=100, description="volume ratio that earns all volume points")
    full_return: float = Field(default=0.02, gt=0, le=1, description="60-bar return that moves the factor by one")

    @model_validator(mode="after")
    def _sound(self) -> WatchlistConfig:
        total = self.weight_technical + self.weight_volume + self.weight_sentiment + self.weight_performance
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights add up to {total:g}, expected 1")
        if self.leave_score > self.enter_score:
            raise ValueError(f"leave_score {self.leave_score:g} exceeds enter_score {self.enter_score:g}")
        return self


class VolumeStep(_Frozen):
    """Multiplier of volume ratios below ``below`` (and not below the step before)."""

    below: float = Field(gt=0, description="volume ratio at which the next step begins")
    multiplier: float = Field(ge=0, le=1, description="factor on confidence")


class GapFadeConfig(_Frozen):
    """The rule set ``gap_fade``: confidence = start + gains, never above 1."""

    first_minutes: int = Field(default=60, ge=1, le=390, description="minutes after the open in which gaps are faded")
    min_gap: float = Field(default=0.008, gt=0, le=0.5, description="least gap, up or down")
    max_gap: float = Field(
        default=0.15, gt=0, le=1, description="a larger gap is taken for a split or another corporate action: held"
    )
    full_gap: float = Field(default=0.02, gt=0, le=1, description="gap that earns the whole gain for size")
    start: float = Field(default=0.55, ge=0, le=1, description="confidence of the least gap")
    gain_size: float = Field(default=0.15, ge=0, le=1, description="most that a larger gap adds")
    gain_turned: float = Field(default=0.15, ge=0, le=1, description="added once the price is beyond VWAP, fading")
    gain_trend: float = Field(default=0.15, ge=0, le=1, description="added if the one-minute trend agrees")
    min_confidence: float = Field(default=0.75, ge=0, le=1, description="least confidence of a faded gap")

    @model_validator(mode="after")
    def _sound(self) -> GapFadeConfig:
        total = self.start + self.gain_size + self.gain_turned + self.gain_trend
        if total > 1 + 1e-9:
            raise ValueError(f"start and gains add up to {total:g}, more than 1")
        if self.max_gap <= self.full_gap:
            raise ValueError(f"max_gap {self.max_gap:g} does not exceed full_gap {self.full_gap:g}")
        if self.full_gap <= self.min_gap:
            raise ValueError(f"full_gap {self.full_gap:g} does not exceed min_gap {self.min_gap:g}")
        return self


class WebhookConfig(_Frozen):
    """The rule set ``webhook``: whom to believe, and how far."""

    sources: dict[str, float] = Field(
        default={}, description="confidence (0 to 1) of each source of outside signals; one not named here is held"
    )
    max_age_s: float = Field(default=300, gt=0, le=3600, description="a signal received longer ago is not looked at")

    @field_validator("sources", mode="after")
    @classmethod
    def _confidences(cls, value: dict[str, float]) -> dict[str, float]:
        for source, confidence in value.items():
            if not source or not 0 <= confidence <= 1:
                raise ValueError(f"the confidence of source {source!r} must lie in 0 to 1")
        return value


def check_rule_sets(names: tuple[str, ...]) -> tuple[str, ...]:
    """``names``, if every one is offered and none stands twice; raises ``ValueError`` saying why one is refused."""
    for name in names:
        if name in REFUSED_RULE_SETS:
            raise ValueError(f"rule set {name!r} is refused: its entry, size and exit tables do not exist")
        if name not in OFFERED_RULE_SETS:
            raise ValueError(f"rule set {name!r} is refused: offered are {', '.join(OFFERED_RULE_SETS)}")
    if len(set(names)) != len(names):
        raise ValueError("a rule set stands twice")
    return names


class SignalConfig(_Frozen):
    """Direction, confidence and instrument of the rule sets; which of them decide is said per account."""

    mode: TradeMode = Field(default=TradeMode.OPTIONS_ONLY, description="options_only, hybrid or stock_only")
    tolerance: float = Field(default=0.005, ge=0, le=0.1, description="how far beyond sma20 a trend may pull back")
    stretched: float = Field(default=0.02, gt=0, le=1, description="distance to sma20 from which a move is too late")
    weight_trend: float = Field(default=0.30, ge=0, le=1, description="weight of the trend's strength")
    weight_setup: float = Field(default=0.15, ge=0, le=1, description="weight of closeness to sma20")
    weight_volatility: float = Field(default=0.15, ge=0, le=1, description="weight of short over long volatility")
    weight_timeframes: float = Field(default=0.40, ge=0, le=1, description="weight of the other timeframes' trends")
    trend_scale_atr: float = Field(default=2.0, gt=0, le=100, description="|sma20 - sma50| in ATRs that is full trend")
    setup_scale_atr: float = Field(default=4.0, gt=0, le=100, description="|close - sma20| in ATRs that is no setup")
    calm_from: float = Field(default=0.8, gt=0, le=10, description="vol_ratio from which volatility counts as usual")
    calm_to: float = Field(default=1.3, gt=0, le=10, description="vol_ratio up to which volatility counts as usual")
    usual_volatility: float = Field(default=1.0, ge=0, le=1, description="volatility factor of a usual vol_ratio")
    low_volatility: float = Field(default=0.7, ge=0, le=1, description="volatility factor below calm_from")
    high_volatility: float = Field(default=0.5, ge=0, le=1, description="volatility factor above calm_to")
    sentiment_gain: float = Field(default=0.25, ge=0, le=1, description="most that aligned news adds")
    sentiment_loss: float = Field(default=0.20, ge=0, le=1, description="most that opposed news takes")
    full_news_count: int = Field(default=5, ge=1, le=100, description="stories at which news counts fully")
    volume_steps: tuple[VolumeStep, ...] = Field(
        default=(
            VolumeStep(below=0.5, multiplier=0.0),
            VolumeStep(below=1.2, multiplier=0.3),
            VolumeStep(below=1.5, multiplier=0.5),
            VolumeStep(below=2.0, multiplier=0.7),
            VolumeStep(below=3.0, multiplier=0.85),
            VolumeStep(below=5.0, multiplier=0.95),
        ),
        min_length=1,
        description="multipliers by volume ratio, rising; above the last step 1",
    )
    no_breakout: float = Field(default=0.6, ge=0, le=1, description="factor while inside the Donchian band")
    against_index: float = Field(default=0.8, ge=0, le=1, description="factor against the index's one-day trend")
    min_volume_ratio: float = Field(default=1.2, ge=0, le=100, description="least volume ratio of any signal")
    max_vol_ratio: float = Field(default=2.0, gt=0, le=100, description="vol_ratio above which no options are bought")
    day_confidence: float = Field(default=0.75, ge=0, le=1, description="least confidence of a day trade")
    day_volume_ratio: float = Field(default=2.0, ge=0, le=100, description="least volume ratio of a day trade")
    swing_confidence: float = Field(default=0.65, ge=0, le=1, description="least confidence of a swing trade")
    stock_confidence: float = Field(default=0.55, ge=0, le=1, description="least confidence of a stock trade")
    urgent_volume_ratio: float = Field(default=2.5, ge=0, le=100, description="volume ratio of an urgent signal")
    urgent_distance: float = Field(default=0.01, ge=0, le=1, description="distance to sma20 of an urgent signal")
    repeat_minutes: int = Field(
        default=15, ge=0, le=390, description="one signal per rule set, ticker and direction in this long"
    )

    gap_fade: GapFadeConfig = Field(default=GapFadeConfig(), description="the rule set gap_fade")
    webhook: WebhookConfig = Field(default=WebhookConfig(), description="the rule set webhook")

    @model_validator(mode="after")
    def _sound(self) -> SignalConfig:
        total = self.weight_trend + self.weight_setup + self.weight_volatility + self.weight_timeframes
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the weights add up to {total:g}, expected 1")
        edges = [step.below for step in self.volume_steps]
        if edges != sorted(set(edges)):
            raise ValueError("volume_steps must rise in 'below'")
        if self.calm_from > self.calm_to:
            raise ValueError("calm_from exceeds calm_to")
        return self
