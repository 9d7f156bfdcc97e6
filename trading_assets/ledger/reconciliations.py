"""What the ledger remembers of its comparisons with the broker: the reconciliation columns of ``accounts``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, func, select, update

from trading_assets.domain.errors import ConfigurationError
from trading_assets.ledger.tables import accounts, order_intents

#: Key of the report: until when the broker's fills were read without a gap.
ALL_READ_UNTIL = "all_read_until"


@dataclass(frozen=True, slots=True)
class ReconciliationRecord:
    """One row of ``accounts``, with the instant of its first order intent (None before the first)."""

    account: str
    mode: str
    broker_account_id: str | None
    opening_cash: Decimal | None
    reconciled_at: datetime | None
    reconciled_start: str | None
    created_at: datetime
    first_intent_at: datetime | None
    report: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> Mapping[str, str]:
        """Symbols of the ledger that the broker did not hold at the last comparison, with the first sighting."""
        result: Mapping[str, str] = self.report.get("missing", {})
        return result

    @property
    def not_listed(self) -> Mapping[str, str]:
        """Fills that the broker's lists left out at the last comparison, with the first sighting."""
        result: Mapping[str, str] = self.report.get("not_listed", {})
        return result

    @property
    def all_read_until(self) -> datetime:
        """Until when the broker's fills are read without a gap; before the first comparison when the ledger begins."""
        until = self.report.get(ALL_READ_UNTIL)
        if until is not None:
            return datetime.fromisoformat(until)
        return min(instant for instant in (self.created_at, self.first_intent_at) if instant is not None)

    @property
    def splits_asked_on(self) -> date | None:
        """The New York day of the last list of splits that was read; None before the first."""
        found = self.report.get("splits_asked_on")
        return None if found is None else date.fromisoformat(found)

    @property
    def splits_due(self) -> frozenset[str]:
        """Symbols of the ledger with a split that the broker had not carried out at the last comparison."""
        return frozenset(self.report.get("splits_due", ()))

    @property
    def blocked(self) -> frozenset[str]:
        """Symbols about which ledger and broker disagreed at the last comparison."""
        return frozenset(self.report.get("blocked", ()))


def read_account(connection: Connection, account: str) -> ReconciliationRecord:
    """The account's row; ``ConfigurationError`` if the ledger has no such account."""
    row = connection.execute(select(accounts).where(accounts.c.account == account)).mappings().one_or_none()
    if row is None:
        raise ConfigurationError(
            f"the ledger knows no account {account!r}",
            where="accounts",
            mend="Add it to accounts.yaml and start again.",
        )
    first = connection.execute(
        select(func.min(order_intents.c.created_at)).where(order_intents.c.account == account)
    ).scalar_one()
    return ReconciliationRecord(
        account=row["account"],
        mode=row["mode"],
        broker_account_id=row["broker_account_id"],
        opening_cash=row["opening_cash"],
        reconciled_at=row["reconciled_at"],
        reconciled_start=row["reconciled_start"],
        created_at=row["created_at"],
        first_intent_at=first,
        report=row["reconciliation"] or {},
    )


def store_reconciliation(
    connection: Connection,
    account: str,
    *,
    at: datetime,
    start_id: str,
    broker_account_id: str,
    opening_cash: Decimal | None,
    report: Mapping[str, Any],
) -> None:
    """Write the result of one comparison. Account id and opening cash are only written where they are still unknown."""
    connection.execute(
        update(accounts)
        .where(accounts.c.account == account)
        .values(
            reconciled_at=at,
            reconciled_start=start_id,
            reconciliation=dict(report),
            broker_account_id=func.coalesce(accounts.c.broker_account_id, broker_account_id),
            opening_cash=func.coalesce(accounts.c.opening_cash, opening_cash),
        )
    )
