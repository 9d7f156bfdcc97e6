"""What other rooms say at error level becomes part of a run's report, and so of the Dagster UI and the command line.

The rooms know no Dagster: they write to the log of the process. A run that acts listens to them while it works.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: The logger above those of every room.
_ROOMS = "trading_assets"


class _Ear(logging.Handler):
    """Collects the errors of one thread, each sentence once."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._said, self._thread = said, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        text = record.getMessage()
        if record.exc_info is not None and record.exc_info[1] is not None:
            text = f"{text}: {record.exc_info[1]}"
        if text not in self._said:
            self._said.append(text)


@contextmanager
def heard(account: str) -> Iterator[list[str]]:
    """Within the block every error that this thread logs is added to the list; afterwards each names ``account``."""
    said: list[str] = []
    ear, logger = _Ear(said), logging.getLogger(_ROOMS)
    logger.addHandler(ear)
    try:
        yield said
    finally:
        logger.removeHandler(ear)
        name = f"account {account}"
        said[:] = [text if name in text else f"{name}: {text}" for text in said]
