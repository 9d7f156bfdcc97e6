"""The quality of an option contract, 0 to 100: spread, volume, delta and strike.

What belongs here: the points of each part and their sum. What does not: refusals and the choice
(``strategy.contracts``). A part whose input is missing is None, never zero points by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from trading_assets.domain.values import ContractSnapshot
from trading_assets.strategy.config_trading import ContractConfig, DeltaBand, QualityConfig
from trading_assets.strategy.option_model import usable_delta
from trading_assets.strategy.quoting import two_sided


def spread_fraction(snapshot: ContractSnapshot) -> Decimal | None:
    """Spread over mid, or None without a two-sided uncrossed quote."""
    sides = two_sided(snapshot.quote)
    if sides is None:
        return None
    bid, ask = sides
    return (ask - bid) / ((ask + bid) / 2)


def volume_points(volume: int, config: QualityConfig) -> float:
    """30 from 1,000 contracts, 15 to 30 in a straight line from 200, else 0."""
    if volume >= config.full_volume:
        return config.volume_points
    if volume < config.half_volume:
        return 0.0
    part = (volume - config.half_volume) / (config.full_volume - config.half_volume)
    return config.volume_points_half + (config.volume_points - config.volume_points_half) * part


def delta_points(delta: float, band: DeltaBand, config: QualityConfig) -> float:
    """20 inside the band of absolute deltas, 15 within 0.05 of it, 10 within 0.15, else 5."""
    size = abs(delta)
    # Rounded, so that a delta exactly 0.05 away counts as such in binary arithmetic too.
    distance = round(max(band.low - size, size - band.high, 0.0), 9)
    if distance == 0:
        return config.delta_points
    if distance <= config.delta_near:
        return config.delta_points_near
    return config.delta_points_far if distance <= config.delta_far else config.delta_points_else


def quality_parts(
    snapshot: ContractSnapshot, *, target: Decimal | None, band: DeltaBand, config: ContractConfig
) -> dict[str, float | None]:
    """Points of spread, volume, delta and strike; None for a part whose input is missing."""
    rules = config.quality
    spread, delta = spread_fraction(snapshot), usable_delta(snapshot)
    parts: dict[str, float | None] = dict.fromkeys(("spread", "volume", "delta", "strike"))
    if spread is not None:
        parts["spread"] = rules.spread_points * max(0.0, 1 - float(spread) / rules.spread_scale)
    if config.feed_has_volume and snapshot.volume is not None:
        parts["volume"] = volume_points(snapshot.volume, rules)
    if delta is not None:
        parts["delta"] = delta_points(delta, band, rules)
    if target is not None:
        off = abs(snapshot.contract.strike - target) / target
        parts["strike"] = rules.strike_points * max(0.0, 1 - float(off) / rules.strike_scale)
    return parts


def quality_of(parts: Mapping[str, float | None], config: ContractConfig) -> float | None:
    """The sum of ``parts``, 0 to 100; None if spread, delta or strike is unknown.

    On a feed without volume the other parts are scaled up to 100. On a feed with volume a contract whose volume is
    unknown earns no points for it.
    """
    needed = [parts["spread"], parts["delta"], parts["strike"]]
    if any(part is None for part in needed):
        return None
    total = sum(part for part in needed if part is not None)
    if not config.feed_has_volume:
        return total * 100 / (100 - config.quality.volume_points)
    return total + (parts["volume"] or 0.0)
