"""Which swings may stay overnight: the one exit rule that weighs an account's positions against each other.

Staying is a permission, so what is unknown does not stay: no price, no equity or no regime never keeps a position. Day
trades are not judged here, they are flat by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.values import KillMode, PositionState, Priority, Regime, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.config_trading import ExitConfig, OvernightConfig, OvernightRule
from trading_assets.strategy.exit_values import (
    ExitDecision,
    OvernightDecision,
    OvernightPosition,
    numbers,
    obey_kill_switch,
)
from trading_assets.strategy.quoting import finite


def overnight_rule(regime: Regime | None, config: OvernightConfig) -> OvernightRule | None:
    """What ``regime`` tolerates; None means that nothing stays. An unknown regime counts as elevated."""
    if regime is Regime.EXTREME:
        return None
    if regime is Regime.HIGH:
        return config.high
    if regime in (Regime.COMPLACENT, Regime.NORMAL):
        return config.base
    return config.elevated


def overnight_limit(equity: Decimal | None, rule: OvernightRule | None, config: OvernightConfig) -> Decimal:
    """Most premium that may stay, in dollars: the smaller of $5,000 and 5 % of equity, times the regime's part.

    0 where equity is unknown or nothing may stay.
    """
    known = finite(equity)
    if known is None or rule is None:
        return Decimal(0)
    return max(Decimal(0), min(config.max_premium, config.max_premium_of_equity * known)) * rule.limit_factor


def _pnl(item: OvernightPosition) -> Decimal | None:
    price, entry = finite(item.price), finite(item.position.entry_price)
    return None if price is None or entry is None or entry <= 0 else price / entry - 1


def _objection(
    item: OvernightPosition,
    session: Session,
    regime: Regime | None,
    rule: OvernightRule | None,
    may_hold: bool | None,
    config: OvernightConfig,
) -> str | None:
    """Why this position may not stay by itself, or None."""
    position = item.position
    if may_hold is not True:
        return "The account's tier holds nothing overnight, or is unknown."
    if position.strategy is Strategy.STOCK:
        return None
    if rule is None:
        return "In an extreme volatility regime nothing stays overnight."
    if position.expiry is None:
        return "The expiry is unknown."
    dte = (position.expiry - session.day).days
    if dte < config.min_dte:
        return f"{dte} days to expiry, {config.min_dte} are needed to stay."
    pnl = _pnl(item)
    if pnl is None:
        return "Profit or loss is unknown."
    if pnl < rule.min_pnl:
        named = regime.value if regime is not None else "unknown"
        return f"The result of {pnl:.1%} is below {rule.min_pnl:.0%}, the least to stay in the {named} regime."
    return None


def overnight_decisions(
    positions: Sequence[OvernightPosition],
    *,
    session: Session,
    as_of: datetime,
    equity: Decimal | None,
    regime: Regime | None,
    may_hold: bool | None,
    kill_mode: KillMode,
    config: ExitConfig,
) -> tuple[OvernightDecision, ...]:
    """From 15 min before the close on: one decision per held swing and stock, in the given order; before, none.

    A swing stays with 5 or more days to expiry and a result of -15 % or better, as long as the premium that stays is
    within the limit; otherwise the weakest result is closed first. ``may_hold`` is the tier's permission (None:
    unknown). A stock stays if the tier allows it. A position that must not stay is closed as HIGH, and as CRITICAL in
    the last minutes, so that its ladder ends in a market order.
    """
    rules = config.overnight
    if as_of < session.close - timedelta(minutes=rules.minutes):
        return ()
    held = [
        item
        for item in positions
        if item.position.quantity > 0
        and item.position.state not in (PositionState.CLOSED, PositionState.VOID)
        and item.position.strategy is not Strategy.DAY_TRADE
    ]
    rule = overnight_rule(regime, rules)
    objections: dict[str, str] = {}
    staying: list[tuple[Decimal, Decimal, str]] = []
    for item in held:
        name, objection = item.position.position_id, _objection(item, session, regime, rule, may_hold, rules)
        if objection is not None:
            objections[name] = objection
        elif item.position.strategy is not Strategy.STOCK and item.price is not None:
            premium = item.price * item.position.quantity * item.position.multiplier
            staying.append((_pnl(item) or Decimal(0), -premium, name))
    limit = overnight_limit(equity, rule, rules)
    total = sum((-premium for _, premium, _ in staying), Decimal(0))
    for _, premium, name in sorted(staying):
        if total <= limit:
            break
        objections[name] = (
            f"The premium of {total} that would stay exceeds the limit of {limit}: the weakest goes first."
        )
        total += premium
    late = as_of >= session.close - timedelta(minutes=rules.escalate_minutes)
    return tuple(_decide(item, objections, kill_mode, late, limit) for item in held)


def _decide(
    item: OvernightPosition, objections: dict[str, str], kill_mode: KillMode, late: bool, limit: Decimal
) -> OvernightDecision:
    position = item.position
    objection = objections.get(position.position_id)
    if objection is None:
        return OvernightDecision(position.position_id, True, "May stay overnight.", None)
    pnl = _pnl(item)
    wanted = ExitDecision(
        rule="overnight",
        priority=Priority.CRITICAL if late else Priority.HIGH,
        quantity=position.quantity,
        market_at_once=False,
        reason=objection,
        numbers=numbers(
            price=item.price, entry=position.entry_price, pnl=None if pnl is None else float(pnl), limit=limit
        ),
    )
    decision, alerts = obey_kill_switch(position, [wanted], kill_mode)
    return OvernightDecision(position.position_id, False, objection, decision, tuple(alerts))
