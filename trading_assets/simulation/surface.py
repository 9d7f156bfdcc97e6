"""The implied-volatility surface and what it makes of a chain: mids, quotes on the tick, Greeks, volume, open interest.

At the money the volatility is the listing's annual volatility with a term structure, raised after news and moved
against the day's return (leverage effect); across strikes it is a smile in standardised moneyness that travels with
the spot. Prices are Black-Scholes without dividends, never below intrinsic value, since the contracts may be
exercised early. All functions are vectorised over contracts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trading_assets.market.greeks import Greeks, black_scholes_price, greeks
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.universe import Cadence, Listing

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Continuously compounded interest rate of every discount in the simulation.
RATE = 0.04
DIVIDEND = 0.0
_SKEW, _CURVE, _REACH = -0.035, 0.016, 2.6
_SHORTEST_YEARS = 0.25 / 365.0
_TERM_YEARS = 0.12
_LEVERAGE = 1.2
#: Fraction of the golden section: its multiples fill the unit interval evenly.
_GOLDEN = 0.6180339887498949
_MINUTE_YEARS = 1.0 / (365.0 * 24.0 * 60.0)


@dataclass(frozen=True, slots=True)
class Terms:
    """Contracts of one underlying as arrays, with what is fixed for the whole session.

    ``jitter`` is uniform in [0, 1) per contract; ``open_interest`` and ``day_volume`` are contracts; ``width`` is a
    multiple of the usual spread of the name's class.
    """

    strike: Array
    is_call: NDArray[np.bool_]
    expiry_seconds: Array
    jitter: Array
    open_interest: Integers
    day_volume: Array
    width: Array

    def take(self, rows: Integers) -> Terms:
        """The same for some of the contracts."""
        return Terms(
            self.strike[rows],
            self.is_call[rows],
            self.expiry_seconds[rows],
            self.jitter[rows],
            self.open_interest[rows],
            self.day_volume[rows],
            self.width[rows],
        )


@dataclass(frozen=True, slots=True)
class State:
    """The underlying at one instant: ``spot`` and ``previous_close`` in dollars, ``seconds`` since 1970, ``bump`` the
    relative rise of near volatility after news, ``volume_share`` of a usual session's volume traded so far,
    ``minutes_open`` since the open."""

    spot: float
    previous_close: float
    seconds: float
    bump: float
    volume_share: float
    minutes_open: float


@dataclass(frozen=True, slots=True)
class Market:
    """The chain at one instant; prices in whole cents, Greeks per share."""

    bid: Integers
    ask: Integers
    mid: Array
    iv: Array
    greeks: Greeks
    volume: Integers
    bid_size: Integers
    ask_size: Integers


def years_left(terms: Terms, state: State) -> Array:
    """ACT/365 years to expiry, at least one minute while the contract is listed."""
    seconds = terms.expiry_seconds - state.seconds
    return np.maximum(seconds / (365.0 * 24.0 * 3600.0), _MINUTE_YEARS)


def implied(listing: Listing, terms: Terms, state: State, years: Array, profile: MarketProfile) -> Array:
    """Implied volatility of every contract, an annual decimal."""
    move = math.log(state.spot / state.previous_close)
    level = listing.annual_volatility * profile.implied_scale * math.exp(-_LEVERAGE * max(-0.15, min(0.15, move)))
    near = 1.04 + state.bump
    at_the_money = level * (1.0 + (near - 1.0) * np.exp(-years / _TERM_YEARS))
    deviation = at_the_money * np.sqrt(np.maximum(years, _SHORTEST_YEARS))
    standardised = _REACH * np.tanh((np.log(terms.strike / state.spot) - RATE * years) / deviation / _REACH)
    result: Array = at_the_money * (1.0 + _SKEW * standardised + _CURVE * standardised**2)
    return result


def fair(spot: float, terms: Terms, years: Array, iv: Array) -> Array:
    """Value per share in dollars, never below intrinsic."""
    value = black_scholes_price(spot, terms.strike, years, iv, RATE, DIVIDEND, terms.is_call)
    intrinsic = np.maximum(np.where(terms.is_call, spot - terms.strike, terms.strike - spot), 0.0)
    return np.maximum(value, intrinsic)


def quote(
    listing: Listing, terms: Terms, state: State, mid: Array, iv: Array, years: Array, profile: MarketProfile
) -> tuple[Integers, Integers]:
    """Bid and ask in whole cents, on the tick, bid below ask; bid 0 where the contract is worth less than a tick.

    The spread is a share of mid that is smallest at the money, wider in the first quarter of an hour, and at least a
    cent; rounding to the tick goes outwards.
    """
    busy = listing.cadence is not Cadence.FRIDAY
    share = profile.option_spread_busy if busy else profile.option_spread_other
    distance = np.abs(np.log(terms.strike / state.spot)) / (iv * np.sqrt(years) + 0.01)
    opening = 1.0 + 0.6 * max(0.0, 1.0 - state.minutes_open / 15.0)
    spread = mid * share * terms.width * (1.0 + 0.35 * np.minimum(distance, 4.0) ** 2) * opening
    # In the money the spread is that of the time value and of the shares behind it, not of the whole premium.
    in_the_money = np.where(terms.is_call, state.spot > terms.strike, state.spot < terms.strike)
    cap = np.maximum(share * 0.6, 0.012) * (0.02 * state.spot + np.sqrt(mid * state.spot) * 0.15)
    spread = np.where(in_the_money & (distance > 1.0), np.minimum(spread, np.maximum(cap, mid * share)), spread)
    spread = np.maximum(spread, 0.01)
    pennies = listing.cadence is Cadence.DAILY
    bid = _to_tick((mid - spread / 2.0) * 100.0, pennies, up=False)
    ask = _to_tick((mid + spread / 2.0) * 100.0, pennies, up=True)
    return np.maximum(bid, 0), np.maximum(ask, np.maximum(bid, 0) + 1)


def _to_tick(cents: Array, pennies: bool, *, up: bool) -> Integers:
    """Whole cents on the tick: 1 below 300 cents (everywhere if ``pennies``), else 5."""
    tick = np.where((cents < 300.0) | pennies, 1.0, 5.0)
    steps = np.round(cents / tick, 6)
    result: Integers = ((np.ceil(steps) if up else np.floor(steps)) * tick).astype(np.int64)
    return result


def evaluate(listing: Listing, terms: Terms, state: State, profile: MarketProfile) -> Market:
    """The market of all contracts in ``terms`` at one instant."""
    years = years_left(terms, state)
    iv = implied(listing, terms, state, years, profile)
    mid = fair(state.spot, terms, years, iv)
    bid, ask = quote(listing, terms, state, mid, iv, years, profile)
    volume = np.floor(terms.day_volume * state.volume_share).astype(np.int64)
    bid_size, ask_size = sizes(terms, state)
    return Market(
        bid=bid,
        ask=ask,
        mid=mid,
        iv=iv,
        greeks=greeks(state.spot, terms.strike, years, iv, RATE, DIVIDEND, terms.is_call),
        volume=volume,
        bid_size=bid_size,
        ask_size=ask_size,
    )


def sizes(terms: Terms, state: State) -> tuple[Integers, Integers]:
    """Displayed contracts on both sides: larger where more trades, changing every quarter of a minute."""
    size = 4.0 + 0.12 * np.sqrt(terms.day_volume)
    phase = np.modf(terms.jitter * 97.0 + math.floor(state.seconds / 15.0) * _GOLDEN)[0]
    return (1 + size * (0.4 + phase)).astype(np.int64), (1 + size * (1.4 - phase)).astype(np.int64)


def quote_only(
    listing: Listing, terms: Terms, state: State, profile: MarketProfile
) -> tuple[Integers, Integers, Integers, Integers]:
    """Bid, ask (whole cents), bid size and ask size, equal to those of ``evaluate`` without the rest of its work."""
    years = years_left(terms, state)
    iv = implied(listing, terms, state, years, profile)
    bid, ask = quote(listing, terms, state, fair(state.spot, terms, years, iv), iv, years, profile)
    bid_size, ask_size = sizes(terms, state)
    return bid, ask, bid_size, ask_size


def interest(listing: Listing, strike: Array, days: Array, reference: float, jitter: Array) -> tuple[Integers, Array]:
    """Open interest and a usual day's volume per contract: most at the money and near expiry, more for busy names.

    ``days`` are calendar days to expiry, ``reference`` the previous close, ``jitter`` uniform in [0, 1).
    """
    # Average turnover in billions of dollars.
    activity = listing.average_volume * listing.base_price / 1e9
    weight = {Cadence.DAILY: 4.0, Cadence.MON_WED_FRI: 2.2, Cadence.FRIDAY: 1.0}[listing.cadence]
    deviation = listing.annual_volatility * np.sqrt((days + 3.0) / 365.0)
    distance = np.log(strike / reference) / deviation
    shape = np.exp(-0.5 * (distance / 1.3) ** 2) + 0.02
    nearness = 1.0 / (1.0 + days / 12.0)
    spread = 0.5 + 1.2 * jitter
    scale = weight * (700.0 + 900.0 * math.sqrt(activity))
    held = scale * (1.6 + 1.5 * nearness) * shape * spread
    traded = scale * (0.15 + 2.4 * nearness) * shape * (1.7 - jitter)
    return np.floor(held).astype(np.int64), traded
