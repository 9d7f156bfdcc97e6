"""The append-only journal: what was answered is on the disk before it was answered.

One line is one transaction: ``<checksum> <json>``. The checksum is the first 16 hex digits of SHA-256 over the
previous line's checksum and this line's JSON, so that an edited, missing or doubled line is noticed. A line without
its newline is the mark of a crash in mid-write; nobody was answered from it and it is cut off. Anything else that does
not check is corruption and refuses to load.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from pathlib import Path

from trading_assets.domain.errors import TradingAssetsError

JOURNAL_FILE = "journal.jsonl"
_CHECKSUM = 16
_log = logging.getLogger(__name__)


class JournalCorrupt(TradingAssetsError):
    """The journal holds a line that cannot be what was written."""


class JournalBroken(TradingAssetsError):
    """The journal can no longer be written: nothing may be answered any more."""


class JournalInUse(TradingAssetsError):
    """Another process holds the journal: two exchanges of one world would diverge."""


def _checksum(previous: str, payload: bytes) -> str:
    return hashlib.sha256(previous.encode() + payload).hexdigest()[:_CHECKSUM]


class Journal:
    """An open journal, locked for this process. ``read`` must be called once before the first ``append``.

    Raises ``JournalInUse`` if another process has it; the lock dies with its process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        existed = path.exists()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise JournalInUse(
                "another exchange already runs in this directory", where=str(path), mend="Stop it first"
            ) from error
        if not existed:
            _sync_directory(path.parent)
        self._previous = ""
        self.synced = 0

    def read(self) -> list[bytes]:
        """Every stored payload in order; cuts off a torn last line. Raises ``JournalCorrupt``."""
        with open(self.path, "rb") as handle:
            data = handle.read()
        end = data.rfind(b"\n") + 1
        if end < len(data):
            _log.warning("cut off a torn last line of %d bytes from %s", len(data) - end, self.path)
            os.ftruncate(self._file, end)
            os.fsync(self._file)
        payloads: list[bytes] = []
        for number, line in enumerate(data[:end].splitlines(), start=1):
            checksum, _, payload = line.partition(b" ")
            expected = _checksum(self._previous, payload)
            if checksum != expected.encode():
                raise JournalCorrupt(
                    "the journal's checksum does not match",
                    where=f"{self.path}, line {number}",
                    mend="Restore the file from a copy, or begin a new world in an empty directory",
                )
            self._previous = expected
            payloads.append(payload)
        return payloads

    def append(self, payload: bytes) -> None:
        """Write one transaction; durable only after ``sync``. Raises ``JournalBroken``."""
        checksum = _checksum(self._previous, payload)
        line = checksum.encode() + b" " + payload + b"\n"
        try:
            written = os.write(self._file, line)
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            raise JournalBroken(f"cannot write: {error.strerror}", where=str(self.path)) from error
        self._previous = checksum

    def sync(self) -> None:
        """Make everything appended durable. Raises ``JournalBroken``."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise JournalBroken(f"cannot make durable: {error.strerror}", where=str(self.path)) from error
        self.synced += 1

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
