"""What can be wrong with a world itself: its directory, its owner, its databases, Dagster's folder and the disk.

Each check looks at one item and returns one :class:`Finding`; none of them changes anything. Checks that need the
configuration, a broker or a model, and the order of all of them, are in the package
``trading_assets.doctor``.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, func, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.ledger import news_tables, tables
from trading_assets.ledger.accounts import AccountRecord, all_accounts
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.schema import head, require_current
from trading_assets.world.borrowed import Borrowed, Occupation, occupation
from trading_assets.world.dagster_home import instance_settings
from trading_assets.world.paths import World, WorldRecord
from trading_assets.world.runtime import DAGSTER_DATABASE, LEDGER_DATABASE

if TYPE_CHECKING:
    from trading_assets.settings import Settings

_MIB = 1024**2
_LONGEST = 400
#: When the market clock last wrote something: one column per table that acting and collecting write.
_WRITTEN = (
    tables.accounts.c.reconciled_at,
    news_tables.inbound_events_raw.c.fetched_at,
    tables.external_signals.c.received_at,
    tables.watchlist_state.c.as_of,
    tables.dispatch_status.c.updated_at,
    tables.decisions.c.decided_at,
    tables.position_events.c.at,
    tables.order_intents.c.updated_at,
    tables.dispatch_executions.c.booked_at,
)


class State(StrEnum):
    """What came of a check. NOT_CHECKED: something that it needs is missing, and that is its own item."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One item: what was seen, and how to mend it (None where nothing has to be mended)."""

    item: str
    state: State
    seen: str
    mend: str | None = None


class DoctorLimits(BaseModel):
    """From where on the doctor warns or refuses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    disk_warning_bytes: int = Field(default=2048 * _MIB, ge=0, description="warn below this much free space")
    disk_failure_bytes: int = Field(default=500 * _MIB, ge=0, description="fail below this much free space")

    @model_validator(mode="after")
    def _ordered(self) -> DoctorLimits:
        if self.disk_failure_bytes > self.disk_warning_bytes:
            raise ValueError("disk_failure_bytes exceeds disk_warning_bytes")
        return self


@dataclass(frozen=True, slots=True)
class LedgerView:
    """What other checks compare with: the registered accounts, and the newest instant written (None: nothing yet)."""

    accounts: Mapping[str, AccountRecord]
    newest: datetime | None


# --- findings ---------------------------------------------------------------------------------------------------------


def ok(item: str, seen: str) -> Finding:
    """Nothing to mend."""
    return Finding(item, State.OK, seen)


def failed(item: str, error: BaseException | str, mend: str) -> Finding:
    """The item fails with what the error says; its own mend wins over ``mend``."""
    if not isinstance(error, TradingAssetsError):
        return Finding(item, State.FAILED, one_line(error), mend)
    seen = error.what + (f" (at {error.where})" if error.where else "")
    return Finding(item, State.FAILED, one_line(seen), one_line(error.mend) or mend)


def not_checked(item: str, because: str) -> Finding:
    """The item needs something that is missing."""
    return Finding(item, State.NOT_CHECKED, because)


def one_line(value: object) -> str:
    """The text on one line and not endless. Of a database's error only the server's own words: no statement, no
    address with a password."""
    if isinstance(value, SQLAlchemyError):
        value = getattr(value, "orig", None) or type(value).__name__
    words = " ".join(str(value).split())
    return words if len(words) <= _LONGEST else words[: _LONGEST - 1] + "…"


def up(world: World) -> str:
    """The command that makes or starts what is missing."""
    return f"Run 'trading-assets up --world {world.name}'."


# --- the directory and its owner --------------------------------------------------------------------------------------


def check_world(world: World) -> tuple[Finding, WorldRecord | None]:
    """The world's record, None if nothing further can be looked at: no world, not this user's, or damaged."""
    item, directory = "world", world.directory
    try:
        record = world.record()
        if record is None:
            mend = f"{up(world)} To play a practice day in it: 'trading-assets demo --world {world.name}'."
            return Finding(item, State.FAILED, f"there is no world {world.name!r} in {world.home}", mend), None
        status = directory.stat()
    except TradingAssetsError as error:
        return failed(item, error, up(world)), None
    except OSError as error:
        mend = "Run as the user who created this world, or correct the folder's permissions."
        return failed(item, f"{directory}: {error.strerror}", mend), None
    if status.st_uid != os.geteuid():
        mend = f"Run as that user, or hand the world over with 'chown -R {os.geteuid()} {directory}'."
        return failed(item, f"{directory} belongs to user id {status.st_uid}, this is {os.geteuid()}", mend), None
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return failed(item, f"{directory} is closed to its own user", f"Run 'chmod u+rwx {directory}'."), None
    return _permissions(world, record, status.st_mode), record


def _permissions(world: World, record: WorldRecord, mode: int) -> Finding:
    """Secrets are their owner's alone. Passing through the directory is granted to the database's user under root."""
    secrets = (world.postgres / "password", world.exchange / "config.json", world.directory / "ticket.key")
    readable = [path for path in secrets if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077]
    if readable:
        names = " ".join(map(str, readable))
        return failed("world", f"other users may read secrets: {names}", f"Run 'chmod 600 {names}'.")
    if mode & 0o066:
        mend = f"Run 'chmod go-rw {world.directory}'."
        state = State.FAILED if mode & 0o022 else State.WARNING
        return Finding("world", state, f"{world.directory} is open to other users ({stat.S_IMODE(mode):04o})", mend)
    return ok("world", f"{record.kind} world, {record.state}, in {world.directory}")


def check_owner(world: World) -> tuple[Finding, Occupation | None]:
    """Who has the world. What runs without an owner and without clients was left behind by a killed command."""
    item = "owner"
    try:
        found = occupation(world)
    except TradingAssetsError as error:
        return failed(item, error, up(world)), None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        mend = f"End the world's processes, remove {world.pids}, then start the world again."
        return failed(item, f"the record of its processes cannot be read: {one_line(error)}", mend), None
    running = ", ".join(found.running) or "nothing"
    if found.owner is not None:
        return ok(item, f"pid {found.owner} runs it; running: {running}"), found
    if found.clients:
        return ok(item, f"no owner, clients use it; running: {running}"), found
    if found.running:
        mend = f"Run 'trading-assets down --world {world.name}': it loses nothing."
        return Finding(item, State.WARNING, f"nobody runs it, left running: {running}", mend), found
    return ok(item, "nobody runs it, nothing is running"), found


# --- databases --------------------------------------------------------------------------------------------------------


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = open_ledger(url, application_name="trading-assets doctor", pool_size=1)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _place(url: str) -> str:
    parsed = make_url(url)
    return f"{parsed.host or 'this machine'}:{parsed.port or 5432}, database {parsed.database!r}"


def check_database(settings: Settings, borrowed: Borrowed) -> tuple[Finding, str | None]:
    """The ledger's database answers; its address, None if it does not. The address carries a password."""
    item, own = "database", settings.database_url is not None
    mend = "Start the server that TRADING_ASSETS_DATABASE_URL names, or correct the variable."
    try:
        url = settings.ledger_database_url() if own else borrowed.database().url(LEDGER_DATABASE)
        with _connected(url) as connection:
            version = str(connection.execute(text("SHOW server_version")).scalar_one()).split()[0]
    except (TradingAssetsError, SQLAlchemyError, OSError) as error:
        return failed(item, error, mend if own else up(settings.world)), None
    if own:
        return ok(item, f"PostgreSQL {version} at {_place(url)}"), url
    how = "started for this check" if "postgres" in borrowed.started else "running"
    return ok(item, f"embedded PostgreSQL {version}, {how}"), url


def check_schema(world: World, url: str) -> tuple[Finding, LedgerView | None]:
    """The schema is exactly the one this code knows; what the ledger holds, None if it must not be read."""
    item = "migrations"
    engine = open_ledger(url, application_name="trading-assets doctor", pool_size=1)
    try:
        require_current(engine)
        with engine.connect() as connection:
            accounts = {record.account: record for record in all_accounts(connection)}
            newest = connection.execute(
                select(func.greatest(*(select(func.max(column)).scalar_subquery() for column in _WRITTEN)))
            ).scalar_one()
    except (TradingAssetsError, SQLAlchemyError) as error:
        return failed(item, error, up(world)), None
    finally:
        engine.dispose()
    return ok(item, f"the ledger's schema is at revision {head()}"), LedgerView(accounts, newest)


def check_dagster_storage(settings: Settings, borrowed: Borrowed) -> Finding:
    """The database of Dagster's runs and events answers. Its tables are Dagster's, made when it is first used."""
    item, own = "dagster storage", settings.dagster_url is not None or settings.database_url is not None
    mend = "Start the server and create the database, or correct TRADING_ASSETS_DAGSTER_URL."
    try:
        if settings.dagster_url is not None:
            url = settings.dagster_url.get_secret_value()
        else:
            url = settings.dagster_database_url() if own else borrowed.database().url(DAGSTER_DATABASE)
        with _connected(url) as connection:
            made = connection.execute(text("SELECT to_regclass('runs')")).scalar_one() is not None
    except (TradingAssetsError, SQLAlchemyError, OSError) as error:
        return failed(item, error, mend if own else up(settings.world))
    where = _place(url) if own else "the embedded server"
    return ok(item, f"answers on {where}" + ("" if made else "; no tables yet, Dagster makes them"))


def check_dagster_home(world: World) -> Finding:
    """The folder that ``up`` hands to Dagster, with the instance settings of this version."""
    item, file = "dagster home", world.dagster / "dagster.yaml"
    if not world.dagster.is_dir() or not os.access(world.dagster, os.R_OK | os.W_OK | os.X_OK):
        return failed(item, f"{world.dagster} is missing or closed", up(world))
    try:
        content = file.read_text() if file.exists() else None
    except (OSError, ValueError) as error:
        return failed(item, f"{file}: {one_line(error)}", f"Remove the file. {up(world)}")
    if content is None:
        return ok(item, f"{world.dagster}; no dagster.yaml yet, the first 'trading-assets up' or demo writes it")
    if content not in (instance_settings(), instance_settings(capture=False)):
        return Finding(item, State.WARNING, f"{file} is not the one of this version", f"{up(world)} It writes it anew.")
    return ok(item, str(world.dagster))


# --- the disk ---------------------------------------------------------------------------------------------------------


def check_disk(world: World, limits: DoctorLimits) -> Finding:
    """Free space where the world lies."""
    item = "disk"
    try:
        free = shutil.disk_usage(world.directory).free
    except OSError as error:
        return failed(item, f"{world.directory}: {error.strerror}", "Check that the file system is mounted.")
    seen = f"{free / _MIB:,.0f} MiB free below {world.directory}"
    mend = "Free space, or set TRADING_ASSETS_HOME to a folder on a larger disk and copy the stopped world there."
    for state, least in ((State.FAILED, limits.disk_failure_bytes), (State.WARNING, limits.disk_warning_bytes)):
        if free < least:
            return Finding(item, state, f"{seen}, less than {least / _MIB:,.0f} MiB", mend)
    return ok(item, seen)
