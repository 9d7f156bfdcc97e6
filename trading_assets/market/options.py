"""Listed options as symbols and time: OCC symbols, and years to expiry.

What belongs here: the compact symbol of the Options Clearing Corporation (root, yymmdd, C or P, strike in thousandths)
and the day count. What does not: prices and Greeks (``market.greeks``), chains and the choice among them.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache

from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.domain.values import OptionContract, Right

_SYMBOL = re.compile(r"^(?P<root>[A-Z]+[0-9]?)(?P<expiry>[0-9]{6})(?P<right>[CP])(?P<strike>[0-9]{8})$")
_MAX_ROOT = 6
_EXPIRY_HOUR = time(16, 0)
_SECONDS_PER_YEAR = 365.0 * 24 * 3600
_THOUSAND = Decimal(1000)


def format_occ(underlying: str, expiry: date, right: Right, strike: Decimal) -> str:
    """The compact OCC symbol, e.g. ``NVDA260313C00180000``.

    ``underlying`` is the root (a class share loses its dot: BRK.B is listed as BRKB). Raises ``ValueError`` for a root
    that is not 1 to 6 capital letters, an expiry outside 2000-2099, or a strike that is not positive, is finer than a
    thousandth of a dollar or needs more than eight digits.
    """
    root = underlying.replace(".", "")
    if not (1 <= len(root) <= _MAX_ROOT and root.isascii() and root.isalpha() and root.isupper()):
        raise ValueError(f"an option root is 1 to {_MAX_ROOT} capital letters, saw {underlying!r}")
    if not 2000 <= expiry.year <= 2099:
        raise ValueError(f"an OCC symbol has a two-digit year of this century, saw {expiry}")
    thousandths = strike * _THOUSAND
    if not thousandths.is_finite() or thousandths != thousandths.to_integral_value():
        raise ValueError(f"a strike is a multiple of 0.001, saw {strike}")
    if not 0 < thousandths < 10**8:
        raise ValueError(f"a strike lies above 0 and below 100000, saw {strike}")
    return f"{root}{expiry:%y%m%d}{'C' if right is Right.CALL else 'P'}{int(thousandths):08d}"


def is_occ(symbol: str) -> bool:
    """Whether ``symbol`` has the form of a contract's, also with an adjusted root (AAPL1...), which ``parse_occ``
    refuses: what a rule may not price can still be held, quoted and sold."""
    return _SYMBOL.match(symbol) is not None


@lru_cache(maxsize=65536)
def parse_occ(symbol: str) -> OptionContract:
    """The contract behind a compact OCC symbol; ``underlying`` and ``root`` are both the root as written.

    Raises ``ValueError`` saying what is wrong: malformed text, an impossible date, a strike of zero, or an adjusted
    root (a digit behind the letters marks a changed deliverable, which no rule of this project can price).
    """
    match = _SYMBOL.match(symbol)
    if match is None:
        raise ValueError(f"expected an OCC symbol like NVDA260313C00180000, saw {symbol!r}")
    root = match["root"]
    if root[-1].isdigit():
        raise ValueError(f"{symbol!r} has the adjusted root {root!r}: its deliverable is not 100 shares")
    if len(root) > _MAX_ROOT:
        raise ValueError(f"{symbol!r} has a root of {len(root)} letters, at most {_MAX_ROOT} are possible")
    digits = match["expiry"]
    try:
        expiry = date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError as error:
        raise ValueError(f"{symbol!r} has the impossible expiry {digits}") from error
    strike = Decimal(match["strike"]) / _THOUSAND
    if strike == 0:
        raise ValueError(f"{symbol!r} has a strike of zero")
    right = Right.CALL if match["right"] == "C" else Right.PUT
    return OptionContract(symbol=symbol, underlying=root, right=right, strike=strike, expiry=expiry, root=root)


@lru_cache(maxsize=4096)
def expiry_instant(expiry: date) -> datetime:
    """16:00 New York of the expiry day, timezone-aware (New York)."""
    return datetime.combine(expiry, _EXPIRY_HOUR, NEW_YORK)


def years_to_expiry(expiry: date, at: datetime) -> float:
    """Years from ``at`` to 16:00 New York of ``expiry``, actual seconds over 365 days; 0 at and after expiry.

    Raises ``ValueError`` for a naive instant.
    """
    seconds = (require_utc(expiry_instant(expiry)) - require_utc(at)).total_seconds()
    return max(0.0, seconds / _SECONDS_PER_YEAR)
