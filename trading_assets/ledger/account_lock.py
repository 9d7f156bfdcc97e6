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

_TAKES_OVER = "Nothing more is opened for the account in this run; the next run takes over."
#: The lock as its own session sees it: a 64-bit key is stored in two halves.
_HELD = (
    "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid() "
    "AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1"
)
_LOW = 0xFFFF_FFFF


class AccountBusy(TradingAssetsError):
    """Another run works on the account right now."""


class AccountLockLost(TradingAssetsError):
    """The connection that carried the lock is gone: another run may work on the account from now on."""


@dataclass(frozen=True, slots=True)
class AccountLock:
    """A held account lock. ``verify`` asks the server over the connection that carries it."""

    account: str
    key: int
    connection: psycopg.Connection[Any]

    def verify(self) -> None:
        """Raise :class:`AccountLockLost` unless this very session of the server still holds the lock."""
        try:
            held = self.connection.execute(_HELD, (self.key >> 32 & _LOW, self.key & _LOW)).fetchone()
        except psycopg.Error as error:
            raise AccountLockLost(
                f"the lock of account {self.account!r} was lost with its connection: {error}", mend=_TAKES_OVER
            ) from None
        if held is None:
            raise AccountLockLost(
                f"the lock of account {self.account!r} is not held by this connection any more", mend=_TAKES_OVER
            )


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
        tcp_user_timeout=25_000,
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
        yield AccountLock(account, key, connection)
