"""The frame store: Parquet files under ``<root>/<asset>/<partition>/``, one small file per writing run.

A run appends ``part-<as_of>.parquet``. Every so many parts, after the close, and for a whole recomputed partition one
``day-<as_of>.parquet`` replaces every part up to its instant, so that a reader opens few files at any time of the day.
Readers take the newest day file and the parts after it, so a crash between writing the one and deleting the others
changes nothing. Each file is written to a temporary name, synced and renamed: a half-written file is never read as
data. Nothing here knows Dagster or the meaning of a column.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trading_assets.domain.clock import Clock, require_utc
from trading_assets.domain.errors import CorruptFrameError, TradingAssetsError
from trading_assets.market.frames import SCHEMAS, conform, empty
from trading_assets.world.frame_cache import FrameCache
from trading_assets.world.frame_locks import await_writers, locked

_STAMP = "%Y%m%dT%H%M%S%fZ"
_LIVE = ".live"
#: Files of a partition from which on an append folds them into one, and the bytes up to which that is worth it: large
#: files cost more to write again than to open.
_FOLD_FILES, _FOLD_BYTES = 32, 64 * 2**20
#: How often a reader looks again for the files of a partition that was folded while it was reading.
_LOOKS = 5
_CACHE_BYTES = 256 * 2**20
_cache = FrameCache(_CACHE_BYTES)
_log = logging.getLogger(__name__)


class StaleWriteError(TradingAssetsError):
    """A run tried to write knowledge older than what the partition already holds."""


class _Gone(CorruptFrameError):
    """A file went away between being listed and being read."""


def _stamp(instant: datetime) -> str:
    return require_utc(instant).strftime(_STAMP)


def _instant(path: Path) -> datetime:
    return datetime.strptime(path.stem.split("-", 1)[1], _STAMP).replace(tzinfo=UTC)


def _read(asset: str, path: Path) -> pl.DataFrame:
    return conform(pl.read_parquet(path), SCHEMAS[asset], asset)


def _read_once(asset: str, path: Path) -> pl.DataFrame:
    return _cache.get(path, lambda path: _read(asset, path))


class FrameStore:
    """Reads and writes the frames declared in ``market.frames.SCHEMAS`` under one local folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, asset: str, partition: str) -> Path:
        """Where a partition's files lie. Refuses an undeclared asset and a partition key that is not a date."""
        if asset not in SCHEMAS:
            raise ValueError(f"no frame named {asset!r} is declared")
        day = datetime.strptime(partition, "%Y-%m-%d").date()
        return self.root / asset / day.isoformat()

    def append(self, asset: str, partition: str, frame: pl.DataFrame, as_of: datetime) -> Path:
        """Add the rows that the run of ``as_of`` produced.

        Writing the same instant again keeps the file that is there: a repeated run cannot change what was recorded.
        An instant below the newest recorded one raises ``StaleWriteError``. The answer is the file that holds the rows.
        """
        with self._locked(asset, partition):
            return self._append(asset, partition, frame, as_of)

    def append_settled(
        self, asset: str, partition: str, clock: Clock, rows: Callable[[datetime], pl.DataFrame]
    ) -> datetime:
        """As :meth:`append`, of rows that are known from being written on; the answer is that instant, of which
        ``rows`` makes them.

        It is told while nobody else may write, and :meth:`read_settled` waits for that: what is known at an instant is
        read by everybody who begins to read after it.
        """
        with self._locked(asset, partition):
            as_of = clock.now()
            self._append(asset, partition, rows(as_of), as_of)
        return as_of

    def read_settled(self, asset: str, partition: str) -> pl.DataFrame:
        """As :meth:`read`, once what is being written is there; one whose writer hangs is read as it is."""
        await_writers(self.folder(asset, partition))
        return self.read(asset, [partition])

    def _append(self, asset: str, partition: str, frame: pl.DataFrame, as_of: datetime) -> Path:
        target = self.folder(asset, partition) / f"part-{_stamp(as_of)}.parquet"
        if target.exists():
            return target
        current = self._current(asset, partition)
        newest = None if not current else _instant(current[-1])
        if newest is not None and require_utc(as_of) == newest:
            return current[-1]
        if newest is not None and require_utc(as_of) < newest:
            raise StaleWriteError(
                f"refused to write {asset} as of {as_of.isoformat()}: the partition is known up to "
                f"{newest.isoformat()}",
                where=f"{asset}/{partition}",
                mend="A late run needs no mending: the next run covers its minutes.",
            )
        (target.parent / _LIVE).touch()
        self._write(target, conform(frame, SCHEMAS[asset], asset))
        return self._folded(asset, partition, [*current, target])

    def replace(self, asset: str, partition: str, frame: pl.DataFrame, as_of: datetime) -> Path:
        """Write the whole partition anew, as known at ``as_of``; earlier files go once the new one is safe.

        A partition that was appended to live raises ``StaleWriteError``: what was decided keeps its bytes.
        """
        with self._locked(asset, partition):
            if self.is_live(asset, partition):
                raise StaleWriteError(
                    f"refused to replace {asset}: its rows were recorded live", where=f"{asset}/{partition}"
                )
            return self._replace(asset, partition, conform(frame, SCHEMAS[asset], asset), as_of)

    def compact(self, asset: str, partition: str) -> bool:
        """Turn all files of a partition into one. True if there was anything to do."""
        with self._locked(asset, partition):
            paths = self._current(asset, partition)
            if len(paths) < 2:
                return False
            self._replace(asset, partition, self._read_paths(asset, paths), _instant(paths[-1]))
            return True

    def _folded(self, asset: str, partition: str, paths: list[Path]) -> Path:
        """The file with the newest of ``paths``'s rows, after all were made one where they are many and small."""
        if len(paths) < _FOLD_FILES or sum(path.stat().st_size for path in paths) > _FOLD_BYTES:
            return paths[-1]
        try:
            return self._replace(asset, partition, self._read_paths(asset, paths), _instant(paths[-1]))
        except CorruptFrameError as error:
            # What was just recorded is safe; whoever reads the partition is told of the file, too.
            _log.error("%s of %s stays in %d files: %s", asset, partition, len(paths), error)
            return paths[-1]

    def read(self, asset: str, partitions: Sequence[str]) -> pl.DataFrame:
        """All rows of the given partitions in the order in which they became known; absent partitions add nothing.

        Raises ``CorruptFrameError`` naming the file if one cannot be read as the declared frame.
        """

        def paths() -> list[Path]:
            return [path for partition in partitions for path in self._current(asset, partition)]

        return self._read_current(asset, paths)

    def read_since(self, asset: str, partition: str, since: datetime) -> pl.DataFrame:
        """Of one partition the rows with ``as_of`` at or after ``since``; order and errors as of :meth:`read`.

        Files recorded before are not opened and nothing is kept, so that who asks each second costs little.
        """

        def paths() -> list[Path]:
            return [path for path in self._current(asset, partition) if _instant(path) >= require_utc(since)]

        def read(asset: str, path: Path) -> pl.DataFrame:
            return _read(asset, path).filter(pl.col("as_of") >= since)

        return self._read_current(asset, paths, read)

    def _read_current(
        self, asset: str, paths: Callable[[], list[Path]], read: Callable[[str, Path], pl.DataFrame] = _read_once
    ) -> pl.DataFrame:
        """The frames of ``paths`` in one, listed again if another process made one file of several since."""
        looks = 0
        while True:
            try:
                return self._read_paths(asset, paths(), read)
            except _Gone:
                looks += 1
                if looks == _LOOKS:
                    raise

    def exists(self, asset: str, partition: str) -> bool:
        """Whether anything was ever written for the partition."""
        return bool(self._current(asset, partition))

    def is_live(self, asset: str, partition: str) -> bool:
        """Whether a running system appended to the partition as its day went by (it is then never replaced)."""
        return (self.folder(asset, partition) / _LIVE).exists()

    def partitions(self, asset: str) -> list[str]:
        """Keys of all partitions that hold a file, in order."""
        folder = self.root / asset
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and self._files(entry))

    def last_as_of(self, asset: str, partition: str) -> datetime | None:
        """The newest instant recorded for the partition, or None."""
        files = self._files(self.folder(asset, partition))
        return max((_instant(path) for path in files), default=None)

    def holds(self, asset: str, partition: str, as_of: datetime) -> bool:
        """Whether ``as_of`` is the newest recorded instant, so that ``append`` would change nothing."""
        return self.last_as_of(asset, partition) == require_utc(as_of)

    def size_bytes(self, asset: str, partition: str) -> int:
        """Bytes on disk of the files a reader would take."""
        with self._locked(asset, partition):
            return sum(path.stat().st_size for path in self._current(asset, partition))

    def count(self, asset: str, partition: str) -> int:
        """Rows that a reader would get; only the files' own counts are read."""
        with self._locked(asset, partition):
            paths = self._current(asset, partition)
            if not paths:
                return 0
            try:
                found: int = pl.scan_parquet(paths).select(pl.len()).collect().item()
            except (pl.exceptions.PolarsError, OSError) as error:
                raise CorruptFrameError(
                    f"a file cannot be read as {asset}: {str(error).splitlines()[0]}",
                    where=str(paths[-1].parent),
                    mend="Move the file away and materialize the partition again; the ledger is not affected.",
                ) from error
            return found

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        if not folder.is_dir():
            return []
        return [path for path in folder.iterdir() if path.suffix == ".parquet" and path.name[0] != "."]

    def _current(self, asset: str, partition: str) -> list[Path]:
        files = self._files(self.folder(asset, partition))
        days = sorted((path for path in files if path.name.startswith("day-")), key=_instant)
        parts = sorted((path for path in files if path.name.startswith("part-")), key=_instant)
        if not days:
            return parts
        return [days[-1], *(path for path in parts if _instant(path) > _instant(days[-1]))]

    def _read_paths(
        self, asset: str, paths: Sequence[Path], read: Callable[[str, Path], pl.DataFrame] = _read_once
    ) -> pl.DataFrame:
        frames = [empty(SCHEMAS[asset])]
        for path in paths:
            try:
                frames.append(read(asset, path))
            except (pl.exceptions.PolarsError, ValueError, OSError) as error:
                kind = CorruptFrameError if path.exists() else _Gone
                raise kind(
                    f"the file cannot be read as {asset}: {str(error).splitlines()[0]}",
                    where=str(path),
                    mend="Move the file away and materialize the partition again; the ledger is not affected.",
                ) from error
        return pl.concat(frames)

    def _replace(self, asset: str, partition: str, frame: pl.DataFrame, as_of: datetime) -> Path:
        target = self.folder(asset, partition) / f"day-{_stamp(as_of)}.parquet"
        old = [path for path in self._files(target.parent) if path != target]
        self._write(target, frame)
        for path in old:
            path.unlink()
        return target

    @staticmethod
    def _write(target: Path, frame: pl.DataFrame) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            frame.write_parquet(file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _locked(self, asset: str, partition: str) -> AbstractContextManager[None]:
        return locked(self.folder(asset, partition))
