"""The quality of an option contract, 0 to 100: spread, volume, delta and strike.

What belongs here: the points of each part and their sum, for whole chains as numpy columns and for one contract. What
does not: refusals and the choice (``strategy.contracts``). A part whose input is missing is NaN (None for one
contract), never zero points by default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading_assets.domain.values import ContractSnapshot
from trading_assets.strategy.chain_columns import ChainColumns, known
from trading_assets.strategy.config_trading import ContractConfig, DeltaBand, QualityConfig
from trading_assets.strategy.option_model import usable_delta
from trading_assets.strategy.quoting import two_sided

Array = NDArray[np.float64]
PARTS = ("spread", "volume", "delta", "strike")


@dataclass(frozen=True, slots=True)
class QualityColumns:
    """Points of each part and their ``total``, one element per contract; NaN where they cannot be told."""

    spread: Array
    volume: Array
    delta: Array
    strike: Array
    total: Array


def spread_fraction(snapshot: ContractSnapshot) -> Decimal | None:
    """Spread over mid, or None without a two-sided uncrossed quote."""
    sides = two_sided(snapshot.quote)
    if sides is None:
        return None
    bid, ask = sides
    return (ask - bid) / ((ask + bid) / 2)


def _kept(condition: Any, like: Array, values: Any, otherwise: Any) -> Array:
    """``np.where`` that leaves NaN where ``like`` is NaN."""
    return np.where(np.isnan(like), np.nan, np.where(condition, values, otherwise))


def _volumes(volume: Array, config: QualityConfig) -> Array:
    part = (volume - config.half_volume) / (config.full_volume - config.half_volume)
    rising = config.volume_points_half + (config.volume_points - config.volume_points_half) * part
    with np.errstate(invalid="ignore"):
        points = np.where(volume >= config.full_volume, config.volume_points, rising)
        return _kept(volume >= config.half_volume, volume, points, 0.0)


def _deltas(delta: Array, band: DeltaBand, config: QualityConfig) -> Array:
    size = np.abs(delta)
    # Rounded, so that a delta exactly 0.05 away counts as such in binary arithmetic too.
    distance = np.round(np.maximum(np.maximum(band.low - size, size - band.high), 0.0), 9)
    with np.errstate(invalid="ignore"):
        far = np.where(distance <= config.delta_far, config.delta_points_far, config.delta_points_else)
        near = np.where(distance <= config.delta_near, config.delta_points_near, far)
        return _kept(distance == 0, delta, config.delta_points, near)


def _falling(share: Array, points: float, scale: float) -> Array:
    """``points`` at 0, none from ``scale`` on, in a straight line; NaN stays."""
    result: Array = points * np.maximum(0.0, 1 - share / scale)
    return result


def _total(spread: Array, volume: Array, delta: Array, strike: Array, config: ContractConfig) -> Array:
    """The sum; NaN if spread, delta or strike is unknown. Without volume on the feed the others are scaled to 100."""
    others = spread + delta + strike
    if not config.feed_has_volume:
        return others * 100 / (100 - config.quality.volume_points)
    return others + np.where(np.isnan(volume), 0.0, volume)


def quality_columns(
    columns: ChainColumns, *, target: ArrayLike, band: DeltaBand, config: ContractConfig
) -> QualityColumns:
    """Points of a whole chain; ``target`` is the strike wanted for each contract's expiry, NaN where there is none."""
    rules, wanted = config.quality, np.broadcast_to(np.asarray(target, dtype=np.float64), columns.strike.shape)
    spread = _falling(columns.spread, rules.spread_points, rules.spread_scale)
    volume = _volumes(columns.volume, rules) if config.feed_has_volume else np.full(columns.strike.shape, np.nan)
    delta = _deltas(columns.delta, band, rules)
    strike = _falling(np.abs(columns.strike - wanted) / wanted, rules.strike_points, rules.strike_scale)
    return QualityColumns(spread, volume, delta, strike, _total(spread, volume, delta, strike, config))


# --- one contract -----------------------------------------------------------------------------------------------------


def volume_points(volume: int, config: QualityConfig) -> float:
    """30 from 1,000 contracts, 15 to 30 in a straight line from 200, else 0."""
    return float(_volumes(np.array(float(volume)), config))


def delta_points(delta: float, band: DeltaBand, config: QualityConfig) -> float:
    """20 inside the band of absolute deltas, 15 within 0.05 of it, 10 within 0.15, else 5."""
    return float(_deltas(np.array(delta), band, config))


def quality_parts(
    snapshot: ContractSnapshot, *, target: Decimal | None, band: DeltaBand, config: ContractConfig
) -> dict[str, float | None]:
    """Points of spread, volume, delta and strike; None for a part whose input is missing."""
    rules = config.quality
    spread, delta = spread_fraction(snapshot), usable_delta(snapshot)
    parts: dict[str, float | None] = dict.fromkeys(PARTS)
    if spread is not None:
        parts["spread"] = float(_falling(np.array(float(spread)), rules.spread_points, rules.spread_scale))
    if config.feed_has_volume and snapshot.volume is not None:
        parts["volume"] = volume_points(snapshot.volume, rules)
    if delta is not None:
        parts["delta"] = delta_points(delta, band, rules)
    if target is not None:
        off = np.array(float(abs(snapshot.contract.strike - target) / target))
        parts["strike"] = float(_falling(off, rules.strike_points, rules.strike_scale))
    return parts


def quality_of(parts: Mapping[str, float | None], config: ContractConfig) -> float | None:
    """The sum of ``parts``, 0 to 100; None if spread, delta or strike is unknown.

    On a feed without volume the other parts are scaled up to 100. On a feed with volume a contract whose volume is
    unknown earns no points for it.
    """
    spread, volume, delta, strike = (np.array(np.nan if parts[name] is None else parts[name]) for name in PARTS)
    return known(float(_total(spread, volume, delta, strike, config)))
