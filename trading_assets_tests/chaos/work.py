"""What a worker of a chaos run does with one seed. A module of its own: a spawned process has another ``__main__``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from hypothesis.errors import Flaky

from trading_assets_tests.chaos.judge import Verdict
from trading_assets_tests.chaos.machine import drive
from trading_assets_tests.chaos.play import play
from trading_assets_tests.chaos.score import Scorecard
from trading_assets_tests.chaos.shrink import shrink
from trading_assets_tests.chaos.steps import Step, draw
from trading_assets_tests.chaos.template import Template

#: Sequences that shrinking one failing sequence may play: some minutes.
_SHRINKING_TRIES = 80
#: Size of the stateful machine's run by one seed.
_EXAMPLES, _STEPS = 5, 20


@dataclass(frozen=True, slots=True)
class Result:
    """One sequence as it went; ``minimal`` is what is left of a failing one, None if it did not fail again."""

    seed: int
    verdict: Verdict
    kinds: Counter[str]
    minimal: tuple[Step, ...] | None


def one(template: Template, seed: int) -> Result:
    """Play the sequence of ``seed``; shrink it if it fails."""
    steps = draw(seed)
    verdict = play(template, steps, f"s{seed}")
    kinds = Counter(verdict.kinds)
    if verdict.sound:
        return Result(seed, verdict, kinds, None)
    numbers = count()

    def fails(candidate: Sequence[Step]) -> bool:
        again = play(template, candidate, f"s{seed}_{next(numbers)}")
        return bool(again.broken.keys() & verdict.broken.keys())

    # What does not fail again is told as it is: a race that was met once.
    minimal = shrink(steps, fails, tries=_SHRINKING_TRIES) if fails(steps) else None
    return Result(seed, verdict, kinds, minimal)


def driven(template: Template, seed: int) -> Scorecard:
    """Drive the stateful machine by ``seed``; a failure is told in its smallest form."""
    card = Scorecard(seed)
    try:
        drive(template, examples=_EXAMPLES, steps=_STEPS, number=seed, card=card)
    except (AssertionError, Flaky) as error:
        # Flaky: what the model found did not come a second time.
        again = f"make chaos ARGS='--machine --seed {seed} --sequences 1'"
        card.failures.append({"seed": seed, "broken": str(error), "again": again})
    return card
