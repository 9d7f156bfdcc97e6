"""What is held, per symbol: positions that only one side knows, what rests over them, what ended or was split.

What belongs here: what a difference means and what is done about it. What does not: how a position is adopted or closed
(``broker.adoption``), and splits (``broker.corporate_actions``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from trading_assets.broker import adoption, booking, corporate_actions, protection
from trading_assets.broker.reconciling.ended_contracts import EndedContracts
from trading_assets.broker.reconciling.missing_fills import CaughtUp
from trading_assets.broker.reconciling.work import Work
from trading_assets.broker.telling import tell
from trading_assets.broker.values import BrokerPosition
from trading_assets.domain import crashpoints
from trading_assets.domain.clock import NEW_YORK
from trading_assets.ledger import executions, order_legs, orders, positions, reconciliations
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.positions import Position
from trading_assets.ledger.reconciliations import ReconciliationRecord

#: Days for which an expired contract may wait for the broker's word on how it ended: a weekend, a holiday, a session.
_EXPIRY_GRACE = timedelta(days=5)
#: A position must be missing for at least this long before it counts as gone; one odd answer is not enough. For so
#: long after a sale what only the broker holds is not taken over, either.
_GONE_AFTER = timedelta(seconds=60)
#: Two comparisons further apart than this are not in a row.
_SIGHTINGS_APART = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Holdings(Work):
    """The account's positions here and there, after every fill that the broker lists was booked."""

    caught_up: CaughtUp
    #: Symbols of which something happened that is not understood (a corporate action, a fill that cannot be read), and
    #: what to tell of them.
    uncertain: dict[str, str] = field(default_factory=dict)

    def settle(self) -> None:
        """Bring every live position in line with its orders: no ladder works on any of them now."""
        with self.engine.connect() as connection:
            live = positions.live_positions(connection, self.account)
        for position in live:
            booking.settle(self.engine, position.position_id, at=self.clock.now(), run_id=self.run_id)

    def end_orphans(self, record: ReconciliationRecord) -> None:
        """End what rests over a position that is no more, or that is about to be closed as not there.

        Left alone it would sell what nobody holds. What it sold meanwhile is booked where it belongs.
        """
        if not self._orphaned(record):
            return
        # Mostly the one leg has sold and the broker has ended the other: then there is nothing to do but to read it.
        self.report.fills_booked += protection.refresh(
            self.engine, self.broker, self.clock, self.account, run_id=self.run_id, denied=self.denied
        )
        for intent in self._orphaned(record):
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
                self.block(
                    intent.symbol, f"{intent.symbol}: an order over nothing does not end ({working_still.names})"
                )

    def _orphaned(self, record: ReconciliationRecord) -> list[OrderIntent]:
        """One protective order that may still fill of each position that is not held."""
        held, now = self.caught_up.held, self.clock.now()
        with self.engine.connect() as connection:
            resting = {i.position_id: i for i in orders.live_intents(connection, self.account) if i.is_protective}
            found = []
            for intent in resting.values():
                position, theirs = positions.get_position(connection, intent.position_id), held.get(intent.symbol)
                gone = position is None or not position.is_live or (theirs is not None and theirs.quantity < 0)
                if gone or (theirs is None and self._seen_missing(connection, record, position, now) is not None):
                    found.append(intent)
        return found

    def compare_and_store(self, record: ReconciliationRecord, start_id: str) -> None:
        """Say of every symbol whether both sides agree, mend what can be mended, and store the report."""
        held = self.caught_up.held
        common = (self.engine, self.broker, self.clock, self.account, self.run_id, self.report)
        EndedContracts(*common, held=held).book(record)
        self._book_splits(record, held)
        seen = self.broker.account()
        now = self.clock.now()
        with self.engine.begin() as connection:
            # Held, so that the stream books nothing on them while they are compared; fills are counted after that.
            live = positions.live_positions(connection, self.account, lock=True)
            ledger = {position.symbol: position for position in live}
            before, fills = self.caught_up.fills_before, executions.standing(connection, self.account)
            moved = {name for name in {*fills, *before} if fills.get(name) != before.get(name)}
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
                opening = seen.cash - executions.signed_cash(executions.of_account(connection, self.account))
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
        """A fill without a place stays to be read for as long as its symbol differs, one that cannot be read always."""
        held_back = [found.at for found in self.caught_up.unbooked if found.symbol in self.report.blocked]
        held_back += [row.at for row in self.caught_up.unread]
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
            self.block(ours.symbol, self.report.splits_due[ours.symbol])
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
            self.block(symbol, sentence + " while an order is live")
        elif moved:
            # The list is older than what is booked by now: taken for the truth it would bring back what was sold.
            self.block(symbol, sentence + ", and a fill was booked since it was asked: it is asked again")
        elif actual > 0 and quantity == 0 and self._just_sold(connection, symbol, now):
            self.block(symbol, sentence + ", of which the last was just sold: it is asked again")
        elif theirs is not None and (ours is None or quantity == 0):
            refused = adoption.adopt(
                connection, self.account, theirs, now=now, run_id=self.run_id, config=self.broker.config
            )
            if refused is not None:
                self.block(symbol, refused)
            else:
                self.report.adopted.append(symbol)
                self.report.alerts.append(f"{symbol}: found {actual} at the broker that nothing here explains: adopted")
        elif ours is not None and theirs is None:
            self._missing(connection, record, ours, sentence, now)
        else:
            self.report.unexplained[symbol] = str(actual)
            self.block(symbol, sentence)

    def _leave_alone(
        self,
        record: ReconciliationRecord,
        ours: Position | None,
        theirs: BrokerPosition | None,
        sentence: str,
        now: datetime,
    ) -> None:
        """Something changed it, and nobody here knows how: neither adopted nor closed, and blocked."""
        if ours is not None and theirs is None:
            self.report.missing[ours.symbol] = record.missing.get(ours.symbol) or now.isoformat()
        elif ours is not None and theirs is not None:
            self.report.unexplained[ours.symbol] = str(theirs.quantity)
        symbol = ours.symbol if ours is not None else theirs.symbol if theirs is not None else ""
        self.block(symbol, sentence)

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
        if first_seen is None or waits or young or order_legs.protections(connection, ours.position_id):
            self.report.missing[ours.symbol] = (first_seen or now).isoformat()
            self.block(ours.symbol, sentence)
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

    def _book_splits(self, record: ReconciliationRecord, held: dict[str, BrokerPosition]) -> None:
        found = corporate_actions.explain(
            self.engine,
            self.broker,
            self.clock,
            self.account,
            held,
            asked_on=record.splits_asked_on,
            run_id=self.run_id,
            waited=record.splits_due,
            waited_at=record.reconciled_at,
        )
        self.report.splits_asked_on = None if found.asked_on is None else found.asked_on.isoformat()
        self.report.splits = found.applied
        self.report.splits_due = found.waiting
        self.uncertain.update(found.uncertain)
        self.report.alerts += [*found.applied, *found.withdrawn, *found.troubles]
