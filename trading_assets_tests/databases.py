"""Databases for tests: migrated, empty, and used again once they are as they were.

Making a copy of the template costs a third of a second, emptying one a few milliseconds. A database goes back to the
others only if nothing but rows was changed in it: what a test did to the schema or to settings ends with it.
"""

from __future__ import annotations

import time
import uuid

import psycopg
from sqlalchemy.engine import make_url

from trading_assets.world.postgres import EmbeddedPostgres

#: Settings of a server that lives as long as a test run: it outlives every killed process, but no power cut.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
#: Everything that makes a database what it is, but for its rows: columns, constraints, triggers, settings, version.
_SHAPE = """
WITH columns AS (
  SELECT concat_ws(' ', n.nspname, c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull, a.attidentity) AS said
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
), constraints AS (
  SELECT concat_ws(' ', conname, conrelid::regclass, pg_get_constraintdef(oid)) AS said
  FROM pg_constraint WHERE connamespace = 'public'::regnamespace
), triggers AS (
  SELECT concat_ws(' ', tgname, tgrelid::regclass, tgenabled) AS said FROM pg_trigger WHERE NOT tgisinternal
), others AS (
  SELECT version_num AS said FROM alembic_version
  UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
  UNION ALL SELECT setconfig::text FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT md5(string_agg(said, ',' ORDER BY said)) FROM (
  SELECT said FROM columns UNION ALL SELECT said FROM constraints
  UNION ALL SELECT said FROM triggers UNION ALL SELECT said FROM others
) AS everything
"""
_OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
_RESTART = "SELECT setval(seqrelid, seqstart, false) FROM pg_sequence"
#: How long a connection that was ended may take to be gone.
_PATIENCE_S = 5.0


class Databases:
    """The databases of one worker, copies of ``template``."""

    def __init__(self, server: EmbeddedPostgres, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[str] = []
        self._shape: str | None = None

    def take(self) -> str:
        """The name of an empty one that nobody else has."""
        if self._free:
            return self._free.pop()
        name = f"test_{uuid.uuid4().hex}"
        self._server.ensure_database(name, template=self._template)
        if self._shape is None:
            with self._connect(name) as connection:
                self._shape = self._shape_of(connection)
        return name

    def give_back(self, name: str) -> None:
        """It is emptied for the next test; one that is not as it was is dropped."""
        if self._emptied(name):
            self._free.append(name)
        else:
            self._server.drop_database(name)

    def drop(self) -> None:
        """Drop those that nobody has."""
        while self._free:
            self._server.drop_database(self._free.pop())

    def _emptied(self, name: str) -> bool:
        try:
            with self._connect(name) as connection:
                if not self._alone(connection) or self._shape_of(connection) != self._shape:
                    return False
                # Neither the order of foreign keys nor the triggers that protect rows stand in the way.
                connection.execute("SET session_replication_role = replica")
                tables = [row[0] for row in connection.execute(_TABLES)]
                with connection.transaction():
                    for table in tables:
                        connection.execute(f"DELETE FROM {table}")
                    connection.execute(_RESTART)
        except psycopg.Error:
            return False
        return True

    def _alone(self, connection: psycopg.Connection) -> bool:
        """End all other connections and wait until they are gone, with their locks."""
        connection.execute(f"SELECT pg_terminate_backend(pid) {_OTHERS}")
        until = time.monotonic() + _PATIENCE_S
        while connection.execute(f"SELECT 1 {_OTHERS} LIMIT 1").fetchone():
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True

    def _shape_of(self, connection: psycopg.Connection) -> str:
        row = connection.execute(_SHAPE).fetchone()
        assert row is not None
        return str(row[0])

    def _connect(self, name: str) -> psycopg.Connection:
        url = make_url(self._server.url(name)).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)
