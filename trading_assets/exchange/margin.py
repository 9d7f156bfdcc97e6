"""What short positions tie up: the most that a set of options can lose at expiry, and the collateral of short stock.

Pure arithmetic on quantities and strikes; no market, no account. Premiums are not part of it: they moved with the fill.

A short option is covered by a long one of the same right that lives at least as long, or, a call, by shares. A long
option counts for the latest short expiry that it outlives. At one expiry the loss is taken at the worst price of the
underlying (the two wings of a condor cannot both lose); of several expiries the losses are added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading_assets.domain.values import Right
from trading_assets.market.options import parse_occ

ZERO = Decimal(0)
#: What a sold share ties up: its proceeds and as much again.
SHORT_STOCK = Decimal(2)


@dataclass(frozen=True, slots=True)
class Line:
    """``quantity`` contracts of one series, negative where they are short."""

    right: Right
    strike: Decimal
    expiry: date
    quantity: int


@dataclass(frozen=True, slots=True)
class Requirement:
    """``loss`` is the most that can be lost, dollars; ``uncovered`` the calls that nothing covers; ``shares`` the
    shares that cover calls, by root."""

    loss: Decimal
    uncovered: int
    shares: Mapping[str, int]


def requirement(options: Mapping[str, int], shares: Mapping[str, int], multiplier: int = 100) -> Requirement:
    """What the short ones of ``options`` (by OCC symbol, signed) tie up; ``shares`` are those held, by root.

    An uncovered call has no greatest loss; it counts with its strike.
    """
    lines: dict[str, list[Line]] = defaultdict(list)
    for symbol, quantity in options.items():
        contract = parse_occ(symbol)
        lines[contract.root].append(Line(contract.right, contract.strike, contract.expiry, quantity))
    loss, uncovered, needed = ZERO, 0, dict[str, int]()
    for root, found in lines.items():
        cover = max(0, shares.get(root, 0)) // multiplier
        for group in _by_expiry(found):
            excess = -sum(line.quantity for line in group if line.right is Right.CALL)
            by_shares = min(max(0, excess), cover)
            cover -= by_shares
            if by_shares:
                needed[root] = needed.get(root, 0) + by_shares * multiplier
                group = _without_calls(group, by_shares)
            bare = max(0, excess - by_shares)
            if bare:
                uncovered += bare
                calls = sorted((line for line in group if line.quantity < 0 and line.right is Right.CALL), key=_strike)
                loss += calls[0].strike * bare * multiplier
                group = _without_calls(group, bare)
            loss += _worst(group) * multiplier
    return Requirement(loss, uncovered, needed)


def covered_within(lines: Iterable[Line]) -> bool:
    """Whether each short option of one order is covered by a long one of it."""
    for group in _by_expiry(list(lines)):
        for right in Right:
            if sum(line.quantity for line in group if line.right is right) < 0:
                return False
    return True


def _strike(line: Line) -> Decimal:
    return line.strike


def _by_expiry(lines: list[Line]) -> list[list[Line]]:
    """The short lines of each expiry with the long ones that count for it."""
    expiries = sorted({line.expiry for line in lines if line.quantity < 0})
    groups: dict[date, list[Line]] = {expiry: [] for expiry in expiries}
    for line in lines:
        if line.quantity < 0:
            groups[line.expiry].append(line)
        elif line.quantity > 0:
            outlived = [expiry for expiry in expiries if expiry <= line.expiry]
            if outlived:
                groups[outlived[-1]].append(line)
    return list(groups.values())


def _without_calls(group: list[Line], count: int) -> list[Line]:
    """The group without ``count`` short calls: those with the lowest strikes, which could lose most."""
    kept = []
    for line in sorted(group, key=_strike):
        if line.right is Right.CALL and line.quantity < 0 and count:
            taken = min(count, -line.quantity)
            count -= taken
            line = Line(line.right, line.strike, line.expiry, line.quantity + taken)
        if line.quantity:
            kept.append(line)
    return kept


def _worst(group: list[Line]) -> Decimal:
    """The most that the group can lose per share; it is flat or rising above its highest strike."""
    prices = [ZERO, *(line.strike for line in group)]
    return max(ZERO, -min(_value(group, price) for price in prices))


def _value(group: list[Line], price: Decimal) -> Decimal:
    return sum(
        (
            max(ZERO, price - line.strike if line.right is Right.CALL else line.strike - price) * line.quantity
            for line in group
        ),
        ZERO,
    )
