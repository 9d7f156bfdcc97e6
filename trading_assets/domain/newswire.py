"""The broker's news interface as the news see it: who is asked, and the value that is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """Articles as they came, the one that changed first in front.

    ``complete``: there is no later one. ``error`` says why the rest is missing, None if nothing failed; what was read
    before is good all the same. ``wait_seconds`` is how long the broker asked to be left alone, if it did.
    """

    rows: tuple[Mapping[str, Any], ...]
    complete: bool
    unreadable: int = 0
    error: str | None = None
    wait_seconds: float | None = None


class AsksNews(Protocol):
    """Whoever can be asked for articles."""

    def articles(self, since: datetime, most_pages: int, deadline_seconds: float) -> WireAnswer:
        """Articles that changed at or after ``since``, the earliest change first. Never raises for an answer."""
        ...
