"""One account's positions, managed once: reconcile, mark, judge, leave. The logic behind the position manager job."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from trading_assets.broker.errors import BrokerUnavailable, SymbolBlocked
from trading_assets.broker.ladder import Exit, LadderPlan, LadderState, Rung, leave
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.money import CENT, option_tick
from trading_assets.domain.values import AccountSnapshot, OpenPosition, Strategy
from trading_assets.jobs.alerting import stuck, tell
from trading_assets.jobs.drawdown import watch_drawdown
from trading_assets.jobs.marking import Earnings, exit_markets, regime_or_none, requoted
from trading_assets.ledger import accounts, executions, positions
from trading_assets.ledger.account_lock import AccountBusy, account_lock
from trading_assets.market.sessions import Session, session_of
from trading_assets.resources.desk import Desk
from trading_assets.risk.exposure import daily_loss_reached, may_hold_overnight
from trading_assets.strategy.exit_values import (
    AccountFacts,
    ExitDecision,
    ExitMarket,
    OvernightPosition,
    ordered,
)
from trading_assets.strategy.exits import evaluate_exit, fresh_bid, urgency
from trading_assets.strategy.orders import exit_ladder
from trading_assets.strategy.overnight import overnight_decisions

Log = logging.Logger | Any
#: Wall seconds for which a manager waits for a dispatcher, which lets go of the account after each signal.
MANAGER_WAIT_SECONDS = 60.0


@dataclass(slots=True)
class ManagementReport:
    """What one cycle found and did. ``equity`` is None where it was not read: outside the session, or no answer."""

    account: str
    session: str
    positions: int = 0
    fills: int = 0
    exits: dict[str, str] = field(default_factory=dict)
    alerts: list[str] = field(default_factory=list)
    reconciled: bool = False
    busy: bool = False
    equity: Decimal | None = None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def manage_account(
    desk: Desk, account: str, run_id: str, log: Log, *, earnings: Earnings | None = None
) -> ManagementReport:
    """Reconcile the account and work every exit that is due, the most urgent first.

    ``earnings`` are the days on which underlyings report; None: no calendar is configured, and no exit asks for one.
    If another run works on the account and does not end soon, nothing is done and the report says ``busy``: the next
    minute tries again. Raises ``BrokerUnavailable`` if the broker cannot be read: then nothing was decided on what is
    not known.
    """
    now = desk.clock.now()
    session = session_of(now)
    if session is None:
        raise BrokerUnavailable("there is no session today", where="position manager")
    report = ManagementReport(account, session.key)
    try:
        with account_lock(desk.runtime.ledger_url, account, wait=MANAGER_WAIT_SECONDS):
            broker = desk.broker(account)
            before = _fill_count(desk, account)
            reconciliation = reconcile(desk.ledger, broker, desk.clock, account, desk.start_id, run_id=run_id)
            report.reconciled = reconciliation.clean
            report.alerts += reconciliation.alerts
            if session.contains(desk.clock.now()):
                _work_exits(desk, account, session, run_id, report, log, earnings)
            report.fills = _fill_count(desk, account) - before
    except AccountBusy as error:
        report.busy = True
        log.warning(f"{error}")
    return report


def _work_exits(
    desk: Desk,
    account: str,
    session: Session,
    run_id: str,
    report: ManagementReport,
    log: Log,
    earnings: Earnings | None,
) -> None:
    with desk.ledger.connect() as connection:
        kill_mode = accounts.kill_mode(connection, account)
    broker = desk.broker(account)
    snapshot = account_snapshot(desk.ledger, broker, desk.clock, account, kill_mode=kill_mode, start_id=desk.start_id)
    snapshot = watch_drawdown(desk, snapshot)
    if snapshot.pause_reason is not None:
        report.alerts.append(f"no new risk is taken until 'trading-assets resume': {snapshot.pause_reason}")
    held = [position for position in snapshot.positions if position.quantity > 0]
    report.positions = len(held)
    report.equity = snapshot.equity
    if not held:
        return
    as_of = desk.clock.now()
    markets = exit_markets(desk, account, held, session, earnings)
    facts = AccountFacts(kill_mode, daily_loss_reached(snapshot, desk.strategy(account).sizing))
    config = desk.strategy(account).exits
    due: list[tuple[OpenPosition, ExitDecision]] = []
    judged: dict[str, Decimal | None] = {}
    for position in held:
        outcome = evaluate_exit(
            position, markets[position.position_id], session=session, as_of=as_of, account=facts, config=config
        )
        if outcome.high_water != position.high_water:
            with desk.ledger.begin() as connection:
                positions.update_position(connection, position.position_id, high_water=outcome.high_water)
        tell(desk, run_id, log, report.alerts, position, outcome.alerts)
        judged[position.position_id] = fresh_bid(markets[position.position_id], position.symbol, as_of, config)
        if outcome.decision is not None:
            due.append((position, outcome.decision))
    due += _overnight(desk, snapshot, held, due, judged, session, as_of, run_id, report, log)
    for position, decision in sorted(due, key=lambda item: (urgency(item[1]), item[0].symbol)):
        _leave(desk, account, position, decision, markets[position.position_id], run_id, report, log)


def _overnight(
    desk: Desk,
    snapshot: AccountSnapshot,
    held: list[OpenPosition],
    due: list[tuple[OpenPosition, ExitDecision]],
    prices: Mapping[str, Decimal | None],
    session: Session,
    as_of: datetime,
    run_id: str,
    report: ManagementReport,
    log: Log,
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
        session=session,
        as_of=as_of,
        equity=snapshot.equity,
        regime=regime_or_none(desk, session),
        may_hold=may_hold_overnight(snapshot, desk.strategy(report.account).sizing),
        kill_mode=snapshot.kill_mode,
        config=desk.strategy(report.account).exits,
    )
    found = []
    for position, decision in zip(staying, decisions, strict=False):
        tell(desk, run_id, log, report.alerts, position, decision.alerts)
        if decision.decision is not None:
            found.append((position, decision.decision))
    return found


def _leave(
    desk: Desk,
    account: str,
    position: OpenPosition,
    decision: ExitDecision,
    market: ExitMarket,
    run_id: str,
    report: ManagementReport,
    log: Log,
) -> None:
    config = desk.strategy(account)
    # Exits are worked one after the other: what was fresh at the judgement may be old by now.
    if not decision.market_at_once:
        market = requoted(desk, account, position, market)
    fresh = fresh_bid(market, position.symbol, desk.clock.now(), config.exits)

    def tick(price: Decimal) -> Decimal:
        return CENT if position.right is None else option_tick(position.underlying, price)

    rungs = exit_ladder(
        market.quote if fresh is not None else None, tick, decision.priority, decision.market_at_once, config.orders
    )
    _decided(desk, position, decision, run_id)
    tell(desk, run_id, log, report.alerts, position, [ordered(position, decision)])
    if not rungs:
        seen = f"It is due and there is no price to sell at. {decision.reason}"
        tell(desk, run_id, log, report.alerts, position, [stuck(position, decision, seen)])
        return
    plan = LadderPlan(tuple(Rung(rung.limit, rung.seconds) for rung in rungs))
    try:
        result = leave(
            desk.ledger,
            desk.broker(account),
            desk.clock,
            Exit(position.position_id, decision.quantity, decision.rule),
            plan,
            run_id=run_id,
        )
    except SymbolBlocked as error:
        seen = f"It is due and cannot be ordered: {error}."
        tell(desk, run_id, log, report.alerts, position, [stuck(position, decision, seen)])
        return
    report.exits[position.symbol] = f"{decision.rule}: {result.state.value} {result.filled_quantity}"
    if result.state is not LadderState.FILLED:
        why = f"{result.state.value}{f': {result.error}' if result.error else ''}"
        seen = f"Sold {result.filled_quantity} of {decision.quantity} ({why})."
        tell(desk, run_id, log, report.alerts, position, [stuck(position, decision, seen)])
    log.info(
        f"{position.symbol}: {decision.reason} Sold {result.filled_quantity} of {decision.quantity} at "
        f"{result.avg_price} ({result.state.value})"
    )


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


def _fill_count(desk: Desk, account: str) -> int:
    with desk.ledger.connect() as connection:
        return executions.count(connection, account)
