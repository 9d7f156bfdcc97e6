"""How lively the market is: every number of the simulation that one may want to turn, in one frozen value.

Three scenarios: ``normal``; ``quiet`` (no events, little volume, nothing to trade); ``adverse`` (whipsaws, every event
reverses, implied volatility high, option spreads above 12 % of mid).
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class MarketProfile:
    """Parameters of the simulated market. Times in minutes, sizes as decimals, unless said otherwise."""

    #: Annual volatility of a sector's own factor.
    sector_volatility: float = 0.07
    #: Share of a day's variance that happens overnight, as the opening gap.
    overnight_share: float = 0.22
    #: Multiplies the diffuse part of intraday returns (events come on top).
    intraday_scale: float = 0.7
    #: Degrees of freedom of the minute returns' Student distribution: smaller is fatter tailed.
    tail_degrees: float = 6.0
    #: Standard deviation of the slow intraday drift, in units of a minute's own deviation.
    drift_strength: float = 0.2
    #: Half-life of that drift.
    drift_half_life: float = 120.0
    #: Pull of the price towards its base level per session; keeps decades of paths near their base.
    level_pull: float = 0.05
    #: Standard deviation of the slow daily drift in units of a day's deviation, and its persistence per session.
    daily_drift_strength: float = 0.65
    daily_drift_persistence: float = 0.93
    #: Deviation of the logarithm of a minute's volume around its usual shape, and of a day's total.
    volume_noise: float = 0.26
    day_volume_noise: float = 0.18
    #: Multiplies all volumes.
    volume_scale: float = 1.0

    #: Bounds of the number of news events in a session.
    events_least: int = 36
    events_most: int = 46
    #: Bounds of the number of large orders, which move a price without news, of their drift and its duration.
    orders_least: int = 32
    orders_most: int = 42
    order_least: float = 0.01
    order_most: float = 0.025
    order_duration_least: float = 60.0
    order_duration_most: float = 200.0
    #: Minutes after the open between which events happen.
    first_event: int = 8
    last_event: int = 360
    #: Probability that an event goes the way of a name's daily trend.
    trend_agreement: float = 0.92
    #: How much likelier a name is to have an event for each step of its daily trend (none, trending, strongly so).
    trend_preference: float = 4.0
    #: Median and log-deviation of the first price jump, its bounds, and the reference volatility at which it applies.
    jump_median: float = 0.0062
    jump_deviation: float = 0.45
    jump_least: float = 0.005
    jump_most: float = 0.03
    jump_reference_volatility: float = 0.32
    #: Bounds of the drift that follows, as a multiple of the jump, and of its duration.
    follow_least: float = 1.0
    follow_most: float = 3.0
    duration_least: float = 30.0
    duration_most: float = 70.0
    #: Probability that an event is false: after some minutes it gives back more than it brought.
    false_share: float = 0.35
    reversal_least: float = 1.2
    reversal_most: float = 2.4
    #: Probability that an event stalls: after some minutes it is over, without a way back.
    stall_share: float = 0.3
    #: Bounds of the instant at which a false event turns or another one stalls, as a share of its duration.
    turn_least: float = 0.3
    turn_most: float = 0.9
    #: Volume multiple at the head of an event's waves, and how many minutes lie between the waves.
    burst_least: float = 7.0
    burst_most: float = 12.0
    wave_spacing_least: float = 6.0
    wave_spacing_most: float = 11.0
    #: Sessions over which an event's net effect leaves the price again.
    memory_sessions: int = 10

    #: Amplitude (in units of a minute's deviation) and period of an alternating push; 0 is none.
    whipsaw: float = 0.0
    whipsaw_period: float = 14.0

    #: Headlines without an event, per session; and the probability that a second feed repeats an event's story.
    neutral_least: int = 45
    neutral_most: int = 75
    repeat_share: float = 0.55

    #: Multiplies implied volatility; level of the volatility index (points).
    implied_scale: float = 1.0
    vix_level: float = 16.5
    #: Option spread at the money as a share of mid: of the busiest names and of the others.
    option_spread_busy: float = 0.018
    option_spread_other: float = 0.052
    #: Deviation of the logarithm of one name's option spreads from day to day.
    option_spread_noise: float = 0.8
    #: Share of a stock quote's price that is spread (at least one cent).
    stock_spread: float = 0.00012


_NORMAL = MarketProfile()
SCENARIOS: dict[str, MarketProfile] = {
    "normal": _NORMAL,
    "quiet": replace(
        _NORMAL,
        events_least=0,
        events_most=0,
        orders_least=0,
        orders_most=0,
        intraday_scale=0.35,
        drift_strength=0.0,
        volume_noise=0.10,
        volume_scale=0.4,
        neutral_least=60,
        neutral_most=80,
        vix_level=12.8,
        implied_scale=0.85,
    ),
    "adverse": replace(
        _NORMAL,
        intraday_scale=1.3,
        whipsaw=0.55,
        false_share=1.0,
        trend_agreement=0.6,
        reversal_least=1.5,
        implied_scale=1.8,
        vix_level=34.0,
        option_spread_busy=0.16,
        option_spread_other=0.22,
        option_spread_noise=0.0,
        stock_spread=0.0006,
    ),
}


def profile_of(scenario: str) -> MarketProfile:
    """The profile of a named scenario; raises ``ValueError`` listing the known ones."""
    if scenario not in SCENARIOS:
        raise ValueError(f"unknown scenario {scenario!r}; known are {', '.join(sorted(SCENARIOS))}")
    return SCENARIOS[scenario]
