"""What moves single names within a session: news events, and large orders that are worked without any news.

A news event is published at an instant; in the next minute the price jumps, then drifts the same way in waves of volume
that die down within about an hour. A large order is the same over hours, without a jump and without a headline. A
false event turns after some minutes and gives back more than it brought; one that stalls is over at that point, and the
price stays about where it is. The words of the news are in ``headlines``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.sessions import Session
from trading_assets.simulation.levels import INDEX_ROW
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.universe import LISTINGS

Array = NDArray[np.float64]

_JUMP_SHAPE = (0.5, 0.3, 0.2)
_WAVE_SHAPE = (1.0, 0.8)
#: Share of the drift that comes in the waves, and the volume between them as a share of the burst.
_WAVE_SHARE = 0.75
_BETWEEN = 0.04


@dataclass(frozen=True, slots=True)
class Event:
    """One piece of news, or one large order, that moves a price.

    ``row`` indexes the listing; ``second`` is the publication in seconds after the open; ``direction`` +1 or -1;
    ``jump`` and ``follow`` log returns without sign; ``duration`` minutes of the drift; ``burst`` the volume multiple;
    ``spacing`` minutes between waves; ``reversal`` the multiple of jump and drift given back by a false event, else 0;
    ``turn`` minutes from the jump to the reversal, or to the end of one that ``stalls``.
    """

    number: int
    news: bool
    row: int
    second: float
    direction: int
    jump: float
    follow: float
    duration: float
    burst: float
    spacing: float
    reversal: float
    turn: float
    stalls: bool

    @property
    def symbol(self) -> str:
        """Symbol of the listing."""
        return LISTINGS[self.row].symbol

    @property
    def first_minute(self) -> int:
        """Index of the first minute bar that reacts: the one after the publication."""
        return int(self.second // 60) + 1


def draw_events(seed: int, session: Session, trend: NDArray[np.int64], profile: MarketProfile) -> tuple[Event, ...]:
    """The session's events in order of publication; a name may have several, the index has none.

    ``trend`` is the daily trend of every listing known at the open, -2 to +2 (see ``levels``).
    """
    drawn = []
    for news, least, most in (
        (True, profile.events_least, profile.events_most),
        (False, profile.orders_least, profile.orders_most),
    ):
        rng = generator(seed, "news" if news else "orders", session.day)
        count = int(rng.integers(least, most + 1))
        weights = profile.trend_preference ** np.abs(trend).astype(np.float64)
        weights[INDEX_ROW] = 0.0
        rows = rng.choice(len(LISTINGS), size=count, replace=True, p=weights / weights.sum())
        latest = min(profile.last_event, session.minutes - 15)
        for row in rows.tolist():
            second = float(math.floor(rng.uniform(profile.first_event, latest) * 60.0))
            drawn.append(_draw(rng, news, row, second, int(trend[row]), profile))
    drawn.sort(key=lambda event: (event.second, event.row))
    return tuple(replace(event, number=number) for number, event in enumerate(drawn))


def _draw(rng: np.random.Generator, news: bool, row: int, second: float, trend: int, profile: MarketProfile) -> Event:
    agrees = rng.random() < profile.trend_agreement
    coin = 1 if rng.random() < 0.5 else -1
    with_trend = 1 if trend > 0 else -1
    direction = coin if trend == 0 else with_trend if agrees else -with_trend
    scale = math.sqrt(LISTINGS[row].annual_volatility / profile.jump_reference_volatility)
    jump = profile.jump_median * scale * math.exp(profile.jump_deviation * rng.standard_normal())
    jump = min(max(jump, profile.jump_least), profile.jump_most)
    fate = rng.random()
    false = fate < profile.false_share
    follow = rng.uniform(profile.follow_least, profile.follow_most)
    lasting = (
        (profile.duration_least, profile.duration_most)
        if news
        else (profile.order_duration_least, profile.order_duration_most)
    )
    duration = rng.uniform(*lasting)
    return Event(
        number=0,
        news=news,
        row=row,
        second=second,
        direction=direction,
        jump=jump if news else 0.0,
        follow=jump * follow if news else scale * rng.uniform(profile.order_least, profile.order_most),
        duration=duration,
        burst=rng.uniform(profile.burst_least, profile.burst_most),
        spacing=rng.uniform(profile.wave_spacing_least, profile.wave_spacing_most),
        turn=duration * rng.uniform(profile.turn_least, profile.turn_most),
        reversal=rng.uniform(profile.reversal_least, profile.reversal_most) if false else 0.0,
        stalls=not false and fate < profile.false_share + profile.stall_share,
    )


def effect(event: Event, minutes: int) -> tuple[Array, Array]:
    """What the event adds to each minute's log return, and by what it multiplies each minute's volume.

    Two arrays of length ``minutes``; what would fall behind the close is lost.
    """
    horizon = int(event.duration) + 1
    moves, volume = np.zeros(horizon), np.ones(horizon)
    age = np.arange(horizon, dtype=np.float64)
    fading = np.exp(-age / event.duration)
    volume += _BETWEEN * (event.burst - 1.0) * fading
    starts = np.arange(len(_JUMP_SHAPE) if event.news else 0, horizon, event.spacing).astype(np.int64)
    for lag, share in enumerate(_WAVE_SHAPE):
        at = starts[starts + lag < horizon] + lag
        moves[at] += share * fading[at]
        volume[at] = 1.0 + (event.burst - 1.0) * share * np.sqrt(fading[at])
    if moves.sum() > 0:
        moves *= _WAVE_SHARE * event.follow / moves.sum()
    moves += (1.0 - _WAVE_SHARE) * event.follow * fading / fading.sum()
    for lag, share in enumerate(_JUMP_SHAPE if event.news else ()):
        moves[lag] += share * event.jump
        volume[lag] = max(volume[lag], 1.0 + (event.burst - 1.0) * (1.0 - 0.2 * lag))
    if event.reversal > 0.0:
        moves, volume = _reverse(event, moves, volume)
    elif event.stalls:
        moves, volume = moves[: int(event.turn)], volume[: int(event.turn)]
    full_moves, full_volume = np.zeros(minutes), np.ones(minutes)
    kept = max(0, min(len(moves), minutes - event.first_minute))
    full_moves[event.first_minute : event.first_minute + kept] = event.direction * moves[:kept]
    full_volume[event.first_minute : event.first_minute + kept] = volume[:kept]
    return full_moves, full_volume


def _reverse(event: Event, moves: Array, volume: Array) -> tuple[Array, Array]:
    """The same event turning after ``turn`` minutes: the rest of the drift never comes, and the way back is steady."""
    turn = min(int(event.turn), len(moves))
    length = max(8, int(event.duration / 2))
    back = np.linspace(1.5, 0.5, length)
    back *= -event.reversal * float(moves[:turn].sum()) / float(back.sum())
    pulse = 1.0 + 0.35 * (event.burst - 1.0) * np.exp(-np.arange(length) / length)
    return np.concatenate([moves[:turn], back]), np.concatenate([volume[:turn], pulse])
