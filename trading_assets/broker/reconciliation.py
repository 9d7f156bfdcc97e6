"""Comparing ledger and broker, and mending the ledger: every minute, after every reconnect, before the first entry.

Order of work: prove that the broker answers and that it is the right account; find out what became of every order;
book every fill, also of orders that are not ours; compare positions per symbol. A failed read raises and changes
nothing: an error is never read as an empty account. The caller holds the account's lock, so a live order of ours found
here belongs to a run that is gone.
"""

from __future__ import annotations

import logging

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.reconciling.changed_fills import ChangedFills
from trading_assets.broker.reconciling.holdings import Holdings
from trading_assets.broker.reconciling.missing_fills import MissingFills
from trading_assets.broker.reconciling.sent_orders import SentOrders
from trading_assets.broker.reconciling.work import ReconciliationReport
from trading_assets.broker.values import BrokerAccount
from trading_assets.domain.clock import Clock
from trading_assets.ledger import accounts, reconciliations
from trading_assets.ledger.reconciliations import ReconciliationRecord

log = logging.getLogger(__name__)


def reconcile(
    engine: Engine,
    broker: AlpacaBroker,
    clock: Clock,
    account: str,
    start_id: str,
    *,
    run_id: str = "reconciliation",
    end_orders: bool = True,
) -> ReconciliationReport:
    """Bring the ledger in line with the broker and store the report under ``start_id``.

    ``end_orders`` cancels live orders of ours (no run works on them any more); without it they are only looked at.
    Raises ``BrokerUnavailable``, or ``NotAuthorized`` if the keys lead to another account than before; then neither
    positions nor ``reconciled_at`` have changed.
    """
    report = ReconciliationReport(account, clock.now())
    common = (engine, broker, clock, account, run_id, report)
    record = _read(engine, account)
    seen = broker.account()
    _verify(broker, record, seen)
    _verify_not_anothers(engine, account, seen)
    broker.positions()
    working = broker.orders("open")
    sent = SentOrders(*common)
    sent.resolve()
    sent.look_at_orders(end_orders=end_orders)
    sent.end_strays({order.client_order_id for order in working})
    caught_up = MissingFills(*common).catch_up(record)
    holdings = Holdings(*common, caught_up=caught_up)
    holdings.settle()
    holdings.uncertain.update(ChangedFills(*common).book(record, caught_up))
    holdings.uncertain.update({row.symbol: row.reason for row in caught_up.unread if row.symbol is not None})
    holdings.end_orphans(record)
    holdings.compare_and_store(_read(engine, account), start_id)
    for alert in report.alerts:
        log.warning("account %s: %s", account, alert)
    return report


def _read(engine: Engine, account: str) -> ReconciliationRecord:
    with engine.connect() as connection:
        return reconciliations.read_account(connection, account)


def _verify(broker: AlpacaBroker, record: ReconciliationRecord, seen: BrokerAccount) -> None:
    for expected, source in (
        (broker.expected_account_id, "the configuration"),
        (record.broker_account_id, "the ledger"),
    ):
        if expected is not None and expected != seen.account_id:
            raise NotAuthorized(
                f"the keys of account {record.account!r} lead to broker account {seen.account_id}, "
                f"but {source} names {expected}",
                where=f"account {record.account}",
                mend="Give this account its own keys.",
            )


def _verify_not_anothers(engine: Engine, account: str, seen: BrokerAccount) -> None:
    """Two accounts with the same keys would each take the other's positions for their own."""
    with engine.connect() as connection:
        owner = accounts.owner_of(connection, seen.account_id)
    if owner not in (None, account):
        raise NotAuthorized(
            f"the keys of account {account!r} lead to broker account {seen.account_id}, "
            f"which belongs to account {owner!r}",
            where=f"account {account}",
            mend="Give this account its own keys.",
        )


__all__ = ["BrokerUnavailable", "ReconciliationReport", "reconcile"]
