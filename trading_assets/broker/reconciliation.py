"""Comparing ledger and broker, and mending the ledger: every minute, after every reconnect, before the first entry.

Order of work: prove that the broker answers and that it is the right account; find out what became of every order;
book every fill, also of orders that are not ours; compare positions per symbol. A failed read raises and changes
nothing: an error is never read as an empty account. The caller holds the account's lock, so a live order of ours found
here belongs to a run that is gone.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from trading_assets.broker import (
    adoption,
    booking,
    combo_booking,
    corporate_actions,
    protection,
    submission,
    unread,
    working,
)
from trading_assets.broker.alpaca import CONTRACT_EVENTS, AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized
from trading_assets.broker.telling import tell
from trading_assets.broker.values import BrokerAccount, BrokerFill, BrokerPosition
from trading_assets.domain import crashpoints
from trading_assets.domain.clock import NEW_YORK, Clock
from trading_assets.domain.values import OrderState, Side
from trading_assets.ledger import accounts, executions, orders, positions, reconciliations
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.reconciliations import ReconciliationRecord

log = logging.getLogger(__name__)

#: Days for which an expired contract may wait for the broker's word on how it ended: a weekend, a holiday, a session.
_EXPIRY_GRACE = timedelta(days=5)
#: A position must be missing for at least this long before it counts as gone; one odd answer is not enough. For so
#: long after a sale what only the broker holds is not taken over, either.
_GONE_AFTER = timedelta(seconds=60)
#: Two comparisons further apart than this are not in a row.
_SIGHTINGS_APART = timedelta(minutes=10)


@dataclass(slots=True)
class ReconciliationReport:
    """What one comparison found and did.

    Symbols in ``blocked`` must not be traded; ``missing`` maps symbols of the ledger that the broker does not hold to
    the instant of the first sighting; ``unexplained`` maps symbols that both hold in different quantities to the
    broker's, with an order under way only where that is less; ``alerts`` are sentences for a person. Every fill before
    ``all_read_until`` is booked or explains no difference any more: the next comparison reads from there. ``splits``
    are sentences about positions that a corporate action explains, ``splits_due`` by symbol those that the broker has
    yet to carry out, and ``splits_asked_on`` is the New York day of the last list.
    """

    account: str
    at: datetime
    resolved: dict[str, str] = field(default_factory=dict)
    ended_orders: list[str] = field(default_factory=list)
    fills_booked: int = 0
    adopted: list[str] = field(default_factory=list)
    phantoms: list[str] = field(default_factory=list)
    ended_contracts: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    unexplained: dict[str, str] = field(default_factory=dict)
    blocked: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)
    all_read_until: datetime | None = None
    splits: list[str] = field(default_factory=list)
    splits_due: dict[str, str] = field(default_factory=dict)
    splits_asked_on: str | None = None

    @property
    def clean(self) -> bool:
        """Whether ledger and broker agree about everything."""
        return not self.differences and not self.blocked

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, as stored in ``accounts.reconciliation``."""
        until = None if self.all_read_until is None else self.all_read_until.isoformat()
        return {**asdict(self), "at": self.at.isoformat(), "clean": self.clean, reconciliations.ALL_READ_UNTIL: until}


@dataclass(frozen=True, slots=True)
class _Unbooked:
    """Fills of one symbol that found no place, the first of them at ``at``, and why."""

    symbol: str
    at: datetime
    reason: str


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
    return _Reconciliation(engine, broker, clock, account, run_id).run(start_id, end_orders=end_orders)


class _Reconciliation:
    def __init__(self, engine: Engine, broker: AlpacaBroker, clock: Clock, account: str, run_id: str) -> None:
        self.engine = engine
        self.broker = broker
        self.clock = clock
        self.account = account
        self.run_id = run_id
        self.report = ReconciliationReport(account, clock.now())
        self.unbooked: list[_Unbooked] = []
        #: Symbols that a corporate action changed in a way that is not understood, and what to tell of them.
        self.uncertain: Mapping[str, str] = {}
        #: The ledger's fills by symbol just before the broker was asked for its positions.
        self.fills_before: Mapping[str, tuple[int, int]] = {}

    def run(self, start_id: str, *, end_orders: bool) -> ReconciliationReport:
        with self.engine.connect() as connection:
            record = reconciliations.read_account(connection, self.account)
        seen = self.broker.account()
        self._verify(record, seen)
        self._verify_not_anothers(seen)
        self.broker.positions()
        working_orders = self.broker.orders("open")
        self._resolve()
        self._look_at_orders(end_orders=end_orders)
        self._end_strays({order.client_order_id for order in working_orders})
        held = self._catch_up(record)
        self._settle()
        self._end_orphans(record, held)
        with self.engine.connect() as connection:
            record = reconciliations.read_account(connection, self.account)
        self._compare_and_store(record, held, start_id)
        for alert in self.report.alerts:
            log.warning("account %s: %s", self.account, alert)
        return self.report

    def _verify(self, record: ReconciliationRecord, seen: BrokerAccount) -> None:
        for expected, source in (
            (self.broker.expected_account_id, "the configuration"),
            (record.broker_account_id, "the ledger"),
        ):
            if expected is not None and expected != seen.account_id:
                raise NotAuthorized(
                    f"the keys of account {self.account!r} lead to broker account {seen.account_id}, "
                    f"but {source} names {expected}",
                    where=f"account {self.account}",
                    mend="Give this account its own keys.",
                )

    def _verify_not_anothers(self, seen: BrokerAccount) -> None:
        """Two accounts with the same keys would each take the other's positions for their own."""
        with self.engine.connect() as connection:
            owner = accounts.owner_of(connection, seen.account_id)
        if owner not in (None, self.account):
            raise NotAuthorized(
                f"the keys of account {self.account!r} lead to broker account {seen.account_id}, "
                f"which belongs to account {owner!r}",
                where=f"account {self.account}",
                mend="Give this account its own keys.",
            )

    # --- orders -----------------------------------------------------------------------------------------------------

    def _resolve(self) -> None:
        with self.engine.connect() as connection:
            unresolved = orders.unresolved_intents(connection, self.account)
        for intent in unresolved:
            result = submission.resolve(self.engine, self.broker, self.clock, intent)
            self.report.resolved[intent.client_order_id] = result.state.value
            if result.state is OrderState.UNKNOWN:
                self._block(intent.symbol, f"{intent.symbol}: the fate of an order is unknown ({intent.names})")

    def _look_at_orders(self, *, end_orders: bool) -> None:
        with self.engine.connect() as connection:
            live = orders.live_intents(connection, self.account)
        for intent in live:
            if intent.broker_order_id is None or intent.state is OrderState.UNKNOWN:
                continue
            # The legs of a multi-leg order are read and end with it.
            if not intent.is_protective and intent.order_class != orders.COMBO_LEG:
                self._advance(intent, end=end_orders)
        # What rests over a position belongs to no run: it is read with the order that it came with, and stays.
        self.report.fills_booked += protection.refresh(
            self.engine, self.broker, self.clock, self.account, run_id=self.run_id
        )

    def _advance(self, intent: OrderIntent, *, end: bool) -> None:
        before = intent.filled_quantity
        result = working.look(self.engine, self.broker, self.clock, intent, run_id=self.run_id)
        if result.is_live and end:
            result = working.end(self.engine, self.broker, self.clock, result, run_id=self.run_id)
            if result.is_live:
                self._block(intent.symbol, f"{intent.symbol}: an order does not end ({result.names})")
        if not result.is_live:
            self.report.ended_orders.append(intent.client_order_id)
        self.report.fills_booked += int(result.filled_quantity > before)

    def _end_strays(self, working_ids: set[str]) -> None:
        """End orders of ours that live at the broker although the ledger holds them to be over.

        A request that was thought lost can arrive late, after its intent was given up.
        """
        for client_order_id in sorted(working_ids):
            with self.engine.connect() as connection:
                intent = orders.get_intent(connection, client_order_id)
            if intent is None or intent.is_live or intent.account != self.account:
                continue
            order = self.broker.order_by_client_id(client_order_id)
            if order is None or order.is_final:
                continue
            self.report.alerts.append(
                f"an order was given up here but lives at the broker: cancelling it ({intent.names})"
            )
            self.broker.cancel(order.order_id)
            if not self._ends(order.order_id):
                self._block(intent.symbol, f"{intent.symbol}: an order arrived late and does not end ({intent.names})")

    def _ends(self, order_id: str) -> bool:
        deadline = self.clock.now() + timedelta(seconds=self.broker.config.cancel_seconds)
        while True:
            order = self.broker.order(order_id)
            if order is None or order.is_final:
                return True
            if self.clock.now() >= deadline:
                return False
            self.clock.wait_until(self.clock.now() + timedelta(seconds=self.broker.config.poll_seconds))

    # --- fills ------------------------------------------------------------------------------------------------------

    def _catch_up(self, record: ReconciliationRecord) -> dict[str, BrokerPosition]:
        """Book fills until they explain the broker's positions, at most twice: a fill may fall between two reads."""
        held: dict[str, BrokerPosition] = {}
        for _ in range(2):
            self.report.all_read_until = self.clock.now()
            self.unbooked = self._book_fills(record)
            with self.engine.connect() as connection:
                self.fills_before = executions.standing(connection, self.account)
            held = {position.symbol: position for position in self.broker.positions()}
            with self.engine.connect() as connection:
                ledger = {
                    p.symbol: p.quantity for p in positions.live_positions(connection, self.account) if p.quantity
                }
            if ledger == {symbol: position.quantity for symbol, position in held.items()}:
                break
        for found in self.unbooked:
            self.report.differences.append(found.reason)
            self.report.alerts.append(found.reason)
        return held

    def _book_fills(self, record: ReconciliationRecord) -> list[_Unbooked]:
        fills = self.broker.fills(unread.since(self.engine, self.account, self.broker.config))
        with self.engine.connect() as connection:
            booked = executions.booked_ids(connection, self.account, (fill.activity_id for fill in fills))
        by_order: dict[str, list[BrokerFill]] = defaultdict(list)
        for fill in fills:
            if fill.activity_id not in booked:
                by_order[fill.order_id].append(fill)
        unbooked: list[_Unbooked] = []
        for order_id, group in sorted(by_order.items(), key=lambda item: item[1][0].at):
            try:
                reason = self._book_group(record, order_id, group)
            except IntegrityError:
                # A position in the way (an order given up here that was filled late). The others must not suffer.
                reason = self._book_in_the_way(group)
            if reason is not None:
                unbooked.append(_Unbooked(group[0].symbol, group[0].at, reason))
        return unbooked

    def _book_group(self, record: ReconciliationRecord, order_id: str, group: list[BrokerFill]) -> str | None:
        now = self.clock.now()
        with self.engine.connect() as connection:
            intent = orders.by_broker_order_id(connection, order_id)
        order = None
        if intent is None:
            order = self.broker.order(order_id)
            with self.engine.connect() as connection:
                intent = None if order is None else orders.get_intent(connection, order.client_order_id)
        if intent is None:
            intent = combo_booking.claim(self.engine, self.broker, self.account, order_id, at=now)
        if intent is not None:
            before = intent.filled_quantity
            after = booking.book_order(self.engine, intent.client_order_id, order, group, at=now, run_id=self.run_id)
            self.report.fills_booked += int(after.filled_quantity > before)
            return None
        group = [fill for fill in group if fill.at >= record.created_at]
        if not group:
            return None
        new, sentence = adoption.book_foreign(
            self.engine, self.account, group, now=now, run_id=self.run_id, config=self.broker.config
        )
        self.report.fills_booked += new
        if new:
            self.report.alerts.append(
                f"{group[0].symbol}: {group[0].side.value} by an order that is not ours was booked "
                f"(broker order {order_id})"
            )
        return sentence

    def _book_in_the_way(self, group: list[BrokerFill]) -> str | None:
        """Book the fills on the live position of their symbol; say why if there is none."""
        symbol = group[0].symbol
        with self.engine.connect() as connection:
            live = positions.live_in_symbol(connection, self.account, symbol)
        if live is None:
            self.report.blocked.append(symbol)
            return f"{symbol}: a fill arrived that another live position of its underlying leaves no place for"
        new, sentence = adoption.book_foreign(
            self.engine,
            self.account,
            group,
            now=self.clock.now(),
            run_id=self.run_id,
            config=self.broker.config,
            whose="that was given up here",
        )
        self.report.fills_booked += new
        self.report.alerts.append(
            f"{symbol}: an order given up here was filled late and belongs to position {live.position_id} "
            f"(broker order {group[0].order_id})"
        )
        return sentence

    # --- positions --------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        with self.engine.connect() as connection:
            live = positions.live_positions(connection, self.account)
        for position in live:
            booking.settle(self.engine, position.position_id, at=self.clock.now(), run_id=self.run_id)

    def _end_orphans(self, record: ReconciliationRecord, held: dict[str, BrokerPosition]) -> None:
        """End what rests over a position that is no more, or that is about to be closed as not there.

        Left alone it would sell what nobody holds. What it sold meanwhile is booked where it belongs.
        """
        if not self._orphaned(record, held):
            return
        # Mostly the one leg has sold and the broker has ended the other: then there is nothing to do but to read it.
        self.report.fills_booked += protection.refresh(
            self.engine, self.broker, self.clock, self.account, run_id=self.run_id
        )
        for intent in self._orphaned(record, held):
            left = protection.end(self.engine, self.broker, self.clock, intent.position_id, run_id=self.run_id)
            sentence = f"what rested over a position that is not held any more was ended ({intent.names})"
            self.report.alerts.append(f"{intent.symbol}: {sentence}")
            with self.engine.begin() as connection:
                tell(
                    connection,
                    intent.position_id,
                    "orphaned_protection",
                    f"{intent.symbol}: {sentence}.",
                    "Nothing, if it was you who sold; else look at the account.",
                    at=self.clock.now(),
                    run_id=self.run_id,
                    subject=intent.client_order_id,
                    client_order_id=intent.client_order_id,
                    broker_order_id=intent.broker_order_id,
                )
            for working_still in left:
                self._block(
                    intent.symbol, f"{intent.symbol}: an order over nothing does not end ({working_still.names})"
                )

    def _orphaned(self, record: ReconciliationRecord, held: dict[str, BrokerPosition]) -> list[OrderIntent]:
        """One protective order that may still fill of each position that is not held."""
        now = self.clock.now()
        with self.engine.connect() as connection:
            resting = {i.position_id: i for i in orders.live_intents(connection, self.account) if i.is_protective}
            found = []
            for intent in resting.values():
                position, theirs = positions.get_position(connection, intent.position_id), held.get(intent.symbol)
                gone = position is None or not position.is_live or (theirs is not None and theirs.quantity < 0)
                if gone or (theirs is None and self._seen_missing(connection, record, position, now) is not None):
                    found.append(intent)
        return found

    def _compare_and_store(self, record: ReconciliationRecord, held: dict[str, BrokerPosition], start_id: str) -> None:
        self._book_ended_contracts(record, held)
        self._book_splits(record, held)
        seen = self.broker.account()
        now = self.clock.now()
        with self.engine.begin() as connection:
            # Held, so that the stream books nothing on them while they are compared; fills are counted after that.
            live = positions.live_positions(connection, self.account, lock=True)
            ledger = {position.symbol: position for position in live}
            fills = executions.standing(connection, self.account)
            moved = {name for name in {*fills, *self.fills_before} if fills.get(name) != self.fills_before.get(name)}
            in_flight = {
                intent.symbol for intent in orders.live_intents(connection, self.account) if not intent.is_protective
            }
            for symbol in sorted({*ledger, *held}):
                self._compare_symbol(
                    connection,
                    record,
                    ledger.get(symbol),
                    held.get(symbol),
                    in_flight=symbol in in_flight,
                    moved=symbol in moved,
                    now=now,
                )
            opening = record.opening_cash
            if opening is None and seen.cash is not None and self.report.clean:
                opening = seen.cash - signed_cash(executions.of_account(connection, self.account))
            self.report.blocked = sorted(set(self.report.blocked))
            self._read_again_what_may_still_explain()
            reconciliations.store_reconciliation(
                connection,
                self.account,
                at=now,
                start_id=start_id,
                broker_account_id=seen.account_id,
                opening_cash=opening,
                report=self.report.as_json(),
            )
            crashpoints.reached("reconciliation.before_commit")

    def _read_again_what_may_still_explain(self) -> None:
        """A fill without a place stays to be read for as long as its symbol differs."""
        held_back = [found.at for found in self.unbooked if found.symbol in self.report.blocked]
        if self.report.all_read_until is not None:
            self.report.all_read_until = min((self.report.all_read_until, *held_back))

    def _compare_symbol(
        self,
        connection: Connection,
        record: ReconciliationRecord,
        ours: Position | None,
        theirs: BrokerPosition | None,
        *,
        in_flight: bool,
        moved: bool,
        now: datetime,
    ) -> None:
        quantity = Decimal(0) if ours is None else Decimal(ours.quantity)
        actual = Decimal(0) if theirs is None else theirs.quantity
        if ours is not None and ours.symbol in self.report.splits_due:
            self.report.unexplained[ours.symbol] = str(actual)
            self._block(ours.symbol, self.report.splits_due[ours.symbol])
            return
        if quantity == actual:
            return
        uncertain = self.uncertain.get(ours.symbol if ours is not None else theirs.symbol if theirs is not None else "")
        if uncertain is not None:
            self._leave_alone(record, ours, theirs, uncertain, now)
            return
        symbol = ours.symbol if ours is not None else (theirs.symbol if theirs is not None else "")
        sentence = f"{symbol}: the ledger holds {quantity}, the broker {actual}"
        if in_flight:
            if ours is not None and actual < quantity:
                self.report.unexplained[symbol] = str(actual)
            self._block(symbol, sentence + " while an order is live")
        elif moved:
            # The list is older than what is booked by now: taken for the truth it would bring back what was sold.
            self._block(symbol, sentence + ", and a fill was booked since it was asked: it is asked again")
        elif actual > 0 and quantity == 0 and self._just_sold(connection, symbol, now):
            self._block(symbol, sentence + ", of which the last was just sold: it is asked again")
        elif theirs is not None and (ours is None or quantity == 0):
            refused = adoption.adopt(
                connection, self.account, theirs, now=now, run_id=self.run_id, config=self.broker.config
            )
            if refused is not None:
                self._block(symbol, refused)
            else:
                self.report.adopted.append(symbol)
                self.report.alerts.append(f"{symbol}: found {actual} at the broker that nothing here explains: adopted")
        elif ours is not None and theirs is None:
            self._missing(connection, record, ours, sentence, now)
        else:
            self.report.unexplained[symbol] = str(actual)
            self._block(symbol, sentence)

    def _leave_alone(
        self,
        record: ReconciliationRecord,
        ours: Position | None,
        theirs: BrokerPosition | None,
        sentence: str,
        now: datetime,
    ) -> None:
        """A corporate action changed it, and nobody here knows how: neither adopted nor closed, and blocked."""
        if ours is not None and theirs is None:
            self.report.missing[ours.symbol] = record.missing.get(ours.symbol) or now.isoformat()
        elif ours is not None and theirs is not None:
            self.report.unexplained[ours.symbol] = str(theirs.quantity)
        symbol = ours.symbol if ours is not None else theirs.symbol if theirs is not None else ""
        self._block(symbol, sentence)

    def _just_sold(self, connection: Connection, symbol: str, now: datetime) -> bool:
        """A broker's list of positions may lag behind its fills."""
        sold_at = executions.last_sold_at(connection, self.account, symbol)
        return sold_at is not None and now - sold_at < _GONE_AFTER

    def _missing(
        self, connection: Connection, record: ReconciliationRecord, ours: Position, sentence: str, now: datetime
    ) -> None:
        """Twice in a row not there: closed as phantom. An expired contract waits for the broker's word first."""
        first_seen = self._seen_missing(connection, record, ours, now)
        today = now.astimezone(NEW_YORK).date()
        waits = ours.expiry is not None and ours.expiry <= today < ours.expiry + _EXPIRY_GRACE
        young = first_seen is not None and now - first_seen < _GONE_AFTER
        if first_seen is None or waits or young or orders.protections(connection, ours.position_id):
            self.report.missing[ours.symbol] = (first_seen or now).isoformat()
            self._block(ours.symbol, sentence)
            return
        adoption.close_phantom(connection, ours, first_seen=first_seen.isoformat(), now=now, run_id=self.run_id)
        self.report.phantoms.append(ours.symbol)
        self.report.alerts.append(
            f"{ours.symbol}: {ours.quantity} were twice not found at the broker: closed as phantom"
        )

    def _seen_missing(
        self, connection: Connection, record: ReconciliationRecord, position: Position | None, now: datetime
    ) -> datetime | None:
        """When the position was first found missing, None if this would be the first time.

        A sighting counts if comparisons went on since then and nothing was booked on the position after it: one from
        before an outage, or of what was held in the symbol earlier, proves nothing.
        """
        stored = None if position is None else record.missing.get(position.symbol)
        if (
            position is None
            or stored is None
            or record.reconciled_at is None
            or now - record.reconciled_at > _SIGHTINGS_APART
        ):
            return None
        first_seen = datetime.fromisoformat(stored)
        booked = [fill.booked_at for fill in executions.of_position(connection, position.position_id)]
        return None if booked and max(booked) > first_seen else first_seen

    def _book_ended_contracts(self, record: ReconciliationRecord, held: dict[str, BrokerPosition]) -> None:
        today = self.clock.now().astimezone(NEW_YORK).date()
        with self.engine.connect() as connection:
            gone = [
                position
                for position in positions.live_positions(connection, self.account)
                if position.expiry is not None
                and position.expiry <= today
                and position.quantity
                and position.symbol not in held
            ]
        if not gone:
            return
        begin = min(position.opened_at or record.created_at for position in gone)
        events = self.broker.activities(CONTRACT_EVENTS, begin - timedelta(days=1))
        self.report.ended_contracts = adoption.end_contracts(
            self.engine, gone, events, now=self.clock.now(), run_id=self.run_id
        )

    def _book_splits(self, record: ReconciliationRecord, held: dict[str, BrokerPosition]) -> None:
        found = corporate_actions.explain(
            self.engine,
            self.broker,
            self.clock,
            self.account,
            held,
            asked_on=record.splits_asked_on,
            run_id=self.run_id,
        )
        self.report.splits_asked_on = None if found.asked_on is None else found.asked_on.isoformat()
        self.report.splits = found.applied
        self.report.splits_due = found.waiting
        self.uncertain = found.uncertain
        self.report.alerts += [*found.applied, *found.troubles]

    def _block(self, symbol: str, sentence: str) -> None:
        self.report.blocked.append(symbol)
        self.report.differences.append(sentence)
        self.report.alerts.append(sentence)


def signed_cash(fills: tuple[executions.Execution, ...]) -> Decimal:
    """Effect of booked fills on cash in dollars: sales plus, purchases minus, times the multiplier.

    Quantity adopted from the broker was not bought through this ledger and does not count.
    """
    total = Decimal(0)
    for fill in fills:
        if fill.reason != executions.ADOPTED:
            amount = fill.price * fill.quantity * fill.multiplier
            total += amount if fill.side is Side.SELL else -amount
    return total


__all__ = ["BrokerUnavailable", "ReconciliationReport", "reconcile", "signed_cash"]
