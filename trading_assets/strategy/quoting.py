"""What may be read from a quote, and how old it is. Shared by contract selection, ladders and exits.

Every function answers None where something is missing, not finite or impossible: callers deny or hold on None.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trading_assets.domain.values import Quote


def finite(value: Decimal | None) -> Decimal | None:
    """``value``, or None if it is missing or not a finite number."""
    return value if value is not None and value.is_finite() else None


def age_seconds(at: datetime | None, as_of: datetime, skew_s: float) -> float | None:
    """Seconds from ``at`` to ``as_of``, or None if unknown.

    A source whose clock runs ahead by at most ``skew_s`` has age 0; one farther in the future, or without a time zone,
    tells no age at all.
    """
    if at is None or at.tzinfo is None or as_of.tzinfo is None:
        return None
    age = (as_of - at).total_seconds()
    if age < -skew_s:
        return None
    return max(0.0, age)


def two_sided(quote: Quote | None) -> tuple[Decimal, Decimal] | None:
    """Bid and ask of a two-sided, uncrossed quote (bid 0 allowed, ask positive), else None."""
    if quote is None:
        return None
    bid, ask = finite(quote.bid), finite(quote.ask)
    if bid is None or ask is None or bid < 0 or ask <= 0 or bid > ask:
        return None
    return bid, ask


def executable_bid(quote: Quote | None) -> Decimal | None:
    """The price at which a long position could be sold now: the bid, unless the quote is crossed. 0 is a price.

    A quote without an ask still has an executable bid. Age is the caller's question.
    """
    if quote is None:
        return None
    bid = finite(quote.bid)
    if bid is None or bid < 0:
        return None
    if quote.ask is not None and two_sided(quote) is None:
        return None
    return bid
