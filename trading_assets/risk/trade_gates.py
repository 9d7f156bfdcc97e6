"""Gates that look at this one trade: fresh sources, a contract that was found, a size that remains."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from trading_assets.domain.values import Action, Right
from trading_assets.risk.exposure import age_seconds
from trading_assets.risk.gate import Gate, GateContext, Verdict, allow, deny
from trading_assets.strategy.contracts import ContractSelection

_RIGHTS = {Action.BUY_CALL: Right.CALL, Action.BUY_PUT: Right.PUT}


def _freshness(
    what: str, at: Callable[[GateContext], datetime | None], limit: Callable[[GateContext], float]
) -> Callable[[GateContext], Verdict]:
    """A judgement on the age of one source event: unknown, or too far in the future, denies."""

    def judge(context: GateContext) -> Verdict:
        most = limit(context)
        age = age_seconds(at(context), context.as_of, context.gates.clock_skew_s)
        if age is None:
            return deny(None, most, f"unknown age of the {what}")
        if age > most:
            return deny(age, most, f"the {what} is {age:.0f} s old, {most:.0f} s is the most")
        return allow(age, most, f"the {what} is {age:.0f} s old")

    return judge


def _contract(context: GateContext) -> Verdict:
    expected = _RIGHTS.get(context.signal.action)
    if expected is None:
        return allow(None, None, "the action needs no contract")
    selection: ContractSelection | None = context.selection
    if selection is None:
        return deny(None, expected, "unknown contract: none was selected")
    if selection.chosen is None:
        return deny(None, expected, selection.reason)
    contract = selection.chosen.contract
    if contract.right is not expected or contract.underlying != context.signal.ticker:
        said = f"{contract.symbol} is no {expected.value} on {context.signal.ticker}"
        return deny(contract.symbol, expected, said)
    return allow(contract.symbol, expected, selection.reason)


def _sizing(context: GateContext) -> Verdict:
    sizing = context.sizing
    if sizing is None:
        return deny(None, 1, "unknown size: it was not computed")
    if sizing.quantity < 1:
        return deny(sizing.quantity, 1, f"no size remains, {sizing.reason}")
    return allow(sizing.quantity, 1, sizing.reason)


BAR_FRESHNESS = Gate(
    "bar_freshness",
    "The deciding bar ended recently.",
    _freshness("bar", lambda c: c.bar_end, lambda c: c.gates.max_bar_age_s),
)
FEATURE_FRESHNESS = Gate(
    "feature_freshness",
    "The features come from a recent source.",
    _freshness("feature row", lambda c: c.feature_at, lambda c: c.gates.max_feature_age_s),
)
QUOTE_FRESHNESS = Gate(
    "quote_freshness",
    "The quote that prices the order is recent.",
    _freshness("quote", lambda c: c.quote_at, lambda c: c.gates.max_quote_age_s),
)
SIGNAL_FRESHNESS = Gate(
    "signal_freshness",
    "The signal was decided recently.",
    _freshness("signal", lambda c: c.signal_known_at, lambda c: c.gates.max_signal_age_s),
)
CONTRACT = Gate("contract", "Contract selection found a contract of the right kind.", _contract)
SIZING = Gate("sizing", "At least one contract or share remains after every limit.", _sizing)
