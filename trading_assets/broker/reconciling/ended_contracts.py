"""Contracts that left without a fill: expired, exercised or assigned, in whole or in part, on whatever day.

The stream never tells it, and the broker's history may only on the next day. It is asked wherever the broker holds less
of a contract than the ledger; and once an hour whether it explains by now what was closed as not there. What a line
says is booked once: the contracts leave at 0, and the stock of the same settlement comes or goes at its price in the
same transaction, so that nobody takes it for one that nothing explains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection

from trading_assets.broker import adoption, booking
from trading_assets.broker.alpaca import CONTRACT_EVENTS, STOCK_LEG
from trading_assets.broker.reconciling.work import Work
from trading_assets.broker.telling import tell
from trading_assets.broker.values import BrokerActivity, BrokerFill, BrokerPosition
from trading_assets.domain import crashpoints
from trading_assets.domain.clock import NEW_YORK
from trading_assets.domain.values import Side
from trading_assets.ledger import executions, positions
from trading_assets.ledger.executions import ADOPTED
from trading_assets.ledger.positions import Position
from trading_assets.ledger.reconciliations import ReconciliationRecord

_ENDINGS = {"OPEXP": "expired", "OPEXC": "exercised", "OPASN": "assigned"}
#: How long after a contract was closed as not there the broker's word on it may still come.
_LATE = timedelta(days=5)


@dataclass(frozen=True, slots=True)
class EndedContracts(Work):
    """What the broker's history says of contracts of which it holds less than the ledger."""

    held: Mapping[str, BrokerPosition]

    def book(self, record: ReconciliationRecord) -> None:
        """Book every line that explains what is missing."""
        now = self.clock.now()
        with self.engine.connect() as connection:
            fewer = [p for p in positions.live_positions(connection, self.account) if p.expiry and self._missing(p) > 0]
            late = positions.phantoms(connection, self.account, now - _LATE) if _is_first_of_hour(record, now) else ()
            missing = {position.position_id: self._missing(position) for position in fewer}
            missing |= {p.position_id: booking.remaining(connection, p.position_id) for p in late if p.expiry}
        gone = [position for position in [*fewer, *late] if missing.get(position.position_id, 0) > 0]
        if not gone:
            return
        begin = min(position.opened_at or record.created_at for position in gone)
        lines = self.broker.activities((*CONTRACT_EVENTS, STOCK_LEG), begin - timedelta(days=1))
        with self.engine.connect() as connection:
            booked = executions.booked_ids(connection, self.account, (line.activity_id for line in lines))
        lines = [line for line in lines if line.activity_id not in booked]
        for position in gone:
            self._explain(position, missing[position.position_id], lines)

    def _missing(self, position: Position) -> int:
        """How many of the ledger's contracts the broker does not hold."""
        theirs = self.held.get(position.symbol)
        left = Decimal(0) if theirs is None else max(Decimal(0), theirs.quantity)
        return position.quantity - int(left)

    def _explain(self, position: Position, missing: int, lines: list[BrokerActivity]) -> None:
        opened = (position.opened_at or position.created_at).astimezone(NEW_YORK).date()
        for line in list(lines):
            if line.symbol != position.symbol or line.activity_type not in _ENDINGS:
                continue
            if missing < 1 or (line.on is not None and line.on < opened):
                continue
            told = None if line.quantity is None else booking.whole(abs(line.quantity))
            if position.symbol not in self.held:
                quantity = min(told or missing, missing)
            elif told is None or told > missing:
                continue
            else:
                quantity = told
            lines.remove(line)
            trade = _stock_leg(position, line, lines)
            self._book(position, line, quantity, trade, closes=quantity == missing)
            missing -= quantity

    def _book(
        self, position: Position, line: BrokerActivity, quantity: int, trade: BrokerActivity | None, *, closes: bool
    ) -> None:
        now, reason = self.clock.now(), _ENDINGS[line.activity_type]
        with self.engine.begin() as connection:
            if closes and not position.is_live:
                # It was closed as not there; now it is known what became of it.
                positions.update_position(connection, position.position_id, exit_reason=reason)
            self._move(connection, position, line, -quantity, Decimal(0), reason)
            sentence = f"{quantity} {position.symbol} were {reason}"
            if trade is not None and (came := self._book_stock(connection, position, trade, reason)):
                sentence = f"{sentence}: {came}"
            if line.activity_type != "OPEXP":
                tell(
                    connection,
                    position.position_id,
                    reason,
                    f"{sentence}.",
                    "Nothing, if it was you; else look at the account.",
                    at=now,
                    run_id=self.run_id,
                    subject=line.activity_id,
                    numbers={"activity_id": line.activity_id},
                )
            crashpoints.reached("booking.before_commit")
        crashpoints.reached("booking.after_commit")
        self.report.ended_contracts += 1
        if line.activity_type != "OPEXP":
            self.report.alerts.append(f"{sentence} (position {position.position_id})")

    def _book_stock(self, connection: Connection, option: Position, trade: BrokerActivity, reason: str) -> str | None:
        """Book the stock that came or went, where that is what the two sides differ by; a sentence about it, if so."""
        assert trade.quantity is not None and trade.price is not None and trade.symbol is not None
        now, signed = self.clock.now(), int(trade.quantity)
        stock = positions.live_in_symbol(connection, self.account, trade.symbol, lock=True)
        ours, theirs = 0 if stock is None else stock.quantity, self.held.get(trade.symbol)
        differ = (Decimal(0) if theirs is None else theirs.quantity) - ours
        if differ * signed <= 0 or abs(differ) < abs(signed) or ours + signed < 0:
            return None
        if stock is None:
            stock = adoption.blank_position(self.account, trade.symbol, now, now, self.broker.config)
            positions.insert_position(connection, stock)
            details = {"from": f"{option.symbol} {reason}", "position_id": option.position_id}
            positions.add_event(connection, stock.position_id, now, ADOPTED, self.run_id, details)
        self._move(connection, stock, trade, signed, trade.price, reason)
        way = "came" if signed > 0 else "went"
        return f"{abs(signed)} {trade.symbol} {way} at {trade.price.normalize():f} (position {stock.position_id})"

    def _move(
        self, connection: Connection, position: Position, line: BrokerActivity, signed: int, price: Decimal, reason: str
    ) -> None:
        now, quantity, side = self.clock.now(), Decimal(abs(signed)), Side.BUY if signed > 0 else Side.SELL
        name = line.activity_id
        fill = BrokerFill(name, name, position.symbol, side, quantity, price, quantity, now)
        booking.book_on_position_within(
            connection, position.position_id, [fill], reason=reason, at=now, run_id=self.run_id
        )


def _is_first_of_hour(record: ReconciliationRecord, now: datetime) -> bool:
    before = record.reconciled_at
    return before is None or (before.date(), before.hour) != (now.date(), now.hour)


def _stock_leg(option: Position, line: BrokerActivity, lines: Sequence[BrokerActivity]) -> BrokerActivity | None:
    """The trade in the underlying that belongs to ``line``: by its settlement, or by day, strike and quantity."""
    for trade in lines:
        if trade.activity_type != STOCK_LEG or trade.symbol != option.underlying or trade.price is None:
            continue
        if trade.quantity is None or booking.whole(abs(trade.quantity)) is None or trade.price < 0:
            continue
        if line.group and trade.group:
            if line.group == trade.group:
                return trade
            continue
        shares = None if line.quantity is None else abs(line.quantity) * option.multiplier
        if (trade.on, abs(trade.quantity), trade.price) == (line.on, shares, option.strike):
            return trade
    return None
