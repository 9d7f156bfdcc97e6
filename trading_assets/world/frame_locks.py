"""Who may write a partition of the frame store: one process at a time. Who only reads may wait until it is done."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LOCK = ".lock"
#: Readers wait this long for a writer, in seconds: one that hangs must not stop them.
_PATIENCE = 5.0
_PAUSE = 0.01
_log = logging.getLogger(__name__)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within the block nobody else writes in ``folder``, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def await_writers(folder: Path, patience: float = _PATIENCE) -> bool:
    """Wait until what is being written in ``folder`` is there; False if that took longer than ``patience`` seconds."""
    until = time.monotonic() + patience
    try:
        with (folder / _LOCK).open() as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return True
                except BlockingIOError:
                    if time.monotonic() >= until:
                        _log.warning("%s is read although a run has been writing it for %g s", folder, patience)
                        return False
                    time.sleep(_PAUSE)
    except FileNotFoundError:
        return True
