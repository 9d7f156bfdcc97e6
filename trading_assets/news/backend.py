"""What computes logits: the border between the scorer and the libraries behind it.

A backend turns texts into token ids and batches of token ids into logits. It knows no scores and no stories.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from trading_assets.news.sentiment import Label, ModelUnavailable

_CGROUP = Path("/sys/fs/cgroup/cpu.max")
#: The last one is how oneDNN, which computes for torch on a processor, reports that it got no memory.
_OUT_OF_MEMORY = ("allocate memory", "out of memory", "bad_alloc", "bad allocation", "could not create a primitive")


class CannotCompute(RuntimeError):
    """The library failed at a batch, for another reason than memory."""


class Backend(Protocol):
    """One way of computing."""

    @property
    def device(self) -> str:
        """cuda or cpu."""
        ...

    @property
    def labels(self) -> tuple[Label, ...]:
        """The class of each logit."""
        ...

    @property
    def unknown(self) -> int | None:
        """Id of what the vocabulary lacks; None if the model has no such id."""
        ...

    @property
    def special(self) -> frozenset[int]:
        """Ids that stand in every text whatever it says."""
        ...

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut to what is read of it."""
        ...

    def logits(self, batch: Sequence[Sequence[int]]) -> list[list[float]]:
        """One row of logits per text of the batch. Raises ``MemoryError`` if the batch is too large, ``CannotCompute``
        if one of its texts, or the library, makes it fail."""
        ...


def label_order(id2label: dict[int, str], where: str) -> tuple[Label, ...]:
    """The classes in the order of the logits; ``ModelUnavailable`` if they are not exactly the three."""
    names = [str(id2label[index]).strip().lower() for index in sorted(id2label)]
    if sorted(names) != sorted(label.value for label in Label):
        raise ModelUnavailable(
            f"the model's classes are {names}, expected positive, neutral and negative in any order",
            where=where,
            mend="Use a sentiment model, or name its classes in config.json (id2label).",
        )
    return tuple(Label(name) for name in names)


def padded(batch: Sequence[Sequence[int]], pad: int) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids filled up to the longest text, and the mask that tells what was there (1) from the filling (0)."""
    longest = max(len(ids) for ids in batch)
    ids = [[*row, *([pad] * (longest - len(row)))] for row in batch]
    return ids, [[1] * len(row) + [0] * (longest - len(row)) for row in batch]


def told_out_of_memory(problem: BaseException) -> bool:
    """Whether a library's error says that memory ran out: they have no class for it in common."""
    said = str(problem).lower()
    return isinstance(problem, MemoryError) or any(words in said for words in _OUT_OF_MEMORY)


def usable_cores() -> int:
    """Processor cores that this process may use: by its affinity, and by the quota of its container."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):
        # No control group, or "max": no quota.
        return cores
