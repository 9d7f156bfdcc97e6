"""Text from outside as text: what a headline or an error may not do to a terminal or a reader."""

from __future__ import annotations

import unicodedata
from typing import Any

#: Controls, formats (they turn the direction of a line), surrogates, private use, line and paragraph separators.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def clean(text: str) -> str:
    """``text`` in one line, without control and format characters. White space of any kind becomes one space."""
    spaced = "".join(" " if character.isspace() else character for character in text)
    kept = "".join(character for character in spaced if unicodedata.category(character) not in _UNSHOWABLE)
    return " ".join(kept.split())


def clean_all(value: Any) -> Any:
    """``value`` with every text in it cleaned, through mappings and lists."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): clean_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_all(item) for item in value]
    return value


def clean_or_none(text: str | None) -> str | None:
    """The same for text that may be missing."""
    return None if text is None else clean(text)
