"""External text made harmless: one line without control characters, bounded, that no block's mark can be forged with.

What belongs here: what every text of others goes through before a model sees it or the ledger keeps it.
"""

from __future__ import annotations

import math
import secrets
import unicodedata
from typing import Any

#: Letters and signs of these Unicode categories are left out: controls, invisible marks, surrogates, private ones.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_DEEPEST, _LONGEST, _MOST = 8, 2000, 500


def plain(text: str, limit: int) -> str:
    """``text`` as one line of visible characters, at most ``limit`` of them. Lines and tabs become spaces."""
    # Cut first: nobody's megabyte is walked through.
    spaced = "".join(" " if letter.isspace() else letter for letter in text[: 4 * limit])
    seen = "".join(letter for letter in spaced if unicodedata.category(letter) not in _UNSEEN)
    return " ".join(seen.split())[:limit].rstrip()


def fenced(lines: list[str]) -> tuple[str, str]:
    """``lines`` inside a block, and the block's mark.

    The mark is drawn anew for each question, long after a headline was written, and brackets are taken out of what is
    fenced: no headline can end the block.
    """
    mark = secrets.token_hex(16)
    inside = "\n".join(line.translate(_BRACKETS) for line in lines)
    return f"<data-{mark}>\n{inside}\n</data-{mark}>", mark


_BRACKETS = str.maketrans({"<": "(", ">": ")"})


def keepable(value: Any, depth: int = 0) -> Any:
    """``value`` (parsed JSON of others) as the ledger can keep it: bounded, no NUL, no NaN, keys as text.

    Numbers that JSON does not know are kept as their text, so that a person sees what came.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        return value if abs(value) < 2**63 else "a very large number"
    if isinstance(value, str):
        return plain(value, _LONGEST)
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, dict):
        return {plain(str(key), 100): keepable(each, depth + 1) for key, each in list(value.items())[:_MOST]}
    if isinstance(value, list | tuple):
        return [keepable(each, depth + 1) for each in list(value)[:_MOST]]
    return plain(str(value), _LONGEST)
