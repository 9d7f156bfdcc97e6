"""One look at the positions of one account: judge them and work every exit that is due, the most urgent first.

What belongs here: in which order things are asked and done, so that no exit waits for what it does not need. What does
not: the rules (``strategy.exits``), what the market says (``jobs.marking``), the account's lock (``jobs.managing``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from trading_assets.broker.climbing import LadderPlan, LadderState, Rung
from trading_assets.broker.errors import NothingHeld, SymbolBlocked
from trading_assets.broker.ladder import Exit, leave
from trading_assets.broker.snapshot import observed_equity
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.domain.money import CENT, option_tick, told
from trading_assets.domain.values import AccountSnapshot, OpenPosition, Priority, Strategy
from trading_assets.jobs.alerting import stuck, tell
from trading_assets.jobs.marking import ODD, Earnings, Marking, regime_or_none
from trading_assets.jobs.protecting import protect
from trading_assets.jobs.rolling import orders_rolls, work_rolls
from trading_assets.ledger import positions
from trading_assets.market.sessions import Session
from trading_assets.resources.desk import Desk
from trading_assets.risk.exposure import daily_loss_reached, may_hold_overnight
from trading_assets.strategy.exit_values import (
    AccountFacts,
    ExitAlert,
    ExitDecision,
    ExitMarket,
    ExitOutcome,
    OvernightPosition,
    RollDecision,
    ordered,
)
from trading_assets.strategy.exits import evaluate_exit, fresh_bid, urgency
from trading_assets.strategy.orders import exit_ladder
from trading_assets.strategy.overnight import overnight_decisions
from trading_assets.strategy.rolling import ROLL

Log = logging.Logger | Any
_log = logging.getLogger(__name__)


class ExitReport(Protocol):
    """Where a cycle writes what it did: by symbol, and what a person should read."""

    exits: dict[str, str]
    alerts: list[str]


class ExitCycle:
    """One look at the positions of one account, in three rounds, so that no exit waits for what it does not need.

    First what needs no price (flatten, expiry), then the CRITICAL exits that quotes alone show, then all others, with
    Greeks and model values; rolls come after all of them. A position that cannot be judged does not keep the others
    from being left.
    """

    def __init__(
        self,
        desk: Desk,
        snapshot: AccountSnapshot,
        session: Session,
        run_id: str,
        report: ExitReport,
        log: Log,
        earnings: Earnings | None,
    ) -> None:
        self._desk, self._snapshot, self._session = desk, snapshot, session
        self._run_id, self._report, self._log = run_id, report, log
        self._account = snapshot.account
        self._strategy = desk.strategy(self._account)
        self._facts = self._account_facts()
        self._marking = Marking(desk, self._account, session, earnings)
        self._rolls: list[tuple[OpenPosition, RollDecision]] = []

    def work(self, held: list[OpenPosition]) -> AccountSnapshot:
        """Judge ``held`` and work every exit that is due, the most urgent first; the account with its cash flows.

        What was paid in or out is asked for before the last round: by it the day's loss is judged whole, and no stop
        and no flatten waits for it.
        """
        blind = {position.position_id: self._marking.blind(position) for position in held}
        rest = self._round(held, blind, lambda decision: decision.market_at_once)
        quoted = self._marking.quoted(rest) if rest else {}
        rest = self._round(rest, quoted, lambda decision: decision.priority is Priority.CRITICAL)
        broker = self._desk.broker(self._account).impatient()
        self._snapshot = observed_equity(self._desk.ledger, broker, self._desk.clock, self._snapshot)
        self._facts = self._account_facts()
        if rest:
            known = {position.position_id: quoted[position.position_id] for position in rest}
            self._last_round(rest, self._marking.with_contract_facts(rest, known))
        protect(self._desk, self._account, held, quoted, self._tell, self._run_id)
        # Last of all: a roll holds the account for as long as its ladder works, and nothing may have to wait for it.
        work_rolls(
            self._desk,
            self._account,
            self._session,
            self._rolls,
            report=self._report,
            tell=self._tell,
            run_id=self._run_id,
            log=self._log,
        )
        return self._snapshot

    def _account_facts(self) -> AccountFacts:
        return AccountFacts(self._snapshot.kill_mode, daily_loss_reached(self._snapshot, self._strategy.sizing))

    def _round(
        self,
        held: list[OpenPosition],
        markets: Mapping[str, ExitMarket],
        now: Callable[[ExitDecision], bool],
    ) -> list[OpenPosition]:
        """Leave the positions whose exit may be worked ``now``; the others."""
        due, rest = [], list[OpenPosition]()
        for position in held:
            outcome = self._judge(position, markets[position.position_id], self._desk.clock.now())
            if outcome is not None and outcome.decision is not None and now(outcome.decision):
                due.append((position, outcome.decision))
            else:
                rest.append(position)
        self._leave_all(due, markets)
        return rest

    def _last_round(self, held: list[OpenPosition], markets: Mapping[str, ExitMarket]) -> None:
        as_of, due, prices = self._desk.clock.now(), list[tuple[OpenPosition, ExitDecision]](), {}
        rolls = list[tuple[OpenPosition, RollDecision]]()
        ordering = orders_rolls(self._snapshot, self._strategy.exits)
        for position in held:
            market = markets[position.position_id]
            prices[position.position_id] = fresh_bid(market, position.symbol, as_of, self._strategy.exits)
            outcome = self._judge(position, market, as_of)
            if outcome is None:
                self._report.alerts.append(
                    f"{position.symbol} CRITICAL: it could not be judged, see the log (account {self._account}, "
                    f"signal {position.signal_id}, position {position.position_id})"
                )
                continue
            # Of another quantity than the broker's the entry is not known, and neither is what its price means.
            if outcome.high_water != position.high_water and position.entry_price is not None:
                with self._desk.ledger.begin() as connection:
                    positions.update_position(connection, position.position_id, high_water=outcome.high_water)
            if outcome.roll is not None and ordering:
                rolls.append((position, outcome.roll))
            self._tell(
                position, [one for one in outcome.alerts if outcome.roll is None or not ordering or one.rule != ROLL]
            )
            if outcome.decision is not None:
                due.append((position, outcome.decision))
        leaving = [*due, *self._overnight(held, due, prices, as_of)]
        self._leave_all(leaving, markets)
        gone = {position.position_id for position, _ in leaving}
        self._rolls = [(position, roll) for position, roll in rolls if position.position_id not in gone]

    def _judge(self, position: OpenPosition, market: ExitMarket, as_of: datetime) -> ExitOutcome | None:
        """The outcome, or None if judging failed: that is logged whole and told, and the others are judged."""
        try:
            return evaluate_exit(
                position,
                market,
                session=self._session,
                as_of=as_of,
                account=self._facts,
                config=self._strategy.exits,
            )
        except (*ODD, TradingAssetsError):
            _log.exception("account %s: %s cannot be judged", self._account, position.symbol)
            return None

    def _overnight(
        self,
        held: list[OpenPosition],
        due: list[tuple[OpenPosition, ExitDecision]],
        prices: Mapping[str, Decimal | None],
        as_of: datetime,
    ) -> list[tuple[OpenPosition, ExitDecision]]:
        """Swings that may not stay. Positions that leave anyway are not weighed."""
        leaving = {position.position_id for position, decision in due if decision.quantity == position.quantity}
        staying = [
            position
            for position in held
            if position.position_id not in leaving and position.strategy is not Strategy.DAY_TRADE
        ]
        decisions = overnight_decisions(
            [OvernightPosition(position, prices[position.position_id]) for position in staying],
            session=self._session,
            as_of=as_of,
            equity=self._snapshot.equity,
            regime=regime_or_none(self._desk, self._session),
            may_hold=may_hold_overnight(self._snapshot, self._strategy.sizing),
            kill_mode=self._snapshot.kill_mode,
            config=self._strategy.exits,
        )
        found = []
        for position, decision in zip(staying, decisions, strict=False):
            self._tell(position, decision.alerts)
            if decision.decision is not None:
                found.append((position, decision.decision))
        return found

    def _leave_all(self, due: list[tuple[OpenPosition, ExitDecision]], markets: Mapping[str, ExitMarket]) -> None:
        for position, decision in sorted(due, key=lambda item: (urgency(item[1]), item[0].symbol)):
            self._leave(position, decision, markets[position.position_id])

    def _leave(self, position: OpenPosition, decision: ExitDecision, market: ExitMarket) -> None:
        # Exits are worked one after the other: what was fresh at the judgement may be old by now.
        if not decision.market_at_once:
            market = self._marking.requoted(position, market)
        fresh = fresh_bid(market, position.symbol, self._desk.clock.now(), self._strategy.exits)

        def tick(price: Decimal) -> Decimal:
            return CENT if position.right is None else option_tick(position.underlying, price)

        rungs = exit_ladder(
            market.quote if fresh is not None else None,
            tick,
            decision.priority,
            decision.market_at_once,
            self._strategy.orders,
        )
        _decided(self._desk, position, decision, self._run_id)
        self._tell(position, [ordered(position, decision)])
        if not rungs:
            self._stuck(position, decision, f"It is due and there is no price to sell at. {decision.reason}")
            return
        try:
            result = leave(
                self._desk.ledger,
                self._desk.broker(self._account),
                self._desk.clock,
                Exit(position.position_id, decision.quantity, decision.rule),
                LadderPlan(tuple(Rung(rung.limit, rung.seconds) for rung in rungs)),
                run_id=self._run_id,
            )
        except NothingHeld:
            # A protective order won the race, and what it sold is booked.
            self._report.exits[position.symbol] = f"{decision.rule}: sold meanwhile"
            self._log.info(f"{position.symbol}: {decision.reason} It was sold meanwhile: nothing is sold again.")
            return
        except SymbolBlocked as error:
            self._stuck(position, decision, f"It is due and cannot be ordered: {error}.")
            return
        self._report.exits[position.symbol] = f"{decision.rule}: {result.state.value} {result.filled_quantity}"
        if result.state is not LadderState.FILLED:
            why = f"{result.state.value}{f': {result.error}' if result.error else ''}"
            self._stuck(position, decision, f"Sold {result.filled_quantity} of {decision.quantity} ({why}).")
        self._log.info(
            f"{position.symbol}: {decision.reason} Sold {result.filled_quantity} of {decision.quantity} at "
            f"{told(result.avg_price)} ({result.state.value})"
        )

    def _stuck(self, position: OpenPosition, decision: ExitDecision, seen: str) -> None:
        self._tell(position, [stuck(position, decision, seen)])

    def _tell(self, position: OpenPosition, alerts: Iterable[ExitAlert]) -> None:
        tell(self._desk, self._run_id, self._log, self._report.alerts, position, alerts)


def _decided(desk: Desk, position: OpenPosition, decision: ExitDecision, run_id: str) -> None:
    with desk.ledger.begin() as connection:
        positions.add_event(
            connection,
            position.position_id,
            desk.clock.now(),
            "exit_decided",
            run_id,
            {
                "rule": decision.rule,
                "priority": decision.priority.value,
                "quantity": decision.quantity,
                "reason": decision.reason,
                "numbers": dict(decision.numbers),
            },
        )
