"""Accounts, their kill switches, and when ledger and broker were last found equal.

What belongs here: registering accounts, reading them, and ``kill_switches``; writing the result of a comparison is
``ledger.reconciliations``. Every function takes an open connection; the caller
owns the transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import KillMode
from trading_assets.ledger.tables import accounts, kill_switches, order_intents

#: Scope of the switch that holds for every account.
ALL_ACCOUNTS = "*"
#: From lenient to strict; where the global and the account's switch differ, the stricter one holds.
STRICTNESS = (KillMode.OFF, KillMode.ENTRIES, KillMode.ALL, KillMode.FLATTEN)


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """One row of ``accounts``. ``broker_account_id`` and ``opening_cash`` are None until first verified."""

    account: str
    mode: str
    broker_account_id: str | None
    opening_cash: Decimal | None
    reconciled_at: datetime | None
    reconciled_start: str | None
    reconciliation: Mapping[str, Any] | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KillSwitch:
    """One kill switch: its scope ('*' or an account), mode, since when and why."""

    scope: str
    mode: KillMode
    set_at: datetime
    reason: str


def _record(row: RowMapping) -> AccountRecord:
    return AccountRecord(**{field.name: row[field.name] for field in fields(AccountRecord)})


def upsert_account(connection: Connection, account: str, mode: str, at: datetime) -> None:
    """Register ``account`` under ``mode`` (PRACTICE, PAPER or LIVE).

    An account that has orders keeps its mode: mixing paper and live fills in one history raises
    :class:`ConfigurationError`.
    """
    statement = insert(accounts).values(account=account, mode=mode, created_at=at).on_conflict_do_nothing()
    connection.execute(statement)
    stored = connection.execute(
        select(accounts.c.mode).where(accounts.c.account == account).with_for_update()
    ).scalar_one()
    if stored == mode:
        return
    traded = connection.execute(select(order_intents.c.account).where(order_intents.c.account == account).limit(1))
    if traded.first() is not None:
        raise ConfigurationError(
            f"account {account!r} has orders under mode {stored} and is now configured as {mode}",
            where=f"accounts.yaml: {account}.mode",
            mend="Give the account a new name for the new mode; its history stays under the old one.",
        )
    connection.execute(
        update(accounts)
        .where(accounts.c.account == account)
        .values(mode=mode, broker_account_id=None, opening_cash=None, reconciled_at=None, reconciled_start=None)
    )


def get_account(connection: Connection, account: str) -> AccountRecord | None:
    """The account's row, or None if it was never registered."""
    row = connection.execute(select(accounts).where(accounts.c.account == account)).mappings().one_or_none()
    return None if row is None else _record(row)


def owner_of(connection: Connection, broker_account_id: str) -> str | None:
    """The account whose broker account this is, or None if no account was verified with it."""
    found = select(accounts.c.account).where(accounts.c.broker_account_id == broker_account_id)
    return connection.execute(found).scalar_one_or_none()


def all_accounts(connection: Connection) -> tuple[AccountRecord, ...]:
    """Every registered account by name."""
    return tuple(_record(row) for row in connection.execute(select(accounts).order_by(accounts.c.account)).mappings())


def reconciled_at(connection: Connection, account: str, start_id: str) -> datetime | None:
    """When the account was last reconciled under this start of the world; None if not since then."""
    return connection.execute(
        select(accounts.c.reconciled_at).where(accounts.c.account == account, accounts.c.reconciled_start == start_id)
    ).scalar_one_or_none()


# --- kill switches ----------------------------------------------------------------------------------------------------


def set_kill_switch(connection: Connection, scope: str, mode: KillMode, at: datetime, reason: str) -> None:
    """Set the switch of one account or of all ('*'). An account nobody registered raises
    :class:`ConfigurationError`: a mistyped name must not look like a stop."""
    if scope != ALL_ACCOUNTS and get_account(connection, scope) is None:
        known = ", ".join(record.account for record in all_accounts(connection)) or "none"
        raise ConfigurationError(
            f"there is no account {scope!r} to set a kill switch on",
            where="kill switch",
            mend=f"Use '*' for all accounts, or one of: {known}.",
        )
    values = {"kill_mode": mode.value, "set_at": at, "reason": reason}
    connection.execute(
        insert(kill_switches).values(scope=scope, **values).on_conflict_do_update(index_elements=["scope"], set_=values)
    )


def kill_switch_states(connection: Connection) -> tuple[KillSwitch, ...]:
    """Every switch that was ever set, '*' first."""
    rows = connection.execute(
        select(kill_switches).order_by(kill_switches.c.scope != ALL_ACCOUNTS, kill_switches.c.scope)
    )
    return tuple(KillSwitch(row.scope, KillMode(row.kill_mode), row.set_at, row.reason) for row in rows)


def kill_mode(connection: Connection, account: str) -> KillMode:
    """The mode that holds for ``account``: the stricter one of the global switch and its own; OFF if none was set."""
    modes = connection.execute(
        select(func.array_agg(kill_switches.c.kill_mode)).where(kill_switches.c.scope.in_((ALL_ACCOUNTS, account)))
    ).scalar_one()
    return max((KillMode(mode) for mode in modes or ()), key=STRICTNESS.index, default=KillMode.OFF)
