"""What a split would have made of a position, and at which instant, judged by what the broker holds.

What belongs here: arithmetic on booked fills. What does not: applying it (``corporate_actions``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor

from trading_assets.broker.action_history import DIGITS, TAIL
from trading_assets.broker.values import BrokerPosition
from trading_assets.domain.clock import NEW_YORK, require_utc
from trading_assets.domain.values import Side
from trading_assets.ledger import splits
from trading_assets.ledger.executions import Execution
from trading_assets.ledger.positions import Position
from trading_assets.ledger.splits import PositionSplit, ShareSplit
from trading_assets.market.options import parse_occ

#: The clearing house rounds a strike that a split leaves with more decimals.
_STRIKE_ROUNDING = Decimal("0.01")
#: How long after the beginning of its day a broker may carry out a split, and the least time between two instants.
_LATEST, _INSTANT = timedelta(days=5), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a split makes of a position: its symbol, how many units for how many, how prices of a unit change, and from
    when on fills are of the new units."""

    symbol: str
    quantity: int
    numerator: Decimal
    denominator: Decimal
    strike: Decimal | None
    instant: datetime


def effective_at(split: ShareSplit) -> datetime:
    """From when on fills may be of the new shares: the New York midnight at which the day of the split begins."""
    return require_utc(datetime.combine(split.ex_session, time.min, NEW_YORK))


def not_before(split: ShareSplit, waited_at: datetime | None) -> datetime:
    """The earliest instant at which the broker can have carried out the split."""
    begin = effective_at(split)
    return begin if waited_at is None else max(begin, waited_at)


def _instants(split: ShareSplit, first: datetime, rows: Iterable[Execution]) -> list[datetime]:
    """When the broker may have carried out the split: at ``first``, or after any fill since then.

    What it holds tells which: a fill of old shares counts otherwise than one of new shares. It is late by days at most.
    """
    last = effective_at(split) + _LATEST
    later = {row.executed_at + _INSTANT for row in rows if first <= row.executed_at < last}
    return [first, *sorted(later)]


def fitting(
    position: Position,
    split: ShareSplit,
    first: datetime,
    held: Mapping[str, BrokerPosition],
    rows: tuple[Execution, ...],
    done: tuple[PositionSplit, ...],
) -> Outcome | None:
    """What the split made of the position, carried out at the earliest instant that explains what the broker holds."""
    for instant in _instants(split, first, rows):
        if not any(row.executed_at < instant for row in rows):
            continue
        outcome = _outcome(position, split, instant, held, rows, done)
        actual = None if outcome is None else held.get(outcome.symbol)
        if outcome is not None and (actual.quantity if actual is not None else 0) == outcome.quantity:
            return outcome
    return None


def _outcome(
    position: Position,
    split: ShareSplit,
    instant: datetime,
    held: Mapping[str, BrokerPosition],
    rows: tuple[Execution, ...],
    done: tuple[PositionSplit, ...],
) -> Outcome | None:
    """What the broker would hold had it carried out the split then; None where nothing it holds can be that."""
    symbol, strike, numerator, denominator = position.symbol, position.strike, split.numerator, split.denominator
    if position.contract_right is not None and split.ratio.denominator == 1:
        contract = _contract(position, split, held)
        if contract is None:
            return None
        symbol, strike = contract
    elif position.contract_right is not None:
        # As many contracts at the same strike, which deliver another number of shares: prices of a unit stay.
        adjusted = _adjusted(position, held)
        if adjusted is None:
            return None
        symbol, numerator, denominator = adjusted, Decimal(1), Decimal(1)
    trial = PositionSplit(
        position.position_id,
        split.action_id,
        instant,
        numerator,
        denominator,
        position.symbol,
        symbol,
        0,
        0,
        split.known_at,
        "",
    )
    total = Fraction(0)
    for unit in splits.in_todays_units(rows, [*done, trial]):
        total += unit.quantity if unit.execution.side is Side.BUY else -unit.quantity
    if total < 0:
        # More was sold than there would have been: then it was not so.
        return None
    return Outcome(symbol, floor(total), numerator, denominator, strike, instant)


def _contract(position: Position, split: ShareSplit, held: Mapping[str, BrokerPosition]) -> tuple[str, Decimal] | None:
    """The contract that a split into whole shares made of one: the same but for its strike."""
    if position.strike is None:
        return None
    wanted = position.strike * split.denominator / split.numerator
    for symbol in sorted(held):
        try:
            contract = parse_occ(symbol)
        except ValueError:
            continue
        same = (contract.right, contract.expiry) == (position.contract_right, position.expiry)
        if same and contract.root == position.symbol[:-TAIL] and abs(contract.strike - wanted) <= _STRIKE_ROUNDING:
            return symbol, contract.strike
    return None


def _adjusted(position: Position, held: Mapping[str, BrokerPosition]) -> str | None:
    """The contract with another deliverable that one became: the same but for the digit behind its root."""
    root, tail = position.symbol[:-TAIL].rstrip(DIGITS), position.symbol[-TAIL:]
    for symbol in sorted(held):
        other = symbol[:-TAIL]
        if (
            symbol.endswith(tail)
            and symbol != position.symbol
            and other[-1:].isdigit()
            and other.rstrip(DIGITS) == root
        ):
            return symbol
    return None
