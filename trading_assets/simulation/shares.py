"""What splits and dividends do to a drawn market: the paths are drawn in the shares of the beginning and told raw.

From the open of its ``session`` on a share is another one: prices are divided by the ratio, volumes multiplied. A cash
dividend takes its amount out of the price and leaves the count of shares. What does not belong here: what becomes of
positions and orders (``exchange``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from trading_assets.simulation.paths import Days, Minutes, Paths

Array = NDArray[np.float64]
#: A price is at least a cent, and a dividend leaves at least this share of it.
_LEAST_CENTS, _LEAST_LEFT = 1.0, 0.05


@dataclass(frozen=True, slots=True)
class ShareChange:
    """``ratio`` new shares for an old one (a dividend: 1), and ``paid`` dollars for each old share."""

    symbol: str
    session: date
    ratio: float = 1.0
    paid: float = 0.0


class Divisors:
    """By how much the price of each name is divided in each session, and its volume multiplied: (sessions, names)."""

    def __init__(self, days: Sequence[date], names: int) -> None:
        self._place = {day: place for place, day in enumerate(days)}
        self.price: Array = np.ones((len(days), names))
        self.shares: Array = np.ones((len(days), names))

    def from_session(self, place: int, row: int, price: float, shares: float) -> None:
        """Divide further from the session at ``place`` on."""
        self.price[place:, row] *= price
        self.shares[place:, row] *= shares

    def between(self, earlier: date, later: date, row: int) -> float:
        """What a price of the session ``earlier`` is to be divided by to read as one of ``later``, as shares go."""
        return float(self.price[self._place[later], row] / self.price[self._place[earlier], row])


def divisors(paths: Paths, rows: dict[str, int], changes: Iterable[ShareChange]) -> Divisors:
    """The divisors of every session of ``paths``. Raises ``ValueError`` for a name that is not listed.

    A change before the first session has been gone through by all of them.
    """
    days = [session.day for session in paths.days.sessions] + [minutes.session.day for minutes in paths.minutes]
    old = paths.days.close
    closes = np.concatenate([old, np.array([minutes.close[:, -1] for minutes in paths.minutes]).reshape(-1, len(rows))])
    found = Divisors(days, len(rows))
    for change in sorted(changes, key=lambda change: (change.session, change.symbol, change.paid)):
        row = rows.get(change.symbol)
        if row is None:
            raise ValueError(f"{change.symbol} is not listed and cannot be split or pay a dividend")
        place = next((place for place, day in enumerate(days) if day >= change.session), None)
        if place is None:
            continue
        price = change.ratio
        if change.paid and place:
            before = float(closes[place - 1, row]) / 100.0 / float(found.price[place - 1, row])
            price /= max(_LEAST_LEFT, 1.0 - change.paid / before)
        found.from_session(place, row, price, change.ratio)
    return found


def told_raw(paths: Paths, found: Divisors) -> Paths:
    """``paths`` as they are told: each session in its own shares."""
    count = len(paths.days.sessions)
    return replace(
        paths,
        days=_days(paths.days, found.price[:count], found.shares[:count]),
        minutes=tuple(
            _minutes(minutes, found.price[count + place][:, None], found.shares[count + place][:, None])
            for place, minutes in enumerate(paths.minutes)
        ),
    )


def _cents(prices: NDArray[np.int64], divisor: Array) -> NDArray[np.int64]:
    # Untouched names keep every digit: x / 1.0 is x.
    return np.maximum(np.rint(prices / divisor), _LEAST_CENTS).astype(np.int64)


def _count(volume: NDArray[np.int64], shares: Array) -> NDArray[np.int64]:
    return np.maximum(np.rint(volume * shares), 1.0).astype(np.int64)


def _days(days: Days, price: Array, shares: Array) -> Days:
    return replace(
        days,
        open=_cents(days.open, price),
        high=_cents(days.high, price),
        low=_cents(days.low, price),
        close=_cents(days.close, price),
        volume=_count(days.volume, shares),
    )


def _minutes(minutes: Minutes, price: Array, shares: Array) -> Minutes:
    return replace(
        minutes,
        open=_cents(minutes.open, price),
        high=_cents(minutes.high, price),
        low=_cents(minutes.low, price),
        close=_cents(minutes.close, price),
        volume=_count(minutes.volume, shares),
        vwap=minutes.vwap / price,
    )
