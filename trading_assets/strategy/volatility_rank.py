"""How expensive volatility is against its own past: IV rank, and the realised rank that stands in for it.

What belongs here: the rank, where it came from, and the size factor that its origin implies. What does not: the archive
of implied volatilities and the realised rank of daily bars, which are features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from trading_assets.strategy.config_trading import ContractConfig


@dataclass(frozen=True, slots=True)
class VolatilityRank:
    """Rank of today's volatility in [0, 1], or None if unknown.

    ``source`` is ``iv``, ``realised`` (stands in for a short archive) or ``none``; ``observations`` counts the sessions
    behind it; ``percentile`` is the part of the archived IVs below today's, beside an IV rank only.
    """

    value: float | None
    source: Literal["iv", "realised", "none"]
    observations: int
    percentile: float | None = None


def _rank(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and 0 <= value <= 1 else None


def volatility_rank(
    iv_history: Sequence[float | None],
    iv_now: float | None,
    *,
    realised_rank: float | None,
    realised_sessions: int | None,
    config: ContractConfig,
) -> VolatilityRank:
    """(IV - min) / (max - min) over the archived sessions and now; else the realised rank; else unknown.

    ``iv_history`` is one 30-day at-the-money IV per past session, oldest first. With fewer than 60 of them, or without
    an IV now, the realised rank stands in if it rests on at least 10 sessions. An archive without any range has no
    rank.
    """
    recent = [iv for iv in iv_history if iv is not None and math.isfinite(iv) and iv > 0][-config.iv_rank_sessions :]
    if len(recent) >= config.min_iv_observations and iv_now is not None and math.isfinite(iv_now) and iv_now > 0:
        low, high = min(*recent, iv_now), max(*recent, iv_now)
        if high > low:
            percentile = sum(iv < iv_now for iv in recent) / len(recent)
            return VolatilityRank((iv_now - low) / (high - low), "iv", len(recent), percentile)
    rank = _rank(realised_rank)
    if rank is not None and realised_sessions is not None and realised_sessions >= config.min_realised_sessions:
        return VolatilityRank(rank, "realised", realised_sessions)
    return VolatilityRank(None, "none", 0)


def rank_refusal(rank: VolatilityRank, config: ContractConfig) -> str | None:
    """Why no option may be bought at this rank, or None. An unknown or too thinly founded rank refuses."""
    value = _rank(rank.value)
    if value is None or rank.source == "none":
        return "iv_rank: unknown, neither implied nor realised volatility has a rank"
    needed = config.min_iv_observations if rank.source == "iv" else config.min_realised_sessions
    if rank.observations < needed:
        return f"iv_rank: rests on {rank.observations} {rank.source} observations, {needed} are needed"
    if value > config.max_iv_rank:
        return f"iv_rank: {value:.2f} ({rank.source}) exceeds {config.max_iv_rank:.2f}"
    return None


def rank_size_factor(rank: VolatilityRank, config: ContractConfig) -> Decimal | None:
    """Size factor of the rank's origin: 1 for IV, 0.5 where the realised rank stands in, None if unknown."""
    if _rank(rank.value) is None or rank.source == "none":
        return None
    return Decimal(1) if rank.source == "iv" else config.realised_size_factor
