"""File locks of a world: one owner at a time, and a clear word to whoever comes second.

The kernel releases a ``flock`` with its process, so a killed owner never leaves a lock behind. What is written in the
file (the owner's process id) only serves the message.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from trading_assets.domain.errors import TradingAssetsError


class InUse(TradingAssetsError):
    """Another process holds the lock."""


class FileLock:
    """An advisory lock on ``path``, exclusive (the owner) or shared (a client such as ``dagster dev``)."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self.path = path
        self.shared = shared
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """True while this object holds the lock."""
        return self._descriptor is not None

    def acquire(self, *, wait: float = 0.0) -> None:
        """Take the lock within ``wait`` seconds or raise :class:`InUse` naming the holder's process id."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, (fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.02)
                    continue
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                raise InUse(
                    f"already in use by pid {holder}",
                    where=str(self.path),
                    mend="Stop that process (trading-assets down), or choose another world.",
                ) from None
        if not self.shared:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens if it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def hold(path: Path, *, wait: float = 0.0, shared: bool = False) -> Iterator[FileLock]:
    """Hold the lock on ``path`` for the block; raises :class:`InUse` if it is not free within ``wait`` seconds."""
    lock = FileLock(path, shared=shared)
    lock.acquire(wait=wait)
    try:
        yield lock
    finally:
        lock.release()


def holder(path: Path, *, shared: bool = False) -> str | None:
    """What the holder of the lock on ``path`` wrote into it; None if nobody holds it, or if there is no file.

    With ``shared`` it is also held by those who share it. Asking makes no file, and holds a free lock for no longer
    than the question.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if shared else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
    finally:
        os.close(descriptor)
