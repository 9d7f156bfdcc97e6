"""When a position is left: every exit rule for one position at one instant, in order of precedence.

What belongs here: which rule decides, and what is missing. What does not: the rules (``strategy.exit_rules``), prices
of exit orders (``strategy.orders``), which positions may stay overnight (``strategy.overnight``), submission.
Time, expiry and flatten exits need no quote. Price rules need a fresh executable quote; on a missing, stale or crossed
one a model value stands in for the stop and the underlying's price still counts, with an alert. Where an input is
missing a rule holds and an alert says so. What is due and must not or need not be ordered is an alert, too.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from trading_assets.domain.values import KillMode, OpenPosition, PositionState, Priority, Right, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exit_rules import RULES, View
from trading_assets.strategy.exit_values import (
    AccountFacts,
    AlertKind,
    ExitAlert,
    ExitDecision,
    ExitMarket,
    ExitOutcome,
    OvernightDecision,
    OvernightPosition,
    RollDecision,
    numbers,
    obey_kill_switch,
    ordered,
)
from trading_assets.strategy.overnight import overnight_decisions
from trading_assets.strategy.quoting import age_seconds, executable_bid, finite, two_sided
from trading_assets.strategy.rolling import ROLL, roll_alert, roll_decision

__all__ = [
    "RULES",
    "AccountFacts",
    "AlertKind",
    "ExitAlert",
    "ExitDecision",
    "ExitMarket",
    "ExitOutcome",
    "OvernightDecision",
    "OvernightPosition",
    "RollDecision",
    "describe_exits",
    "evaluate_exit",
    "fresh_bid",
    "ordered",
    "overnight_decisions",
    "urgency",
]

#: The rule that weighs an account's positions against each other stands behind the other HIGH ones.
_OVERNIGHT = ("overnight", Priority.HIGH.value, "a swing that may not stay overnight")
_ROLL = (ROLL, Priority.HIGH.value, "a swing bought far from expiry is rolled to the next monthly")


def describe_exits() -> tuple[tuple[str, str, str], ...]:
    """Id, priority and one-line description of each rule in order of precedence."""
    rows = [(rule.id, rule.priority.value, rule.description) for rule in RULES]
    place = next(index for index, (_, priority, _) in enumerate(rows) if priority == Priority.MEDIUM.value)
    return (*rows[:place], _OVERNIGHT, *rows[place:], _ROLL)


_PRIORITIES = (Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM)
_PLACES = {name: place for place, (name, _, _) in enumerate(describe_exits())}


def urgency(decision: ExitDecision) -> tuple[int, int]:
    """Sort key of the exits of an account: by priority, then by the rule's place. Market orders so come first."""
    return _PRIORITIES.index(decision.priority), _PLACES[decision.rule]


def fresh_bid(market: ExitMarket, symbol: str, as_of: datetime, config: ExitConfig) -> Decimal | None:
    """The executable price of ``symbol`` now: a fresh, uncrossed quote's bid (0 is a price), else None."""
    if market.quote is None or market.quote.symbol != symbol:
        return None
    age = age_seconds(market.quote.at, as_of, config.clock_skew_s)
    if age is None or age > config.max_quote_age_s:
        return None
    return executable_bid(market.quote)


def _greek(value: float | None) -> Decimal | None:
    return finite(None if value is None else Decimal(str(value)))


def _delta(position: OpenPosition, market: ExitMarket) -> Decimal | None:
    """The delta where it is one: at most 1, with the sign of the right (feeds send sentinels like -999)."""
    delta = _greek(market.delta)
    if delta is None or position.right is None or abs(delta) > 1:
        return None
    return delta if (delta if position.right is Right.CALL else -delta) >= 0 else None


def _theta(market: ExitMarket, underlying: Decimal | None) -> Decimal | None:
    """The theta where it is one: a contract cannot lose more in a day than its underlying is worth."""
    theta = _greek(market.theta)
    return None if theta is None or (underlying is not None and abs(theta) >= underlying) else theta


def _view(
    position: OpenPosition,
    market: ExitMarket,
    session: Session,
    as_of: datetime,
    facts: AccountFacts,
    config: ExitConfig,
) -> View:
    bid = fresh_bid(market, position.symbol, as_of, config)
    age = age_seconds(market.underlying_at, as_of, config.clock_skew_s)
    underlying = finite(market.underlying_price) if age is not None and age <= config.max_underlying_age_s else None
    if underlying is not None and underlying <= 0:
        underlying = None
    stand_in: Decimal | None = None
    if underlying is not None:
        stand_in = underlying if position.right is None else finite(market.model_price)
    entry, peak, atr = finite(position.entry_price), finite(position.high_water), finite(market.atr)
    stop = finite(market.stop) if position.strategy is Strategy.STOCK else None
    if bid is not None:
        peak = bid if peak is None else max(peak, bid)
    sides = two_sided(market.quote) if bid is not None else None
    return View(
        position=position,
        session=session,
        as_of=as_of,
        facts=facts,
        config=config,
        entry=entry if entry is not None and entry > 0 else None,
        bid=bid,
        stop_price=bid if bid is not None else stand_in,
        underlying=underlying,
        atr=atr if atr is not None and atr > 0 else None,
        stop=stop if stop is not None and stop > 0 else None,
        peak=peak,
        mid=None if sides is None else (sides[0] + sides[1]) / 2,
        spread=None if sides is None else sides[1] - sides[0],
        model=None if position.right is None else stand_in,
        delta=_delta(position, market),
        theta=_theta(market, underlying),
        earnings_next_session=market.earnings_next_session,
    )


def _alerts(view: View, market: ExitMarket) -> list[ExitAlert]:
    """What is missing, and which rules hold because of it."""
    position, alerts = view.position, list[ExitAlert]()

    def alert(rule: str, priority: Priority, reason: str, action: str, **values: Decimal | datetime | None) -> None:
        alerts.append(
            ExitAlert(position.position_id, rule, priority, reason, numbers(**values), action, AlertKind.MISSING)
        )

    if view.bid is None:
        quote = market.quote
        seen = {"bid": quote.bid, "ask": quote.ask, "quote_at": quote.at} if quote is not None else {}
        if view.stop_price is not None:
            said = f"No executable quote: the model value {view.stop_price} serves the stop, other price rules hold."
            alert("quote", Priority.MEDIUM, said, "Check the quote feed.", model_price=view.stop_price, **seen)
        else:
            said = "No executable quote and no model value: the stop and every other price rule hold."
            alert("quote", Priority.HIGH, said, "Check the quote feed, and close by hand if in doubt.", **seen)
    if view.underlying is None and position.strategy is not Strategy.STOCK:
        said = "No fresh price of the underlying: its rule holds."
        alert("underlying_move", Priority.MEDIUM, said, "Check the bar feed.", underlying_at=market.underlying_at)
    elif position.right is not None and view.model is None and view.bid is not None:
        said = "The contract's volatility is unknown: no model value checks its quote or would stand in for it."
        alert("model_gap", Priority.MEDIUM, said, "Check the option feed.", model_price=market.model_price)
    if view.bid is not None and view.spread is None:
        said = "The quote has no ask: the width of its spread is unknown."
        alert("wide_spread", Priority.MEDIUM, said, "Check the quote feed.", bid=view.bid)
    if view.is_swing and view.delta is None:
        said = "The delta is unknown: whether it is too high is not checked."
        alert("high_delta", Priority.MEDIUM, said, "Check the option feed.")
    if view.is_swing and view.theta is None and view.dte is not None and view.dte <= view.config.low_dte:
        said = f"The theta is unknown with {view.dte} days to expiry: the loss to time is not checked."
        alert("theta_decay", Priority.HIGH, said, "Check the option feed, and close by hand if in doubt.")
    if view.entry is None:
        said = "The entry price is unknown: every rule on profit or loss holds."
        alert(
            "entry_price",
            Priority.HIGH,
            said,
            "Reconcile the account, or close by hand.",
            entry_price=position.entry_price,
        )
    if position.strategy is Strategy.STOCK and view.atr is None and view.stop is None:
        alert("stop", Priority.HIGH, "The average true range is unknown: the stop holds.", "Check the bar feed.")
    if position.opened_at is None and position.strategy is not Strategy.STOCK:
        alert(
            "max_hold", Priority.MEDIUM, "The entry's time is unknown: the longest hold is not checked.", "Reconcile."
        )
    if view.is_day and view.facts.daily_loss_reached is None:
        said = "Today's result of the account is unknown: the daily loss limit closes nothing."
        alert("daily_loss", Priority.HIGH, said, "Check the account's connection to the broker.")
    return alerts


def evaluate_exit(
    position: OpenPosition,
    market: ExitMarket,
    *,
    session: Session,
    as_of: datetime,
    account: AccountFacts,
    config: ExitConfig,
) -> ExitOutcome:
    """Judge one position: the exit to order now if any, its new high-water mark, its stage after that exit, alerts.

    ``session`` is the current one: cut-offs count back from its own close, so a half day needs no numbers of its own. A
    position that holds nothing (not filled yet, or closed) gives no decision. The overnight rule is not among these:
    it weighs the positions of an account against each other. A roll is told as due; who orders it tells that instead.
    """
    stored = finite(position.high_water)
    if position.quantity <= 0 or position.state in (PositionState.CLOSED, PositionState.VOID):
        return ExitOutcome(None, stored, position.stage, ())
    view = _view(position, market, session, as_of, account, config)
    due: list[ExitDecision] = []
    told: list[ExitAlert] = []
    for rule in RULES:
        found = rule.due(view)
        if found is None:
            continue
        if rule.priority is Priority.MEDIUM and not config.act_on_medium:
            told.append(
                ExitAlert(
                    position.position_id,
                    rule.id,
                    rule.priority,
                    found.reason,
                    found.numbers,
                    rule.advice,
                    AlertKind.DUE,
                )
            )
            continue
        quantity = position.quantity if found.quantity is None else found.quantity
        due.append(ExitDecision(rule.id, rule.priority, quantity, rule.market_at_once, found.reason, found.numbers))
    decision, forbidden = obey_kill_switch(position, due, account.kill_mode)
    roll: RollDecision | None = None
    if not due and account.kill_mode is KillMode.OFF:
        roll = roll_decision(view)
        told += roll_alert(view, roll)
    stage = 1 if decision is not None and decision.rule == "target" else position.stage
    return ExitOutcome(decision, view.peak, stage, (*forbidden, *told, *_alerts(view, market)), roll)
