"""Dagster's own storage: the world's embedded PostgreSQL, or any server named by the environment, pooled.

``dagster.yaml`` names :class:`WorldStorage`, so that ``dagster dev``, ``dagster asset materialize`` and
``trading-assets up`` all find the same runs and events. The stock storages open a connection for every query; here they
are kept and checked after a rest, which halves the time of a short run and survives a restarted server.

A code server opens an instance anew for each tick. All storages of a process share one engine per address, and the
tables are looked for once: SQLAlchemy keeps for each of its reflection queries the last 128 dialects that asked it, so
that engines opened and dropped by the tick would add some 15 MiB before the memory is level.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from dagster import Field, StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine
from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world.lease import hold_lease
from trading_assets.world.paths import DEFAULT_WORLD, WORLD_VARIABLE, World, home_directory

URL_VARIABLE = "TRADING_ASSETS_DAGSTER_URL"
DATABASE = "dagster"
STATEMENT_TIMEOUT_MS = 60_000
POOL_RECYCLE_SECONDS = 1800
POOL_SIZE, MAX_OVERFLOW = 3, 60
#: Addresses whose engines a process keeps; a process of a running system uses one.
KEPT_ENGINES = 4
#: A connection that rested for longer than this is asked whether its server still lives.
REST_SECONDS = 1.0


class WorldStorage(DagsterPostgresStorage):
    """Runs, events and schedules in PostgreSQL.

    Configuration (all optional): ``url``, else the variable ``TRADING_ASSETS_DAGSTER_URL``, else the embedded server of
    ``home`` and ``world`` (else ``TRADING_ASSETS_HOME`` and ``TRADING_ASSETS_WORLD``), which is started if it does not
    run and stopped when the last client that uses it ends.
    """

    def __init__(self, postgres_url: str, inst_data: ConfigurableClassData | None = None) -> None:
        url = psycopg2_url(postgres_url)
        super().__init__(url, should_autocreate_tables=not _engines.knows(url), inst_data=inst_data)
        engine = _engines.get(url)
        for storage in (self._run_storage, self._event_log_storage, self._schedule_storage):
            storage._engine = engine

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What ``dagster.yaml`` may say under ``config``."""
        return {name: Field(StringSource, is_required=False) for name in ("url", "home", "world")}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> WorldStorage:
        """Called by Dagster in every process that opens the instance."""
        return cls(resolve_url(config_value), inst_data=inst_data)


class _Engines:
    """The engines of this process by address, the last used kept; a forked child starts with none."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Engine] = OrderedDict()
        self._lock = Lock()
        os.register_at_fork(after_in_child=self._forked)

    def knows(self, url: str) -> bool:
        """Whether a storage was opened at this address, so that its tables are there."""
        with self._lock:
            return url in self._kept

    def get(self, url: str) -> Engine:
        """The engine of this address, made if there is none."""
        with self._lock:
            if url not in self._kept:
                self._kept[url] = _engine(url)
            self._kept.move_to_end(url)
            if len(self._kept) > KEPT_ENGINES:
                # Whoever still uses it opens connections again.
                self._kept.popitem(last=False)[1].dispose()
            return self._kept[url]

    def _forked(self) -> None:
        # The connections are the parent's: forgotten here, not closed.
        self._lock = Lock()
        for engine in self._kept.values():
            engine.dispose(close=False)
        self._kept.clear()


_engines = _Engines()


def _engine(url: str) -> Engine:
    engine = create_pg_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_size=POOL_SIZE,
        max_overflow=MAX_OVERFLOW,
        pool_recycle=POOL_RECYCLE_SECONDS,
        connect_args={"options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC"},
    )
    ask_after_rest(engine)
    return engine


def ask_after_rest(engine: Engine) -> None:
    """Check a pooled connection before use if it has rested for a second; a dead one is replaced.

    Asking before every use, as the pool by itself would, is an eighth of the time of a short run.
    """
    used: WeakKeyDictionary[Any, float] = WeakKeyDictionary()

    def checked_in(_: Any, record: Any) -> None:
        used[record] = time.monotonic()

    def checked_out(connection: Any, record: Any, _: Any) -> None:
        if time.monotonic() - used.get(record, -REST_SECONDS) < REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError("the server does not answer on this connection any more") from error

    event.listen(engine, "checkin", checked_in)
    event.listen(engine, "checkout", checked_out)


def psycopg2_url(url: str) -> str:
    """``url`` for the driver Dagster's storage needs: plain ``postgresql://`` would select another one."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(
            f"Dagster's storage lives in PostgreSQL, not in {parsed.get_backend_name()!r}",
            where=URL_VARIABLE,
            mend="Use postgresql://user:password@host/database.",
        )
    return parsed.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def resolve_url(config: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> str:
    """The storage's address; attaches this process to the world's embedded server if no address was given."""
    given = config.get("url") or env.get(URL_VARIABLE)
    if given:
        return str(given)
    home = Path(config["home"]) if config.get("home") else None
    world = World(home_directory(home, env), config.get("world") or env.get(WORLD_VARIABLE) or DEFAULT_WORLD)
    world.create()
    hold_lease(world)
    server = world.server()
    server.start()
    server.ensure_database(DATABASE)
    return server.dagster_url(DATABASE)
