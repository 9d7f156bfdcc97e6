"""Run random fault sequences for a while, shrink what fails, and write the scorecard. Exit 1 if anything failed."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from pathlib import Path
from typing import Any

from trading_assets_tests.chaos.play import play
from trading_assets_tests.chaos.score import Scorecard
from trading_assets_tests.chaos.steps import draw, read_steps
from trading_assets_tests.chaos.template import Template, prepared
from trading_assets_tests.chaos.work import Result, driven, one


def main() -> int:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(prog="trading_assets_tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first sequence; the next has the next (default 1)")
    parser.add_argument("--minutes", type=float, default=60.0, help="wall minutes to go on for (default 60)")
    parser.add_argument("--sequences", type=int, help="stop after so many, whatever the time")
    parser.add_argument("--workers", type=int, default=2, help="sequences at once (default 2)")
    parser.add_argument("--replay", type=Path, help="play the steps kept in this JSON file instead, and judge them")
    parser.add_argument("--machine", action="store_true", help="drive the stateful machine, 5 x 20 steps a seed")
    parser.add_argument("--folder", type=Path, default=Path("build"), help="where the scorecard goes (default build/)")
    parser.add_argument("--json", action="store_true", help="print the scorecard as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-template-") as folder:
        # Under root the database server runs as another user, who has to pass through this folder.
        Path(folder).chmod(0o711)
        print("preparing the world that every sequence begins with", file=sys.stderr)
        with prepared(Path(folder)) as template:
            if arguments.replay is not None:
                return _replay(template, arguments.replay)
            card = _run(template, arguments)
    card.write(arguments.folder)
    if arguments.json:
        print(json.dumps(card.as_json(), indent=2))
    else:
        print(_told(card))
    return 1 if card.failures else 0


def _replay(template: Template, file: Path) -> int:
    verdict = play(template, read_steps(json.loads(file.read_text())), "replay")
    print(json.dumps(verdict.broken, indent=2))
    return 0 if verdict.sound else 1


def _run(template: Template, arguments: argparse.Namespace) -> Scorecard:
    card = Scorecard(arguments.seed)
    began = time.monotonic()
    seeds = count(arguments.seed)
    left = arguments.sequences
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.workers, mp_context=context) as pool:
        working: set[Future[Result | Scorecard]] = set()
        play_one: Callable[[Template, int], Result | Scorecard] = driven if arguments.machine else one
        while True:
            while len(working) < arguments.workers and _goes_on(began, arguments.minutes, left):
                working.add(pool.submit(play_one, template, next(seeds)))
                left = None if left is None else left - 1
            if not working:
                break
            done, working = wait(working, return_when=FIRST_COMPLETED)
            for future in done:
                result = future.result()
                if isinstance(result, Scorecard):
                    _merge(card, result)
                else:
                    _count(card, result, arguments.folder)
            card.seconds = round(time.monotonic() - began, 1)
            print(f"\r{_line(card)}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return card


def _goes_on(began: float, minutes: float, left: int | None) -> bool:
    return time.monotonic() - began < minutes * 60 and (left is None or left > 0)


def _merge(card: Scorecard, found: Scorecard) -> None:
    card.merge(found)
    for failure in found.failures:
        print(f"\nseed {failure['seed']} failed: {failure['broken']}\n  again: {failure['again']}", file=sys.stderr)


def _count(card: Scorecard, result: Result, folder: Path) -> None:
    card.add(result.verdict, result.kinds)
    if result.verdict.sound:
        return
    kept = folder / f"chaos-seed-{result.seed}.json"
    folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([step.as_json() for step in result.minimal or draw(result.seed)], indent=1) + "\n")
    row: dict[str, Any] = {
        "seed": result.seed,
        "broken": result.verdict.broken,
        "again": f"make chaos ARGS='--replay {kept}'",
        "steps": [step.as_json() for step in draw(result.seed)],
        "minimal": None if result.minimal is None else [step.as_json() for step in result.minimal],
    }
    card.failures.append(row)
    print(f"\nseed {result.seed} failed: {json.dumps(result.verdict.broken, indent=1)}", file=sys.stderr)
    print("  its minimal form:" if result.minimal else "  it did not fail a second time", file=sys.stderr)
    for step in result.minimal or ():
        print(f"  {step}", file=sys.stderr)
    print(f"  again: {row['again']}", file=sys.stderr)


def _line(card: Scorecard) -> str:
    return (
        f"{card.sequences} sequences ({card.per_hour or 0:.0f} an hour), {sum(card.faults.values())} faults, "
        f"{card.processes_killed} kills, {card.orders} orders, {len(card.failures)} failing"
    )


def _told(card: Scorecard) -> str:
    breaches = ", ".join(f"{name} {number}" for name, number in card.breaches.items())
    return f"{_line(card)}: {breaches}"


if __name__ == "__main__":
    sys.exit(main())
