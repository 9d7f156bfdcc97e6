"""One way to open the ledger: pooled psycopg 3, UTC sessions, named connections, bounded statements."""

from __future__ import annotations

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL, make_url

from trading_assets.domain.errors import ConfigurationError

#: A statement of the ledger touches few rows; one that runs longer waits for something that will not come.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 15_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000


def ledger_url(url: str | URL) -> URL:
    """``url`` with the psycopg 3 driver; raises :class:`ConfigurationError` if it is not a PostgreSQL address."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"the ledger lives in PostgreSQL, not in {parsed.get_backend_name()!r}",
            where="database_url",
            mend="Use postgresql://user:password@host/database.",
        )
    return parsed.set(drivername="postgresql+psycopg")


def open_ledger(url: str | URL, *, application_name: str = "trading-assets", pool_size: int = 5) -> Engine:
    """An engine for the ledger at ``url``. Opening connects to nothing; see ``schema.require_current`` for the check.

    Connections are checked before use (a restarted server costs a reconnect, not an error), their time zone is UTC, and
    statements, lock waits and idle transactions are bounded.
    """
    options = " ".join(
        (
            "-c timezone=UTC",
            f"-c statement_timeout={STATEMENT_TIMEOUT_MS}",
            f"-c lock_timeout={LOCK_TIMEOUT_MS}",
            f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_TIMEOUT_MS}",
        )
    )
    return create_engine(
        ledger_url(url),
        pool_pre_ping=True,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=30,
        connect_args={"options": options, "application_name": application_name, "connect_timeout": 10},
    )
