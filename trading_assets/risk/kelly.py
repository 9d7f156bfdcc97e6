"""Scaling a strategy's size by its own record: half Kelly with a careful win rate.

Source: Kelly (1956), f = p - (1 - p) / b, with p the Wilson (1927) lower bound of the win rate and b the mean win over
the mean loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, sqrt
from statistics import NormalDist, fmean

from trading_assets.risk.config import KellyConfig

#: Mean loss of a record that has none yet, as a fraction of the premium: all of it may be lost.
_WHOLE_PREMIUM = 1.0


@dataclass(frozen=True, slots=True)
class StrategyOutcomes:
    """Closed (or shadow) trades of one strategy. Means are fractions of the premium, both positive."""

    count: int
    wins: int
    mean_win: float
    mean_loss: float


@dataclass(frozen=True, slots=True)
class KellyScale:
    """``scale`` within the configured least one and 1; ``edge`` is the Kelly fraction f, None where none was computed.

    ``alert`` is what a person should read about the strategy, None if there is nothing.
    """

    scale: Decimal
    edge: float | None
    alert: str | None = None


def outcomes_of(returns: Sequence[float]) -> StrategyOutcomes:
    """The record made of the results of closed trades, each as a fraction of the premium that was paid.

    A trade that came out even is no win and does not soften the mean loss. A record without wins has a mean win of 0,
    which is no edge; one without losses is given a mean loss of the whole premium, because a loss may come to that.
    """
    wins, losses = [one for one in returns if one > 0], [-one for one in returns if one < 0]
    mean_loss = fmean(losses) if losses else _WHOLE_PREMIUM
    return StrategyOutcomes(len(returns), len(wins), fmean(wins) if wins else 0.0, mean_loss)


def win_rate_lower_bound(wins: int, count: int, confidence: float) -> float:
    """One-sided Wilson lower bound of the win rate. ``count`` must be positive."""
    z, p = NormalDist().inv_cdf(confidence), wins / count
    centre, spread = p + z * z / (2 * count), z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return max(0.0, (centre - spread) / (1 + z * z / count))


def kelly_scale(outcomes: StrategyOutcomes | None, tier_fraction: Decimal, config: KellyConfig) -> KellyScale:
    """Size factor between 0.25 and 1.

    1 until there are enough outcomes. Half Kelly is the equity to lose in a mean loss; divided by the mean loss it is
    the premium to buy, and over ``tier_fraction`` (the tier's premium over equity) it is the scale. No edge, or a
    record without sense, gives the least scale with an alert: never 0, so that a strategy can recover.
    """
    if outcomes is None or outcomes.count < config.min_outcomes:
        return KellyScale(Decimal(1), None)
    sensible = 0 <= outcomes.wins <= outcomes.count and isfinite(outcomes.mean_win) and isfinite(outcomes.mean_loss)
    if not sensible or outcomes.mean_win < 0 or outcomes.mean_loss <= 0:
        return KellyScale(config.minimum, None, f"the record of {outcomes.count} trades makes no sense: {outcomes}")
    p = win_rate_lower_bound(outcomes.wins, outcomes.count, config.confidence)
    edge = p - (1 - p) * outcomes.mean_loss / outcomes.mean_win if outcomes.mean_win > 0 else -1.0
    if edge <= 0:
        lost = f"{outcomes.wins} wins in {outcomes.count} trades, {outcomes.mean_win:.1%} a win, "
        lost += f"{outcomes.mean_loss:.1%} a loss: no edge, the size is scaled by {config.minimum}"
        return KellyScale(config.minimum, edge, lost)
    scale = config.fraction * Decimal(str(edge)) / Decimal(str(outcomes.mean_loss)) / tier_fraction
    return KellyScale(min(Decimal(1), max(config.minimum, scale)), edge)
