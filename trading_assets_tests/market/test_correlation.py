"""Shrunk correlation, beta and daily log returns against textbook computations."""

from __future__ import annotations

import math
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading_assets.market.correlation import Correlation, beta, log_returns, shrunk_correlation

DAYS = [date(2026, 1, 1) + timedelta(days=number) for number in range(61)]


def series(values: np.ndarray) -> dict[date, float]:
    return dict(zip(DAYS, map(float, values), strict=False))


def ledoit_wolf(x: np.ndarray) -> float:
    """Off-diagonal of the estimator as the paper states it, matrix by matrix, on standardised columns."""
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    n, p = x.shape
    sample = x.T @ x / n
    target = np.trace(sample) / p * np.eye(p)
    d2 = np.sum((sample - target) ** 2) / p
    b2 = min(d2, sum(np.sum((np.outer(row, row) - sample) ** 2) / p for row in x) / n**2)
    return float((b2 / d2 * target + (1 - b2 / d2) * sample)[0, 1])


@pytest.mark.parametrize("rho", [-0.9, -0.2, 0.0, 0.5, 0.85, 0.99])
@pytest.mark.parametrize("count", [10, 60])
def test_the_estimate_is_that_of_ledoit_and_wolf(rho: float, count: int) -> None:
    noise = np.random.default_rng(7).standard_normal((count, 2))
    x = np.column_stack([noise[:, 0], rho * noise[:, 0] + math.sqrt(1 - rho**2) * noise[:, 1]])
    found = shrunk_correlation(series(x[:, 0]), series(x[:, 1]))
    assert found.sessions == count
    assert found.value == pytest.approx(ledoit_wolf(x), abs=1e-12)


@given(st.lists(st.tuples(st.floats(-0.2, 0.2), st.floats(-0.2, 0.2)), min_size=2, max_size=60))
@settings(deadline=None)
def test_it_is_drawn_towards_zero_and_the_same_both_ways_round(rows: list[tuple[float, float]]) -> None:
    x, y = series(np.array([row[0] for row in rows])), series(np.array([row[1] for row in rows]))
    found = shrunk_correlation(x, y)
    assert found.value == shrunk_correlation(y, x).value
    if found.value is not None:
        plain = np.corrcoef(list(x.values()), list(y.values()))[0, 1]
        assert abs(found.value) <= abs(plain) + 1e-6


def test_a_longer_record_is_trusted_more() -> None:
    noise = np.random.default_rng(3).standard_normal(60)
    short = shrunk_correlation(series(noise[:10]), series(noise[:10]))
    whole = shrunk_correlation(series(noise), series(noise))
    assert short.value is not None and whole.value is not None
    assert short.value < whole.value < 1


def test_what_has_no_common_days_or_does_not_move_has_no_correlation() -> None:
    moving = series(np.arange(10.0))
    assert shrunk_correlation({}, moving) == Correlation(None, 0)
    assert shrunk_correlation({DAYS[0]: 1.0}, moving) == Correlation(None, 1)
    assert shrunk_correlation(series(np.full(10, 0.1)), moving) == Correlation(None, 10)
    assert beta(moving, series(np.zeros(10))) is None
    assert beta(moving, moving, least=11) is None


def test_beta_is_the_slope_on_the_index() -> None:
    index = np.random.default_rng(1).standard_normal(30)
    assert beta(series(1.5 * index + 0.01), series(index)) == pytest.approx(1.5)


def test_a_return_needs_two_sessions_in_a_row() -> None:
    closes = {DAYS[0]: 100.0, DAYS[1]: 110.0, DAYS[2]: None, DAYS[3]: 121.0, DAYS[4]: 0.0, DAYS[5]: float("nan")}
    assert log_returns(closes, DAYS[:6]) == {DAYS[1]: pytest.approx(math.log(1.1))}
    assert log_returns({}, DAYS) == {}


def test_a_split_does_not_hide_how_two_names_move_together() -> None:
    closes = {day: 100.0 + number % 3 for number, day in enumerate(DAYS)}
    split = {day: close / 10 if number >= 30 else close for number, (day, close) in enumerate(closes.items())}
    found = shrunk_correlation(log_returns(closes, DAYS), log_returns(split, DAYS))
    assert found.sessions == len(DAYS) - 2, "the return over the split is left out"
    assert found.value is not None and found.value > 0.95
