"""Shared fixtures: one PostgreSQL per test run, a fresh migrated database per test, recorded data, no outside network.

The first test that needs the database starts it, whichever worker that is; the controlling process stops it.
"""

from __future__ import annotations

import errno
import gc
import ipaddress
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Generator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.schema import upgrade
from trading_assets.world.lock import FileLock, InUse, hold
from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets_tests.databases import FAST, Databases
from trading_assets_tests.fault_suite import SCORECARD_PROPERTY, Figures, Scorecard, is_fault_test

RUN_VARIABLE = "TRADING_ASSETS_TEST_RUN"
DATA_VARIABLE = "TRADING_ASSETS_DATA"
PREFIX = "ta-tests-"
#: Without autovacuum the space of the rows of tests before is not used again in the midst of a test.
SHARED = {**FAST, "autovacuum": "off"}
TEMPLATE = "template_ledger"
#: Rooms with the files that take longest: worlds are played in them.
_LONGEST = ("faults", "e2e", "jobs", "world")


# --- the run ----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scorecard", type=Path, metavar="FOLDER", help="add what came of the failure suite to faults.json there"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "recorded: needs the folder of recorded market data")
    if hasattr(config, "workerinput"):
        return
    folder = config.getoption("--scorecard")
    if folder is not None:
        config.pluginmanager.register(Scorecard(folder), "scorecard")
    _sweep()
    fresh = Path(tempfile.mkdtemp(prefix="ta-fresh-"))
    # Under root the server runs as another user, who has to pass through this folder.
    fresh.chmod(0o711)
    lock = FileLock(fresh / "owner.lock")
    lock.acquire()
    run = fresh.rename(fresh.with_name(PREFIX + fresh.name.removeprefix("ta-fresh-")))
    os.environ[RUN_VARIABLE] = str(run)
    config.add_cleanup(lambda: _remove(run))
    config.add_cleanup(lock.release)


def _server(run: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(run / "pg", own=run, settings=SHARED)


def _remove(run: Path) -> None:
    _server(run).stop()
    shutil.rmtree(run, ignore_errors=True)


def _sweep() -> None:
    """Remove what runs that were killed left behind; a live run holds its lock."""
    for run in Path(tempfile.gettempdir()).glob(PREFIX + "*"):
        if not run.is_dir() or run.stat().st_uid != os.geteuid():
            continue
        try:
            with hold(run / "owner.lock"):
                _remove(run)
        except (InUse, FileNotFoundError):
            continue


# --- recorded data ----------------------------------------------------------------------------------------------------


def _data_folder() -> Path:
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"


def _room(item: pytest.Item) -> str:
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected, a million objects, lives to the end: no rubbish is sought in it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# First, so that -m already sees the marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if is_fault_test(item.name):
            item.add_marker("faults")
    # Whole files go to one worker: the longest first, so that none is left alone with one at the end.
    items.sort(key=lambda item: _LONGEST.index(room) if (room := _room(item)) in _LONGEST else len(_LONGEST))
    if _data_folder().is_dir():
        return
    recorded = [item for item in items if item.get_closest_marker("recorded")]
    if recorded:
        items[:] = [item for item in items if item not in recorded]
        config.hook.pytest_deselected(items=recorded)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _data_folder().is_dir():
        terminalreporter.write_line(
            f"no recorded market data at {_data_folder()} (set {DATA_VARIABLE}): tests marked 'recorded' were not run"
        )


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder of recorded market data; tests that ask for it carry the mark ``recorded``."""
    return _data_folder()


@pytest.fixture
def scorecard(request: pytest.FixtureRequest) -> Iterator[Figures]:
    """What this test adds to the scorecard of the failure suite."""
    figures = Figures()
    yield figures
    request.node.user_properties.append((SCORECARD_PROPERTY, asdict(figures)))


# --- the database -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """A folder of this test run, shared by all workers, that the database's service user may traverse."""
    return Path(os.environ[RUN_VARIABLE])


@pytest.fixture(scope="session")
def postgres_server(run_folder: Path) -> EmbeddedPostgres:
    """The running server of this test run, with the migrated template database."""
    server = _server(run_folder)
    server.start()
    with hold(run_folder / "template.lock", wait=60):
        server.ensure_database(TEMPLATE)
        engine = open_ledger(server.url(TEMPLATE))
        upgrade(engine)
        engine.dispose()
    return server


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """URL of a database without any table."""
    name = f"test_{uuid.uuid4().hex}"
    postgres_server.ensure_database(name)
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def databases(postgres_server: EmbeddedPostgres) -> Iterator[Databases]:
    """The databases of this worker."""
    found = Databases(postgres_server, TEMPLATE)
    yield found
    found.drop()


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, databases: Databases) -> Iterator[str]:
    """URL (psycopg 3) of a migrated and empty ledger of this test's own."""
    name = databases.take()
    yield postgres_server.url(name)
    databases.give_back(name)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Engine]:
    """An engine on a fresh, migrated and empty ledger of this test's own."""
    engine = open_ledger(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def world_home(run_folder: Path) -> Iterator[Path]:
    """An empty folder for worlds. Unlike ``tmp_path`` an embedded server can run in it under root, too."""
    yield from _world_home(run_folder)


@pytest.fixture(scope="module")
def module_world_home(run_folder: Path) -> Iterator[Path]:
    """The same for all tests of a module: a world that takes a while to prepare."""
    yield from _world_home(run_folder)


@pytest.fixture(scope="session")
def session_world_home(run_folder: Path) -> Iterator[Path]:
    """The same for all tests of a worker."""
    yield from _world_home(run_folder)


def _world_home(run_folder: Path) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="home-", dir=run_folder))
    home.chmod(0o711)
    yield home
    for password in home.glob("**/postgres/password"):
        EmbeddedPostgres(password.parent).stop()
    shutil.rmtree(home, ignore_errors=True)


# --- the network ------------------------------------------------------------------------------------------------------


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host in ("localhost", "")


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    """Make every machine look like one without a network: only loopback can be reached."""
    patch = pytest.MonkeyPatch()
    connect, connect_ex = socket.socket.connect, socket.socket.connect_ex

    def guarded(self: socket.socket, address: Any) -> None:
        if not _is_local(address):
            raise OSError(errno.ENETUNREACH, f"tests reach loopback only, not {address!r}")
        connect(self, address)

    def guarded_ex(self: socket.socket, address: Any) -> int:
        return connect_ex(self, address) if _is_local(address) else errno.ENETUNREACH

    patch.setattr(socket.socket, "connect", guarded)
    patch.setattr(socket.socket, "connect_ex", guarded_ex)
    yield
    patch.undo()
