"""A database that a test gives back is empty for the next one, and one whose shape was changed is not used again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets_tests.conftest import TEMPLATE
from trading_assets_tests.databases import Databases


@pytest.fixture
def own(postgres_server: EmbeddedPostgres) -> Iterator[Databases]:
    found = Databases(postgres_server, TEMPLATE)
    yield found
    found.drop()


def run(server: EmbeddedPostgres, name: str, *statements: str) -> list[object]:
    engine = create_engine(server.url(name), poolclass=NullPool)
    with engine.begin() as connection:
        results = [connection.execute(text(statement)) for statement in statements]
        return [row[0] for row in results[-1]] if results[-1].returns_rows else []


_STORY = (
    "INSERT INTO inbound_events_raw (event_uid, feed, source, title, fetched_at, cluster_id) "
    "VALUES (repeat('a', 64), 'f', 's', 't', now(), repeat('a', 64))"
)
_SIGNAL = (
    "INSERT INTO external_signals (source, ticker, direction, received_at) "
    "VALUES ('s', 'KO', 'BULLISH', now()) RETURNING id"
)


def test_rows_are_gone_also_protected_ones_and_numbers_begin_again(
    own: Databases, postgres_server: EmbeddedPostgres
) -> None:
    name = own.take()
    run(postgres_server, name, _STORY)
    assert run(postgres_server, name, _SIGNAL) == [1]
    own.give_back(name)
    assert own.take() == name
    assert run(postgres_server, name, "SELECT count(*) FROM inbound_events_raw") == [0]
    assert run(postgres_server, name, _SIGNAL) == [1]
    own.give_back(name)


def test_two_that_are_taken_at_once_are_two(own: Databases) -> None:
    first, second = own.take(), own.take()
    assert first != second
    own.give_back(first)
    own.give_back(second)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE another (a int)",
        "ALTER TABLE feed_state ADD COLUMN more text",
        "ALTER TABLE feed_state DROP CONSTRAINT ck_feed_state_error_count_not_negative",
        "DROP TRIGGER immutable ON inbound_events_raw",
        "ALTER TABLE inbound_events_raw DISABLE TRIGGER immutable",
        "UPDATE alembic_version SET version_num = '9999'",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE SCHEMA more CREATE TABLE another (a int)",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''1MB''', current_database()); END $$",
    ],
)
def test_what_was_changed_beyond_rows_ends_with_its_test(
    own: Databases, postgres_server: EmbeddedPostgres, change: str
) -> None:
    name = own.take()
    run(postgres_server, name, change)
    own.give_back(name)
    assert own.take() != name


def test_a_connection_that_a_test_left_open_is_ended_with_its_locks(
    own: Databases, postgres_server: EmbeddedPostgres
) -> None:
    name = own.take()
    engine = create_engine(postgres_server.url(name))
    left = engine.connect()
    left.execute(text("SELECT pg_advisory_lock(7)"))
    own.give_back(name)
    assert own.take() == name
    assert run(postgres_server, name, "SELECT pg_try_advisory_lock(7)") == [True]
    left.invalidate()
    left.close()
    engine.dispose()
    own.give_back(name)
