"""Everything the gates may know about one account at one instant, from broker and ledger together."""

from __future__ import annotations

import logging
from datetime import datetime, time
from decimal import Decimal

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.values import BrokerAccount, BrokerPosition
from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.values import AccountSnapshot, KillMode
from trading_assets.ledger import accounts, executions, orders, positions, reconciliations

log = logging.getLogger(__name__)


def account_snapshot(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    *,
    start_id: str,
    kill_mode: KillMode | None = None,
) -> AccountSnapshot:
    """The account now. If the broker does not answer, its figures are None and the gates that need them deny.

    ``kill_mode`` None reads the switches of the ledger. ``reconciled_at`` is None unless the last comparison was made
    under ``start_id``.
    """
    now = clock.now()
    seen, held = _ask(broker)
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
            blocked_symbols=unknown | record.blocked,
        )


def _ask(broker: AlpacaBroker) -> tuple[BrokerAccount | None, list[BrokerPosition] | None]:
    try:
        return broker.account(), broker.positions()
    except (BrokerUnavailable, NotAuthorized) as error:
        log.error("the account cannot be read: %s", error)
        return None, None


def _unrealized(held: list[BrokerPosition] | None) -> Decimal | None:
    if held is None or any(position.unrealized_pnl is None for position in held):
        return None
    return sum((position.unrealized_pnl for position in held if position.unrealized_pnl is not None), Decimal(0))
