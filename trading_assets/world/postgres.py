"""The embedded PostgreSQL of a world: start or attach, survive kills, stop in order.

Only the binaries of the wheel are used. The server listens on a Unix socket in a private folder and on no network
address, asks for a SCRAM password, keeps fsync and data checksums on, and outlives the process that started it. Whether
it runs is decided by connecting to it, never by a process id: ids are reused, and a zombie still has one.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from trading_assets.domain.errors import ConfigurationError, TradingAssetsError
from trading_assets.world import postgres_host as host
from trading_assets.world.lock import hold

USER = "trading_assets"
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0600",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %a %d ",
}
#: What the server needs of the environment, and the mark of who started it (``world.processes``). It needs no keys.
_KEPT = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "TRADING_ASSETS_CHILD")


class DatabaseServerError(TradingAssetsError):
    """The embedded database did not start or stop."""


class EmbeddedPostgres:
    """One PostgreSQL 18 cluster in ``directory``.

    ``own`` is the world's directory: under root, directories at or below it are opened to the service user's group for
    traversal; parents above it are never changed. ``settings`` overrides server settings (tests only).
    """

    def __init__(
        self, directory: Path, *, own: Path | None = None, settings: Mapping[str, str] | None = None, wait: float = 60.0
    ) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "data"
        self.log = self.directory / "server.log"
        self._own = own.absolute() if own is not None else self.directory
        self._settings = {**_SETTINGS, **(settings or {})}
        self._wait = wait
        self._child: subprocess.Popen[bytes] | None = None

    # --- addresses --------------------------------------------------------------------------------------------------

    def url(self, database: str) -> str:
        """SQLAlchemy URL of ``database`` for psycopg 3. It carries the password: never print it."""
        return self._url("postgresql+psycopg", database)

    def dagster_url(self, database: str) -> str:
        """SQLAlchemy URL of ``database`` for Dagster's storage, which needs psycopg2."""
        return self._url("postgresql+psycopg2", database)

    def _url(self, scheme: str, database: str) -> str:
        folder = quote(str(self._socket_folder()), safe="/")
        return f"{scheme}://{USER}:{self._password()}@/{quote(database, safe='')}?host={folder}"

    def _password(self) -> str:
        try:
            return (self.directory / "password").read_text()
        except FileNotFoundError:
            raise DatabaseServerError(
                "the embedded database has no password file",
                where=str(self.directory / "password"),
                mend="Start the world first; if the file was deleted, restore it from a copy of the world.",
            ) from None

    def _socket_folder(self) -> Path:
        # A running server may have been started under another TMPDIR: its own word wins over the computed name.
        lines = self._pid_file()
        if len(lines) > 4 and lines[4]:
            return Path(lines[4])
        return host.socket_folder(self.directory)

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    # --- state ------------------------------------------------------------------------------------------------------

    def is_running(self) -> bool:
        """True if a server of exactly this data directory answers and accepts the password."""
        if not (self.directory / "password").exists() or not (self.data / "PG_VERSION").exists():
            return False
        try:
            with self._connect("postgres") as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]).resolve() == self.data.resolve()

    def _connect(self, database: str) -> psycopg.Connection[tuple[str, ...]]:
        return psycopg.connect(
            host=str(self._socket_folder()),
            user=USER,
            password=self._password(),
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def _server_process(self) -> psutil.Process | None:
        """The live postmaster of this data directory by its pid file, or None (dead, zombie or a reused id)."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        return next((p for p in self._processes() if p.pid == int(lines[0])), None)

    def _processes(self) -> Iterator[psutil.Process]:
        """Every live postgres process, backends included, that works in this data directory."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    process.name().startswith("postgres")
                    and process.status() != psutil.STATUS_ZOMBIE
                    and Path(process.cwd()) == self.data.resolve()
                ):
                    yield process

    # --- start ------------------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Make sure that the server runs and answers; return True if this call started it, False if it attached.

        The server then runs until :meth:`stop`. Raises :class:`ConfigurationError` if the host does not allow it and
        :class:`DatabaseServerError`, with the end of the server's log, if it does not come up.
        """
        if self.is_running():
            return False
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with hold(self.directory / "start.lock", wait=self._wait):
            if self.is_running():
                return False
            user = host.with_passage(host.server_user(), host.binaries() / "postgres", self.data, own=self._own)
            self._initialise(user)
            self._clear_remains()
            folder = host.socket_folder(self.directory)
            host.prepare_socket_folder(folder, user)
            self._launch(user, folder)
        return True

    def _initialise(self, user: host.ServerUser) -> None:
        if self.data.exists():
            self._require_owner(user)
            return
        # The cluster appears under its final name only when it is complete: a killed initdb leaves a folder that the
        # next start removes.
        fresh = self.directory / "data.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        handed_over = self.directory / "password.initdb"
        for file in (self.directory / "password", handed_over):
            file.unlink(missing_ok=True)
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(password)
                stream.flush()
                os.fsync(stream.fileno())
        if user.switch:
            os.chown(fresh, user.uid, user.gid)
            os.chown(handed_over, user.uid, user.gid)
        command = [
            *user.prefix,
            str(host.binaries() / "initdb"),
            "-D",
            str(fresh),
            "-U",
            USER,
            f"--pwfile={handed_over}",
        ]
        command += ["--auth=scram-sha-256", "--data-checksums", "--encoding=UTF8"]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        if self._settings["fsync"] == "off":
            command += ["--no-sync"]
        try:
            done = subprocess.run(command, check=False, capture_output=True, text=True, **self._as(user))
        finally:
            handed_over.unlink(missing_ok=True)
        if done.returncode != 0:
            raise DatabaseServerError(
                f"initdb failed: {(done.stderr or done.stdout).strip()[-600:]}",
                where=str(self.directory),
                mend="Check free disk space and permissions of this folder.",
            )
        fresh.rename(self.data)

    def _require_owner(self, user: host.ServerUser) -> None:
        owner = self.data.stat().st_uid
        if owner != user.uid:
            raise ConfigurationError(
                f"the embedded database belongs to user id {owner}, the server would run as {user.uid}",
                where=str(self.data),
                mend=f"Run as the user who created this world, or hand the folder over with 'chown -R {user.uid}'.",
            )
        if stat.S_IMODE(self.data.stat().st_mode) & 0o027:
            raise ConfigurationError(
                "the embedded database's folder is open to other users",
                where=str(self.data),
                mend=f"Run 'chmod 700 {self.data}'.",
            )

    def _clear_remains(self) -> None:
        """After a kill: let orphaned backends end, then drop a pid file that points at a stranger or a zombie.

        The file of a plainly dead server stays: PostgreSQL itself checks the shared memory it names.
        """
        self._reap()
        deadline = time.monotonic() + self._wait
        while (remains := list(self._processes())) and self._server_process() is None:
            for process in remains:
                with contextlib.suppress(psutil.Error):
                    process.terminate()
            if time.monotonic() > deadline:
                raise DatabaseServerError(
                    f"processes {[p.pid for p in remains]} of a killed server do not end",
                    where=str(self.data),
                    mend="End them and start again.",
                )
            time.sleep(0.05)
        lines = self._pid_file()
        if lines and self._server_process() is None and lines[0].strip().isdigit() and psutil.pid_exists(int(lines[0])):
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, user: host.ServerUser, folder: Path) -> None:
        command = [*user.prefix, str(host.binaries() / "postgres"), "-D", str(self.data)]
        for name, value in {**self._settings, "unix_socket_directories": str(folder)}.items():
            command += ["-c", f"{name}={value}"]
        if self._server_process() is None:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                self._child = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    **self._as(user),
                )
            finally:
                os.close(log)
        deadline = time.monotonic() + self._wait
        while not self.is_running():
            ended = self._child is not None and self._child.poll() is not None
            if ended or time.monotonic() > deadline:
                raise DatabaseServerError(
                    "the embedded database "
                    + ("ended during its start" if ended else f"is not up after {self._wait:.0f} s")
                    + f"; its log ends with: {self._log_end()}",
                    where=str(self.log),
                    mend="Mend what the log names and start again.",
                )
            time.sleep(0.02)

    def _as(self, user: host.ServerUser) -> dict[str, Any]:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | {"LC_ALL": "C"}
        common: dict[str, Any] = {"env": environment, "cwd": "/", "umask": 0o077}
        if user.switch and not user.passes:
            common |= {"user": user.uid, "group": user.gid, "extra_groups": []}
        return common

    def _log_end(self) -> str:
        if not self.log.exists():
            return "(empty)"
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-4:]) or "(empty)"

    # --- stop -------------------------------------------------------------------------------------------------------

    def stop(self) -> bool:
        """Stop the server: fast first (clients are disconnected, a checkpoint is written), then immediate.

        Returns True if a server was stopped, False if none ran. Both ways lose no committed row.
        """
        if not self.directory.exists():
            return False
        with hold(self.directory / "start.lock", wait=self._wait):
            process = self._server_process()
            if process is None:
                self._reap()
                self._remove_socket_folder()
                return False
            for order in (signal.SIGINT, signal.SIGQUIT):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(order)
                if self._gone(process):
                    self._remove_socket_folder()
                    return True
            raise DatabaseServerError(
                f"the embedded database (process {process.pid}) does not stop",
                where=str(self.data),
                mend="End that process with kill -QUIT; committed rows are safe.",
            )

    def _remove_socket_folder(self) -> None:
        folder = host.socket_folder(self.directory)
        with contextlib.suppress(OSError):
            for name in (host.SOCKET_NAME, host.SOCKET_NAME + ".lock"):
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()

    def _gone(self, process: psutil.Process) -> bool:
        deadline = time.monotonic() + self._wait
        while time.monotonic() < deadline:
            self._reap()
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
        return False

    def _reap(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None

    # --- databases --------------------------------------------------------------------------------------------------

    def ensure_database(self, name: str, *, template: str | None = None) -> None:
        """Create the database ``name`` unless it exists; ``template`` copies another one that nobody is using."""
        with self._connect("postgres") as connection:
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                return
            statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
            if template is not None:
                statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
            with contextlib.suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                connection.execute(statement)

    def drop_database(self, name: str) -> None:
        """Drop the database ``name`` with its connections; nothing happens if it does not exist."""
        with self._connect("postgres") as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
