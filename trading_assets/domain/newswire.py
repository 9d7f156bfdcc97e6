"""What the broker's news interface answered: the value that crosses from the broker's adapter to the news."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


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
