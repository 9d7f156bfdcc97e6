"""How much two names move together: shrunk correlation and beta of daily log returns.

What belongs here: log returns on given sessions, the correlation of two such series, beta against an index. What does
not: which pairs matter and from where on it is too much (``risk.portfolio_gates``). A return needs both closes of two
sessions in a row; a gap gives no return rather than one over two sessions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Correlation:
    """``value`` in [-1, 1], None where it cannot be told; ``sessions`` is the number of returns both series have."""

    value: float | None
    sessions: int


#: A daily log return beyond this is taken for a split or an error of the closes, which are not adjusted.
MOST_RETURN = 0.4


def log_returns(closes: Mapping[date, float | None], sessions: Sequence[date]) -> dict[date, float]:
    """ln(close / previous close) for every session whose close and previous close are known and positive.

    ``sessions`` are consecutive, oldest first; the first one only serves as a base. A return of more than 0.4 either
    way (49 % up, 33 % down) is left out: a single split would hide every correlation.
    """
    found: dict[date, float] = {}
    for before, day in pairwise(sessions):
        first, second = closes.get(before), closes.get(day)
        if first is None or second is None or not (0 < first < math.inf and 0 < second < math.inf):
            continue
        change = math.log(second / first)
        if abs(change) <= MOST_RETURN:
            found[day] = change
    return found


def shrunk_correlation(one: Mapping[date, float], other: Mapping[date, float]) -> Correlation:
    """Correlation on the sessions both have, drawn towards 0 by as much as the sample is noisy.

    Source: Ledoit & Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices", equation
    (14), for the two standardised series: S is their sample correlation matrix, the target the identity,
    d2 = |S - I|^2, b2 = min(d2, sum |x x' - S|^2 / n^2), and the off-diagonal r becomes (1 - b2/d2) r. Norms are
    Frobenius over the dimension. None with fewer than two common sessions or a series that does not move.
    """
    pair = _standardised(one, other)
    common = len(one.keys() & other.keys())
    if pair is None:
        return Correlation(None, common)
    x, y = pair
    r = max(-1.0, min(1.0, math.fsum(a * b for a, b in zip(x, y, strict=True)) / common))
    distance = r * r
    if distance == 0:
        return Correlation(0.0, common)
    noise = math.fsum(
        ((a * a - 1) ** 2 + (b * b - 1) ** 2 + 2 * (a * b - r) ** 2) / 2 for a, b in zip(x, y, strict=True)
    )
    intensity = min(distance, noise / common**2) / distance
    return Correlation((1 - intensity) * r, common)


def _standardised(one: Mapping[date, float], other: Mapping[date, float]) -> tuple[list[float], list[float]] | None:
    days = sorted(one.keys() & other.keys())
    if len(days) < 2:
        return None
    result = []
    for series in (one, other):
        values = [series[day] for day in days]
        mean = math.fsum(values) / len(values)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
        # Rounding leaves a trace of movement in a series that stands still.
        if not math.isfinite(deviation) or deviation <= 1e-12 * max(1.0, abs(mean)):
            return None
        result.append([(value - mean) / deviation for value in values])
    return result[0], result[1]


def beta(one: Mapping[date, float], index: Mapping[date, float], *, least: int = 2) -> float | None:
    """Covariance with the index over the index's variance, on the sessions both have.

    None with fewer than ``least`` common sessions or an index that does not move.
    """
    days = sorted(one.keys() & index.keys())
    if len(days) < max(2, least):
        return None
    mean_one = math.fsum(one[day] for day in days) / len(days)
    mean_index = math.fsum(index[day] for day in days) / len(days)
    variance = math.fsum((index[day] - mean_index) ** 2 for day in days)
    if variance <= 0:
        return None
    return math.fsum((one[day] - mean_one) * (index[day] - mean_index) for day in days) / variance
