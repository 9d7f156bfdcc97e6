"""Frames of files that a process read lately: a file is written once and never changed, so it is read once.

What belongs here: keeping frames up to a number of bytes. What does not: which files make up a partition (``frames``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock

import polars as pl


class FrameCache:
    """At most ``budget`` bytes of frames, the longest unread dropped first; none of a file that was seen to be gone.

    Safe to use from several threads.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._frames: OrderedDict[tuple[Path, int, int], tuple[pl.DataFrame, int]] = OrderedDict()
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        """How many bytes are held now."""
        return self._held

    def get(self, path: Path, read: Callable[[Path], pl.DataFrame]) -> pl.DataFrame:
        """The frame of ``path`` as the file is now, by ``read`` where it was not read before.

        Raises what ``read`` raises, and ``FileNotFoundError`` for a file that is gone.
        """
        status = path.stat()
        key = (path, status.st_mtime_ns, status.st_size)
        with self._lock:
            known = self._frames.get(key)
            if known is not None:
                self._frames.move_to_end(key)
                return known[0]
        frame = read(path)
        # An empty frame still costs its columns.
        size = int(frame.estimated_size()) + 1024
        with self._lock:
            # A new file often stands for others of its folder.
            for other in [other for other in self._frames if other[0].parent == path.parent and not other[0].exists()]:
                self._held -= self._frames.pop(other)[1]
            if key not in self._frames and size <= self._budget:
                self._frames[key] = (frame, size)
                self._held += size
            while self._held > self._budget:
                _, (_, dropped) = self._frames.popitem(last=False)
                self._held -= dropped
        return frame
