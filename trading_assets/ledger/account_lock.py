"""One worker per account: a session advisory lock on a connection of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger.engine import ledger_url


class AccountBusy(TradingAssetsError):
    """Another run works on the account right now."""


class AccountLockLost(TradingAssetsError):
    """The connection that carried the lock is gone: another run may work on the account from now on."""


@dataclass(frozen=True, slots=True)
class AccountLock:
    """A held account lock. ``verify`` asks the server whether the connection that carries it still lives."""

    account: str
    connection: psycopg.Connection[Any]

    def verify(self) -> None:
        """Raise :class:`AccountLockLost` if the connection, and with it the lock, is gone."""
        try:
            self.connection.execute("SELECT 1")
        except psycopg.OperationalError as error:
            raise AccountLockLost(
                f"the lock of account {self.account!r} was lost with its connection: {error}",
                mend="Nothing more is done for the account in this run; the next run takes over.",
            ) from None


@contextmanager
def account_lock(url: str, account: str, *, wait: float = 0.0) -> Iterator[AccountLock]:
    """Hold the account alone: a session advisory lock on a dedicated connection outside every pool.

    It ends with the block, or with the process: a killed run blocks nobody. Raises :class:`AccountBusy` if another run
    holds it for longer than ``wait`` wall seconds.
    """
    address = ledger_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    key = int.from_bytes(hashlib.sha256(b"account-lock:" + account.encode()).digest()[:8], "big", signed=True)
    deadline = time.monotonic() + wait
    with psycopg.connect(
        address,
        autocommit=True,
        connect_timeout=10,
        application_name=f"account-lock {account}"[:63],
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    ) as connection:
        while True:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone()
            if row is not None and row[0]:
                break
            if time.monotonic() >= deadline:
                raise AccountBusy(
                    f"another run works on account {account!r}",
                    where="account lock",
                    mend="Nothing was done; the next tick tries again.",
                )
            time.sleep(0.05)
        yield AccountLock(account, connection)
