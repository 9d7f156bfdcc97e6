"""What the gates look at for one signal of an account, put together from settings and from what was seen."""

from __future__ import annotations

from datetime import datetime, timedelta

from trading_assets.domain.values import AccountSnapshot, Quote, Regime, Signal
from trading_assets.jobs.growing import Growing
from trading_assets.market.sessions import MINUTE, Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.gates import GateContext
from trading_assets.risk.sizing import SizingDecision
from trading_assets.strategy.contracts import ContractSelection


def gate_context(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    regime: Regime | None,
    facts: RiskFacts | None,
    *,
    as_of: datetime,
    selection: ContractSelection | None = None,
    sizing: SizingDecision | None = None,
    quote: Quote | None = None,
    growing: Growing | None = None,
) -> GateContext:
    """What the gates look at. Left out: the market of the contract, its choice and the size are not known."""
    config = desk.strategy(account)
    return GateContext(
        signal=signal,
        account=snapshot,
        session=session,
        as_of=as_of,
        regime=regime,
        bar_end=signal.bar_start + MINUTE,
        feature_at=signal.bar_start + timedelta(minutes=1),
        quote_at=None if quote is None else quote.at,
        signal_known_at=signal.known_at,
        selection=selection,
        sizing=sizing,
        gates=config.gates,
        sizing_config=config.sizing,
        limits=desk.account(account).limits,
        facts=facts,
        exits=config.exits,
        add=None if growing is None else growing.decision,
    )
