"""Dagster's storage finds the world's database, pools its connections, and leaves nothing running behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.pool import QueuePool

from trading_assets.domain.errors import ConfigurationError
from trading_assets.resources import dagster_storage
from trading_assets.resources.dagster_storage import WorldStorage, psycopg2_url, resolve_url
from trading_assets.world.paths import World

REPOSITORY = Path(__file__).resolve().parents[2]
_DEFINITIONS = """
import dagster as dg

@dg.asset
def a():
    return 1

defs = dg.Definitions(assets=[a])
"""


@dg.asset(name="a")
def _asset() -> int:
    return 1


@pytest.fixture
def storage(empty_database_url: str) -> Iterator[WorldStorage]:
    """A storage on a database of this test's own, as Dagster itself would build it."""
    storage = WorldStorage.from_config_value(None, {"url": empty_database_url})
    yield storage
    for part in (storage._run_storage, storage._event_log_storage, storage._schedule_storage):
        part._engine.dispose()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_postgresql_address_gets_the_driver_dagster_needs(scheme: str) -> None:
    assert psycopg2_url(f"{scheme}://u:p%40ss@/d?host=/tmp/x") == "postgresql+psycopg2://u:p%40ss@/d?host=%2Ftmp%2Fx"


def test_another_database_product_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sqlite"):
        psycopg2_url("sqlite:///runs.db")


def test_an_address_in_the_environment_wins_over_the_worlds_own_server(tmp_path: Path) -> None:
    env = {"TRADING_ASSETS_DAGSTER_URL": "postgresql://elsewhere/d", "TRADING_ASSETS_HOME": str(tmp_path)}
    assert resolve_url({}, env) == "postgresql://elsewhere/d"
    assert list(tmp_path.iterdir()) == []


def test_every_part_is_pooled_and_survives_a_connection_dropped_while_it_rested(
    storage: WorldStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dagster_storage, "REST_SECONDS", 0.0)
    for part in (storage._run_storage, storage._event_log_storage, storage._schedule_storage):
        assert isinstance(part._engine.pool, QueuePool)
        pids = []
        for _ in range(2):
            with part._engine.connect() as connection:
                pids.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
        assert pids[0] == pids[1]
        with storage._run_storage._engine.connect() as killer:
            if killer.execute(text("SELECT pg_backend_pid()")).scalar_one() != pids[0]:
                killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pids[0]})
        with part._engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_the_ticks_of_a_process_share_one_engine_and_look_for_the_tables_once(empty_database_url: str) -> None:
    asked: list[str] = []

    def listening(_: object, __: object, statement: str, *___: object) -> None:
        if "pg_catalog" in statement:
            asked.append(statement)

    event.listen(Engine, "before_cursor_execute", listening)
    try:
        first = WorldStorage(empty_database_url)
        assert asked != []
        asked.clear()
        for _ in range(3):
            again = WorldStorage(empty_database_url)
            assert again.run_storage.get_runs_count() == 0
            parts = (again._run_storage, again._event_log_storage, again._schedule_storage)
            assert {part._engine for part in parts} == {first._run_storage._engine}
        assert asked == []
    finally:
        event.remove(Engine, "before_cursor_execute", listening)
        first._run_storage._engine.dispose()


def test_a_process_keeps_the_engines_of_few_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def make(url: str) -> Engine:
        made.append(url)
        return create_engine(url)

    monkeypatch.setattr(dagster_storage, "_engine", make)
    engines = dagster_storage._Engines()
    urls = [f"postgresql+psycopg2://nobody@/db{number}" for number in range(dagster_storage.KEPT_ENGINES + 1)]
    for url in urls:
        assert engines.get(url) is engines.get(url)
    assert made == urls
    assert not engines.knows(urls[0])
    assert all(engines.knows(url) for url in urls[1:])


def test_a_forked_child_uses_none_of_its_parents_connections(storage: WorldStorage) -> None:
    engine = storage._run_storage._engine
    with engine.connect() as connection:
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    child = os.fork()
    if child == 0:
        outcome = 1
        try:
            with engine.connect() as connection:
                other = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            outcome = 0 if other != mine and not dagster_storage._engines.knows(storage.postgres_url) else 2
        finally:
            os._exit(outcome)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == mine


def test_a_run_and_its_events_are_stored(storage: WorldStorage, empty_database_url: str, tmp_path: Path) -> None:
    config = {"module": "trading_assets.resources.dagster_storage", "class": "WorldStorage"}
    overrides = {
        "storage": {"custom": config | {"config": {"url": empty_database_url}}},
        "telemetry": {"enabled": False},
    }
    with dg.instance_for_test(overrides=overrides, temp_dir=str(tmp_path)) as instance:
        assert instance.run_storage.__class__.__name__ == "PostgresRunStorage"
        assert dg.materialize([_asset], instance=instance).success
        assert instance.get_latest_materialization_event(dg.AssetKey("a")) is not None
    assert storage.run_storage.get_runs_count() == 1


def test_the_packaged_instance_settings_are_those_of_the_repository_and_dagster_accepts_them(tmp_path: Path) -> None:
    shipped = (REPOSITORY / "dagster.yaml").read_text()
    assert (files("trading_assets.defaults") / "dagster.yaml").read_text() == shipped
    (tmp_path / "dagster.yaml").write_text(shipped)
    settings, custom = dagster_instance_config(str(tmp_path))
    assert settings == yaml.safe_load(shipped)
    assert custom is None
    assert settings["telemetry"] == {"enabled": False}


def test_a_single_command_works_from_a_fresh_folder_and_stops_the_server_it_started(world_home: Path) -> None:
    (world_home / "dagster.yaml").write_text((REPOSITORY / "dagster.yaml").read_text())
    (world_home / "defs.py").write_text(_DEFINITIONS)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DAGSTER_", "TRADING_ASSETS_"))}
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "--select", "a", "-f", "defs.py"]
    done = subprocess.run(command, cwd=world_home, env=env, check=False, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    server = World(world_home / ".trading_assets").server()
    assert server.is_running() is False
    server.start()
    storage = WorldStorage(server.dagster_url("dagster"))
    assert storage.run_storage.get_runs_count() == 1
    server.stop()
