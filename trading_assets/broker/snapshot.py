"""Everything the gates may know about one account at one instant, from broker and ledger together."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from string import digits

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, Rejected
from trading_assets.broker.values import BrokerAccount, BrokerActivity, BrokerPosition
from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.values import AccountSnapshot, KillMode
from trading_assets.ledger import accounts, equity_marks, executions, orders, positions, reconciliations
from trading_assets.ledger.equity_marks import CashFlow, EquityMark
from trading_assets.market.sessions import shift

log = logging.getLogger(__name__)

#: Activities by which money comes and goes without a trade: deposit, withdrawal, journal, transfer of an account.
FLOWS = ("CSD", "CSW", "JNLC", "ACATC")
#: Characters of an OCC symbol behind its root: six of the expiry, one of the right, eight of the strike.
_LESS_THAN_OCC = 15
#: The broker may report a flow days after the day it names.
_FLOWS_REACH_BACK = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class BrokerReading:
    """What the broker said of an account at ``at``. ``account`` and ``held`` are None where it gave no answer,
    ``flows`` also where they were not asked for."""

    at: datetime
    account: BrokerAccount | None
    held: list[BrokerPosition] | None
    flows: list[CashFlow] | None

    @property
    def whole(self) -> bool:
        """Whether everything was answered."""
        return self.account is not None and self.held is not None and self.flows is not None


def read_broker(
    engine: Engine, broker: AlpacaBroker, clock: Clock, account: str, *, with_flows: bool = True
) -> BrokerReading:
    """Ask the broker for account, positions and (``with_flows``) cash flows."""
    now = clock.now()
    seen, held = _ask(broker, account)
    flows = _flows(engine, broker.impatient(), account, now) if seen is not None and with_flows else None
    return BrokerReading(now, seen, held, flows)


def account_snapshot(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    *,
    start_id: str,
    kill_mode: KillMode | None = None,
    with_flows: bool = True,
    reading: BrokerReading | None = None,
) -> AccountSnapshot:
    """The account now. If the broker does not answer, its figures are None and the gates that need them deny.

    ``kill_mode`` None reads the switches of the ledger. ``reconciled_at`` is None unless the last comparison was made
    under ``start_id``. The equity that is seen moves the account's high-water mark in the ledger; not without
    ``with_flows``, which leaves cash flows unknown and asks the broker once less (``observed_equity`` does it later).
    With a ``reading`` the broker is not asked at all, and the snapshot is as of that reading.
    """
    reading = reading or read_broker(engine, broker, clock, account, with_flows=with_flows)
    now, seen, held, flows = reading.at, reading.account, reading.held, reading.flows
    account_id, equity = (None, None) if seen is None else (seen.account_id, seen.equity)
    mark = _observe(engine, broker, account, account_id, equity, flows, now)
    midnight = datetime.combine(now.astimezone(NEW_YORK).date(), time(), NEW_YORK)
    with engine.connect() as connection:
        record = reconciliations.read_account(connection, account)
        unknown = orders.unknown_symbols(connection, account)
        return AccountSnapshot(
            account=account,
            asof=now,
            broker_account_id=None if seen is None else seen.account_id,
            expected_broker_account_id=broker.expected_account_id or record.broker_account_id,
            status=None if seen is None else seen.status,
            trading_blocked=None if seen is None else seen.trading_blocked,
            options_level=None if seen is None else seen.options_level,
            equity=None if seen is None else seen.equity,
            last_equity=None if seen is None else seen.last_equity,
            cash=None if seen is None else seen.cash,
            options_buying_power=None if seen is None else seen.options_buying_power,
            realized_pnl_today=executions.realized_since(connection, account, midnight),
            unrealized_pnl=_unrealized(held),
            reconciled_at=record.reconciled_at if record.reconciled_start == start_id else None,
            kill_mode=accounts.kill_mode(connection, account) if kill_mode is None else kill_mode,
            positions=positions.open_positions(connection, account),
            live_orders=orders.live_orders(connection, account),
            fills_today=executions.recent_fills(connection, account, midnight),
            blocked_symbols=unknown | record.blocked | {_underlying(symbol) for symbol in record.blocked},
            cash_flow_today=None if flows is None else _paid_since(flows, now),
            high_water=None if mark is None else mark.high_water,
            paused_at=None if mark is None else mark.paused_at,
            pause_reason=None if mark is None else mark.pause_reason,
        )


def observed_equity(engine: Engine, broker: AlpacaBroker, clock: Clock, snapshot: AccountSnapshot) -> AccountSnapshot:
    """``snapshot`` with cash flows and high-water mark, which its equity moves, where it was taken without them."""
    if snapshot.equity is None:
        return snapshot
    now, account = clock.now(), snapshot.account
    flows = _flows(engine, broker, account, now)
    mark = _observe(engine, broker, account, snapshot.broker_account_id, snapshot.equity, flows, now)
    return replace(
        snapshot,
        cash_flow_today=None if flows is None else _paid_since(flows, now),
        high_water=None if mark is None else mark.high_water,
        paused_at=None if mark is None else mark.paused_at,
        pause_reason=None if mark is None else mark.pause_reason,
    )


def _flows(engine: Engine, broker: AlpacaBroker, account: str, now: datetime) -> list[CashFlow] | None:
    """What was paid in and out lately; None if the broker does not say, or says it without an amount or a day."""
    with engine.connect() as connection:
        mark = equity_marks.get(connection, account)
    # After a long stop: from the last look on.
    since = now if mark is None else min(now, mark.observed_at)
    try:
        activities: list[BrokerActivity] = broker.activities(FLOWS, since - _FLOWS_REACH_BACK)
    except (BrokerUnavailable, NotAuthorized, Rejected) as error:
        log.error("account %s: cash flows cannot be read: %s", account, error)
        return None
    found = []
    for activity in activities:
        if activity.net_amount is None or activity.on is None:
            log.error("account %s: the cash flow %s has no amount or no day", account, activity.activity_id)
            return None
        found.append(CashFlow(activity.activity_id, activity.activity_type, activity.net_amount, activity.on))
    return found


def _paid_since(flows: list[CashFlow], now: datetime) -> Decimal:
    """Sum of the flows since the previous session, whose close the broker's last equity is of."""
    previous = shift(now.astimezone(NEW_YORK).date(), -1).day
    return sum((flow.amount for flow in flows if flow.paid_on > previous), Decimal(0))


def _observe(
    engine: Engine,
    broker: AlpacaBroker,
    account: str,
    account_id: str | None,
    equity: Decimal | None,
    flows: list[CashFlow] | None,
    now: datetime,
) -> EquityMark | None:
    """The mark, moved by the equity if that is known, is this account's, and is known not to be a deposit."""
    with engine.begin() as connection:
        expected = broker.expected_account_id or reconciliations.read_account(connection, account).broker_account_id
        if equity is None or not equity.is_finite() or account_id != expected or flows is None:
            return equity_marks.get(connection, account)
        return equity_marks.observe(connection, account, equity=equity, flows=flows, at=now)


def _ask(broker: AlpacaBroker, account: str) -> tuple[BrokerAccount | None, list[BrokerPosition] | None]:
    try:
        return broker.account(), broker.positions()
    except (BrokerUnavailable, NotAuthorized) as error:
        log.error("account %s: it cannot be read: %s", account, error)
        return None, None


def _underlying(symbol: str) -> str:
    """The name behind an option, also of a changed contract such as ``AMD1...``; a stock's own.

    Of a contract that is not explained nobody knows what else of its underlying is held.
    """
    root = symbol[:-_LESS_THAN_OCC]
    return root.rstrip(digits) if root else symbol


def _unrealized(held: list[BrokerPosition] | None) -> Decimal | None:
    if held is None or any(position.unrealized_pnl is None for position in held):
        return None
    return sum((position.unrealized_pnl for position in held if position.unrealized_pnl is not None), Decimal(0))
