"""Shrinking a failing sequence: the fewest steps, and the simplest, that still break the same invariant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from trading_assets_tests.chaos.steps import Step

#: Whether a sequence still fails in the way that is looked for.
Fails = Callable[[Sequence[Step]], bool]


def shrink(steps: Sequence[Step], fails: Fails, *, tries: int | None = None) -> tuple[Step, ...]:
    """A minimal part of ``steps`` for which ``fails`` holds: no step can be left out, none be made simpler.

    After so many ``tries`` (None: without end) what is left by then counts as minimal.

    Delta debugging (Zeller and Hildebrandt, 2002): halves and ever smaller parts are left out while it still fails.
    ``steps`` themselves must fail.
    """
    left = tries

    def still_fails(candidate: Sequence[Step]) -> bool:
        nonlocal left
        if left is not None:
            if left <= 0:
                return False
            left -= 1
        return fails(candidate)

    kept = list(steps)
    size = max(1, len(kept) // 2)
    while True:
        start, removed = 0, False
        while start < len(kept):
            candidate = kept[:start] + kept[start + size :]
            if candidate and still_fails(candidate):
                kept, removed = candidate, True
            else:
                start += size
        if size > 1:
            size = max(1, size // 2)
        elif not removed:
            break
    for place, step in enumerate(kept):
        for simpler in simpler_forms(step):
            candidate = [*kept[:place], simpler, *kept[place + 1 :]]
            if still_fails(candidate):
                kept = candidate
                break
    return tuple(kept)


def simpler_forms(step: Step) -> list[Step]:
    """The step without its crash, and with its fault happening once and at once."""
    given = step.given
    forms = []
    if given.get("crash"):
        forms.append(replace(step, given={**given, "crash": {}}))
        if given["crash"].get("passage", 1) != 1:
            forms.append(replace(step, given={**given, "crash": {**given["crash"], "passage": 1}}))
    if given.get("count", 1) != 1 or given.get("after", 0) != 0:
        forms.append(replace(step, given={**given, "count": 1, "after": 0}))
    return forms
