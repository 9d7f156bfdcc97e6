"""Booking every fill that is missing, also of orders that are not ours, until the fills explain the positions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import DataError, IntegrityError

from trading_assets.broker import adoption, booking, combo_booking, unread
from trading_assets.broker.reconciling.work import Work
from trading_assets.broker.values import BrokerFill, BrokerPosition, UnreadFill
from trading_assets.ledger import executions, orders, positions
from trading_assets.ledger.reconciliations import ReconciliationRecord


@dataclass(frozen=True, slots=True)
class Unbooked:
    """Fills of one symbol that found no place, the first of them at ``at``, and why."""

    symbol: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A row of the list that cannot be read. It stays to be read from ``at``; ``symbol`` is None if none is known."""

    symbol: str | None
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """What the broker holds by symbol, the ledger's fills by symbol just before it was asked for that, and the fills
    that found no place. ``unplaced``: symbols of listed fills that are none beside those booked of their order.
    ``unread``: what the list shows and nobody can read, unless it is booked under that name."""

    held: dict[str, BrokerPosition]
    fills_before: Mapping[str, tuple[int, int]]
    unbooked: list[Unbooked]
    unplaced: frozenset[str] = frozenset()
    unread: tuple[Unread, ...] = ()


class MissingFills(Work):
    """The broker's fills since the last whole reading."""

    def catch_up(self, record: ReconciliationRecord) -> CaughtUp:
        """Book fills until they explain the broker's positions, at most twice: a fill may fall between two reads."""
        caught_up = CaughtUp({}, {}, [])
        for _ in range(2):
            self.report.all_read_until = self.clock.now()
            unbooked, unplaced, unread_rows = self._book_fills(record)
            with self.engine.connect() as connection:
                fills_before = executions.standing(connection, self.account)
            held = {position.symbol: position for position in self.broker.positions()}
            caught_up = CaughtUp(held, fills_before, unbooked, unplaced, unread_rows)
            with self.engine.connect() as connection:
                ledger = {
                    p.symbol: p.quantity for p in positions.live_positions(connection, self.account) if p.quantity
                }
            if ledger == {symbol: position.quantity for symbol, position in held.items()}:
                break
        for found in caught_up.unbooked:
            self.report.differences.append(found.reason)
            self.report.alerts.append(found.reason)
        for row in caught_up.unread:
            if row.symbol is None:
                self.differ(row.reason)
            else:
                self.block(row.symbol, row.reason)
        return caught_up

    def _book_fills(self, record: ReconciliationRecord) -> tuple[list[Unbooked], frozenset[str], tuple[Unread, ...]]:
        since = unread.since(self.engine, self.account, self.broker.config)
        fills, unreadable = self.broker.read_fills(since)
        with self.engine.connect() as connection:
            booked = executions.booked_ids(connection, self.account, (fill.activity_id for fill in fills))
        by_order: dict[str, list[BrokerFill]] = defaultdict(list)
        for fill in fills:
            if fill.activity_id not in booked:
                by_order[fill.order_id].append(fill)
        unbooked: list[Unbooked] = []
        for order_id, group in sorted(by_order.items(), key=lambda item: item[1][0].at):
            try:
                reason = self._book_group(record, order_id, group)
            except IntegrityError:
                # A position in the way (an order given up here that was filled late). The others must not suffer.
                reason = self._book_in_the_way(group)
            except DataError:
                # Each fits, and what they come to together does not.
                self.report.blocked.append(group[0].symbol)
                reason = f"{group[0].symbol}: fills come to more than this ledger can represent"
            if reason is not None:
                unbooked.append(Unbooked(group[0].symbol, group[0].at, reason))
        unplaced = self._unplaced(fill for group in by_order.values() for fill in group)
        return unbooked, unplaced, self._unread(unreadable, since)

    def _unread(self, rows: Iterable[UnreadFill], since: datetime) -> tuple[Unread, ...]:
        """Those of ``rows`` that are not booked. The order that one names may say what its symbol is."""
        found, now = [], self.clock.now()
        with self.engine.connect() as connection:
            for row in rows:
                if row.activity_id and executions.booked_ids(connection, self.account, (row.activity_id,)):
                    continue
                intent = None if row.order_id is None else orders.by_broker_order_id(connection, row.order_id)
                symbol = row.symbol if intent is None else intent.symbol
                # One that was listed at an instant that cannot be is asked for from where it was asked for now.
                begin = since + timedelta(seconds=self.broker.config.fill_overlap_seconds)
                at = row.at if row.at is not None and since < row.at <= now else begin
                found.append(Unread(symbol, at, str(row) if symbol is None else f"{symbol}: {row}"))
        return tuple(found)

    def _unplaced(self, fills: Iterable[BrokerFill]) -> frozenset[str]:
        """Symbols of those of ``fills`` that are not booked, under no name, although others of their order are."""
        found = set[str]()
        with self.engine.connect() as connection:
            for fill in fills:
                booked = executions.of_broker_order(connection, fill.order_id)
                known = executions.booked_ids(connection, self.account, (fill.activity_id,))
                if booked and not known and not any(booking.same_figures(row, fill) for row in booked):
                    found.add(fill.symbol)
        return frozenset(found)

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
            intent = combo_booking.claim(self.engine, self.broker, self.account, group[0], at=now)
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
