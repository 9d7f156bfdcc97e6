"""Batches of texts of nearly the same number of tokens, so that little of a forward pass is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence


def token_batches(lengths: Sequence[int], *, most_rows: int, most_tokens: int) -> list[list[int]]:
    """Positions of ``lengths`` in batches, the shortest texts first.

    A batch has at most ``most_rows`` texts, and the longest of it times their number is at most ``most_tokens``; a
    text that alone is longer is a batch of its own. Equal lengths give equal batches.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda each: (lengths[each], each)):
        # In this order the next text is the longest of its batch.
        full = len(current) == most_rows or (len(current) + 1) * lengths[position] > most_tokens
        if current and full:
            batches.append(current)
            current = []
        current.append(position)
    return [*batches, current] if current else batches


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """The share of all computed tokens that are padding; 0 without any."""
    computed = sum(len(batch) * max(lengths[position] for position in batch) for batch in batches)
    return 1 - sum(lengths) / computed if computed else 0.0
