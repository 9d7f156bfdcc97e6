"""What moves single names within a session: news events, and large orders that are worked without any news.

A news event is published at an instant; in the next minute the price jumps, then drifts the same way in waves of volume
that die down within about an hour. A large order is the same over hours, without a jump and without a headline. A
false event turns after some minutes and gives back more than it brought; one that stalls is over at that point, and the
price stays about where it is. The words of the news are in ``headlines``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

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
    drawn: list[tuple[float, int, Callable[..., Event]]] = []
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
            drawn.append((second, row, _draw(rng, news, row, second, int(trend[row]), profile)))
    drawn.sort(key=lambda event: event[:2])
    return tuple(numbered(number=number) for number, (_, _, numbered) in enumerate(drawn))


def _draw(
    rng: np.random.Generator, news: bool, row: int, second: float, trend: int, profile: MarketProfile
) -> Callable[..., Event]:
    """The event, once it is told its number."""
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
    return partial(
        Event,
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
    (moves,) = _drifts([event], event.news, _horizon(event))
    moves, volume = _fated(event, moves), _volume(event)
    full_volume = np.ones(minutes)
    kept = max(0, min(len(volume), minutes - event.first_minute))
    full_volume[event.first_minute : event.first_minute + kept] = volume[:kept]
    return _placed(event, moves, minutes), full_volume


def net_effects(events: Sequence[Event], minutes: Sequence[int]) -> list[float]:
    """What each event adds in all to the log return of its session, which has so many minutes.

    The sum of ``effect``'s moves to the last bit, for a price is rounded to cents; all at once, for a market with its
    history has some 25,000 events.
    """
    alike: dict[tuple[bool, int], list[int]] = {}
    for number, event in enumerate(events):
        alike.setdefault((event.news, _horizon(event)), []).append(number)
    found = [0.0] * len(events)
    for (news, horizon), numbers in alike.items():
        drifts = _drifts([events[number] for number in numbers], news, horizon)
        for number, moves in zip(numbers, drifts, strict=True):
            event = events[number]
            found[number] = float(_placed(event, _fated(event, moves), minutes[number]).sum())
    return found


def _horizon(event: Event) -> int:
    """For how many minutes the drift lasts."""
    return int(event.duration) + 1


def _drifts(events: Sequence[Event], news: bool, horizon: int) -> Array:
    """Jump and drift of events that are all ``news`` or not and last equally long: a row of minutes for each.

    Rows of different lengths would have to be filled up, and a sum over more zeros is rounded otherwise.
    """
    follow = np.array([event.follow for event in events])
    age = np.arange(horizon, dtype=np.float64)
    fading = np.exp(-age / np.array([[event.duration] for event in events]))
    waves = [_waves(event, horizon) for event in events]
    rows, starts = np.repeat(np.arange(len(events)), [len(each) for each in waves]), np.concatenate(waves)
    moves = np.zeros(fading.shape)
    for lag, share in enumerate(_WAVE_SHAPE):
        within = starts + lag < horizon
        at = rows[within], starts[within] + lag
        moves[at] += share * fading[at]
    total = moves.sum(axis=1)
    moves *= np.divide(_WAVE_SHARE * follow, total, out=np.ones(len(events)), where=total > 0)[:, None]
    moves += ((1.0 - _WAVE_SHARE) * follow)[:, None] * fading / fading.sum(axis=1)[:, None]
    jump = np.array([event.jump for event in events])
    for lag, share in enumerate(_JUMP_SHAPE if news else ()):
        moves[:, lag] += share * jump
    return moves


def _waves(event: Event, horizon: int) -> NDArray[np.int64]:
    """The minutes in which waves begin."""
    return np.arange(len(_JUMP_SHAPE) if event.news else 0, horizon, event.spacing).astype(np.int64)


def _volume(event: Event) -> Array:
    """By what the event multiplies the volume of its minutes."""
    horizon = _horizon(event)
    fading = np.exp(-np.arange(horizon, dtype=np.float64) / event.duration)
    volume: Array = np.ones(horizon)
    volume += _BETWEEN * (event.burst - 1.0) * fading
    starts = _waves(event, horizon)
    for lag, share in enumerate(_WAVE_SHAPE):
        at = starts[starts + lag < horizon] + lag
        volume[at] = 1.0 + (event.burst - 1.0) * share * np.sqrt(fading[at])
    for lag in range(len(_JUMP_SHAPE) if event.news else 0):
        volume[lag] = max(volume[lag], 1.0 + (event.burst - 1.0) * (1.0 - 0.2 * lag))
    turn = int(event.turn)
    if event.reversal > 0.0:
        length = len(_way_back(event.duration)[0])
        pulse = 1.0 + 0.35 * (event.burst - 1.0) * np.exp(-np.arange(length) / length)
        return np.concatenate([volume[:turn], pulse])
    return volume[:turn] if event.stalls else volume


def _fated(event: Event, moves: Array) -> Array:
    """What becomes of the drift: a false event turns after ``turn`` minutes, and the rest of it never comes."""
    turn = int(event.turn)
    if event.reversal > 0.0:
        back, total = _way_back(event.duration)
        return np.concatenate([moves[:turn], back * (-event.reversal * float(moves[:turn].sum()) / total)])
    return moves[:turn] if event.stalls else moves


def _way_back(duration: float) -> tuple[Array, float]:
    """The steady way back of a false event, and its sum."""
    return _steady(max(8, int(duration / 2)))


@lru_cache(maxsize=512)
def _steady(length: int) -> tuple[Array, float]:
    back = np.linspace(1.5, 0.5, length)
    back.flags.writeable = False
    return back, float(back.sum())


def _placed(event: Event, moves: Array, minutes: int) -> Array:
    """The moves in the minutes of the session."""
    full = np.zeros(minutes)
    kept = max(0, min(len(moves), minutes - event.first_minute))
    full[event.first_minute : event.first_minute + kept] = event.direction * moves[:kept]
    return full
