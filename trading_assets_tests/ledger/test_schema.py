"""The migrated schema is the declared one, and a database of another version is refused."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, InternalError

from trading_assets.domain.errors import ConfigurationError, UnknownSchemaError
from trading_assets.ledger import schema
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.tables import IMMUTABLE, metadata

_CONSTRAINTS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace AND conrelid <> coalesce(to_regclass('alembic_version'), 0)
  AND contype <> 'n' ORDER BY 1, 2
"""
_INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1
"""


def _describe(engine: Engine) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    with engine.connect() as connection:
        constraints = [tuple(row) for row in connection.execute(text(_CONSTRAINTS))]
        return constraints, [tuple(row) for row in connection.execute(text(_INDEXES))]


def test_the_migrations_build_the_declared_tables(ledger: Engine) -> None:
    with ledger.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_the_migrations_build_the_declared_constraints_and_indexes(ledger: Engine, empty_database_url: str) -> None:
    declared = open_ledger(empty_database_url)
    metadata.create_all(declared)
    try:
        expected = _describe(declared)
        assert len(expected[0]) > 50
        assert _describe(ledger) == expected
    finally:
        declared.dispose()


def test_a_migrated_database_is_accepted_and_a_second_upgrade_changes_nothing(ledger: Engine) -> None:
    assert schema.upgrade(ledger) == schema.head() == schema.current(ledger)
    schema.require_current(ledger)


def test_F52_an_empty_database_is_refused_with_the_revision_it_needs(empty_database_url: str) -> None:
    engine = open_ledger(empty_database_url)
    try:
        with pytest.raises(UnknownSchemaError, match=f"no ledger schema.*{schema.head()}"):
            schema.require_current(engine)
    finally:
        engine.dispose()


def test_F52_an_unknown_newer_revision_is_refused_by_start_and_by_upgrade(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UnknownSchemaError, match=f"9999.*does not know.*{schema.head()}"):
        schema.require_current(ledger)
    with pytest.raises(UnknownSchemaError, match="9999"):
        schema.upgrade(ledger)
    assert schema.current(ledger) == "9999"


def test_F52_several_revisions_at_once_are_refused(ledger: Engine) -> None:
    with ledger.begin() as connection:
        connection.execute(text("INSERT INTO alembic_version VALUES ('0000')"))
    with pytest.raises(UnknownSchemaError, match="several revisions"):
        schema.require_current(ledger)


def test_an_older_revision_is_refused_by_name(ledger: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    known = schema.head()
    monkeypatch.setattr(schema, "head", lambda: "0042")
    with pytest.raises(UnknownSchemaError, match=f"revision {known}, older than revision 0042"):
        schema.require_current(ledger)


@pytest.mark.parametrize("table", [table.name for table in IMMUTABLE])
@pytest.mark.parametrize("statement", ["UPDATE {} SET {} = {}", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_written_rows_refuse_change(ledger: Engine, table: str, statement: str) -> None:
    column = next(column.name for column in metadata.tables[table].columns if column.identity is None)
    with pytest.raises((IntegrityError, InternalError), match="immutable"), ledger.begin() as connection:
        connection.execute(text(statement.format(table, column, column)))


def test_sessions_speak_utc_and_are_named_and_bounded(ledger: Engine) -> None:
    with ledger.connect() as connection:
        shown = [
            connection.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("timezone", "application_name", "statement_timeout", "idle_in_transaction_session_timeout")
        ]
    assert shown == ["UTC", "trading-assets", "30s", "1min"]


def test_another_database_product_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        open_ledger("sqlite:///ledger.db")
