"""Whether a signal may add to what its account holds: what has to be looked up for that, and what is remembered of it.

An add must not run against the exits: nothing is bought of a position that an exit rule would sell, now or with the
average price and quantity that the add would leave behind.

What belongs here: finding the position, its price, and asking the exit rules. What does not: the rule of profit and
count (``risk.adding``), choosing the contract and sizing (``jobs.weighing``), ordering (``broker.ladder``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading_assets.domain.values import (
    AccountSnapshot,
    ContractSnapshot,
    KillMode,
    OpenPosition,
    Quote,
    Regime,
    Signal,
    Strategy,
)
from trading_assets.jobs.facts import regime_at
from trading_assets.jobs.marking import earnings_next_session
from trading_assets.ledger import orders
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.adding import AddDecision, may_add
from trading_assets.risk.exposure import daily_loss_reached, may_hold_overnight
from trading_assets.risk.facts import RiskFacts
from trading_assets.strategy.config_trading import ExitConfig
from trading_assets.strategy.exit_values import AccountFacts, ExitMarket
from trading_assets.strategy.exits import evaluate_exit, fresh_bid
from trading_assets.strategy.overnight import overnight_limit, overnight_rule
from trading_assets.strategy.scaling import after_add


@dataclass(frozen=True, slots=True)
class Exits:
    """What the exit rules look at when they judge the position: market, account and rules, as known at ``as_of``."""

    market: ExitMarket
    session: Session
    as_of: datetime
    facts: AccountFacts
    config: ExitConfig

    def due(self, position: OpenPosition) -> str | None:
        """The exit that is due of ``position``, as a sentence, or None."""
        found = evaluate_exit(
            position, self.market, session=self.session, as_of=self.as_of, account=self.facts, config=self.config
        ).decision
        return None if found is None else f"the exit rule {found.rule} is due: {found.reason}"


@dataclass(frozen=True, slots=True)
class Growing:
    """What is held in the signal's ticker and whether the signal may add to it.

    ``position`` is None where several are held; ``price`` is what it could be sold at per share, None if unknown;
    ``overnight_room`` the premium that may stay overnight beside the other swings, None for what does not stay.
    """

    position: OpenPosition | None
    price: Decimal | None
    adds_done: int | None
    decision: AddDecision
    exits: Exits | None = None
    overnight_room: Decimal | None = None

    @property
    def target(self) -> OpenPosition | None:
        """The position to add to, None if it may not be."""
        return self.position if self.decision.allowed else None

    def sized(self, quantity: int, highest: Decimal | None) -> Growing:
        """The same, refused if the exits would sell what ``quantity`` more at the ``highest`` price leaves behind."""
        if self.target is None or self.exits is None or quantity < 1 or highest is None:
            return self
        after = after_add(self.target, quantity, highest)
        due = self.exits.due(after)
        if due is not None:
            return self._refused(f"with {quantity} more at {highest} {due}")
        value = after.quantity * highest * after.multiplier
        if self.overnight_room is not None and value > self.overnight_room:
            return self._refused(f"{value:.2f} with {quantity} more exceed the {self.overnight_room:.2f} that may stay")
        return self

    def _refused(self, reason: str) -> Growing:
        return replace(self, decision=AddDecision(False, self.decision.profit, reason))

    def remembered(self, quantity: int, highest: Decimal | None) -> dict[str, Any]:
        """JSON-ready: what the decision saw, and the entry price if ``quantity`` is added at the ``highest`` price."""
        after = None
        if self.target is not None and quantity > 0 and highest is not None:
            after = str(after_add(self.target, quantity, highest).entry_price)
        return {
            "position_id": None if self.position is None else self.position.position_id,
            "bid": None if self.price is None else str(self.price),
            "adds_done": self.adds_done,
            "profit": None if self.decision.profit is None else str(self.decision.profit),
            "allowed": self.decision.allowed,
            "reason": self.decision.reason,
            "entry_price_after_at_most": after,
        }


def find_growing(
    desk: Desk,
    account: str,
    signal: Signal,
    session: Session,
    snapshot: AccountSnapshot,
    spot: Quote | None,
    chain: Sequence[ContractSnapshot],
    facts: RiskFacts,
    as_of: datetime,
) -> Growing | None:
    """What the account holds in the signal's ticker, judged for an add; None if it holds nothing there."""
    held = [position for position in snapshot.positions if position.underlying == signal.ticker]
    if not held:
        return None
    if len(held) > 1:
        return Growing(None, None, None, AddDecision(False, None, f"{len(held)} positions are held in {signal.ticker}"))
    (position,), config = held, desk.strategy(account)
    row = next((row for row in chain if row.contract.symbol == position.symbol), None)
    market = ExitMarket(
        quote=None if row is None else row.quote,
        underlying_price=None if spot is None else spot.mid,
        underlying_at=None if spot is None else spot.at,
        delta=None if row is None else row.delta,
        theta=None if row is None else row.theta,
        earnings_next_session=earnings_next_session(facts.earnings, position.underlying, session),
    )
    price = fresh_bid(market, position.symbol, as_of, config.exits)
    with desk.ledger.connect() as connection:
        done = orders.adds_done(connection, position.position_id)
    decision = may_add(position, signal, price, done, config.sizing.adding)
    if row is None:
        decision = replace(decision, reason=f"an entry of today could not buy {position.symbol}: {decision.reason}")
    # The kill switch has a gate of its own, and what it forbids to sell is due all the same.
    account_facts = AccountFacts(KillMode.OFF, daily_loss_reached(snapshot, config.sizing))
    exits = Exits(market, session, as_of, account_facts, config.exits)
    due = exits.due(position) if decision.allowed else None
    if due is not None:
        decision = AddDecision(False, decision.profit, due)
    room = None
    if position.strategy is Strategy.SWING_TRADE:
        room = _overnight_room(position, snapshot, regime_at(desk, session), desk, account)
    return Growing(position, price, done, decision, exits, room)


def _overnight_room(
    position: OpenPosition, snapshot: AccountSnapshot, regime: Regime | None, desk: Desk, account: str
) -> Decimal:
    """Premium that may stay overnight in ``position``, dollars: the limit less what the other swings cost; 0: none."""
    config = desk.strategy(account)
    if may_hold_overnight(snapshot, config.sizing) is not True:
        return Decimal(0)
    rules = config.exits.overnight
    room = overnight_limit(snapshot.equity, overnight_rule(regime, rules), rules)
    for other in snapshot.positions:
        if other.strategy is not Strategy.SWING_TRADE or other.position_id == position.position_id:
            continue
        if other.entry_price is None:
            return Decimal(0)
        room -= other.entry_price * other.quantity * other.multiplier
    return max(Decimal(0), room)
