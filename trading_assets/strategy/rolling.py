"""When a swing that was bought far from expiry should be rolled: closed, and reopened in the next monthly contract.

What belongs here: whether a roll is due and which contract it aims at. What does not: choosing that contract
(``strategy.roll_contract``) and ordering it. A roll needs a two-leg order, so that the account is never left with one
half of it; where the account may not send one a person is told.
"""

from __future__ import annotations

import math
from datetime import date, timedelta

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import OpenPosition, Priority
from trading_assets.market.sessions import shift
from trading_assets.strategy.exit_rules import View
from trading_assets.strategy.exit_values import AlertKind, ExitAlert, RollDecision, numbers

ROLL = "roll"
_FRIDAY = 4


def monthly_expiry(year: int, month: int) -> date:
    """The expiry of a month's standard contract: its third Friday, or the session before it where that is a holiday."""
    first = date(year, month, 1)
    third_friday = first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)
    return shift(third_friday + timedelta(days=1), -1).day


def next_monthly(after: date) -> date:
    """The first standard monthly expiry later than ``after``. Raises ``ValueError`` outside the session calendar."""
    year, month = after.year, after.month
    while (found := monthly_expiry(year, month)) <= after:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return found


def entry_dte(view: View) -> int | None:
    """Calendar days to expiry on the day of the entry in New York; None where expiry or entry time is unknown."""
    opened, expiry = view.position.opened_at, view.position.expiry
    if opened is None or opened.tzinfo is None or expiry is None:
        return None
    return (expiry - opened.astimezone(NEW_YORK).date()).days


def _entry_delta(view: View) -> float | None:
    delta = view.position.entry_delta
    return abs(delta) if delta is not None and math.isfinite(delta) and 0 < abs(delta) <= 1 else None


def _due(view: View) -> bool:
    bought, dte, pnl, config = entry_dte(view), view.dte, view.pnl, view.config
    if not view.is_swing or bought is None or dte is None or pnl is None:
        return False
    # Not only on the very day: there may be no session on it.
    return bought > config.roll_entry_dte and dte <= config.roll_dte and pnl > config.roll_min_pnl


def roll_decision(view: View) -> RollDecision | None:
    """The roll that is due, or None. With more than 21 days to expiry at entry, from 21 days on, at more than -10 %.

    The new contract has the delta that the old one had when it was bought; where that is unknown nothing is decided.
    """
    delta, expiry = _entry_delta(view), view.position.expiry
    if not _due(view) or delta is None or expiry is None:
        return None
    # Beyond the days to expiry at which it would be due again at once.
    target = next_monthly(max(expiry, view.session.day + timedelta(days=view.config.roll_entry_dte)))
    pnl = view.pnl
    said = f"{view.dte} days to expiry at a result of {pnl:.1%}: the swing is due to be rolled to {target}."
    facts = numbers(
        dte=view.dte,
        entry_dte=entry_dte(view),
        pnl=None if pnl is None else float(pnl),
        target_delta=delta,
        target_expiry=target,
    )
    position = view.position
    return RollDecision(position.position_id, position.symbol, position.quantity, delta, target, said, facts)


def roll_action(position: OpenPosition, roll: RollDecision) -> str:
    """What a person would do to carry out ``roll``."""
    right = "contract" if position.right is None else position.right.value
    return (
        f"In one two-leg order sell {roll.quantity} {roll.close_symbol} and buy as many of the "
        f"{position.underlying} {right} of {roll.target_expiry} with a delta near {roll.target_delta:.2f}."
    )


def roll_alert(view: View, roll: RollDecision | None) -> list[ExitAlert]:
    """What a person is told: the roll that is due, or that it is due and the entry's delta is not known."""
    position = view.position
    if roll is not None:
        action = roll_action(position, roll)
        return [
            ExitAlert(position.position_id, ROLL, Priority.HIGH, roll.reason, roll.numbers, action, AlertKind.DUE),
        ]
    if not _due(view):
        return []
    said = "A roll is due, and the delta at entry is unknown."
    facts = numbers(dte=view.dte, entry_dte=entry_dte(view))
    action = "Choose the delta of the next monthly contract by hand."
    return [ExitAlert(position.position_id, ROLL, Priority.HIGH, said, facts, action, AlertKind.MISSING)]
