"""Gates that look at the trade together with everything the account holds: drawdown, risk at the stops, sectors,
correlation, earnings, Greeks."""

from __future__ import annotations

from decimal import Decimal

from trading_assets.domain.values import Action, PositionState, Strategy
from trading_assets.market.sessions import shift
from trading_assets.risk.exposure import (
    drawdown,
    exposure_limit,
    finite,
    high_water_tier,
    live_entries,
    live_positions,
    tier_for,
)
from trading_assets.risk.gate import Gate, GateContext, Verdict, allow, deny
from trading_assets.risk.greek_limits import greek_lines, limited_totals, one_more, overnight_greeks
from trading_assets.risk.open_risk import open_risk, open_risk_limit, sector_stakes


def _drawdown_pause(context: GateContext) -> Verdict:
    account = context.account
    loss, tier = drawdown(account), high_water_tier(account, context.sizing_config)
    if account.paused_at is not None:
        since = f"paused since {account.paused_at:%Y-%m-%d %H:%M} UTC: {account.pause_reason or 'no reason recorded'}"
        return deny(loss, None if tier is None else tier.drawdown, f"{since}; 'trading-assets resume' releases it")
    if loss is None or tier is None:
        return deny(loss, None, "unknown equity or high-water equity")
    said = f"equity is {loss:.1%} below its high-water mark of {account.high_water:.2f}, {tier.drawdown:.0%} pauses"
    return deny(loss, tier.drawdown, said) if loss >= tier.drawdown else allow(loss, tier.drawdown, said)


def _max_open_risk(context: GateContext) -> Verdict:
    """After this trade. A size of 0 is judged as one unit, like ``max_exposure``."""
    account, sizing = context.account, context.sizing
    used = open_risk(account, context.sizing_config, context.exits)
    limit = open_risk_limit(account.equity, tier_for(account.equity, context.sizing_config))
    unit = finite(sizing.unit_risk) if sizing is not None else None
    if used is None:
        return deny(None, limit, "unknown risk of a position or of an order in flight")
    if limit is None:
        return deny(used, None, "unknown equity, hence unknown limit of the open risk")
    if sizing is None or unit is None:
        return deny(used, limit, "unknown risk of this trade")
    after = used + unit * max(1, sizing.quantity)
    if after > limit:
        return deny(after, limit, f"{after:.2f} at risk after this trade exceeds {limit:.2f}")
    return allow(after, limit, f"{after:.2f} at risk after this trade of {limit:.2f}")


def _sector_exposure(context: GateContext) -> Verdict:
    """After this trade. The first position of a sector always fits."""
    account, sizing, facts, ticker = context.account, context.sizing, context.facts, context.signal.ticker
    sector = None if facts is None else facts.sector(ticker)
    whole = exposure_limit(account.equity, tier_for(account.equity, context.sizing_config), context.limits)
    limit = None if whole is None else whole * context.gates.sector_share
    if facts is None or sector is None:
        return deny(None, limit, f"unknown sector of {ticker}")
    stakes = sector_stakes(account, facts, sector)
    if stakes is None:
        return deny(None, limit, f"unknown cost of a position or of an order in flight in {sector}")
    if not stakes.keys() - {ticker}:
        return allow(sum(stakes.values(), Decimal(0)), limit, f"nothing else is at stake in {sector}")
    unit = finite(sizing.unit_cost) if sizing is not None else None
    if limit is None:
        return deny(sum(stakes.values()), None, "unknown equity, hence unknown exposure limit")
    if sizing is None or unit is None:
        return deny(sum(stakes.values()), limit, "unknown cost of this trade")
    after = sum(stakes.values()) + unit * max(1, sizing.quantity)
    said = f"{after:.2f} at stake in {sector} after this trade"
    if after > limit:
        return deny(after, limit, f"{said} exceeds {limit:.2f}")
    return allow(after, limit, f"{said} of {limit:.2f}")


def _others_same_way(context: GateContext) -> list[str]:
    """Other underlyings at stake in the signal's direction. An order whose direction nobody knows counts as such."""
    account, signal = context.account, context.signal
    positions = live_positions(account)
    same = {position.underlying for position in positions if position.direction is signal.direction}
    known = {position.underlying for position in positions}
    flying = {order.underlying for order in live_entries(account)} - known
    return sorted((same | flying) - {signal.ticker})


def _correlation(context: GateContext) -> Verdict:
    limit, facts, ticker = context.gates.max_correlation, context.facts, context.signal.ticker
    others = _others_same_way(context)
    if not others:
        return allow(None, limit, f"no other position is {context.signal.direction.value.lower()}")
    if facts is None or facts.correlations is None:
        return deny(None, limit, f"unknown correlation with {', '.join(others)}")
    observed: dict[str, float | None] = {}
    troubles = []
    for other in others:
        pair = facts.correlations.get(other)
        enough = pair is not None and pair.sessions >= context.gates.min_correlation_sessions
        value = pair.value if pair is not None and enough else None
        observed[other] = value
        if value is not None and not -1 <= value <= 1:
            troubles.append(f"the correlation with {other} is no number")
            observed[other] = None
        elif value is not None and value > limit:
            troubles.append(f"{value:.2f} with {other}, which is held or ordered in the same direction")
        elif value is None and (facts.sectors is None or facts.sector(other) == facts.sector(ticker)):
            troubles.append(f"too few common sessions with {other}, which is of the same sector and direction")
    if troubles:
        return deny(observed, limit, "; ".join(troubles))
    return allow(observed, limit, f"no position in the same direction moves with {ticker} by more than {limit:.2f}")


def _sell_has_position(context: GateContext) -> Verdict:
    signal = context.signal
    if signal.action is not Action.SELL:
        return allow(None, None, "the action sells nothing")
    held = sum(
        position.quantity
        for position in context.account.positions
        if position.underlying == signal.ticker and position.state in (PositionState.OPEN, PositionState.OPENING)
    )
    if held < 1:
        return deny(held, 1, f"nothing of {signal.ticker} is held that could be sold")
    return allow(held, 1, f"{held} of {signal.ticker} are held")


def _earnings_window(context: GateContext) -> Verdict:
    calendar = None if context.facts is None else context.facts.earnings
    count, ticker = context.gates.earnings_sessions, context.signal.ticker
    trouble = None if context.facts is None else context.facts.earnings_trouble
    if trouble is not None:
        return deny(None, count, f"unknown earnings: {trouble}")
    if calendar is None:
        return allow(None, count, "no earnings calendar is configured")
    if context.session is None:
        return deny(None, count, "no trading session, hence no distance to earnings")
    day = context.session.day
    first, last = shift(day, -count).day, shift(day, count).day
    newest = max((found for days in calendar.values() for found in days), default=None)
    if newest is None or newest < day:
        return deny(newest, count, "unknown earnings: the calendar ends before today")
    near = sorted(found for found in calendar.get(ticker, ()) if first <= found <= last)
    if near:
        return deny(near[0], count, f"{ticker} has earnings on {near[0]}, within {count} sessions of today")
    return allow(None, count, f"no earnings of {ticker} within {count} sessions")


def _portfolio_greeks(context: GateContext) -> Verdict:
    """After this trade. Day trades are flat by the close: one neither counts nor adds."""
    account, signal = context.account, context.signal
    tier = tier_for(account.equity, context.sizing_config)
    held = overnight_greeks(account, context.facts)
    before = limited_totals(held)
    if signal.strategy is Strategy.DAY_TRADE:
        return allow({**before, "unknown": held.unknown}, None, "a day trade is flat by the close and does not count")
    if tier is None:
        return deny({**before, "unknown": held.unknown}, None, "unknown equity, hence unknown tier")
    chosen = context.selection.chosen if context.selection is not None else None
    unit = one_more(signal.strategy, signal.ticker, chosen, context.facts)
    quantity = max(1, context.sizing.quantity) if context.sizing is not None else None
    after = {name: _after(before[name], unit[name], quantity) for name in before}
    lines = greek_lines(account.equity, tier, before, unit)
    troubles: list[str] = []
    for line in lines:
        value = after[line.name]
        if value is None or line.limit is None:
            which = f" of {', '.join(held.unknown)}" if held.unknown else ""
            troubles.append(f"unknown {line.name}{which}")
        elif abs(value) > line.limit:
            troubles.append(f"{line.name} of {value:.2f} after this trade exceeds {line.limit:.2f}")
    observed = {**after, "unknown": held.unknown}
    threshold = {line.name: line.limit for line in lines}
    if troubles:
        return deny(observed, threshold, "; ".join(troubles))
    if not lines:
        return allow(observed, None, f"only recorded in tier {tier.name}")
    return allow(observed, threshold, "delta, vega and theta kept overnight stay within their limits")


def _after(before: float | None, unit: float | None, quantity: int | None) -> float | None:
    return None if before is None or unit is None or quantity is None else before + unit * quantity


DRAWDOWN_PAUSE = Gate(
    "drawdown_pause", "Equity stays near its high-water mark; a pause ends by 'resume' only.", _drawdown_pause
)
MAX_OPEN_RISK = Gate("max_open_risk", "Loss at all stops together after this trade within the limit.", _max_open_risk)
SECTOR_EXPOSURE = Gate(
    "sector_exposure", "Cost in one sector after this trade within its share of the exposure limit.", _sector_exposure
)
CORRELATION = Gate("correlation", "No position in the same direction that moves like this ticker.", _correlation)
SELL_HAS_POSITION = Gate("sell_has_position", "A sale needs something held.", _sell_has_position)
EARNINGS_WINDOW = Gate("earnings_window", "No entry close to the ticker's earnings.", _earnings_window)
PORTFOLIO_GREEKS = Gate(
    "portfolio_greeks", "Delta, vega and theta kept overnight after this trade within the tier's.", _portfolio_greeks
)
