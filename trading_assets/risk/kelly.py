"""Scaling a strategy's size by its own record: half Kelly with a careful win rate.

Source: Kelly (1956), f = p - (1 - p) / b, with p the Wilson (1927) lower bound of the win rate and b the mean win over
the mean loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, sqrt
from statistics import NormalDist

from trading_assets.risk.config import KellyConfig


@dataclass(frozen=True, slots=True)
class StrategyOutcomes:
    """Closed (or shadow) trades of one strategy. Means are fractions of the premium, both positive."""

    count: int
    wins: int
    mean_win: float
    mean_loss: float


def win_rate_lower_bound(wins: int, count: int, confidence: float) -> float:
    """One-sided Wilson lower bound of the win rate. ``count`` must be positive."""
    z, p = NormalDist().inv_cdf(confidence), wins / count
    centre, spread = p + z * z / (2 * count), z * sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return max(0.0, (centre - spread) / (1 + z * z / count))


def kelly_scale(outcomes: StrategyOutcomes | None, tier_fraction: Decimal, config: KellyConfig) -> Decimal:
    """Size factor between 0.25 and 1.

    1 until there are enough outcomes. Half Kelly is the equity to lose in a mean loss; divided by the mean loss it is
    the premium to buy, and over ``tier_fraction`` (the tier's premium over equity) it is the scale. No edge, or a
    record without sense, gives the least scale: never 0, so that a strategy can recover.
    """
    if outcomes is None or outcomes.count < config.min_outcomes:
        return Decimal(1)
    sensible = 0 <= outcomes.wins <= outcomes.count and isfinite(outcomes.mean_win) and isfinite(outcomes.mean_loss)
    if not sensible or outcomes.mean_win <= 0 or outcomes.mean_loss <= 0:
        return config.minimum
    p = win_rate_lower_bound(outcomes.wins, outcomes.count, config.confidence)
    edge = p - (1 - p) * outcomes.mean_loss / outcomes.mean_win
    if edge <= 0:
        return config.minimum
    scale = config.fraction * Decimal(str(edge)) / Decimal(str(outcomes.mean_loss)) / tier_fraction
    return min(Decimal(1), max(config.minimum, scale))
