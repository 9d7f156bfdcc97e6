"""Reading the broker's lists where frames may be missing: after every connection, and on every suspicion.

The broker repeats nothing to who was not connected. Its lists of orders and fills, with all pages, are booked by the
same functions as frames and as a look of those who poll. Fills of orders that nobody here placed need the account's
lock, because reconciliation decides about them too; it is asked for shortly, and later again.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, IntegrityError

from trading_assets.broker import adoption, booking, combo_booking, unread
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import NotAuthorized
from trading_assets.broker.values import BrokerFill, BrokerOrder
from trading_assets.domain.clock import Clock
from trading_assets.domain.values import OrderState
from trading_assets.ledger import accounts, executions, orders, reconciliations
from trading_assets.ledger.account_lock import AccountBusy, account_lock
from trading_assets.ledger.executions import fill_id
from trading_assets.ledger.orders import OrderIntent

log = logging.getLogger(__name__)
_UNRESOLVED = (OrderState.INTENT, OrderState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Listing:
    """The broker's lists at one instant: orders and fills since the last instant until which all is known."""

    orders: tuple[BrokerOrder, ...] = ()
    fills: tuple[BrokerFill, ...] = ()

    def told(self) -> frozenset[str]:
        """What the stream should have told: every order, the end of every order that is over, every fill."""
        return frozenset(
            {name for order in self.orders for name in names_of(order)} | {fill_id(f.activity_id) for f in self.fills}
        )


@dataclass(slots=True)
class BackFill:
    """What came of it: fills booked here, and what is still owed and why (then it must be done again)."""

    booked: int = 0
    owed: list[str] = field(default_factory=list)


def names_of(order: BrokerOrder) -> tuple[str, ...]:
    """Under which names news of an order are remembered: that it is there, and that it is over."""
    return (order.order_id, f"{order.order_id}:over") if order.is_final else (order.order_id,)


@dataclass(frozen=True, slots=True)
class Lists:
    """One account's lists at the broker, and the ledger they are booked to."""

    engine: Engine
    ledger_url: str = field(repr=False)
    broker: AlpacaBroker
    clock: Clock
    account: str
    run_id: str

    def verify(self) -> None:
        """Raise ``NotAuthorized`` unless the keys lead to the broker account that the ledger knows as this one."""
        seen = self.broker.account().account_id
        with self.engine.connect() as connection:
            known = reconciliations.read_account(connection, self.account).broker_account_id
            owner = accounts.owner_of(connection, seen)
        others = [name for name in (self.broker.expected_account_id, known) if name not in (None, seen)]
        if others or owner not in (None, self.account):
            raise NotAuthorized(
                f"the keys of account {self.account!r} lead to broker account {seen}, not to the one known as it",
                where=f"account {self.account}",
                mend="Give this account its own keys.",
            )

    def read(self) -> Listing:
        """Ask the broker. Raises ``BrokerUnavailable`` if it gives no trustworthy answer."""
        since = unread.since(self.engine, self.account, self.broker.config)
        # Orders first: a fill between the two is then in the list of fills.
        found = self.broker.orders("all", since)
        return Listing(tuple(found), tuple(self.broker.fills(since)))

    def book(self, listing: Listing) -> BackFill:
        """Book what the lists show and the ledger does not know. Never waits long for the account's lock."""
        result = BackFill()
        missing: dict[str, list[BrokerFill]] = defaultdict(list)
        booked = self._booked(listing.fills)
        for fill in listing.fills:
            if fill.activity_id not in booked:
                missing[fill.order_id].append(fill)
        known = {order.order_id: order for order in listing.orders}
        foreign = []
        # In the order of their first fill: what was bought is there before it is sold.
        for order_id in sorted({*known, *missing}, key=lambda name: _first(missing.get(name, ()), known.get(name))):
            group = missing.get(order_id, [])
            if not self._book_own(known.get(order_id), order_id, group, result) and group:
                foreign.append(group)
        if foreign:
            self._book_foreign(foreign, result)
        result.booked = len(self._booked([fill for group in missing.values() for fill in group]))
        return result

    def _booked(self, fills: Iterable[BrokerFill]) -> frozenset[str]:
        with self.engine.connect() as connection:
            return executions.booked_ids(connection, self.account, (fill.activity_id for fill in fills))

    def _book_own(self, order: BrokerOrder | None, order_id: str, group: list[BrokerFill], result: BackFill) -> bool:
        """Whether the order is ours; then it is booked if there is anything new about it."""
        intent = self._intent(order, order_id)
        if intent is None and order is None:
            order = self.broker.order(order_id)
            intent = self._intent(order, order_id)
        if intent is None or intent.account != self.account or intent.broker_order_id not in (None, order_id):
            return False
        if intent.state in _UNRESOLVED:
            result.owed.append(f"order {intent.client_order_id} is {intent.state} until its submission is resolved")
            return True
        if not group and not intent.is_live:
            return True
        try:
            booking.book_order(
                self.engine, intent.client_order_id, order, group, at=self.clock.now(), run_id=self.run_id
            )
        except (IntegrityError, DataError):
            # Its position was closed and another live one is in the way: reconciliation knows what to do.
            log.warning("a late fill of order %s is left to reconciliation", intent.client_order_id)
        return True

    def _intent(self, order: BrokerOrder | None, order_id: str) -> OrderIntent | None:
        with self.engine.connect() as connection:
            intent = orders.by_broker_order_id(connection, order_id)
            if intent is None and order is not None and order.client_order_id:
                intent = orders.get_intent(connection, order.client_order_id)
            return intent

    def _book_foreign(self, groups: list[list[BrokerFill]], result: BackFill) -> None:
        """Book fills of orders that nobody here placed, as reconciliation does, unless a run works on the account."""
        with self.engine.connect() as connection:
            record = reconciliations.read_account(connection, self.account)
        groups = [kept for group in groups if (kept := [fill for fill in group if fill.at >= record.created_at])]
        # Which broker account this is, the first reconciliation finds out; until then only our own orders are certain.
        if not groups or record.broker_account_id is None:
            return
        try:
            with account_lock(self.ledger_url, self.account, wait=self.broker.config.stream.lock_seconds):
                for group in groups:
                    self._book_one_foreign(group, result)
        except AccountBusy:
            result.owed.append("fills of orders that are not ours wait: a run works on the account")

    def _book_one_foreign(self, group: list[BrokerFill], result: BackFill) -> None:
        """Book the fills of one order that nobody here is known to have placed. The account's lock is held."""
        # Whoever held the lock before may have booked them.
        booked = self._booked(group)
        group = [fill for fill in group if fill.activity_id not in booked]
        if not group:
            return
        now, first = self.clock.now(), group[0]
        with self.engine.connect() as connection:
            unresolved = orders.unresolved_in(connection, self.account, first.symbol, first.side)
        if unresolved is not None:
            # It may be a leg of that one, of which no answer told the broker's name: known once it is resolved.
            result.owed.append(f"a fill of {first.symbol} waits until order {unresolved.client_order_id} is resolved")
            return
        try:
            # The first leg that is claimed names them all.
            leg = self._intent(None, first.order_id)
            if leg is None:
                leg = combo_booking.claim(self.engine, self.broker, self.account, first, at=now)
            if leg is not None:
                booking.book_order(self.engine, leg.client_order_id, None, group, at=now, run_id=self.run_id)
                return
            _, sentence = adoption.book_foreign(
                self.engine, self.account, group, now=now, run_id=self.run_id, config=self.broker.config
            )
        except (IntegrityError, DataError):
            sentence = f"{first.symbol}: another live position leaves no place for a fill"
        if sentence is not None:
            log.warning("account %s: %s; left to reconciliation", self.account, sentence)


def _first(group: Sequence[BrokerFill], order: BrokerOrder | None) -> tuple[bool, float]:
    instants = [fill.at for fill in group]
    if not instants and order is not None and order.submitted_at is not None:
        instants = [order.submitted_at]
    return (not instants, min(instants).timestamp() if instants else 0.0)
