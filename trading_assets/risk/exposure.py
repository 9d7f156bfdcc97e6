"""What an account already has at stake, counted from its snapshot with everything in flight.

What belongs here: sums and counts over positions, live orders and fills, today's result, the tier. What does not: what
follows from them (``risk.gates``, ``risk.sizing``). An amount that cannot be known is None and never zero.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.values import AccountSnapshot, LiveOrder, OpenPosition, PositionState, Purpose, RecentFill
from trading_assets.risk.config import AccountLimits, SizingConfig, TierConfig

LIVE_POSITIONS = frozenset({PositionState.OPENING, PositionState.OPEN, PositionState.CLOSING})


def finite(value: Decimal | None) -> Decimal | None:
    """``value``, or None if it is missing or not a finite number."""
    return value if value is not None and value.is_finite() else None


def finite_float(value: float | None) -> float | None:
    """``value``, or None if it is missing or not a finite number."""
    return value if value is not None and math.isfinite(value) else None


def age_seconds(at: datetime | None, as_of: datetime, skew_s: float) -> float | None:
    """Seconds from ``at`` to ``as_of``; None if missing, naive, or farther in the future than ``skew_s``."""
    if at is None or at.tzinfo is None or as_of.tzinfo is None:
        return None
    age = (as_of - at).total_seconds()
    return None if age < -skew_s else max(0.0, age)


def tier_for(equity: Decimal | None, config: SizingConfig) -> TierConfig | None:
    """The first tier whose largest equity is not exceeded; None if equity is unknown."""
    known = finite(equity)
    if known is None:
        return None
    for tier in config.tiers:
        if tier.max_equity is None or known <= tier.max_equity:
            return tier
    return None


def live_positions(account: AccountSnapshot) -> tuple[OpenPosition, ...]:
    """Positions that are opening, open or closing."""
    return tuple(position for position in account.positions if position.state in LIVE_POSITIONS)


def live_entries(account: AccountSnapshot) -> tuple[LiveOrder, ...]:
    """Entry orders that may still fill."""
    return tuple(order for order in account.live_orders if order.purpose is Purpose.ENTRY)


def tickers_at_stake(account: AccountSnapshot) -> frozenset[str]:
    """Underlyings with a live position or a live entry order."""
    held = {position.underlying for position in live_positions(account)}
    return frozenset(held | {order.underlying for order in live_entries(account)})


def held_cost(account: AccountSnapshot) -> Decimal | None:
    """What the held positions cost, dollars: quantity x entry price x multiplier. None if an entry price is unknown."""
    total = Decimal(0)
    for position in live_positions(account):
        if position.quantity == 0:
            continue
        price = finite(position.entry_price)
        if price is None:
            return None
        total += price * position.quantity * position.multiplier
    return total


def in_flight_cost(account: AccountSnapshot) -> Decimal | None:
    """What live entry orders may still cost at their limits, dollars. None if one of them has no limit."""
    total = Decimal(0)
    for order in live_entries(account):
        price, open_quantity = finite(order.limit_price), order.quantity - order.filled_quantity
        if open_quantity <= 0:
            continue
        if price is None:
            return None
        total += price * open_quantity * order.multiplier
    return total


def exposure(account: AccountSnapshot) -> Decimal | None:
    """Cost of everything held and in flight, dollars; None if a part is unknown."""
    held, flying = held_cost(account), in_flight_cost(account)
    return None if held is None or flying is None else held + flying


def exposure_limit(equity: Decimal | None, tier: TierConfig | None, limits: AccountLimits) -> Decimal | None:
    """Most that may be at stake, dollars: the tier's part of equity, its cap and the account's. None: unknown."""
    known = finite(equity)
    if known is None or tier is None:
        return None
    caps = [tier.max_exposure * known]
    caps += [cap for cap in (tier.max_exposure_amount, limits.max_exposure) if cap is not None]
    return max(Decimal(0), min(caps))


def day_result(account: AccountSnapshot) -> Decimal | None:
    """Today's result in dollars, the worse of two views; None if a part of the first is unknown.

    The first is today's realised plus all unrealised profit and loss. The second, where all are known, is equity less
    that of the previous close and less what was paid in since: it does not count what a position had gained or lost
    before today.
    """
    realised, unrealised = finite(account.realized_pnl_today), finite(account.unrealized_pnl)
    if realised is None or unrealised is None:
        return None
    equity, before, flow = finite(account.equity), finite(account.last_equity), finite(account.cash_flow_today)
    since_close = realised + unrealised
    if equity is not None and before is not None and flow is not None:
        since_close = equity - before - flow
    return min(realised + unrealised, since_close)


def daily_loss_limit(account: AccountSnapshot, config: SizingConfig) -> Decimal | None:
    """The loss that stops the day, dollars, positive: the tier's part of the previous close's equity. None: unknown.

    What was paid in or out since then counts to that equity, where it is known; the gate denies where it is not.
    """
    tier, base = tier_for(account.equity, config), finite(account.last_equity)
    if tier is None or base is None or base <= 0:
        return None
    flow = finite(account.cash_flow_today)
    if flow is not None:
        base += flow
    return tier.daily_loss * base if base > 0 else None


def daily_loss_reached(account: AccountSnapshot, config: SizingConfig) -> bool | None:
    """Whether today's result is at or beyond the daily loss limit; None if unknown."""
    result, limit = day_result(account), daily_loss_limit(account, config)
    return None if result is None or limit is None else result <= -limit


def drawdown(account: AccountSnapshot) -> Decimal | None:
    """Loss from the high-water equity over that equity, at least 0; None if either is unknown."""
    equity, high = finite(account.equity), finite(account.high_water)
    if equity is None or high is None or high <= 0:
        return None
    return max(Decimal(0), (high - equity) / high)


def high_water_tier(account: AccountSnapshot, config: SizingConfig) -> TierConfig | None:
    """The tier of the high-water equity: a loss must not move an account to a tier that bears more. None: unknown."""
    return tier_for(account.high_water, config)


def drawdown_reached(account: AccountSnapshot, config: SizingConfig) -> bool | None:
    """Whether the loss from the high-water equity is at or beyond its tier's limit; None if unknown."""
    tier, loss = high_water_tier(account, config), drawdown(account)
    return None if tier is None or loss is None else loss >= tier.drawdown


def may_hold_overnight(account: AccountSnapshot, config: SizingConfig) -> bool | None:
    """Whether the account's tier holds anything overnight; None if the tier is unknown."""
    tier = tier_for(account.equity, config)
    return None if tier is None else tier.holds_overnight


def _entries(fills: tuple[RecentFill, ...]) -> dict[tuple[str, str], datetime]:
    """One entry per ticker and signal (per fill where the signal is unknown), with its last fill."""
    entries: dict[tuple[str, str], datetime] = {}
    for place, fill in enumerate(fills):
        if fill.purpose is not Purpose.ENTRY:
            continue
        key = (fill.underlying, fill.signal_id if fill.signal_id is not None else f"fill {place}")
        entries[key] = max(entries.get(key, fill.at), fill.at)
    return entries


def entries_today(account: AccountSnapshot, *, ticker: str | None = None, since: datetime | None = None) -> int:
    """Entries of this session, those in flight included; of one ``ticker``, or filled after ``since``, if asked.

    Several fills of one signal are one entry. A live entry order adds one unless a fill of its ticker shows that it is
    counted already.
    """
    found = _entries(account.fills_today)
    filled = sum(
        1
        for (underlying, _), at in found.items()
        if (ticker is None or underlying == ticker) and (since is None or at > since)
    )
    tickers = {underlying for underlying, _ in found}
    flying = sum(
        1
        for order in live_entries(account)
        if (ticker is None or order.underlying == ticker)
        and (order.filled_quantity == 0 or order.underlying not in tickers)
    )
    return filled + flying


def last_fill_at(account: AccountSnapshot, ticker: str) -> datetime | None:
    """Instant of the ticker's last entry or exit fill of this session, or None if there was none."""
    return max((fill.at for fill in account.fills_today if fill.underlying == ticker), default=None)


def hour_before(as_of: datetime) -> datetime:
    """The start of the 60 minutes that end at ``as_of``."""
    return as_of - timedelta(hours=1)
