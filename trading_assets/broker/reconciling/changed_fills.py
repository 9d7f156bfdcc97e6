"""Fills that the broker took back or corrected while nobody listened: found in its lists, which tell it by leaving out.

A bust or a correction is told once, by the stream. Who missed it sees only that the list of fills does not show any
more what is booked here. That alone proves nothing: a list may lag, or all lists together, as they were minutes ago. It
is believed of a fill that is older than that, where all that the broker says fits together, twice in a row: the order
is filled by as much as the list shows of it, and the position is what that leaves. What does not fit stays a
difference, which blocks its symbol.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.exc import IntegrityError

from trading_assets.broker import booking
from trading_assets.broker.changes import book_change
from trading_assets.broker.reconciling.missing_fills import CaughtUp
from trading_assets.broker.reconciling.work import Work
from trading_assets.broker.values import BrokerFill
from trading_assets.domain.values import Side
from trading_assets.ledger import execution_changes, executions, orders, positions, splits
from trading_assets.ledger.execution_changes import BUST, CORRECT, ExecutionChange
from trading_assets.ledger.executions import ADOPTED, CONTRACT_ENDED, Execution, fill_id
from trading_assets.ledger.positions import Position
from trading_assets.ledger.reconciliations import ReconciliationRecord

#: Between the first and the last sighting lies at least the one, and between two sightings at most the other.
_CONFIRMED_AFTER, _SIGHTINGS_APART = timedelta(seconds=60), timedelta(minutes=10)
#: A younger fill was told by the stream, and the lists may be from before it: taken back, it would be sold once more.
_SETTLED_AFTER = timedelta(minutes=10)
#: A fill that stands in the ledger and in no list, and the one that came in its place, if any.
Change = tuple[Execution, BrokerFill | None]


class ChangedFills(Work):
    """What the broker's lists leave out of the fills that are booked."""

    def book(self, record: ReconciliationRecord, caught_up: CaughtUp) -> dict[str, str]:
        """Book changes that were seen twice. Symbols of those that were seen once, with what to tell of them."""
        with self.engine.connect() as connection:
            ledger = {p.symbol: p.quantity for p in positions.live_positions(connection, self.account) if p.quantity}
            in_flight = {i.symbol for i in orders.live_intents(connection, self.account) if not i.is_protective}
        theirs = {symbol: position.quantity for symbol, position in caught_up.held.items()}
        differ = {name for name in {*ledger, *theirs} if Decimal(ledger.get(name, 0)) != theirs.get(name, 0)}
        waiting = {}
        for symbol in sorted((differ | caught_up.unplaced) - in_flight):
            changes = self._found(symbol, theirs.get(symbol, Decimal(0)))
            if not changes:
                continue
            if self._seen_before(record, changes):
                self._book(symbol, changes)
            else:
                waiting[symbol] = f"{symbol}: the broker does not list any more what is booked of it: it is asked again"
        return waiting

    def _found(self, symbol: str, held: Decimal) -> list[Change]:
        """The changes of fills that lead from what is booked to what the broker holds; () where there are none.

        A list of which a row cannot be read leaves nothing out: nobody knows what that row says.
        """
        with self.engine.connect() as connection:
            position = positions.last_traded(connection, self.account, symbol)
            if position is None or splits.of_position(connection, position.position_id):
                return []
            standing = defaultdict[str, list[Execution]](list)
            for row in executions.of_position(connection, position.position_id):
                if row.reason != ADOPTED and row.reason not in CONTRACT_ENDED:
                    standing[row.broker_order_id].append(row)
            renamed = execution_changes.renamed(connection, self.account)
        if not standing:
            return []
        begin = min(row.executed_at for rows in standing.values() for row in rows)
        listed = defaultdict[str, list[BrokerFill]](list)
        fills, unread = self.broker.read_fills(begin - timedelta(seconds=self.broker.config.fill_overlap_seconds))
        if any(row.symbol in (None, symbol) or row.order_id in standing for row in unread):
            return []
        for fill in fills:
            listed[fill.order_id].append(fill)
        found: list[Change] = []
        for order_id, rows in standing.items():
            shown = {fill_id(fill.activity_id): fill for fill in listed[order_id]}
            names = {row.execution_id: {fill_id(row.execution_id), *renamed[fill_id(row.execution_id)]} for row in rows}
            gone = [row for row in rows if names[row.execution_id].isdisjoint(shown)]
            gone = [row for row in gone if not any(booking.same_figures(row, fill) for fill in shown.values())]
            if not gone:
                continue
            new = [fill for fill in listed[order_id] if not self._is_booked(fill)]
            new = [fill for fill in new if not any(booking.same_figures(row, fill) for row in rows)]
            if len(new) not in (0, len(gone)) or not self._order_agrees(order_id, listed[order_id]):
                return []
            found += zip(gone, _in_order(new) if new else [None] * len(gone), strict=True)
        return found if _left(position, found) == held else []

    def _is_booked(self, fill: BrokerFill) -> bool:
        with self.engine.connect() as connection:
            return bool(executions.booked_ids(connection, self.account, (fill.activity_id,)))

    def _order_agrees(self, order_id: str, shown: Sequence[BrokerFill]) -> bool:
        """Whether the order itself is filled by just as much as the list shows of it."""
        order = self.broker.order(order_id)
        return order is not None and order.filled_quantity == sum(fill.quantity for fill in shown)

    def _seen_before(self, record: ReconciliationRecord, changes: Sequence[Change]) -> bool:
        """Whether all of them were seen by the comparison before, and are old enough; notes the sighting."""
        now, names = self.clock.now(), [fill_id(row.execution_id) for row, _ in changes]
        recent = record.reconciled_at is not None and now - record.reconciled_at <= _SIGHTINGS_APART
        earlier = record.not_listed if recent else {}
        first = {name: earlier.get(name, now.isoformat()) for name in names}
        settled = all(now - row.executed_at >= _SETTLED_AFTER for row, _ in changes)
        if settled and all(now - datetime.fromisoformat(at) >= _CONFIRMED_AFTER for at in first.values()):
            return True
        self.report.not_listed |= first
        return False

    def _book(self, symbol: str, changes: Sequence[Change]) -> None:
        now = self.clock.now()
        for row, right in changes:
            changed, kind = fill_id(row.execution_id), BUST if right is None else CORRECT
            renamed = None if right is None else fill_id(right.activity_id)
            change = ExecutionChange(
                account=self.account,
                # A bust that the stream tells later is the same one.
                change_id=f"{kind}:{changed}" if renamed is None else f"{kind}:{changed}:{renamed}:listed",
                fill_id=changed,
                new_fill_id=renamed,
                broker_order_id=row.broker_order_id,
                kind=kind,
                quantity=None if right is None else booking.whole(right.quantity),
                price=None if right is None else right.price,
                changed_at=now,
                booked_at=now,
                run_id=self.run_id,
            )
            try:
                book_change(self.engine, change, at=now)
            except IntegrityError:
                self.block(symbol, f"{symbol}: what a fill that was taken back leaves finds no place in the ledger")
                return
        self.report.alerts.append(
            f"{symbol}: {len(changes)} fills were taken back or corrected while nobody listened: booked"
        )


def _in_order(fills: Sequence[BrokerFill]) -> list[BrokerFill]:
    return sorted(fills, key=lambda fill: (fill.at, fill.cumulative_quantity))


def _left(position: Position, changes: Sequence[Change]) -> Decimal | None:
    """What would be held after ``changes``; None where one of them cannot be booked."""
    left = Decimal(position.quantity)
    for row, right in changes:
        sign = 1 if row.side is Side.BUY else -1
        if right is not None and (right.side is not row.side or booking.whole(right.quantity) is None):
            return None
        left += sign * ((Decimal(0) if right is None else right.quantity) - row.quantity)
    return left
