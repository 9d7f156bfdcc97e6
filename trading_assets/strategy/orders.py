"""Limit ladders: at which prices, in which order and for how long an order works.

What belongs here: prices of the rungs, rounded to the contract's tick. What does not: submission, waiting and
cancelling, which the dispatcher and the position manager do. An empty ladder means: no order now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from trading_assets.domain.money import round_to_tick
from trading_assets.domain.values import Priority, Quote
from trading_assets.strategy.config_trading import OrderConfig
from trading_assets.strategy.quoting import executable_bid, finite, two_sided

Tick = Callable[[Decimal], Decimal]


@dataclass(frozen=True, slots=True)
class Rung:
    """One order of a ladder: its limit per share (None is a market order) and the seconds it works."""

    limit: Decimal | None
    seconds: float


def _merged(limits: list[Decimal], seconds: float) -> list[Rung]:
    """Rungs at ``limits``; equal neighbours become one rung that works longer and keeps its place in the queue."""
    rungs: list[Rung] = []
    for limit in limits:
        if rungs and rungs[-1].limit == limit:
            rungs[-1] = Rung(limit, rungs[-1].seconds + seconds)
        else:
            rungs.append(Rung(limit, seconds))
    return rungs


def entry_ladder(quote: Quote | None, tick: Tick, config: OrderConfig) -> tuple[Rung, ...]:
    """Buy limits, rising: mid + 25 % of the spread, mid + 40 %, the ask; then the order is cancelled.

    Never above the ask (rounded up to its tick, so that it still trades). Empty without a two-sided uncrossed quote.
    """
    sides = two_sided(quote)
    if sides is None:
        return ()
    bid, ask = sides
    mid, spread = (bid + ask) / 2, ask - bid
    highest = round_to_tick(ask, tick(ask), direction="up")
    limits: list[Decimal] = []
    for step in config.entry_steps:
        price = mid + step * spread
        limits.append(min(max(round_to_tick(price, tick(price)), tick(price)), highest))
    limits.append(highest)
    return tuple(_merged(limits, config.rung_seconds))


def highest_permitted_price(quote: Quote | None, tick: Tick, config: OrderConfig) -> Decimal | None:
    """The most an entry may pay per share: the last rung. Gates and sizing use it. None without a ladder."""
    ladder = entry_ladder(quote, tick, config)
    return ladder[-1].limit if ladder else None


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where a stock's entry is left again, dollars per share: the stop below and the take profit above every rung."""

    stop_loss: Decimal
    take_profit: Decimal


def entry_bracket(
    ladder: tuple[Rung, ...], quote: Quote | None, distance: Decimal | None, tick: Tick, reward: Decimal
) -> Bracket | None:
    """The stop ``distance`` below the ladder's highest price, and the take profit ``reward`` times as far above it.

    From the highest price the loss at the stop is never more than the size was made for. Both are rounded up to the
    tick. None where there is no such bracket: no ladder, an unknown distance, or one so short that the stop would not
    lie below the lowest rung and the bid: where the bid is there already it would be sold at once, at any loss.
    """
    known, sides = finite(distance), two_sided(quote)
    limits = [rung.limit for rung in ladder if rung.limit is not None]
    if not limits or sides is None or known is None or known <= 0:
        return None
    lowest, highest = min(limits), max(limits)
    stop, target = highest - known, highest + reward * known
    if stop <= 0:
        return None
    found = Bracket(
        round_to_tick(stop, tick(stop), direction="up"), round_to_tick(target, tick(target), direction="up")
    )
    below = found.stop_loss <= lowest - tick(lowest) and found.stop_loss < sides[0]
    return found if below and found.take_profit >= highest + tick(highest) else None


def exit_ladder(
    quote: Quote | None, tick: Tick, priority: Priority, market_at_once: bool, config: OrderConfig
) -> tuple[Rung, ...]:
    """Sell orders, falling: the bid, one tick below it, then market if ``priority`` is CRITICAL.

    ``market_at_once`` (flatten, expiry) is a single market order. A HIGH exit ends after its limits and is retried in
    the next cycle. Pass None for a stale quote: without an executable bid a CRITICAL exit goes to market and any other
    has no rung. A bid of 0 is offered at one tick.
    """
    market = Rung(None, config.rung_seconds)
    if market_at_once:
        return (market,)
    bid = executable_bid(quote)
    rungs: list[Rung] = []
    if bid is not None:
        size = tick(bid)
        best = round_to_tick(bid, size, direction="down")
        rungs = _merged([max(best - ticks * size, size) for ticks in config.exit_ticks], config.rung_seconds)
    if priority is Priority.CRITICAL:
        rungs.append(market)
    return tuple(rungs)
