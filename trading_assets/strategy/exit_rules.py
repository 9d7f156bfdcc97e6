"""The exit table: one small function per rule, in order of precedence.

What belongs here: what makes a rule due, from values already checked for age and sense. What does not: those checks,
the choice among due rules and alerts (``strategy.exits``). A rule whose input is None is not due.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import Direction, KillMode, OpenPosition, Priority, Strategy
from trading_assets.market.sessions import Session, sessions_between, shift
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exit_values import EXPIRY, AccountFacts, Numbers, numbers
from trading_assets.strategy.quoting import finite


@dataclass(frozen=True, slots=True)
class View:
    """One position with everything already checked for age and sense; None where it failed the check."""

    position: OpenPosition
    session: Session
    as_of: datetime
    facts: AccountFacts
    config: ExitConfig
    entry: Decimal | None
    bid: Decimal | None
    stop_price: Decimal | None
    underlying: Decimal | None
    atr: Decimal | None
    stop: Decimal | None
    peak: Decimal | None
    mid: Decimal | None = None
    spread: Decimal | None = None
    model: Decimal | None = None
    delta: Decimal | None = None
    theta: Decimal | None = None
    earnings_next_session: bool | None = None

    @property
    def is_day(self) -> bool:
        """Whether day-trade rules apply."""
        return self.position.strategy is Strategy.DAY_TRADE

    @property
    def is_swing(self) -> bool:
        """Whether swing rules apply."""
        return self.position.strategy is Strategy.SWING_TRADE

    @property
    def dte(self) -> int | None:
        """Calendar days to expiry, or None."""
        expiry = self.position.expiry
        return None if expiry is None else (expiry - self.session.day).days

    @property
    def pnl(self) -> Decimal | None:
        """Gain over the entry premium at the executable bid; None if either is unknown."""
        return None if self.bid is None or self.entry is None else self.bid / self.entry - 1

    def past(self, minutes: int) -> bool:
        """Whether the close is at most ``minutes`` away, or gone."""
        return self.as_of >= self.session.close - timedelta(minutes=minutes)


@dataclass(frozen=True, slots=True)
class Due:
    """A rule that is due: why, with which numbers, and for how many (None: all that is held)."""

    reason: str
    numbers: Numbers
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class ExitRule:
    """One row of the exit table. ``advice`` is what a person is told to do where the system does not act."""

    id: str
    priority: Priority
    description: str
    due: Callable[[View], Due | None]
    market_at_once: bool = False
    advice: str = "Close the position."


def _flatten(view: View) -> Due | None:
    if view.facts.kill_mode is not KillMode.FLATTEN:
        return None
    return Due("The kill switch is set to flatten.", numbers(kill_mode=view.facts.kill_mode.value))


def _expiry(view: View) -> Due | None:
    expiry, dte = view.position.expiry, view.dte
    if expiry is None or dte is None or dte > 0 or (dte == 0 and not view.past(view.config.expiry_minutes)):
        return None
    said = f"The contract expires on {expiry} and less than {view.config.expiry_minutes} min of that session are left."
    return Due(said, numbers(expiry=expiry, as_of=view.as_of, close=view.session.close))


def _stop(view: View) -> Due | None:
    price, entry, config = view.stop_price, view.entry, view.config
    if price is None or entry is None:
        return None
    if view.position.strategy is Strategy.STOCK:
        # The bracket's own stop: its range of then, not today's.
        level = view.stop
        if level is None and view.atr is not None:
            level = entry - config.stock_stop_atr * view.atr
        if level is None:
            return None
    else:
        level = entry * (1 - (config.day_stop if view.is_day else config.swing_stop))
    if price > level:
        return None
    said = f"The price {price} is at or below the stop {level:.4f} of the entry at {entry}."
    return Due(said, numbers(price=price, stop=level, entry=entry, source="quote" if view.bid is not None else "model"))


def _daily_loss(view: View) -> Due | None:
    if not view.is_day or view.facts.daily_loss_reached is not True:
        return None
    return Due("The account's daily loss limit is reached: day trades are closed.", numbers())


def _session_end(view: View) -> Due | None:
    if not view.is_day or not view.past(view.config.session_end_minutes):
        return None
    said = f"Day trades are flat {view.config.session_end_minutes} min before the close."
    return Due(said, numbers(as_of=view.as_of, close=view.session.close))


def _target(view: View) -> Due | None:
    pnl, held = view.pnl, view.position.quantity
    if pnl is None or view.position.stage > 0 or pnl < view.config.target:
        return None
    half = max(1, held // 2)
    said = f"The gain of {pnl:.1%} reached the target of {view.config.target:.0%}: {half} of {held} are sold."
    return Due(said, numbers(price=view.bid, entry=view.entry, pnl=float(pnl), held=held), half)


def _trailing(view: View) -> Due | None:
    bid, entry, peak, config = view.bid, view.entry, view.peak, view.config
    if bid is None or entry is None or peak is None:
        return None
    if view.position.stage == 0 and peak < entry * (1 + config.trailing_arm):
        return None
    level = max(entry, peak - config.trailing_give_back * (peak - entry))
    if bid > level:
        return None
    said = (
        f"The price {bid} gave back {config.trailing_give_back:.0%} of the gain from {entry} to {peak}, or all of it."
    )
    return Due(said, numbers(price=bid, entry=entry, peak=peak, level=level))


def _underlying_move(view: View) -> Due | None:
    now, then = view.underlying, finite(view.position.entry_underlying)
    if now is None or then is None or then <= 0:
        return None
    move = now / then - 1
    against = -move if view.position.direction is Direction.BULLISH else move
    if against < view.config.underlying_move:
        return None
    said = f"The underlying moved {against:.1%} against the entry, from {then} to {now}."
    return Due(said, numbers(underlying=now, entry_underlying=then, against=float(against)))


def _expiry_next_session(view: View) -> Due | None:
    expiry = view.position.expiry
    if not view.is_swing or expiry is None:
        return None
    following = shift(view.session.day, 1).day
    if expiry > following:
        return None
    return Due(f"The swing's contract expires on {expiry}, by the next session.", numbers(expiry=expiry))


def _low_dte_losing(view: View) -> Due | None:
    pnl, dte = view.pnl, view.dte
    if not view.is_swing or pnl is None or dte is None or dte > view.config.low_dte or pnl >= 0:
        return None
    return Due(f"The swing loses {-pnl:.1%} with {dte} days to expiry.", numbers(dte=dte, pnl=float(pnl)))


def _theta_decay(view: View) -> Due | None:
    theta, bid, dte = view.theta, view.bid, view.dte
    if not view.is_swing or dte is None or dte > view.config.low_dte or theta is None or bid is None:
        return None
    # Not as a quotient: a bid of 0 is a price, and any decay exceeds a part of it.
    if -theta <= view.config.max_theta * bid:
        return None
    said = f"The swing decays by {-theta} a day, more than {view.config.max_theta:.0%} of its price {bid}, "
    return Due(said + f"with {dte} days to expiry.", numbers(theta=theta, price=bid, dte=dte))


def _earnings(view: View) -> Due | None:
    if view.is_day or view.earnings_next_session is not True:
        return None
    said = f"{view.position.underlying} reports earnings in the next session."
    return Due(said, numbers(session=view.session.day))


def _max_hold(view: View) -> Due | None:
    opened, config = view.position.opened_at, view.config
    if opened is None or opened.tzinfo is None:
        return None
    if view.is_day:
        held = (view.as_of - opened).total_seconds() / 60
        if held < config.day_max_hold_minutes:
            return None
        said = f"Held {held:.0f} min, a day trade's longest is {config.day_max_hold_minutes}."
        return Due(said, numbers(opened_at=opened, held_minutes=held))
    if view.is_swing:
        first = opened.astimezone(NEW_YORK).date() + timedelta(days=1)
        count = len(sessions_between(first, view.session.day))
        if count < config.swing_max_hold_sessions:
            return None
        said = f"Held for {count} sessions after the entry, a swing's longest is {config.swing_max_hold_sessions}."
        return Due(said, numbers(opened_at=opened, held_sessions=count))
    return None


def _end_of_day(view: View) -> Due | None:
    pnl = view.pnl
    if not view.is_day or pnl is None:
        return None
    for step in reversed(view.config.end_of_day):
        if view.past(step.minutes):
            if -pnl <= step.max_loss:
                return None
            said = (
                f"The day trade loses {-pnl:.1%}; {step.minutes} min before the close {step.max_loss:.0%} is the most."
            )
            return Due(said, numbers(pnl=float(pnl), max_loss=step.max_loss, minutes=step.minutes))
    return None


def _high_delta(view: View) -> Due | None:
    delta = view.delta
    if not view.is_swing or delta is None or abs(delta) <= view.config.high_delta:
        return None
    said = f"The delta {delta} is beyond {view.config.high_delta}: the contract moves like the stock."
    return Due(said, numbers(delta=delta, threshold=view.config.high_delta))


def _wide_spread(view: View) -> Due | None:
    spread, mid = view.spread, view.mid
    if spread is None or mid is None or spread <= view.config.wide_spread * mid:
        return None
    said = f"The spread of {spread} is {spread / mid:.1%} of the mid price {mid}, over {view.config.wide_spread:.0%}."
    return Due(said, numbers(spread=spread, mid=mid, threshold=view.config.wide_spread))


def _model_gap(view: View) -> Due | None:
    model, mid = view.model, view.mid
    if model is None or mid is None or abs(model - mid) < view.config.model_gap * mid:
        return None
    said = f"The model value {model} and the mid price {mid} disagree by {abs(model - mid) / mid:.1%}."
    return Due(said, numbers(model=model, mid=mid, threshold=view.config.model_gap))


_CRITICAL, _HIGH, _MEDIUM = Priority.CRITICAL, Priority.HIGH, Priority.MEDIUM

#: The exit table. The first rule that is due decides: by priority, then by place. MEDIUM rules tell a person, and act
#: only where the configuration says so.
RULES: tuple[ExitRule, ...] = (
    ExitRule("flatten", _CRITICAL, "the kill switch closes everything", _flatten, market_at_once=True),
    ExitRule(EXPIRY, _CRITICAL, "the contract expires today and the cut-off has passed", _expiry, market_at_once=True),
    ExitRule("stop", _CRITICAL, "the loss reached the stop", _stop),
    ExitRule("daily_loss", _CRITICAL, "the account's daily loss limit closes day trades", _daily_loss),
    ExitRule("session_end", _CRITICAL, "day trades are flat before the close", _session_end),
    ExitRule("target", _HIGH, "the gain reached the target: half is sold", _target),
    ExitRule("trailing", _HIGH, "too much of the peak gain was given back", _trailing),
    ExitRule("underlying_move", _HIGH, "the underlying moved against the entry", _underlying_move),
    ExitRule("expiry_next_session", _HIGH, "a swing's contract expires by the next session", _expiry_next_session),
    ExitRule("low_dte_losing", _HIGH, "a swing loses close to expiry", _low_dte_losing),
    ExitRule("theta_decay", _HIGH, "a swing close to expiry loses too much a day to time", _theta_decay),
    ExitRule("max_hold", _HIGH, "held for longer than the strategy allows", _max_hold),
    ExitRule("earnings", _HIGH, "what is held over night reports earnings next session", _earnings),
    ExitRule("end_of_day", _HIGH, "losing day trades are closed step by step before the close", _end_of_day),
    ExitRule(
        "high_delta",
        _MEDIUM,
        "a swing's delta is so high that it moves like the stock",
        _high_delta,
        advice="Consider taking the gain, or a contract with a smaller delta.",
    ),
    ExitRule(
        "wide_spread",
        _MEDIUM,
        "the spread is wide: leaving now would cost much",
        _wide_spread,
        advice="Do not sell at market; leave by a limit order if you must.",
    ),
    ExitRule(
        "model_gap",
        _MEDIUM,
        "the model value and the quote disagree",
        _model_gap,
        advice="Check the quote and the underlying's price before you trade on either.",
    ),
)
