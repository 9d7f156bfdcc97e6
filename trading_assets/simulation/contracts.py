"""Which option contracts are listed: expiries by cadence, strikes by price.

Every underlying has the third Friday of the month up to about 70 days out and Fridays up to about 45; busy names add
Mondays and Wednesdays, the index every session, for two weeks. An expiry on a holiday moves to the session before.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from trading_assets.domain.values import OptionContract, Right
from trading_assets.market.options import format_occ
from trading_assets.market.sessions import is_session, shift
from trading_assets.simulation.universe import Cadence, Listing

MONTHLY_DAYS, WEEKLY_DAYS, NEAR_DAYS = 70, 45, 14
#: Expiries this near have finer strikes around the price.
_FINE_DAYS = 8
_FINE_SHARE = 0.05
_RANGE_SHARE = 0.15
_MONDAY, _WEDNESDAY, _FRIDAY = 0, 2, 4


def _is_listed(day: date, ahead: int, cadence: Cadence) -> bool:
    """Whether an expiry of this nominal ``day``, ``ahead`` days from now, is listed."""
    if day.weekday() == _FRIDAY:
        return ahead <= WEEKLY_DAYS or (15 <= day.day <= 21 and ahead <= MONTHLY_DAYS)
    if ahead > NEAR_DAYS or day.weekday() > _FRIDAY:
        return False
    return cadence is Cadence.DAILY or (cadence is Cadence.MON_WED_FRI and day.weekday() in (_MONDAY, _WEDNESDAY))


@lru_cache(maxsize=512)
def expiries_on(cadence: Cadence, today: date) -> tuple[date, ...]:
    """Expiries listed in the session ``today``, nearest first, ``today`` itself included where it is one."""
    found: set[date] = set()
    # Nominal days up to a long weekend past the horizon cannot move into it; those before today never do.
    for ahead in range(MONTHLY_DAYS + 1):
        day = today + timedelta(days=ahead)
        if _is_listed(day, ahead, cadence):
            found.add(day if is_session(day) else shift(day, -1).day)
    return tuple(sorted(day for day in found if day >= today))


def strike_step(price: float) -> Decimal:
    """Distance of strikes by the price of the underlying: 0.50 below 30, 1 below 100, 2.50 below 250, else 5."""
    if price < 30:
        return Decimal("0.5")
    if price < 100:
        return Decimal(1)
    return Decimal("2.5") if price < 250 else Decimal(5)


def _fine_step(step: Decimal) -> Decimal:
    return {Decimal(5): Decimal("2.5"), Decimal("2.5"): Decimal(1)}.get(step, Decimal("0.5"))


def _grid(low: float, high: float, step: Decimal) -> set[Decimal]:
    first, last = int(Decimal(str(low)) / step) + 1, int(Decimal(str(high)) / step)
    return {step * number for number in range(max(first, 1), last + 1)}


def strikes(low: float, high: float, reference: float, *, near: bool) -> tuple[Decimal, ...]:
    """Strikes from 15 % below ``low`` to 15 % above ``high``, ascending.

    ``reference`` is the price that sets the step; ``near`` adds the finer grid of near expiries within 5 % of it.
    """
    step = strike_step(reference)
    result = _grid(low * (1 - _RANGE_SHARE), high * (1 + _RANGE_SHARE), step)
    if near:
        result |= _grid(reference * (1 - _FINE_SHARE), reference * (1 + _FINE_SHARE), _fine_step(step))
    return tuple(sorted(result))


def list_contracts(
    listing: Listing, today: date, low: float, high: float, reference: float
) -> tuple[OptionContract, ...]:
    """All contracts of one underlying, by expiry, then strike, then call before put."""
    result = []
    underlying = listing.symbol
    for expiry in expiries_on(listing.cadence, today):
        for strike in strikes(low, high, reference, near=(expiry - today).days <= _FINE_DAYS):
            for right in (Right.CALL, Right.PUT):
                symbol = format_occ(underlying, expiry, right, strike)
                result.append(
                    OptionContract(
                        symbol=symbol, underlying=underlying, right=right, strike=strike, expiry=expiry, root=underlying
                    )
                )
    return tuple(result)
