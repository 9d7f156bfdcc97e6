"""Where a world keeps its things, and the record of what it is.

``TRADING_ASSETS_HOME`` (default ``.trading_assets/``) holds named worlds, each complete in its own directory: copying
the directory of a stopped world copies the world.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world.lock import FileLock
from trading_assets.world.postgres import EmbeddedPostgres

HOME_VARIABLE = "TRADING_ASSETS_HOME"
WORLD_VARIABLE = "TRADING_ASSETS_WORLD"
DEFAULT_HOME = ".trading_assets"
DEFAULT_WORLD = "default"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class WorldKind(StrEnum):
    """What a world trades with: the practice exchange, a paper account, or real money."""

    PRACTICE = "PRACTICE"
    PAPER = "PAPER"
    LIVE = "LIVE"


class WorldState(StrEnum):
    """Whether what the world was made for (a demo day) is done."""

    UNFINISHED = "unfinished"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class WorldRecord:
    """The content of ``world.json``. ``start_id`` changes with every start; ``arguments`` are what it was made with."""

    name: str
    kind: WorldKind
    arguments: Mapping[str, Any]
    start_id: str
    state: WorldState


def home_directory(home: Path | None = None, env: Mapping[str, str] = os.environ) -> Path:
    """The given home, else ``TRADING_ASSETS_HOME``, else ``.trading_assets`` in the working directory; absolute."""
    return (home or Path(env.get(HOME_VARIABLE) or DEFAULT_HOME)).expanduser().absolute()


class World:
    """Paths and record of the world ``name`` under ``home``. Creating this object touches no file."""

    def __init__(self, home: Path, name: str = DEFAULT_WORLD) -> None:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"{name!r} is no name for a world",
                where=WORLD_VARIABLE,
                mend="Use 1 to 32 lower-case letters, digits, '-' and '_', starting with a letter or digit.",
            )
        self.home = home.absolute()
        self.name = name
        #: What is exported of sentiment models: the same for all worlds, and made again if it is removed.
        self.models = self.home / "models"
        self.directory = self.home / "worlds" / name
        self.postgres = self.directory / "postgres"
        self.frames = self.directory / "frames"
        self.exchange = self.directory / "exchange"
        self.dagster = self.directory / "dagster"
        self.logs = self.directory / "logs"
        self.requests = self.directory / "requests"
        self.pids = self.directory / "pids.json"
        self.lock_file = self.directory / "lock"
        self.record_file = self.directory / "world.json"

    def __repr__(self) -> str:
        return f"World({str(self.home)!r}, {self.name!r})"

    def create(self) -> None:
        """Make the directories (0700). Existing ones keep what they hold; under root the database's service user may
        have been given the right to pass through them, which stays."""
        folders = (self.directory, self.postgres, self.frames, self.exchange, self.dagster, self.logs)
        for folder in (self.home, self.home / "worlds", *folders):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def server(self) -> EmbeddedPostgres:
        """The world's embedded database server, started or not."""
        return EmbeddedPostgres(self.postgres, own=self.home)

    def lock(self, *, shared: bool = False) -> FileLock:
        """The world's lock, not yet taken: exclusive for what runs the world, shared for clients beside each other."""
        self.create()
        return FileLock(self.lock_file, shared=shared)

    # --- record -----------------------------------------------------------------------------------------------------

    def record(self) -> WorldRecord | None:
        """What ``world.json`` says, or None if the world was never made. Raises :class:`ConfigurationError` if it
        cannot be read: a damaged record must not turn a paper world into another kind."""
        try:
            raw = json.loads(self.record_file.read_text())
            return WorldRecord(
                name=raw["name"],
                kind=WorldKind(raw["kind"]),
                arguments=raw["arguments"],
                start_id=raw["start_id"],
                state=WorldState(raw["state"]),
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"the record of this world cannot be read: {type(error).__name__}: {error}",
                where=str(self.record_file),
                mend="Restore it from a copy, or remove the whole world directory to start anew.",
            ) from None

    def begin(self, kind: WorldKind, arguments: Mapping[str, Any]) -> WorldRecord:
        """Note a start: a new start id, unfinished. A world keeps its kind and arguments; others are refused."""
        self.create()
        known = self.record()
        if known is not None and (known.kind is not kind or dict(known.arguments) != dict(arguments)):
            raise ConfigurationError(
                f"this is a {known.kind} world made with {dict(known.arguments)}, not {kind} with {dict(arguments)}",
                where=str(self.record_file),
                mend="Use the same arguments, another world name, or remove this world's directory.",
            )
        record = WorldRecord(self.name, kind, dict(arguments), secrets.token_hex(8), WorldState.UNFINISHED)
        self._write(record)
        return record

    def finish(self) -> WorldRecord:
        """Note that what the world was made for is done."""
        record = self.record()
        if record is None:
            raise ConfigurationError("this world was never started", where=str(self.directory))
        finished = replace(record, state=WorldState.FINISHED)
        self._write(finished)
        return finished

    def _write(self, record: WorldRecord) -> None:
        write_private(self.record_file, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` in one step, readable by its owner alone, on disk before this returns."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
