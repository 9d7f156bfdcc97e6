"""Whether more of a held position may be bought: the same trade once more, only in profit, and only so often.

An add is an entry like any other: it passes every gate (with ``GateContext.add``) and is sized anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_assets.domain.values import OpenPosition, PositionState, Signal
from trading_assets.risk.config import AddingConfig
from trading_assets.risk.exposure import finite


@dataclass(frozen=True, slots=True)
class AddDecision:
    """``profit`` is the gain over the entry price as a fraction, None where unknown; ``reason`` is a sentence."""

    allowed: bool
    profit: Decimal | None
    reason: str


def may_add(
    position: OpenPosition, signal: Signal, price: Decimal | None, adds_done: int | None, config: AddingConfig
) -> AddDecision:
    """Whether ``signal`` may make ``position`` grow at ``price``, the executable price per share (the bid).

    Only a signal of the position's own direction and strategy; only an open position of which nothing was sold yet (an
    average over what is gone would change results that were booked); at most ``max_adds`` times (two), and from
    ``min_profit`` (15 %) on. What is unknown forbids.
    """
    entry, paid = finite(position.entry_price), finite(price)
    profit = None if entry is None or entry <= 0 or paid is None else (paid - entry) / entry
    refusal = _of_another_kind(position, signal) or _being_left(position)
    if refusal is not None:
        return AddDecision(False, profit, refusal)
    if adds_done is None:
        return AddDecision(False, profit, "unknown number of earlier adds")
    if adds_done >= config.max_adds:
        return AddDecision(False, profit, f"{adds_done} adds were made, {config.max_adds} are the most")
    if profit is None:
        return AddDecision(False, None, "unknown profit")
    if profit < config.min_profit:
        return AddDecision(False, profit, f"a profit of {profit:.1%} is below {config.min_profit:.0%}")
    return AddDecision(True, profit, f"a profit of {profit:.1%} reaches {config.min_profit:.0%}")


def _of_another_kind(position: OpenPosition, signal: Signal) -> str | None:
    if position.direction is not signal.direction:
        return f"the position is {position.direction.value.lower()}"
    if position.strategy is not signal.strategy:
        return f"the position is a {position.strategy.value}"
    return None


def _being_left(position: OpenPosition) -> str | None:
    if position.state is not PositionState.OPEN or position.quantity < 1:
        return f"the position is {position.state.value} with {position.quantity} held"
    if position.quantity_opened is None:
        return "unknown whether some of the position was sold"
    if position.stage > 0 or position.quantity_opened != position.quantity:
        return "some of the position was sold"
    return None
