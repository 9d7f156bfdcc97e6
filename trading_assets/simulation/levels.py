"""Daily returns of every listing since a fixed first session: the skeleton on which minutes are hung.

The draws start at one epoch and are prefix-stable, so a session has the same returns whichever later session a market
is built for: a practice world that moves on to the next day finds yesterday as it was. Factor structure: market,
sector, own. Prices are pulled gently towards their base, so that decades of paths stay at a plausible level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.sessions import Session, sessions_between
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.universe import INDEX, LISTINGS

Array = NDArray[np.float64]

EPOCH = date(2016, 1, 4)
_EARLIEST = date(2018, 1, 2)
SESSIONS_PER_YEAR = 252.0
#: Sessions of the fast and the slow mean of the far and the near daily trend.
_FAR, _NEAR = (20, 50), (3, 7)
_SECTORS = sorted({listing.sector for listing in LISTINGS})

BASE: Array = np.array([listing.base_price for listing in LISTINGS])
DAILY_DEVIATION: Array = np.array([listing.annual_volatility for listing in LISTINGS]) / math.sqrt(SESSIONS_PER_YEAR)
_BETA: Array = np.array([listing.beta for listing in LISTINGS])
_SECTOR_OF: NDArray[np.int64] = np.array([_SECTORS.index(listing.sector) for listing in LISTINGS])
INDEX_ROW = next(i for i, listing in enumerate(LISTINGS) if listing.symbol == INDEX)
_OWN_FLOOR = 0.25


@dataclass(frozen=True, slots=True)
class Loadings:
    """How one standard draw per factor becomes a day's return: deviations per session, one element per listing."""

    market: Array
    sector: Array
    own: Array

    def combine(self, market: Array, sector: Array, own: Array) -> Array:
        """Returns from standard draws: ``market`` (...,), ``sector`` (..., sectors), ``own`` (..., listings)."""
        result: Array = market[..., None] * self.market + sector[..., _SECTOR_OF] * self.sector + own * self.own
        return result


@lru_cache(maxsize=8)
def loadings(profile: MarketProfile) -> Loadings:
    """Loadings such that each listing's total variance is its own annual volatility (with a floor on its own part)."""
    market = _BETA * DAILY_DEVIATION[INDEX_ROW]
    sector = np.full(len(LISTINGS), profile.sector_volatility / math.sqrt(SESSIONS_PER_YEAR))
    sector[INDEX_ROW] = 0.0
    variance = DAILY_DEVIATION**2
    own = np.sqrt(np.maximum(variance - market**2 - sector**2, _OWN_FLOOR * variance))
    own[INDEX_ROW] = 0.0
    return Loadings(market, sector, own)


def sector_count() -> int:
    """Number of sectors, the index's included."""
    return len(_SECTORS)


@dataclass(frozen=True, slots=True)
class Levels:
    """Day-level paths; rows are ``sessions``, columns the listings in order.

    ``log_close`` is the logarithm of close over base without events; ``intraday`` the open-to-close log return without
    events; ``trend`` known at the open: +1 or -1 where the previous close lies beyond its 20- and 50-session means in
    order, +2 or -2 where it also lies so beyond its 3- and 7-session means, else 0;
    ``day_volume`` the multiple of the average volume; ``vix`` the volatility index at the previous close.
    """

    sessions: tuple[Session, ...]
    log_close: Array
    intraday: Array
    trend: NDArray[np.int64]
    day_volume: Array
    vix: Array


@lru_cache(maxsize=4)
def draw_levels(seed: int, last: date, profile: MarketProfile) -> Levels:
    """All sessions from the epoch to ``last``. Raises ``ValueError`` before 2018, where too little history lies."""
    if last < _EARLIEST:
        raise ValueError(f"the simulated market starts in {_EARLIEST:%Y}, saw {last}")
    sessions = tuple(sessions_between(EPOCH, last))
    count, width = len(sessions), len(LISTINGS)
    sectors = sector_count()
    load = loadings(profile)

    def returns(purpose: str, share: float) -> Array:
        draws = generator(seed, "levels", purpose).standard_normal((count, 1 + sectors + width))
        return load.combine(draws[:, 0], draws[:, 1 : 1 + sectors], draws[:, 1 + sectors :]) * math.sqrt(share)

    overnight = returns("overnight", profile.overnight_share)
    intraday = returns("intraday", 1.0 - profile.overnight_share) * profile.intraday_scale
    persistence = profile.daily_drift_persistence
    shocks = generator(seed, "levels", "drift").standard_normal((count, width))
    shocks *= profile.daily_drift_strength * DAILY_DEVIATION * math.sqrt(1.0 - persistence**2)
    vix_shocks = generator(seed, "levels", "vix").standard_normal(count)

    log_close = np.empty((count, width))
    vix = np.empty(count)
    level, drift, log_vix = np.zeros(width), np.zeros(width), 0.0
    for row in range(count):
        vix[row] = profile.vix_level * math.exp(log_vix)
        drift = persistence * drift + shocks[row]
        intraday[row] += drift
        level = (1.0 - profile.level_pull) * level + overnight[row] + intraday[row]
        log_close[row] = level
        log_vix = 0.93 * log_vix + 0.03 * vix_shocks[row] - 2.0 * float(overnight[row, INDEX_ROW])
    day_volume = np.exp(generator(seed, "levels", "volume").standard_normal((count, width)) * profile.day_volume_noise)
    return Levels(sessions, log_close, intraday, _trend(log_close), day_volume * profile.volume_scale, vix)


def _trend(log_close: Array) -> NDArray[np.int64]:
    """The daily trend known at each session's open; 0 while there is too little history."""
    far, near = _state(log_close, *_FAR), _state(log_close, *_NEAR)
    return far + np.where(far == near, near, 0)


def _state(log_close: Array, fast: int, slow: int) -> NDArray[np.int64]:
    """+1 where the close before a session lies above its fast mean and that above its slow mean; -1 mirrored."""
    running = np.cumsum(np.vstack([np.zeros_like(log_close[:1]), log_close]), axis=0)
    fast_mean = (running[slow:-1] - running[slow - fast : -1 - fast]) / fast
    slow_mean = (running[slow:-1] - running[: -1 - slow]) / slow
    close = log_close[slow - 1 : -1]
    up, down = (close > fast_mean) & (fast_mean > slow_mean), (close < fast_mean) & (fast_mean < slow_mean)
    result = np.zeros(log_close.shape, dtype=np.int64)
    result[slow:] = up.astype(np.int64) - down.astype(np.int64)
    return result
