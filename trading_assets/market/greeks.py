"""Black-Scholes-Merton prices, Greeks and implied volatility, vectorised over numpy arrays.

European exercise with a continuous dividend yield. Source of the formulas: Black & Scholes (1973), Merton (1973), in
the notation of Hull, "Options, Futures, and Other Derivatives", chapters 15, 17 and 19. Inputs broadcast against each
other: spot and strike in dollars, years as ACT/365, ``iv``, ``rate`` and ``dividend`` as annual decimals (0.30 = 30 %),
``is_call`` boolean. A missing input is NaN and makes its outputs NaN; storing frames turn NaN into null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_DAYS_PER_YEAR = 365.0
_ROOT_TWO_PI = float(np.sqrt(2.0 * np.pi))
#: Volatilities outside this range are reported as 'no solution'.
MIN_VOLATILITY, MAX_VOLATILITY = 1e-4, 10.0
_ITERATIONS = 80
#: Relative change of the deviation at which the search ends.
_ACCURACY = 1e-9
#: Above this volatility times root of time every option is worth its upper bound in double precision.
_WIDEST = 80.0


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities per share of the underlying, one element per contract.

    ``delta`` per $1 of the underlying; ``gamma`` change of delta per $1; ``theta`` per calendar day; ``vega`` per
    volatility point (1 %); ``rho`` per 1 % of interest rate. NaN where an input was missing.
    """

    delta: Array
    gamma: Array
    theta: Array
    vega: Array
    rho: Array


def _normal(x: Array) -> Array:
    from scipy.special import ndtr

    result: Array = np.asarray(ndtr(x), dtype=np.float64)
    return result


def _density(x: Array) -> Array:
    result: Array = np.exp(-0.5 * x * x) / _ROOT_TWO_PI
    return result


def _arrays(*values: ArrayLike) -> tuple[Array, ...]:
    return tuple(np.broadcast_arrays(*[np.asarray(value, dtype=np.float64) for value in values]))


def _d1_d2(spot: Array, strike: Array, years: Array, iv: Array, rate: Array, dividend: Array) -> tuple[Array, Array]:
    """d1 and d2; with no time or volatility left they are infinite with the sign of the forward moneyness."""
    deviation = iv * np.sqrt(years)
    with np.errstate(divide="ignore", invalid="ignore"):
        moneyness = np.log(spot / strike) + (rate - dividend) * years
        d1 = np.where(deviation > 0, moneyness / deviation + 0.5 * deviation, np.sign(moneyness) * np.inf)
    missing = np.isnan(moneyness) | np.isnan(deviation)
    # At the money without time left, sign 0 x infinity is NaN although nothing is missing: half a share.
    d1 = np.where(missing, np.nan, np.where(np.isnan(d1), 0.0, d1))
    with np.errstate(invalid="ignore"):
        d2 = np.where(np.isinf(d1), d1, d1 - deviation)
    return d1, d2


def black_scholes_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    iv: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Array:
    """Value per share in dollars (Hull, equations 17.4 and 17.5). With no time left it is the intrinsic value."""
    s, k, t, v, r, q = _arrays(spot, strike, years, iv, rate, dividend)
    d1, d2 = _d1_d2(s, k, t, v, r, q)
    sign = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    forward_spot, discounted_strike = s * np.exp(-q * t), k * np.exp(-r * t)
    value: Array = sign * (forward_spot * _normal(sign * d1) - discounted_strike * _normal(sign * d2))
    return np.maximum(value, 0.0)


def greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    iv: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Greeks:
    """All five sensitivities (Hull, chapter 19). At expiry delta is the exercise indicator and the others are 0."""
    s, k, t, v, r, q = _arrays(spot, strike, years, iv, rate, dividend)
    d1, d2 = _d1_d2(s, k, t, v, r, q)
    sign = np.where(np.asarray(is_call, dtype=bool), 1.0, -1.0)
    carry, discount = np.exp(-q * t), np.exp(-r * t)
    density = _density(d1)
    deviation = v * np.sqrt(t)
    live = np.where(np.isnan(deviation), np.nan, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = np.where(deviation > 0, carry * density / (s * deviation), 0.0 * live)
        decay = np.where(t > 0, -s * carry * density * v / (2.0 * np.sqrt(t)), 0.0 * live)
    n1, n2 = _normal(sign * d1), _normal(sign * d2)
    theta = decay + sign * (q * s * carry * n1 - r * k * discount * n2)
    theta = np.where(t > 0, theta, 0.0 * live)
    return Greeks(
        delta=np.asarray(sign * carry * n1),
        gamma=np.asarray(gamma),
        theta=np.asarray(theta / _DAYS_PER_YEAR),
        vega=np.asarray(s * carry * density * np.sqrt(t) / 100.0),
        rho=np.asarray(sign * k * t * discount * n2 / 100.0),
    )


def implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Array:
    """The volatility at which the Black-Scholes price equals ``price``, by safeguarded Newton steps in a bracket.

    NaN where there is no solution: a missing input, no time left, a price at or below the discounted intrinsic value,
    at or above the upper bound (the spot of a call, the discounted strike of a put), or a volatility outside
    0.01 % to 1000 %.
    """
    p, s, k, t, r, q = _arrays(price, spot, strike, years, rate, dividend)
    call = np.broadcast_to(np.asarray(is_call, dtype=bool), p.shape)
    carried, discounted = s * np.exp(-q * t), k * np.exp(-r * t)
    lower = np.maximum(np.where(call, carried - discounted, discounted - carried), 0.0)
    upper = np.where(call, carried, discounted)
    with np.errstate(invalid="ignore"):
        solvable = (t > 0) & (s > 0) & (k > 0) & (p > lower) & (p < upper)
    result = np.full(p.shape, np.nan)
    if not solvable.any():
        return result
    # Out-of-the-money values carry no intrinsic part, so the search loses no digits: parity maps the others there.
    low_value, forward, strike_now = lower[solvable], carried[solvable], discounted[solvable]
    target = np.where(low_value > 0, p[solvable] - low_value, p[solvable])
    deviation = _deviation(target / np.sqrt(forward * strike_now), np.log(forward / strike_now))
    found = deviation / np.sqrt(t[solvable])
    result[solvable] = np.where((found >= MIN_VOLATILITY) & (found <= MAX_VOLATILITY), found, np.nan)
    return result


def _deviation(target: Array, moneyness: Array) -> Array:
    """The volatility times root of time at which an out-of-the-money option is worth ``target``, NaN if none is found.

    ``target`` in units of the geometric mean of discounted forward and strike, ``moneyness`` = ln(forward / strike).
    The value has its inflection at root(2·|moneyness|) (Manaster & Koehler 1982). Above it Newton's steps converge in
    the deviation, below it in deviation^-2 against the logarithm of the value, which is nearly a straight line there;
    a step that leaves the bracket halves it instead.
    """
    x = -np.abs(moneyness)
    size = target.size
    start = np.sqrt(-2.0 * x)
    below = np.full(size, False)
    guess = np.where(start > 0, start, 0.1)
    low, high = np.zeros(size), np.full(size, _WIDEST)
    result = np.full(size, np.nan)
    rows = np.arange(size)
    up, down = np.exp(0.5 * x), np.exp(-0.5 * x)
    for step in range(_ITERATIONS):
        d1 = x / guess + 0.5 * guess
        value = up * _normal(d1) - down * _normal(d1 - guess)
        slope = up * _density(d1)
        high_side = value >= target
        if step == 0:
            below = high_side & (start > 0)
        high = np.where(high_side, guess, high)
        low = np.where(high_side, low, guess)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            plain = guess - (value - target) / slope
            bent = guess / np.sqrt(1.0 + 2.0 * np.log(value / target) * value / (slope * guess))
        following = np.where(below & (value > 0), bent, plain)
        following = np.where((following >= low) & (following <= high), following, 0.5 * (low + high))
        settled = np.abs(following - guess) <= _ACCURACY * following
        result[rows[settled]] = following[settled]
        keep = ~settled
        if not keep.any():
            break
        guess, low, high, target, x = following[keep], low[keep], high[keep], target[keep], x[keep]
        up, down, below, rows = up[keep], down[keep], below[keep], rows[keep]
    return result
