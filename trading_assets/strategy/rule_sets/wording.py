"""Sentences with numbers in them, for whole columns at once: each distinct sentence is put together once.

What belongs here: which text each row has. What does not: what is said (``ruling.Case``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
#: Beyond this a number with its decimals is no longer exact to a thousandth of the last one.
_LARGE = float(2**40)
#: How near to a half the last decimal must lie to be rounded by Python alone.
_NEAR = 1e-3


@dataclass(frozen=True, slots=True)
class Number:
    """A number within a reason: with ``places`` decimals, ``signed`` also where it is not negative."""

    value: pl.Expr
    places: int = 2
    signed: bool = False

    def said(self, value: float) -> str:
        """The number as text; empty where it is not known."""
        return "" if np.isnan(value) else f"{value:{'+' if self.signed else ''}.{self.places}f}"


def sentences(texts: Sequence[str], numbers: Sequence[Number], values: Sequence[Floats]) -> tuple[list[str], Integers]:
    """The distinct sentences, and which of them each row says: ``texts[0]``, first number, ``texts[1]``, second ...

    ``values`` has one array per number.
    """
    told = [distinct(number, column) for number, column in zip(numbers, values, strict=True)]
    combined = np.zeros(len(values[0]), dtype=np.int64)
    for words, spoken in told:
        combined = combined * len(words) + spoken
    first, codes = _first_of_each(combined)
    parts = [*texts, *[""] * (len(numbers) + 1 - len(texts))]
    columns = [[words[code] for code in spoken[first].tolist()] for words, spoken in told]
    return [
        parts[0] + "".join(word + after for word, after in zip(row, parts[1:], strict=True))
        for row in zip(*columns, strict=True)
    ], codes


def distinct(number: Number, values: Floats) -> tuple[list[str], Integers]:
    """The distinct texts of ``values``, and which of them each value has.

    Values that are rounded to the same decimals share a text. Where the rounding is near a tie, only the exact value
    decides (as in ``f"{2.675:.2f}"``): such a value has a text of its own.
    """
    scaled = np.abs(values) * 10.0**number.places
    with np.errstate(invalid="ignore"):
        alone = ~(scaled < _LARGE) | (np.abs(scaled - np.floor(scaled) - 0.5) < _NEAR)
    key = np.where(alone, 0.0, np.floor(scaled + 0.5)).astype(np.int64) * 2 + np.signbit(values)
    codes = np.empty(len(values), dtype=np.int64)
    shared, odd = np.flatnonzero(~alone), np.flatnonzero(alone)
    first, codes[shared] = _first_of_each(key[shared])
    codes[odd] = np.arange(len(first), len(first) + len(odd))
    return [number.said(value) for value in [*values[shared[first]].tolist(), *values[odd].tolist()]], codes


def _first_of_each(keys: Integers) -> tuple[Integers, Integers]:
    """Where one row of each distinct key is, and the number of each row's key among them. No key is negative."""
    span = int(keys.max(initial=-1)) + 1
    if span > 4 * len(keys) + 1024:
        _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
        return first, codes
    table = np.full(span, -1, dtype=np.int64)
    table[keys] = np.arange(len(keys))
    known = np.flatnonzero(table >= 0)
    first = table[known]
    table[known] = np.arange(len(known))
    return first, table[keys]
