"""American option values, Greeks and implied volatility, vectorised over numpy arrays.

The quadratic approximation of Barone-Adesi & Whaley, "Efficient Analytic Approximation of American Option Values"
(Journal of Finance 42, 1987): the European value plus an early exercise premium A·(S/S*)^Q below (call) or above (put)
the critical price S*, and the exercise value beyond it. Inputs and units are those of ``market.greeks``: continuous
rate and dividend yield, years as ACT/365. A missing input is NaN and makes its outputs NaN.

A call on a stock without dividends and a put at a rate of zero or below have no premium and equal the European value,
as does everything without time or volatility left, but never less than the exercise value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from trading_assets.market.greeks import (
    MAX_VOLATILITY,
    MIN_VOLATILITY,
    Greeks,
    black_scholes_price,
    greeks,
    implied_volatility,
)

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_DAYS_PER_YEAR = 365.0
_ROOT_TWO_PI = float(np.sqrt(2.0 * np.pi))
_STEPS = 60
#: Newton's last step of the critical price, in deviations. It leaves an error of about its square, and the value, which
#: is stationary there, one of about its fourth power.
_BOUNDARY_STEP = 2e-3
_VOLATILITY_STEP = 1e-6
#: The logarithm of critical price over strike is looked for up to here, either way.
_FARTHEST = 60.0


@dataclass(frozen=True, slots=True)
class _Columns:
    """One element per contract; ``sign`` is 1 for a call and -1 for a put."""

    spot: Array
    strike: Array
    years: Array
    rate: Array
    dividend: Array
    sign: Array

    def where(self, mask: NDArray[Any]) -> _Columns:
        return _Columns(
            self.spot[mask],
            self.strike[mask],
            self.years[mask],
            self.rate[mask],
            self.dividend[mask],
            self.sign[mask],
        )


@dataclass(frozen=True, slots=True)
class _Premium:
    """The early exercise premium: its ``value``, with ``boundary`` = ln(S*/K), ``distance`` = ln(S/S*) and the
    elasticity ``exponent`` (Q) with its n and k; ``power`` is (S/S*)^Q, ``exercised`` where exercise is due now."""

    boundary: Array
    distance: Array
    exponent: Array
    n: Array
    k: Array
    power: Array
    value: Array
    exercised: Mask

    @property
    def bend(self) -> Array:
        """2Q + n - 1, by which Q reacts to n and k."""
        return 2.0 * self.exponent + self.n - 1.0


def _columns(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
    other: tuple[int, ...],
) -> tuple[_Columns, tuple[int, ...]]:
    """The inputs as flat columns, and the shape to which they and an array of shape ``other`` broadcast."""
    arrays = [np.asarray(value, dtype=np.float64) for value in (spot, strike, years, rate, dividend)]
    shape = np.broadcast_shapes(other, np.shape(is_call), *[array.shape for array in arrays])
    s, k, t, r, q = (np.broadcast_to(array, shape).ravel() for array in arrays)
    sign = np.where(np.broadcast_to(np.asarray(is_call, dtype=bool), shape).ravel(), 1.0, -1.0)
    return _Columns(s, k, t, r, q, sign), shape


def _worth_waiting(c: _Columns, other: Array) -> Mask:
    """Where an American option is worth more than a European one; ``other`` is a further input that must be positive.

    False where an input is missing.
    """
    with np.errstate(invalid="ignore"):
        sound = (c.spot > 0) & (c.strike > 0) & (c.years > 0) & (other > 0)
        finite = np.isfinite(c.spot + c.strike + c.years + c.rate + c.dividend + other)
        reason = np.where(c.sign > 0, c.dividend > 0, c.rate > 0)
    result: Mask = sound & finite & reason
    return result


def _root(n: Array, k: Array, sign: Array) -> Array:
    """The root of Q² + (n - 1)Q - k = 0 above 1 (call) or below 0 (put), without cancellation."""
    m = n - 1.0
    large = 0.5 * (np.abs(m) + np.sqrt(m * m + 4.0 * k))
    # The roots' product is -k; the one of the sign of -m is the large one.
    return np.where(sign > 0, np.where(m >= 0, k / large, large), np.where(m >= 0, -large, -k / large))


def _exponents(iv: Array, c: _Columns) -> tuple[Array, Array, Array]:
    """n = 2(r - q)/σ², k = 2r/(σ²(1 - e^-rT)) and the elasticity Q; k has its limit 2/(σ²T) at a rate of zero."""
    variance = iv * iv
    lost = -np.expm1(-c.rate * c.years)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate_over_lost = np.where(lost == 0, 1.0 / c.years, c.rate / lost)
    n, k = 2.0 * (c.rate - c.dividend) / variance, 2.0 * rate_over_lost / variance
    return n, k, _root(n, k, c.sign)


def _seed(iv: Array, c: _Columns) -> Array:
    """Barone-Adesi & Whaley's first guess of ln(S*/K), from the critical price of an option without expiry."""
    n, deviation = 2.0 * (c.rate - c.dividend) / (iv * iv), iv * np.sqrt(c.years)
    forever = _root(n, 2.0 * np.maximum(c.rate, 0.0) / (iv * iv), c.sign)
    drift = (c.rate - c.dividend) * c.years
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        edge = 1.0 / (1.0 - 1.0 / forever)
        nearness = np.exp((-c.sign * drift - 2.0 * deviation) / np.abs(edge - 1.0))
        seed = np.log(edge + (1.0 - edge) * np.minimum(nearness, 1.0))
    return np.where(np.isfinite(seed), np.clip(seed, -_FARTHEST, _FARTHEST), c.sign * 2.0 * deviation)


def _step(u: Array, iv: Array, c: _Columns, exponent: Array) -> tuple[Array, Array, Array]:
    """Newton's step of u = ln(S*/K), the gap that it closes (rising in u for calls, falling for puts), and the premium
    at S* in units of the strike.

    The gap is value matching and smooth pasting in one: φ(S - K) less the European value and φ(1 - φΔ)S/Q.
    """
    deviation = iv * np.sqrt(c.years)
    carry = np.exp(-c.dividend * c.years)
    d1 = (u + (c.rate - c.dividend) * c.years) / deviation + 0.5 * deviation
    delta = carry * ndtr(c.sign * d1)
    x = np.exp(u)
    european = c.sign * (x * delta - np.exp(-c.rate * c.years) * ndtr(c.sign * (d1 - deviation)))
    premium = c.sign * (x - 1.0) - european
    gap = premium - c.sign * x * (1.0 - delta) / exponent
    slope = c.sign * (1.0 - delta) * (1.0 - 1.0 / exponent)
    slope += carry * np.exp(-0.5 * d1 * d1) / (_ROOT_TWO_PI * deviation * exponent)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return -gap / (x * slope), gap, premium


def _boundary(iv: Array, c: _Columns, exponent: Array, start: Array) -> Array:
    """ln(S*/K): at least 0 for calls, at most 0 for puts; Newton's steps, halving a bracket where they leave it."""
    size = iv.size
    result, rows = np.zeros(size), np.arange(size)
    low = np.where(c.sign > 0, 0.0, -_FARTHEST)
    high = np.where(c.sign > 0, _FARTHEST, 0.0)
    u, near = np.clip(start, low, high), _BOUNDARY_STEP * np.minimum(iv * np.sqrt(c.years), 1.0)
    for _ in range(_STEPS):
        move, gap, _matching = _step(u, iv, c, exponent)
        beyond = c.sign * gap >= 0
        low, high = np.where(beyond, low, u), np.where(beyond, u, high)
        following = u + move
        inside = (following >= low) & (following <= high)
        following = np.where(inside, following, 0.5 * (low + high))
        settled = np.abs(following - u) <= np.where(inside, near, 1e-10)
        result[rows] = following
        keep = ~settled
        if not keep.any():
            break
        if keep.sum() < 0.7 * keep.size:
            rows, iv, exponent, c = rows[keep], iv[keep], exponent[keep], c.where(keep)
            low, high, following, near = low[keep], high[keep], following[keep], near[keep]
        u = following
    return result


def _premium(iv: Array, c: _Columns, start: Array | None = None) -> _Premium:
    n, k, exponent = _exponents(iv, c)
    boundary = _boundary(iv, c, exponent, _seed(iv, c) if start is None else start)
    _move, _gap, matching = _step(boundary, iv, c, exponent)
    distance = np.log(c.spot / c.strike) - boundary
    power = np.exp(np.minimum(exponent * distance, 0.0))
    value = np.maximum(c.strike * matching * power, 0.0)
    return _Premium(boundary, distance, exponent, n, k, power, value, c.sign * distance >= 0)


def american_price(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    iv: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Array:
    """Value per share in dollars (Barone-Adesi & Whaley 1987, equations 20 and 25), at least the exercise value."""
    volatility = np.asarray(iv, dtype=np.float64)
    c, shape = _columns(spot, strike, years, rate, dividend, is_call, volatility.shape)
    volatility = np.broadcast_to(volatility, shape).ravel()
    value = black_scholes_price(c.spot, c.strike, c.years, volatility, c.rate, c.dividend, c.sign > 0)
    exercise = c.sign * (c.spot - c.strike)
    early = _worth_waiting(c, volatility)
    if early.any():
        premium = _premium(volatility[early], c.where(early))
        value[early] = np.where(premium.exercised, exercise[early], value[early] + premium.value)
    result: Array = np.where(np.isnan(value), np.nan, np.maximum(value, exercise)).reshape(shape)
    return result


def american_greeks(
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    iv: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Greeks:
    """All five sensitivities of ``american_price``, in the units of ``Greeks``, from its derivatives.

    The critical price makes the premium's factor A stationary, so a change of volatility, time or rate moves A only
    through the European value at S* and through Q. Where exercise is due delta is 1 or -1 and the others are 0.
    """
    volatility = np.asarray(iv, dtype=np.float64)
    c, shape = _columns(spot, strike, years, rate, dividend, is_call, volatility.shape)
    volatility = np.broadcast_to(volatility, shape).ravel()
    g = greeks(c.spot, c.strike, c.years, volatility, c.rate, c.dividend, c.sign > 0)
    columns = [np.array(column) for column in (g.delta, g.gamma, g.theta, g.vega, g.rho)]
    early = _worth_waiting(c, volatility)
    if early.any():
        part = c.where(early)
        premium = _premium(volatility[early], part)
        changes = _premium_greeks(premium, volatility[early], part)
        gone = np.where(premium.exercised, 0.0, 1.0)
        for place, (column, change) in enumerate(zip(columns, changes, strict=True)):
            held = part.sign if place == 0 else 0.0
            column[early] = np.where(gone > 0, column[early] + change, held)
    delta, gamma, theta, vega, rho = (column.reshape(shape) for column in columns)
    return Greeks(delta=delta, gamma=gamma, theta=theta, vega=vega, rho=rho)


def _premium_greeks(p: _Premium, iv: Array, c: _Columns) -> tuple[Array, Array, Array, Array, Array]:
    """Delta, gamma, theta, vega and rho of the premium alone."""
    at = greeks(c.strike * np.exp(p.boundary), c.strike, c.years, iv, c.rate, c.dividend, c.sign > 0)
    q, variance = p.exponent, iv * iv
    growth = p.value * p.distance / p.bend
    lost = -np.expm1(-c.rate * c.years)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Derivatives of ln k: -r·e^-rT/(1 - e^-rT) in time, and 1/r - T·e^-rT/(1 - e^-rT) in the rate.
        kept = np.where(lost == 0, 1.0 / c.years, c.rate * (1.0 - lost) / lost)
        by_rate = np.where(np.abs(c.rate * c.years) < 1e-4, 0.5 * c.years, 1.0 / c.rate - c.years * (1.0 - lost) / lost)
    by_time, by_volatility = -p.k * kept, -2.0 / iv * (p.k - p.n * q)
    return (
        q * p.value / c.spot,
        q * (q - 1.0) * p.value / (c.spot * c.spot),
        -at.theta * p.power - growth * by_time / _DAYS_PER_YEAR,
        -at.vega * p.power + growth * by_volatility / 100.0,
        -at.rho * p.power + growth * (p.k * by_rate - 2.0 / variance * q) / 100.0,
    )


def american_implied_volatility(
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    rate: ArrayLike,
    dividend: ArrayLike,
    is_call: Any,
) -> Array:
    """The volatility at which the American value equals ``price``, by Newton's steps in a bracket.

    NaN where there is no solution: a missing input, no time left, a price at or below the exercise value or the
    discounted forward one, at or above the spot of a call or the strike of a put, or a volatility outside 0.01 % to
    1000 %. At the exercise value every volatility below some point gives the price, so it names none.
    """
    paid = np.asarray(price, dtype=np.float64)
    c, shape = _columns(spot, strike, years, rate, dividend, is_call, paid.shape)
    paid = np.broadcast_to(paid, shape).ravel()
    result = implied_volatility(paid, c.spot, c.strike, c.years, c.rate, c.dividend, c.sign > 0)
    with np.errstate(invalid="ignore"):
        result = np.where(paid > c.sign * (c.spot - c.strike), result, np.nan)
        early = _worth_waiting(c, paid) & (paid > np.maximum(c.sign * (c.spot - c.strike), 0.0))
        early &= paid < np.where(c.sign > 0, c.spot, c.strike)
        floor = c.sign * (c.spot * np.exp(-c.dividend * c.years) - c.strike * np.exp(-c.rate * c.years))
        early &= paid > floor
    if early.any():
        # The European volatility of a price is the higher one; a price above every European value has none.
        start = np.where(np.isnan(result[early]), 1.0, result[early])
        result[early] = _solve(paid[early], start, c.where(early))
    return result.reshape(shape)


def _solve(paid: Array, iv: Array, c: _Columns) -> Array:
    result, rows = np.full(paid.size, np.nan), np.arange(paid.size)
    low, high = np.full(paid.size, MIN_VOLATILITY), np.full(paid.size, MAX_VOLATILITY)
    iv, boundary = np.clip(iv, MIN_VOLATILITY, MAX_VOLATILITY), _seed(iv, c)
    for _ in range(_STEPS):
        value, vega, premium = _value_and_vega(iv, c, boundary)
        error = value - paid
        low, high = np.where(error < 0, iv, low), np.where(error >= 0, iv, high)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            following = iv - error / vega
        inside = (following >= low) & (following <= high)
        following = np.where(inside, following, 0.5 * (low + high))
        settled = np.abs(following - iv) <= np.where(inside, _VOLATILITY_STEP, 1e-9)
        result[rows[settled]] = following[settled]
        keep = ~settled
        if not keep.any():
            break
        rows, c, iv, low, high = rows[keep], c.where(keep), following[keep], low[keep], high[keep]
        paid, boundary = paid[keep], premium.boundary[keep]
    outside = (result <= MIN_VOLATILITY * (1 + 1e-4)) | (result >= MAX_VOLATILITY * (1 - 1e-4))
    return np.where(outside, np.nan, result)


def _value_and_vega(iv: Array, c: _Columns, start: Array) -> tuple[Array, Array, _Premium]:
    """American value and its slope per unit of volatility; 0 where exercise is due."""
    premium = _premium(iv, c, start)
    root = np.sqrt(c.years)
    deviation, carry = iv * root, np.exp(-c.dividend * c.years)
    shift = (c.rate - c.dividend) * c.years / deviation + 0.5 * deviation
    d1, d1_critical = np.log(c.spot / c.strike) / deviation + shift, premium.boundary / deviation + shift
    european = c.sign * (
        c.spot * carry * ndtr(c.sign * d1) - c.strike * np.exp(-c.rate * c.years) * ndtr(c.sign * (d1 - deviation))
    )
    critical = c.strike * np.exp(premium.boundary)
    density, density_critical = np.exp(-0.5 * d1 * d1), np.exp(-0.5 * d1_critical * d1_critical)
    vega = carry * root / _ROOT_TWO_PI * (c.spot * density - critical * density_critical * premium.power)
    vega -= premium.value * premium.distance / premium.bend * 2.0 / iv * (premium.k - premium.n * premium.exponent)
    value = np.where(premium.exercised, c.sign * (c.spot - c.strike), european + premium.value)
    return value, np.where(premium.exercised, 0.0, vega), premium
