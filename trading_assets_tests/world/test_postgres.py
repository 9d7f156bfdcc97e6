"""The embedded database survives kills, races, reused ids and long paths, and never widens a permission."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world import postgres_host as host
from trading_assets.world.postgres import DatabaseServerError, EmbeddedPostgres


@pytest.fixture
def server(world_home: Path) -> Iterator[EmbeddedPostgres]:
    """A server of this test's own, started."""
    server = EmbeddedPostgres(world_home / "postgres", own=world_home)
    server.start()
    yield server
    server.stop()


def _query(server: EmbeddedPostgres, statement: str) -> Any:
    url = server.url("postgres").replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
    return None if row is None else row[0]


def _postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))


def _kill(server: EmbeddedPostgres) -> None:
    process = _postmaster(server)
    process.kill()
    # Its parent is a process that already ended, or this one: reap it if it is ours.
    server._reap()
    psutil.wait_procs([process], timeout=10)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("listen_addresses", ""),
        ("timezone", "UTC"),
    ],
)
def test_the_server_is_durable_and_listens_on_no_network(
    postgres_home: EmbeddedPostgres, setting: str, value: str
) -> None:
    assert _query(postgres_home, f"SHOW {setting}") == value


@pytest.fixture(scope="module")
def postgres_home(run_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One started server for the tests that only look."""
    home = Path(tempfile.mkdtemp(prefix="look-", dir=run_folder))
    server = EmbeddedPostgres(home / "postgres", own=home)
    server.start()
    yield server
    server.stop()


def test_it_is_postgresql_18(postgres_home: EmbeddedPostgres) -> None:
    assert str(_query(postgres_home, "SHOW server_version")).startswith("18.")


def test_a_wrong_password_is_refused(postgres_home: EmbeddedPostgres) -> None:
    folder = postgres_home._socket_folder()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(host=str(folder), user="trading_assets", password="guess", dbname="postgres")
    with pytest.raises(psycopg.OperationalError, match="no password"):
        psycopg.connect(host=str(folder), user="trading_assets", dbname="postgres")


def test_password_log_socket_and_data_belong_to_their_owner_alone(postgres_home: EmbeddedPostgres) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(postgres_home.directory / "password") == 0o600
    assert mode(postgres_home.log) == 0o600
    assert mode(postgres_home.data) == 0o700
    assert mode(postgres_home._socket_folder()) == 0o700
    assert mode(postgres_home.directory) & 0o007 == 0
    assert not (postgres_home.directory / "password.initdb").exists()


def test_neither_command_line_nor_log_show_the_password(postgres_home: EmbeddedPostgres) -> None:
    password = (postgres_home.directory / "password").read_text()
    assert len(password) >= 24
    assert password not in " ".join(_postmaster(postgres_home).cmdline())
    assert password not in postgres_home.log.read_text()
    assert password not in repr(postgres_home)


def test_both_drivers_connect_by_url(postgres_home: EmbeddedPostgres) -> None:
    from sqlalchemy import create_engine, text

    for url in (postgres_home.url("postgres"), postgres_home.dagster_url("postgres")):
        engine = create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()


def test_databases_are_made_once(postgres_home: EmbeddedPostgres) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: postgres_home.ensure_database("made"), range(4)))
    assert _query(postgres_home, "SELECT count(*) FROM pg_database WHERE datname = 'made'") == 1


def test_a_second_start_attaches_and_a_second_stop_finds_nothing(server: EmbeddedPostgres) -> None:
    pid = _postmaster(server).pid
    assert EmbeddedPostgres(server.directory).start() is False
    assert _postmaster(server).pid == pid
    assert server.stop() is True
    assert server.is_running() is False
    assert server.stop() is False


def test_rows_survive_a_stop_and_a_start(server: EmbeddedPostgres) -> None:
    _query(server, "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
    server.stop()
    assert server.start() is True
    assert _query(server, "SELECT count(*) FROM t") == 1000


def test_F47_a_killed_server_starts_again_with_every_committed_row(server: EmbeddedPostgres) -> None:
    _query(server, "CREATE TABLE t AS SELECT generate_series(1, 20000) AS n")
    _kill(server)
    assert server.is_running() is False
    assert server.start() is True
    assert _query(server, "SELECT count(*) FROM t") == 20000


def test_it_outlives_its_starter_and_a_new_starter_attaches(world_home: Path) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from trading_assets.world.postgres import EmbeddedPostgres
        assert EmbeddedPostgres(Path({str(world_home / "postgres")!r}), own=Path({str(world_home)!r})).start()
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    server = EmbeddedPostgres(world_home / "postgres", own=world_home)
    assert server.is_running()
    assert server.start() is False
    assert server.stop() is True


def test_racing_starters_end_up_with_one_server(world_home: Path) -> None:
    program = f"""
        from pathlib import Path
        from trading_assets.world.postgres import EmbeddedPostgres
        print(EmbeddedPostgres(Path({str(world_home / "postgres")!r}), own=Path({str(world_home)!r})).start())
    """
    starters = [
        subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    said = [starter.communicate(timeout=120)[0].strip() for starter in starters]
    assert sorted(said) == ["False", "False", "False", "True"]
    assert EmbeddedPostgres(world_home / "postgres", own=world_home).stop() is True


@pytest.mark.parametrize("impostor", ["live", "zombie", "nobody"])
def test_a_pid_file_that_names_somebody_else_does_not_stop_a_start(server: EmbeddedPostgres, impostor: str) -> None:
    lines = (server.data / "postmaster.pid").read_text().splitlines()
    _kill(server)
    other = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({0 if impostor == 'zombie' else 60})"])
    try:
        if impostor == "zombie":
            os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        pid = 2**22 - 1 if impostor == "nobody" else other.pid
        (server.data / "postmaster.pid").write_text("\n".join([str(pid), *lines[1:]]) + "\n")
        assert server.is_running() is False
        assert server.start() is True
    finally:
        other.kill()
        other.wait()


def test_a_killed_initdb_is_done_again(world_home: Path) -> None:
    remains = world_home / "postgres" / "data.new"
    remains.mkdir(parents=True)
    (remains / "PG_VERSION").write_text("18\n")
    (world_home / "postgres" / "password").write_text("old")
    server = EmbeddedPostgres(world_home / "postgres", own=world_home)
    assert server.start() is True
    assert not remains.exists()


def test_a_path_longer_than_a_socket_address_works(world_home: Path) -> None:
    deep = world_home / ("d" * 60) / ("e" * 60) / "postgres"
    server = EmbeddedPostgres(deep, own=world_home)
    assert len(os.fsencode(server.data / host.SOCKET_NAME)) > 107
    assert server.start() is True
    assert server.stop() is True


def test_a_temporary_directory_too_long_for_a_socket_falls_back_to_a_short_one(
    world_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = world_home / ("t" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = host.socket_folder(world_home)
    assert folder.parent == Path("/tmp")
    assert len(os.fsencode(folder / host.SOCKET_NAME)) <= host.MAX_SOCKET_PATH


@pytest.mark.parametrize("trap", ["link", "open to others", "file"])
def test_a_socket_folder_that_somebody_prepared_is_refused(world_home: Path, trap: str) -> None:
    folder, user = world_home / "socket", host.server_user()
    if trap == "link":
        (world_home / "elsewhere").mkdir()
        folder.symlink_to(world_home / "elsewhere")
    elif trap == "file":
        folder.touch()
    else:
        folder.mkdir()
        os.chown(folder, user.uid, user.gid)
        folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match="not a private folder"):
        host.prepare_socket_folder(folder, user)


def test_a_server_that_cannot_start_tells_the_end_of_its_log(world_home: Path) -> None:
    server = EmbeddedPostgres(world_home / "postgres", own=world_home, settings={"shared_buffers": "a lot"})
    with pytest.raises(DatabaseServerError, match=r"ended during its start.*shared_buffers"):
        server.start()


def test_a_lost_password_file_is_named(server: EmbeddedPostgres) -> None:
    (server.directory / "password").unlink()
    with pytest.raises(DatabaseServerError, match="no password file"):
        server.url("ledger")


def test_a_parent_that_the_service_user_may_not_enter_is_refused_and_left_as_it_is(world_home: Path) -> None:
    service = host.ServerUser("service", 54321, 54321, switch=True)
    world_home.chmod(0o711)
    closed = world_home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ConfigurationError, match=f"{closed}.*TRADING_ASSETS_HOME"):
        host.require_reachable(closed / "world" / "postgres" / "data", service, own=closed / "world")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_the_worlds_own_folders_open_for_traversal_by_the_service_group_only(world_home: Path) -> None:
    service = host.ServerUser("service", 54321, os.getegid(), switch=True)
    world_home.chmod(0o711)
    own = world_home / "own"
    (own / "worlds").mkdir(parents=True)
    own.chmod(0o700)
    (own / "worlds").chmod(0o700)
    host.require_reachable(own / "worlds" / "demo", service, own=own)
    for folder in (own, own / "worlds"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o710
        assert folder.stat().st_gid == service.gid


def test_F57_the_server_which_may_run_as_another_user_is_given_no_key(
    world_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPACA_LARGE_SECRET", "a secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    server = EmbeddedPostgres(world_home / "postgres", own=world_home)
    server.start()
    try:
        given = _postmaster(server).environ()
    finally:
        server.stop()
    assert "a secret" not in given.values() and "PATH" in given


def test_the_server_never_runs_as_root(postgres_home: EmbeddedPostgres) -> None:
    assert _postmaster(postgres_home).uids().effective == host.server_user().uid != 0


def test_data_that_others_can_read_is_refused(server: EmbeddedPostgres) -> None:
    server.stop()
    server.data.chmod(0o755)
    with pytest.raises(ConfigurationError, match="open to other users"):
        server.start()
    server.data.chmod(0o700)


def test_below_a_closed_folder_the_server_starts_with_the_one_right_to_pass_and_the_folder_stays_closed(
    world_home: Path,
) -> None:
    closed = world_home / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "world" / "postgres", own=None)
    try:
        assert server.start()
        assert _query(server, "SELECT 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        status = Path(f"/proc/{_postmaster(server).pid}/status").read_text()
        assert _postmaster(server).uids().effective == host.server_user().uid != 0
        if host.server_user().switch:
            # CAP_DAC_READ_SEARCH is bit 2, and nothing else is held or can be gained.
            for field in ("CapEff", "CapPrm", "CapBnd"):
                assert int(status.split(f"{field}:")[1].split()[0], 16) == 0b100
    finally:
        server.stop()


def test_without_a_way_to_grant_that_right_a_closed_folder_is_a_refusal(
    world_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = host.ServerUser("service", 54321, 54321, switch=True)
    closed = world_home / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("PATH", str(world_home))
    with pytest.raises(ConfigurationError, match=f"{closed}.*never widened"):
        host.with_passage(service, host.binaries() / "postgres", closed / "pg" / "data", own=None)
