"""What one dispatch has seen of its account lately, good for a few seconds as long as nothing is ordered.

A burst of signals would otherwise ask the broker for the same account, positions and Greeks once per signal, and use up
the requests that an order or an exit needs. What is kept is thrown away as soon as an order of the account changes, any
other run compares the account, or the seconds are over. Quotes and chains of a signal are never kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from trading_assets.broker.reconciliation import ReconciliationReport
from trading_assets.broker.snapshot import BrokerReading, read_broker
from trading_assets.ledger import orders
from trading_assets.market.portfolio_greeks import PositionGreeks
from trading_assets.resources.desk import Desk

#: For so long, by the clock, one comparison and one reading of the account serve the signals that follow.
GOOD_FOR = timedelta(seconds=5)


@dataclass(slots=True)
class Lately:
    """The account as this dispatch saw it last. Begins with nothing seen."""

    desk: Desk
    account: str
    _compared: orders.LastChange | None = None
    _compared_at: datetime | None = None
    _reading: BrokerReading | None = None
    _greeks: dict[str, PositionGreeks] = field(default_factory=dict)

    def compared(self, report: ReconciliationReport) -> None:
        """Note a comparison that was just made; one that found anything is made again for the next signal."""
        self._compared = self._state() if report.clean and not report.alerts else None
        self._compared_at = report.at
        self._reading, self._greeks = None, {}

    def is_compared(self) -> bool:
        """Whether the last comparison still stands: clean, young, no order live or changed, no other run's since.

        Asked once per signal, under the account's lock: nobody else works on the account while the lock is held.
        """
        at, now = self._compared_at, self.desk.clock.now()
        young = at is not None and timedelta(0) <= now - at <= GOOD_FOR
        if self._compared is None or not young or self._compared.live or self._state() != self._compared:
            self._compared, self._reading, self._greeks = None, None, {}
        return self._compared is not None

    def reading(self) -> BrokerReading:
        """What the broker says of the account: what it said last while the comparison stands, else asked anew."""
        if self._reading is not None:
            return self._reading
        desk = self.desk
        found = read_broker(desk.ledger, desk.broker(self.account), desk.clock, self.account)
        self._reading = found if found.whole and self._compared is not None else None
        return found

    def greeks(self, symbols: frozenset[str]) -> dict[str, PositionGreeks] | None:
        """Greeks of exactly these holdings if they were computed under the comparison that stands, else None."""
        return dict(self._greeks) if symbols and self._greeks.keys() == symbols else None

    def keep_greeks(self, found: dict[str, PositionGreeks]) -> None:
        """Keep what was computed just now, as long as the comparison stands."""
        self._greeks = dict(found) if self._compared is not None else {}

    def _state(self) -> orders.LastChange:
        with self.desk.ledger.connect() as connection:
            return orders.last_change(connection, self.account)
