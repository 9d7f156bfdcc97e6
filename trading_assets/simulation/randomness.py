"""Named random streams: every purpose draws from its own generator, so no draw depends on the order of calls.

The seed of a stream is the SHA-256 of the market's seed and the purpose's words; Python's own ``hash``, which differs
from process to process, takes no part.
"""

from __future__ import annotations

import hashlib

import numpy as np


def _digest(parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()


def generator(seed: int, *purpose: object) -> np.random.Generator:
    """The generator of one purpose, e.g. ``generator(7, "minutes", day)``."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest((seed, *purpose))[:16])))


def uniform(seed: int, *purpose: object) -> float:
    """One number in [0, 1) for a purpose: the cheap form where a single draw is needed."""
    return int.from_bytes(_digest((seed, *purpose))[:8]) / 2.0**64
