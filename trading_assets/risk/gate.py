"""What a gate is: an id, one line that says what it does, and a judgement over one frozen context.

No gate lives here. ``risk.account_gates`` and ``risk.trade_gates`` hold them, ``risk.gates`` puts them in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from trading_assets.domain.values import AccountSnapshot, GateResult, Regime, Signal
from trading_assets.market.sessions import Session
from trading_assets.risk.adding import AddDecision
from trading_assets.risk.config import AccountLimits, GateConfig, SizingConfig
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.sizing import SizingDecision
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.contracts import ContractSelection


@dataclass(frozen=True, slots=True)
class GateContext:
    """Everything the gates may look at for one signal in one account, as it was known at ``as_of``.

    None means 'not known' and denies (``regime`` alone is sized as elevated instead). ``session`` is None outside
    trading days. ``bar_end`` is the end of the deciding bar, ``feature_at`` the instant of the features' source,
    ``quote_at`` the time of the quote that the order would be priced by, ``signal_known_at`` the decision's instant.
    ``selection`` is None for stocks. ``exits`` says where day trades are stopped. ``add`` is what was found about
    adding to a position in the signal's ticker, None if there is none: where it may be added to, gates that keep a
    second position out do not apply.
    """

    signal: Signal
    account: AccountSnapshot
    session: Session | None
    as_of: datetime
    regime: Regime | None
    bar_end: datetime | None
    feature_at: datetime | None
    quote_at: datetime | None
    signal_known_at: datetime | None
    selection: ContractSelection | None
    sizing: SizingDecision | None
    gates: GateConfig
    sizing_config: SizingConfig
    limits: AccountLimits
    facts: RiskFacts | None = None
    exits: ExitConfig = field(default_factory=ExitConfig)
    add: AddDecision | None = None

    @property
    def is_add(self) -> bool:
        """Whether this trade grows a position that is held."""
        return self.add is not None and self.add.allowed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found, before it is put into JSON-ready form."""

    passed: bool
    observed: Any
    threshold: Any
    reason: str


def json_ready(value: Any) -> Any:
    """``value`` with amounts as exact strings, instants and days in ISO form, enumerations as their value."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate. ``judge`` raises nothing on missing input: it denies and says what is unknown."""

    id: str
    description: str
    judge: Callable[[GateContext], Verdict]

    def check(self, context: GateContext) -> GateResult:
        """This gate's answer, ready to be recorded."""
        verdict = self.judge(context)
        return GateResult(
            self.id, verdict.passed, json_ready(verdict.observed), json_ready(verdict.threshold), verdict.reason
        )


def allow(observed: Any, threshold: Any, reason: str) -> Verdict:
    """A passing verdict."""
    return Verdict(True, observed, threshold, reason)


def deny(observed: Any, threshold: Any, reason: str) -> Verdict:
    """A denying verdict."""
    return Verdict(False, observed, threshold, reason)


def at_most(observed: int, limit: int, what: str) -> Verdict:
    """Pass if one more of ``what`` still stays within ``limit``."""
    if observed >= limit:
        return deny(observed, limit, f"{observed} {what}, {limit} is the most")
    return allow(observed, limit, f"{observed} {what} of {limit}")
