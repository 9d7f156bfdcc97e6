"""Minute bars and daily bars of all listings, as arrays.

A session's minutes are a market, a sector and an own factor with mildly fat tails and a U-shaped day, a slow drift,
and the session's events; a bridge makes the part without events end where the daily skeleton (``levels``) says. Prices
are whole cents. An event's net effect leaves the price over the following sessions' opening gaps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.sessions import Session
from trading_assets.simulation.events import Event, draw_events, effect, net_effects
from trading_assets.simulation.levels import BASE, DAILY_DEVIATION, Levels, draw_levels, loadings, sector_count
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.universe import LISTINGS

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_WIDTH = len(LISTINGS)
_VOLUME: Array = np.array([float(listing.average_volume) for listing in LISTINGS])


@dataclass(frozen=True, slots=True)
class Minutes:
    """One session: arrays of shape (listings, minutes). Prices in whole cents, ``kink`` the two seconds within each
    minute at which the path turns (listings, minutes, 2), ``high_first`` whether the high comes before the low."""

    session: Session
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers
    trades: Integers
    vwap: Array
    kink: Array
    high_first: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Days:
    """Daily bars before the minute sessions; arrays of shape (sessions, listings), prices in whole cents."""

    sessions: tuple[Session, ...]
    open: Integers
    high: Integers
    low: Integers
    close: Integers
    volume: Integers


@dataclass(frozen=True, slots=True)
class Paths:
    """Everything drawn for one market: old daily bars, the minute sessions (today last), today's events, and the
    volatility index before each session's open by date."""

    days: Days
    minutes: tuple[Minutes, ...]
    events: dict[date, tuple[Event, ...]]
    vix: dict[date, float]


@lru_cache(maxsize=16)
def volume_shape(minutes: int) -> Array:
    """Share of a session's volume in each minute: high at the open, higher still in the last minutes."""
    at = np.linspace(0.0, 1.0, minutes)
    shape = 0.62 + 1.5 * np.exp(-at * 14.0) + 0.55 * (2.0 * at - 1.0) ** 2 + 0.9 * np.exp((at - 1.0) * 30.0)
    result: Array = shape / shape.sum()
    return result


@lru_cache(maxsize=16)
def variance_shape(minutes: int) -> Array:
    """Share of a session's variance in each minute: twice the midday level at the open, a little more at the close."""
    at = np.linspace(0.0, 1.0, minutes)
    shape = 0.75 + 1.9 * np.exp(-at * 11.0) + 0.45 * (2.0 * at - 1.0) ** 2
    result: Array = shape / shape.sum()
    return result


#: How far an old day's extremes lie beyond open and close, in daily deviations: as far as a day of minutes reaches.
_OLD_WICK = 0.7


def draw_paths(seed: int, day: date, profile: MarketProfile, *, history_sessions: int, daily_sessions: int) -> Paths:
    """Minutes for ``day`` and ``history_sessions`` before it; daily bars for the rest of ``daily_sessions``."""
    levels = draw_levels(seed, day, profile)
    first_minutes = len(levels.sessions) - 1 - history_sessions
    first_days = len(levels.sessions) - 1 - daily_sessions
    events: dict[date, tuple[Event, ...]] = {}
    drawn: list[tuple[int, Event, int]] = []
    net = np.zeros((len(levels.sessions), _WIDTH))
    # Sessions without minutes have events, too: a history calmer than today would rank every volatility as extreme.
    for row in range(max(0, first_days - profile.memory_sessions), len(levels.sessions)):
        session = levels.sessions[row]
        events[session.day] = draw_events(seed, session, levels.trend[row], profile)
        drawn += [(row, event, session.minutes) for event in events[session.day]]
    each = net_effects([event for _, event, _ in drawn], [minutes for _, _, minutes in drawn])
    for (row, event, _), added in zip(drawn, each, strict=True):
        net[row, event.row] += added
    lingering = np.zeros_like(net)
    for lag in range(profile.memory_sessions):
        lingering[lag:] += (1.0 - lag / profile.memory_sessions) * net[: len(net) - lag]
    log_close = levels.log_close + lingering
    cents = np.rint(BASE * np.exp(log_close) * 100.0)
    minutes = tuple(
        _session_minutes(seed, levels, row, cents[row], log_close[row], net[row], events, profile)
        for row in range(first_minutes, len(levels.sessions))
    )
    days = _old_days(seed, levels, slice(first_days, first_minutes), log_close, cents, net)
    vix = {
        session.day: float(value)
        for session, value in zip(levels.sessions[first_minutes:], levels.vix[first_minutes:], strict=True)
    }
    return Paths(days, minutes, events, vix)


def _session_minutes(
    seed: int,
    levels: Levels,
    row: int,
    close_cents: Array,
    log_close: Array,
    net: Array,
    events: dict[date, tuple[Event, ...]],
    profile: MarketProfile,
) -> Minutes:
    session = levels.sessions[row]
    count = session.minutes
    rng = generator(seed, "minutes", session.day)
    variance = variance_shape(count)
    deviation = DAILY_DEVIATION * math.sqrt(1.0 - profile.overnight_share) * profile.intraday_scale
    returns = _diffuse(rng, profile, variance, deviation)
    returns += (levels.intraday[row] - returns.sum(axis=1))[:, None] * variance
    multiples = np.ones((_WIDTH, count))
    for event in events[session.day]:
        moves, bursts = effect(event, count)
        returns[event.row] += moves
        multiples[event.row] *= bursts

    path = BASE[:, None] * np.exp((log_close - levels.intraday[row] - net)[:, None] + np.cumsum(returns, axis=1))
    close = np.rint(path * 100.0)
    close[:, -1] = close_cents
    minute = np.sqrt(variance) * deviation[:, None]
    first = np.rint(BASE * np.exp(log_close - levels.intraday[row] - net) * 100.0)
    nudge = np.rint(rng.normal(0.0, 0.06, (_WIDTH, count)) * minute * close)
    opened = np.hstack([first[:, None], close[:, :-1]]) + nudge
    wick = np.abs(rng.normal(0.0, 0.5, (2, _WIDTH, count))) * minute
    high = np.maximum(np.maximum(opened, close), np.rint(np.maximum(opened, close) * (1.0 + wick[0])))
    low = np.minimum(np.minimum(opened, close), np.rint(np.minimum(opened, close) * (1.0 - wick[1])))

    noise = np.exp(rng.normal(0.0, profile.volume_noise, (_WIDTH, count)))
    expected = (_VOLUME * levels.day_volume[row])[:, None] * volume_shape(count) * multiples
    volume = np.maximum(np.rint(expected * noise), 1.0)
    trades = np.maximum(np.rint(volume / rng.uniform(70.0, 120.0, (_WIDTH, count))), 1.0)
    vwap = (
        np.round(low + (high - low) * np.clip((opened + close) / 2.0 - low + 0.5, 0.0, None) / (high - low + 1.0), 2)
        / 100.0
    )
    kink = np.sort(rng.uniform(6.0, 52.0, (_WIDTH, count, 2)), axis=2)
    high_first = rng.random((_WIDTH, count)) < np.where(close >= opened, 0.25, 0.75)
    return Minutes(
        session=session,
        open=opened.astype(np.int64),
        high=high.astype(np.int64),
        low=low.astype(np.int64),
        close=close.astype(np.int64),
        volume=volume.astype(np.int64),
        trades=trades.astype(np.int64),
        vwap=vwap,
        kink=kink,
        high_first=high_first,
    )


def _diffuse(rng: np.random.Generator, profile: MarketProfile, variance: Array, deviation: Array) -> Array:
    """Minute log returns without events, (listings, minutes): factors with fat tails, slow drift, and whipsaw."""
    count = len(variance)
    degrees = profile.tail_degrees
    unit = math.sqrt((degrees - 2.0) / degrees)
    draws = rng.standard_t(degrees, (count, 1 + sector_count() + _WIDTH)) * unit
    sectors = 1 + sector_count()
    scale = math.sqrt(1.0 - profile.overnight_share) * profile.intraday_scale
    returns: Array = loadings(profile).combine(draws[:, 0], draws[:, 1:sectors], draws[:, sectors:]).T
    returns = returns * scale * np.sqrt(variance)
    minute = np.sqrt(variance) * deviation[:, None]
    if profile.drift_strength > 0.0:
        keep = 0.5 ** (1.0 / profile.drift_half_life)
        shocks = rng.standard_normal((count, _WIDTH)) * math.sqrt(1.0 - keep * keep)
        drift, current = np.empty((count, _WIDTH)), rng.standard_normal(_WIDTH)
        for at in range(count):
            current = keep * current + shocks[at]
            drift[at] = current
        returns += profile.drift_strength * drift.T * minute
    if profile.whipsaw > 0.0:
        phase = rng.uniform(0.0, 2.0 * math.pi, (_WIDTH, 1))
        period = profile.whipsaw_period * rng.uniform(0.7, 1.4, (_WIDTH, 1))
        returns += profile.whipsaw * np.sin(2.0 * math.pi * np.arange(count) / period + phase) * minute
    return returns


def _old_days(seed: int, levels: Levels, rows: slice, log_close: Array, cents: Array, net: Array) -> Days:
    """Daily bars of sessions older than the minutes: extremes are those of a path between open and close."""
    sessions = levels.sessions[rows]
    rng = generator(seed, "days", "extremes")
    # Drawn for all sessions since the epoch, so that a session keeps its bar when the window moves on.
    wick = np.abs(rng.standard_normal((len(levels.sessions), 2, _WIDTH)))[rows] * _OLD_WICK * DAILY_DEVIATION
    closed = cents[rows]
    opened = np.rint(BASE * np.exp(log_close[rows] - levels.intraday[rows] - net[rows]) * 100.0)
    high = np.rint(np.maximum(opened, closed) * np.exp(wick[:, 0]))
    low = np.rint(np.minimum(opened, closed) * np.exp(-wick[:, 1]))
    volume = np.rint(_VOLUME * levels.day_volume[rows])
    return Days(
        sessions=sessions,
        open=opened.astype(np.int64),
        high=high.astype(np.int64),
        low=low.astype(np.int64),
        close=closed.astype(np.int64),
        volume=volume.astype(np.int64),
    )
