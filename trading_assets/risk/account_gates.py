"""Gates that look at the account and the market's state: may this account take any new risk now?"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from trading_assets.domain.values import Action, KillMode, OrderState, Regime, Strategy
from trading_assets.market.sessions import Session
from trading_assets.risk.config import AccountMode, EntrySchedule, GateConfig
from trading_assets.risk.exposure import (
    daily_loss_limit,
    day_result,
    entries_today,
    exposure,
    exposure_limit,
    finite,
    finite_float,
    hour_before,
    last_fill_at,
    tickers_at_stake,
    tier_for,
)
from trading_assets.risk.gate import Gate, GateContext, Verdict, allow, at_most, deny

ACTIVE = "ACTIVE"
_MINUTE = timedelta(minutes=1)
_IS_ADD = "it adds to a position that is held"
_OPTIONS = frozenset({Action.BUY_CALL, Action.BUY_PUT})
_ALLOWED = {
    AccountMode.OPTIONS_ONLY: _OPTIONS,
    AccountMode.HYBRID: _OPTIONS | {Action.BUY_STOCK},
    AccountMode.STOCK_ONLY: frozenset({Action.BUY_STOCK}),
}


def _kill_switch(context: GateContext) -> Verdict:
    mode = context.account.kill_mode
    if mode is KillMode.OFF:
        return allow(mode, KillMode.OFF, "the kill switch is off")
    return deny(mode, KillMode.OFF, f"the kill switch is set to {mode}: no new risk")


def _daily_loss(context: GateContext) -> Verdict:
    result, limit = day_result(context.account), daily_loss_limit(context.account, context.sizing_config)
    if finite(context.account.cash_flow_today) is None:
        return deny(result, None if limit is None else -limit, "unknown whether money was paid in or out today")
    if result is None:
        return deny(None, None if limit is None else -limit, "unknown result of today")
    if limit is None:
        return deny(result, None, "unknown equity, now or at the previous close")
    if result <= -limit:
        return deny(result, -limit, f"today's result {result:.2f} reached the daily loss limit of {limit:.2f}")
    return allow(result, -limit, f"today's result {result:.2f} is above the daily loss limit of {limit:.2f}")


def _volatility_regime(context: GateContext) -> Verdict:
    if context.regime is None:
        return allow(None, Regime.EXTREME, "unknown volatility regime: sized as elevated")
    if context.regime is Regime.EXTREME:
        return deny(context.regime, Regime.EXTREME, "the volatility regime is extreme")
    return allow(context.regime, Regime.EXTREME, f"the volatility regime is {context.regime.value}")


def entry_hours(
    session: Session, strategy: Strategy, expiry: date | None, config: GateConfig, schedule: EntrySchedule
) -> tuple[datetime, datetime]:
    """First instant at which ``strategy`` may enter, and the first at which it may not any more; ``expiry`` is that of
    the contract, None for a stock. The account's ``schedule`` narrows them; on a day that it leaves out both are the
    open."""
    if not schedule.has(session.day):
        return session.open, session.open
    minutes = config.day_cutoff_minutes if strategy is Strategy.DAY_TRADE else config.swing_cutoff_minutes
    if expiry is not None and expiry <= session.day:
        minutes = max(minutes, config.expiry_day_cutoff_minutes)
    delay = max(config.open_delay_minutes, schedule.minutes_after_open or 0)
    minutes = max(minutes, schedule.minutes_before_close or 0)
    return session.open + timedelta(minutes=delay), session.close - timedelta(minutes=minutes)


def _trading_hours(context: GateContext) -> Verdict:
    session, schedule = context.session, context.limits.schedule
    if session is None:
        return deny(context.as_of, None, "no trading session")
    if context.as_of.tzinfo is None:
        return deny(context.as_of, None, "unknown instant: it has no time zone")
    if not schedule.has(session.day):
        days = ", ".join(day.value for day in schedule.weekdays)
        return deny(context.as_of, schedule.weekdays, f"the account enters on {days} only")
    chosen = context.selection.chosen if context.selection is not None else None
    expiry = None if chosen is None else chosen.contract.expiry
    first, last = entry_hours(session, context.signal.strategy, expiry, context.gates, schedule)
    hours = (first, last)
    after, before = (first - session.open) // _MINUTE, (session.close - last) // _MINUTE
    said = f"{after} min after open to {before} min before close"
    if first <= context.as_of < last:
        return allow(context.as_of, hours, f"within {said}")
    return deny(context.as_of, hours, f"outside {said}")


def _account_ready(context: GateContext) -> Verdict:
    account, config = context.account, context.gates
    wants_options = context.signal.action in _OPTIONS
    chosen = context.selection.chosen if context.selection is not None else None
    symbols = {context.signal.ticker} | ({chosen.contract.symbol} if chosen is not None else set())
    unknown_orders = {
        name
        for order in account.live_orders
        if order.state is OrderState.UNKNOWN
        for name in (order.symbol, order.underlying)
    }
    blocked = sorted(symbols & (account.blocked_symbols | unknown_orders))
    troubles: list[str] = []
    if account.broker_account_id is None or account.expected_broker_account_id is None:
        troubles.append("unknown broker account id")
    elif account.broker_account_id != account.expected_broker_account_id:
        troubles.append(f"broker account {account.broker_account_id} is not {account.expected_broker_account_id}")
    if account.status is None:
        troubles.append("unknown account status")
    elif account.status != ACTIVE:
        troubles.append(f"account status is {account.status}")
    if account.trading_blocked is None:
        troubles.append("unknown whether trading is blocked")
    elif account.trading_blocked:
        troubles.append("trading is blocked")
    if wants_options and account.options_level is None:
        troubles.append("unknown options level")
    elif wants_options and account.options_level is not None and account.options_level < config.options_level:
        troubles.append(f"options level {account.options_level} is below {config.options_level}")
    if account.reconciled_at is None:
        troubles.append("unknown positions: not reconciled with the broker since start")
    if blocked:
        troubles.append(f"an order with an unknown outcome blocks {', '.join(blocked)}")
    observed = {
        "broker_account_id": account.broker_account_id,
        "status": account.status,
        "trading_blocked": account.trading_blocked,
        "options_level": account.options_level,
        "reconciled_at": account.reconciled_at,
        "blocked": blocked,
    }
    threshold = {
        "broker_account_id": account.expected_broker_account_id,
        "status": ACTIVE,
        "options_level": config.options_level if wants_options else None,
    }
    if troubles:
        return deny(observed, threshold, "; ".join(troubles))
    return allow(observed, threshold, "the account may trade")


def _duplicate_position(context: GateContext) -> Verdict:
    ticker = context.signal.ticker
    if context.is_add:
        return allow(ticker, 1, _IS_ADD)
    if ticker in tickers_at_stake(context.account):
        refused = "" if context.add is None else f"; nothing is added to it: {context.add.reason}"
        return deny(ticker, 1, f"{ticker} already has a position or an entry order{refused}")
    return allow(None, 1, f"{ticker} has no position and no entry order")


def _max_positions(context: GateContext) -> Verdict:
    tier = tier_for(context.account.equity, context.sizing_config)
    # An add brings no further position.
    count = len(tickers_at_stake(context.account) - ({context.signal.ticker} if context.is_add else set()))
    if tier is None:
        return deny(count, None, "unknown equity, hence unknown tier")
    own = context.limits.max_positions
    limit = tier.max_positions if own is None else min(tier.max_positions, own)
    return at_most(count, limit, "positions open or opening")


def _max_exposure(context: GateContext) -> Verdict:
    """After this trade. A size of 0 is judged as one unit, so that the record says whether the room was the cause."""
    account, sizing = context.account, context.sizing
    tier = tier_for(account.equity, context.sizing_config)
    used, limit = exposure(account), exposure_limit(account.equity, tier, context.limits)
    unit = finite(sizing.unit_cost) if sizing is not None else None
    if used is None:
        return deny(None, limit, "unknown cost of a position or of an order in flight")
    if limit is None:
        return deny(used, None, "unknown equity, hence unknown exposure limit")
    if sizing is None or unit is None:
        return deny(used, limit, "unknown cost of this trade")
    after = used + unit * max(1, sizing.quantity)
    if after > limit:
        return deny(after, limit, f"{after:.2f} at stake after this trade exceeds {limit:.2f}")
    return allow(after, limit, f"{after:.2f} at stake after this trade of {limit:.2f}")


def _trades_per_day(context: GateContext) -> Verdict:
    own, limit = context.limits.trades_per_day, context.gates.trades_per_day
    return at_most(entries_today(context.account), limit if own is None else min(limit, own), "entries today")


def _ticker_daily_limit(context: GateContext) -> Verdict:
    ticker = context.signal.ticker
    if context.is_add:
        return allow(None, context.gates.ticker_daily_limit, _IS_ADD)
    count = entries_today(context.account, ticker=ticker)
    return at_most(count, context.gates.ticker_daily_limit, f"entries in {ticker} today")


def _ticker_cooldown(context: GateContext) -> Verdict:
    limit, ticker = context.gates.ticker_cooldown_minutes, context.signal.ticker
    if context.is_add:
        return allow(None, limit, _IS_ADD)
    last = last_fill_at(context.account, ticker)
    if last is None:
        return allow(None, limit, f"no fill in {ticker} today")
    if last.tzinfo is None or context.as_of.tzinfo is None:
        return deny(None, limit, f"unknown time since the last fill in {ticker}")
    minutes = (context.as_of - last).total_seconds() / 60
    said = f"{minutes:.1f} min since the last fill in {ticker}, {limit} are needed"
    return deny(minutes, limit, said) if minutes < limit else allow(minutes, limit, said)


def _entries_per_hour(context: GateContext) -> Verdict:
    count = entries_today(context.account, since=hour_before(context.as_of))
    return at_most(count, context.gates.entries_per_hour, "entries in the last 60 min")


def _confidence(context: GateContext) -> Verdict:
    seen, tier = finite_float(context.signal.confidence), tier_for(context.account.equity, context.sizing_config)
    if seen is None:
        return deny(None, None, "unknown confidence")
    if tier is None:
        return deny(seen, None, "unknown equity, hence unknown tier")
    least = max(
        tier.min_confidence,
        context.gates.min_confidence(context.signal.strategy),
        context.limits.min_confidence or 0.0,
    )
    if seen < least:
        return deny(seen, least, f"confidence {seen:.3f} is below {least:.2f}")
    return allow(seen, least, f"confidence {seen:.3f} reaches {least:.2f}")


def _action_allowed(context: GateContext) -> Verdict:
    signal, limits = context.signal, context.limits
    actions = sorted(action.value for action in _ALLOWED[limits.mode])
    threshold = {"actions": actions, "strategies": [strategy.value for strategy in limits.strategies]}
    observed = {"action": signal.action, "strategy": signal.strategy}
    if signal.action not in _ALLOWED[limits.mode]:
        return deny(observed, threshold, f"{signal.action.value} is not allowed in mode {limits.mode.value}")
    if signal.strategy not in limits.strategies:
        return deny(observed, threshold, f"the account does not follow {signal.strategy.value}")
    if (signal.action is Action.BUY_STOCK) != (signal.strategy is Strategy.STOCK):
        return deny(observed, threshold, f"{signal.action.value} does not belong to {signal.strategy.value}")
    return allow(observed, threshold, f"{signal.action.value} is allowed in mode {limits.mode.value}")


KILL_SWITCH = Gate("kill_switch", "The kill switch must be off.", _kill_switch)
DAILY_LOSS_LIMIT = Gate("daily_loss_limit", "Today's result must be above the tier's daily loss limit.", _daily_loss)
VOLATILITY_REGIME = Gate("volatility_regime", "No entry in an extreme volatility regime.", _volatility_regime)
TRADING_HOURS = Gate("trading_hours", "Entries only in the strategy's part of the session.", _trading_hours)
ACCOUNT_READY = Gate("account_ready", "The right, active, reconciled account without unclear orders.", _account_ready)
DUPLICATE_POSITION = Gate("duplicate_position", "One position per ticker and account.", _duplicate_position)
MAX_POSITIONS = Gate("max_positions", "At most the tier's number of positions at once.", _max_positions)
MAX_EXPOSURE = Gate("max_exposure", "Cost of everything at stake after this trade within the limit.", _max_exposure)
TRADES_PER_DAY = Gate("trades_per_day", "At most so many entries per account and session.", _trades_per_day)
TICKER_DAILY_LIMIT = Gate("ticker_daily_limit", "At most so many entries per ticker and session.", _ticker_daily_limit)
TICKER_COOLDOWN = Gate("ticker_cooldown", "A pause after the ticker's last entry or exit fill.", _ticker_cooldown)
ENTRIES_PER_HOUR = Gate("entries_per_hour", "At most so many entries per account in 60 minutes.", _entries_per_hour)
CONFIDENCE = Gate("confidence", "The tier's and the strategy's least confidence.", _confidence)
ACTION_ALLOWED = Gate("action_allowed", "Action and strategy must belong to the account.", _action_allowed)
