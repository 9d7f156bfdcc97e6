"""The invariants, asked of the ledger and of the exchange after a sequence has settled.

I1 no order is lost, I2 none is doubled, I3 ledger and broker agree, I4 no limit is exceeded, I5 every fault is visible.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select

from trading_assets.broker.consistency import compare
from trading_assets.domain.values import OrderState, Purpose, Side
from trading_assets.ledger import executions, orders
from trading_assets.ledger.tables import active_positions, decisions
from trading_assets.risk.exposure import tier_for
from trading_assets_tests.chaos.actor import FAILED
from trading_assets_tests.chaos.ring import STUCK, Act, Ring
from trading_assets_tests.chaos.steps import ACCOUNTS

#: Ids of this system's orders at a broker begin with this.
OURS = "ta-"
#: The outcome of a decision that lets a signal buy.
DECIDED = "ENTER"
#: Faults after which somebody must have said something; the others are borne without a word.
LOUD = frozenset(
    {
        "lost_answer",
        "lost_request",
        "reset",
        "hang",
        "rate_limited",
        "server_error",
        "html_body",
        "empty_200",
        "truncated_json",
        "reject_order",
        "bad_positions",
        "liquidate",
    }
)

#: Faults that no request of ours brings about.
OF_ITSELF = frozenset({"liquidate"})


@dataclass(slots=True)
class Verdict:
    """``broken``: sentences by invariant; the figures count what the sequence really did."""

    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    orders: int = 0
    fills: int = 0
    entered: int = 0
    killed: int = 0
    kinds: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether every invariant holds."""
        return not self.broken


def judge(ring: Ring) -> Verdict:
    """Judge a sequence whose faults are taken back and whose jobs had time to make things good."""
    verdict = Verdict(
        kinds=[fault["kind"] for fault in ring.fired], killed=sum(1 for act in ring.acts if act.status < 0)
    )
    verdict.broken["I5"] += unseen(ring)
    for account in ACCOUNTS:
        _orders(ring, account, verdict)
        _doubles(ring, account, verdict)
        _limits(ring, account, verdict)
        found = compare(ring.desk.ledger, ring.desk.broker(account), account)
        verdict.broken["I3"] += [f"{account}: {difference}" for difference in found.differences]
    verdict.broken = {name: said for name, said in verdict.broken.items() if said}
    return verdict


def _theirs(ring: Ring, account: str) -> list[dict[str, Any]]:
    """Every order of the account, as the exchange itself has it."""
    found: list[dict[str, Any]] = ring.broker(account, "GET", "/v2/orders?status=all&limit=500&nested=false")
    return found


def _orders(ring: Ring, account: str, verdict: Verdict) -> None:
    """I1: each intent became an order, a refusal or something visible; each order of ours has its intent."""
    with ring.desk.ledger.connect() as connection:
        intents = {intent.client_order_id: intent for intent in orders.of_account(connection, account)}
        verdict.fills += executions.count(connection, account)
    theirs = [order for order in _theirs(ring, account) if order["client_order_id"].startswith(OURS)]
    verdict.orders += len(theirs)
    said = verdict.broken["I1"]
    for order in theirs:
        if order["client_order_id"] not in intents:
            said.append(f"{account}: the exchange has order {order['client_order_id']} that the ledger does not know")
        if order["status"] in ("new", "partially_filled", "accepted", "pending_cancel", "held"):
            said.append(f"{account}: order {order['client_order_id']} still lives at the exchange")
    at_exchange = {order["client_order_id"] for order in theirs}
    for name, intent in intents.items():
        if intent.is_live or intent.state in (OrderState.INTENT, OrderState.UNKNOWN):
            said.append(f"{account}: order {name} was left {intent.state.value}")
        gone = intent.state in (OrderState.REJECTED, OrderState.ABANDONED)
        if not gone and name not in at_exchange:
            said.append(f"{account}: order {name} is {intent.state.value} and the exchange never had it")


def _doubles(ring: Ring, account: str, verdict: Verdict) -> None:
    """I2: an id is used once, a signal buys what was decided at most, a position sells what it bought at most."""
    said = verdict.broken["I2"]
    ids = Counter(order["client_order_id"] for order in _theirs(ring, account))
    said += [f"{account}: id {name} stands for {count} orders" for name, count in ids.items() if count > 1]
    with ring.desk.ledger.connect() as connection:
        intents = orders.of_account(connection, account)
        booked = executions.of_account(connection, account)
        rows = connection.execute(
            select(decisions.c.signal_id, decisions.c.sizing).where(
                decisions.c.account == account, decisions.c.outcome == DECIDED
            )
        ).all()
    decided: dict[str, int] = defaultdict(int)
    for signal, sizing in rows:
        decided[signal] = max(decided[signal], int(sizing["quantity"]))
    signals = {intent.client_order_id: intent.signal_id for intent in intents if intent.purpose is Purpose.ENTRY}
    bought: dict[str, int] = defaultdict(int)
    for row in booked:
        signal = signals.get(row.client_order_id or "")
        if signal is not None and row.side is Side.BUY:
            bought[signal] += row.quantity
    for signal, quantity in bought.items():
        if quantity > decided[signal]:
            said.append(f"{account}: signal {signal} bought {quantity}, decided were {decided[signal]}")
        verdict.entered += 1
    for position in ring.broker(account, "GET", "/v2/positions"):
        if position["side"] != "long" or Decimal(position["qty"]) < 0:
            said.append(f"{account}: {position['symbol']} was sold beyond what was held: {position['qty']}")


def _limits(ring: Ring, account: str, verdict: Verdict) -> None:
    """I4: positions and their cost never exceeded the tier's limits, at any instant of the day."""
    said = verdict.broken["I4"]
    strategy = ring.desk.strategy(account)
    with ring.desk.ledger.connect() as connection:
        booked = executions.of_account(connection, account)
        mine = select(active_positions.c.position_id).where(
            active_positions.c.account == account, active_positions.c.signal_id.is_not(None)
        )
        ours = set(connection.execute(mine).scalars())
    equity = ring.desk.account(account).practice_cash
    tier = tier_for(equity, strategy.sizing)
    assert tier is not None
    held: dict[str, int] = defaultdict(int)
    cost: dict[str, Decimal] = defaultdict(Decimal)
    started: dict[str, datetime] = {}
    for row in sorted((row for row in booked if row.position_id in ours), key=lambda row: row.executed_at):
        sign = 1 if row.side is Side.BUY else -1
        held[row.position_id] += sign * row.quantity
        cost[row.position_id] += sign * row.price * row.quantity * row.multiplier
        started.setdefault(row.position_id, row.executed_at)
        live = [name for name, quantity in held.items() if quantity > 0]
        at_stake = sum((max(cost[name], Decimal(0)) for name in live), Decimal(0))
        if len(live) > tier.max_positions:
            said.append(f"{account}: {len(live)} positions at {row.executed_at}, {tier.max_positions} are the most")
        # Equity moves with the market; what a gate allowed is measured with a tenth to spare.
        if at_stake > tier.max_exposure * equity * Decimal("1.1"):
            said.append(f"{account}: {at_stake} at stake at {row.executed_at}, {tier.max_exposure} of {equity} allowed")
    if len(started) > strategy.gates.trades_per_day:
        said.append(f"{account}: {len(started)} entries, {strategy.gates.trades_per_day} are the most")


def unseen(ring: Ring) -> list[str]:
    """I5: whoever met a fault said so, and no process ended in an error that nobody foresaw."""
    said = []
    for act in ring.acts:
        # A run whose database went away ends in that error and is seen as failed.
        unforeseen = act.status > FAILED and not (act.severed and "OperationalError" in act.trouble)
        if unforeseen or act.trouble == STUCK:
            said.append(f"{_named(act)} ended in an unforeseen way: {act.trouble[-1500:]}")
    for fault in ring.fired:
        if fault["kind"] not in LOUD:
            continue
        at = datetime.fromisoformat(fault["wall_at"]).timestamp()
        # What the broker did of itself may be seen by the next one who looks.
        after = at if fault["kind"] not in OF_ITSELF else float("inf")
        met = [act for act in ring.acts if act.ended >= at and act.began <= after]
        if met and not any(_told(act) for act in met):
            jobs = ", ".join(_named(act) for act in met)
            said.append(f"fault {fault['kind']} on {fault.get('path')} passed without a word in {jobs}")
    return said


def _named(act: Act) -> str:
    return f"{' and '.join(act.jobs)} of {act.account} ({act.run_id})"


def _told(act: Act) -> bool:
    return bool(
        act.status != 0
        or act.said
        or act.trouble
        or any(report.get(name) for report in act.reports for name in ("alerts", "failed", "skipped", "busy"))
    )
