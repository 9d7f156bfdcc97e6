"""Who is a member from one decision to the next: entering, staying, leaving, silence and the cut to the list's size.

What belongs here: the course of membership over arrays, for many independent sequences of decisions side by side. What
does not: scores, and the words for what was decided (``strategy.watchlist``). Instants are microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trading_assets.strategy.config_signals import WatchlistConfig

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_MINUTE = 60_000_000


class Outcome(IntEnum):
    """What a decision says about a ticker, before the list is cut. A stranger is no member and does not become one."""

    STRANGER = 0
    STAYS = 1
    ENTERED = 2
    LOW = 3
    SILENT_STAYS = 4
    SILENT_LEFT = 5


_LISTED = (Outcome.STAYS, Outcome.ENTERED, Outcome.SILENT_STAYS)


@dataclass(frozen=True, slots=True)
class Scores:
    """Scored rows by moment: number of the moment, number of the ticker (in the order of names), score or NaN."""

    moment: Integers
    ticker: Integers
    score: Floats


@dataclass(frozen=True, slots=True)
class Carried:
    """The members before the first decision: score, since when, and when each last had a score."""

    ticker: Integers
    score: Floats
    entered: Integers
    seen: Integers


@dataclass(frozen=True, slots=True)
class Course:
    """Verdicts, one per entry of each array.

    ``row`` is the scored row that is told, or for a silent member the last one that had a score; numbers from the
    count of scored rows on mean the carried ones. ``place`` is the rank of one that the list is too short for, else 0;
    ``unscored`` says that a silent member had a row without a score.
    """

    moment: Integers
    ticker: Integers
    row: Integers
    outcome: NDArray[np.int8]
    place: Integers
    entered: Integers
    seen: Integers
    unscored: Mask

    @property
    def listed(self) -> Mask:
        """Whether each is a member before the list is cut."""
        listed: Mask = np.isin(self.outcome, _LISTED)
        return listed

    @property
    def member(self) -> Mask:
        """Whether each is a member."""
        member: Mask = self.listed & (self.place == 0)
        return member

    def taken(self, order: Integers) -> Course:
        """The verdicts in another order."""
        return Course(*(getattr(self, field.name)[order] for field in fields(self)))


@dataclass(slots=True)
class _State:
    """The members of every sequence, by sequence and ticker."""

    member: Mask
    score: Floats
    entered: Integers
    seen: Integers
    row: Integers

    def upto(self, count: int) -> _State:
        """The first ``count`` sequences; a view."""
        return _State(*(getattr(self, field.name)[:count] for field in fields(self)))


def follow(
    scores: Scores,
    carried: Carried,
    *,
    moments: Integers,
    afresh: Sequence[bool],
    tickers: int,
    config: WatchlistConfig,
) -> Course:
    """The verdicts at every one of ``moments`` (rising, at least one), each building on the one before.

    A moment that is ``afresh`` begins with no members: what lies between two of them is a sequence of its own, and all
    sequences are worked on side by side. Every scored row has a verdict, but a silent member's: that has one in its
    place, also where there is no row.
    """
    starts = np.flatnonzero(np.array(afresh, dtype=bool) | (np.arange(len(moments)) == 0))
    lengths = np.diff([*starts, len(moments)])
    # The longest first: the sequences that are still running are then always the first ones.
    longest = np.argsort(-lengths, kind="stable")
    sequence_of = np.repeat(np.argsort(longest), lengths)
    step_of = np.arange(len(moments)) - np.repeat(starts, lengths)
    state = _beginning(carried, len(scores.score), (len(starts), tickers))
    # Only the first sequence goes on from what was before, and only if it is not afresh.
    goes_on = (longest == 0) & (not afresh[0])
    state.member &= goes_on[:, np.newaxis]

    by_step = np.argsort(step_of[scores.moment], kind="stable")
    edges = np.searchsorted(step_of[scores.moment][by_step], np.arange(lengths.max(initial=0) + 1))
    first = starts[longest]
    verdicts = []
    for step, (begin, end) in enumerate(pairwise(edges.tolist())):
        running = int((lengths > step).sum())
        rows = by_step[begin:end]
        place = (sequence_of[scores.moment[rows]], scores.ticker[rows])
        found = np.full((running, tickers), -1, dtype=np.int64)
        score = np.full((running, tickers), np.nan)
        found[place], score[place] = rows, scores.score[rows]
        numbers = first[:running] + step
        verdicts.append(_decide(state.upto(running), score, found, numbers, moments[numbers], config))
    return Course(*(np.concatenate([getattr(one, field.name) for one in verdicts]) for field in fields(Course)))


def _beginning(carried: Carried, scored: int, shape: tuple[int, int]) -> _State:
    state = _State(
        member=np.zeros(shape, dtype=bool),
        score=np.full(shape, np.nan),
        entered=np.zeros(shape, dtype=np.int64),
        seen=np.zeros(shape, dtype=np.int64),
        row=np.full(shape, -1, dtype=np.int64),
    )
    at = (slice(None), carried.ticker)
    state.member[at] = True
    state.score[at], state.entered[at], state.seen[at] = carried.score, carried.entered, carried.seen
    state.row[at] = scored + np.arange(len(carried.ticker))
    return state


def _decide(
    state: _State, score: Floats, row: Integers, numbers: Integers, nows: Integers, config: WatchlistConfig
) -> Course:
    """The verdicts of one step of every running sequence; ``state`` is left as it is afterwards."""
    now = np.broadcast_to(nows[:, np.newaxis], score.shape)
    stays = state.member & (score >= config.leave_score)
    enters = ~state.member & (score >= config.enter_score)
    silent = state.member & np.isnan(score)
    kept = silent & (now - state.seen < config.retention_minutes * _MINUTE)
    outcome = np.zeros(score.shape, dtype=np.int8)
    for where, what in (
        (state.member, Outcome.LOW),
        (stays, Outcome.STAYS),
        (enters, Outcome.ENTERED),
        (silent, Outcome.SILENT_LEFT),
        (kept, Outcome.SILENT_STAYS),
    ):
        outcome[where] = what
    known = ~np.isnan(score)
    for column, new in ((state.score, score), (state.seen, now), (state.row, row)):
        np.copyto(column, new, where=known)
    np.copyto(state.entered, now, where=enters)

    listed = stays | enters | kept
    place = np.zeros(score.shape, dtype=np.int64)
    if int(listed.sum(axis=1).max(initial=0)) > config.size:
        # Of equal scores the first by name is the better one; one that is not listed comes last.
        order = np.argsort(np.where(listed, -state.score, np.inf), axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.broadcast_to(np.arange(1, score.shape[1] + 1), score.shape), axis=1)
        place = np.where(listed & (rank > config.size), rank, 0)
    state.member[:] = listed & (place == 0)

    said = np.flatnonzero((row >= 0) | silent)
    sequence, ticker = said // score.shape[1], said % score.shape[1]
    quiet, present = silent.ravel()[said], row.ravel()[said]
    return Course(
        moment=numbers[sequence],
        ticker=ticker,
        row=np.where(quiet, state.row.ravel()[said], present),
        outcome=outcome.ravel()[said],
        place=place.ravel()[said],
        entered=state.entered.ravel()[said],
        seen=np.where(quiet, state.seen.ravel()[said], now.ravel()[said]),
        unscored=quiet & (present >= 0),
    )
