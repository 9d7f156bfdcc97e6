"""What is kept of a company that a text names: which ticker, how it was found, by which words, where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class How(IntEnum):
    """How a ticker was found, the surest first."""

    CASHTAG = 1
    EXCHANGE_TAG = 2
    NAME = 3
    SYMBOL = 4
    SOURCE = 5
    INFERRED = 6

    @property
    def word(self) -> str:
        """As it is stored and shown."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class TickerMention:
    """A ticker that a text names: once per text, by the surest way; ``matched`` is the text's own spelling.

    ``position`` counts characters of the text, its entities resolved and what is invisible left out. What the source
    says, or a model inferred, stands nowhere in the text: ``matched`` is empty and ``position`` None.
    """

    symbol: str
    how: How
    matched: str
    position: int | None = None

    def as_json(self, field: str | None) -> dict[str, Any]:
        """The object that is stored; ``field`` is the part of the story the position counts in."""
        told: dict[str, Any] = {"symbol": self.symbol, "how": self.how.word}
        if self.position is not None:
            told |= {"matched": self.matched, "field": field, "position": self.position}
        return told


@dataclass(frozen=True, slots=True)
class NamedSpan:
    """Words of a text that name a company; ``symbol`` is None for one that is not followed."""

    start: int
    stop: int
    symbol: str | None
    key: str
