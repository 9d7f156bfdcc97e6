"""What the parts of one reconciliation share: whose it is, with whom it is compared, and the report of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.clock import Clock
from trading_assets.ledger import reconciliations
from trading_assets.ledger.orders import OrderIntent


@dataclass(slots=True)
class ReconciliationReport:
    """What one comparison found and did.

    Symbols in ``blocked`` must not be traded; ``missing`` maps symbols of the ledger that the broker does not hold to
    the instant of the first sighting; ``unexplained`` maps symbols that both hold in different quantities to the
    broker's, with an order under way only where that is less; ``alerts`` are sentences for a person. Every fill before
    ``all_read_until`` is booked or explains no difference any more: the next comparison reads from there. ``splits``
    are sentences about positions that a corporate action explains, ``splits_due`` by symbol those that the broker has
    yet to carry out, and ``splits_asked_on`` is the New York day of the last list. ``not_listed`` maps fills that are
    booked and that the broker's lists leave out to the instant of the first sighting.
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
    not_listed: dict[str, str] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether ledger and broker agree about everything."""
        return not self.differences and not self.blocked

    def as_json(self) -> dict[str, Any]:
        """JSON-ready, as stored in ``accounts.reconciliation``."""
        until = None if self.all_read_until is None else self.all_read_until.isoformat()
        return {**asdict(self), "at": self.at.isoformat(), "clean": self.clean, reconciliations.ALL_READ_UNTIL: until}


@dataclass(frozen=True, slots=True)
class Work:
    """One comparison of one account. ``run_id`` is written beside everything that is booked."""

    engine: Engine
    broker: AlpacaBroker
    clock: Clock
    account: str
    run_id: str
    report: ReconciliationReport

    def block(self, symbol: str, sentence: str) -> None:
        """Forbid trading in the symbol until a later comparison does not, and tell why."""
        self.report.blocked.append(symbol)
        self.differ(sentence)

    def differ(self, sentence: str) -> None:
        """Tell a difference, once."""
        if sentence not in self.report.differences:
            self.report.differences.append(sentence)
            self.report.alerts.append(sentence)

    def denied(self, intent: OrderIntent) -> None:
        """An order that the broker knows nothing of may still trade: its symbol waits, and nothing else does."""
        self.block(intent.symbol, f"{intent.symbol}: the broker denies an order that it had accepted ({intent.names})")
