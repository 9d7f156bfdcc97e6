"""Sequences are drawn, kept and shrunk as they say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from trading_assets_tests.chaos.judge import Verdict
from trading_assets_tests.chaos.score import Scorecard
from trading_assets_tests.chaos.shrink import shrink
from trading_assets_tests.chaos.steps import Step, draw, read_steps


def test_a_seed_always_draws_the_same_sequence_and_others_draw_others() -> None:
    assert draw(7) == draw(7)
    assert len({str([str(step) for step in draw(seed)]) for seed in range(40)}) == 40


def test_two_hundred_sequences_use_every_kind_of_step_and_fault() -> None:
    steps = [step for seed in range(200) for step in draw(seed)]
    assert {step.kind for step in steps} == {
        "offer", "dispatch", "manage", "at_once", "fault", "advance", "kill_exchange", "kill_switch",
        "hand_sale", "hand_buy", "liquidation",
    }  # fmt: skip
    assert len({step.given["kind"] for step in steps if step.kind == "fault"}) > 18
    crashes = [step.given["crash"] for step in steps if step.given.get("crash")]
    assert {crash["what"] for crash in crashes} == {"die", "sever"}


def test_a_sequence_kept_as_json_is_read_back() -> None:
    for seed in range(20):
        steps = draw(seed)
        assert read_steps(json.loads(json.dumps([step.as_json() for step in steps]))) == steps


def test_shrinking_leaves_the_steps_that_matter_in_their_simplest_form() -> None:
    cause = Step("fault", {"kind": "lost_answer", "count": 6, "after": 2})
    effect = Step("dispatch", {"account": "large", "crash": {"at": "submission.after_post", "passage": 2}})
    noise = [step for seed in range(3) for step in draw(seed)]
    tries = 0

    def fails(steps: Sequence[Step]) -> bool:
        nonlocal tries
        tries += 1
        kinds = [step.given.get("kind", step.kind) for step in steps]
        return "lost_answer" in kinds and "dispatch" in kinds[kinds.index("lost_answer") :]

    minimal = shrink([*noise[:10], cause, *noise[10:], effect], fails)
    assert [step.kind for step in minimal] == ["fault", "dispatch"]
    assert (minimal[0].given["count"], minimal[0].given["after"]) == (1, 0)
    assert not minimal[1].given["crash"]
    assert tries < 200


def test_shrinking_ends_after_its_tries_with_what_is_left() -> None:
    steps = [step for seed in range(6) for step in draw(seed)]
    tries = 0

    def fails(_: Sequence[Step]) -> bool:
        nonlocal tries
        tries += 1
        return True

    assert len(shrink(steps, fails, tries=1)) == len(steps) - len(steps) // 2
    assert tries == 1


def test_the_scorecard_is_written_as_json_and_as_a_page(tmp_path: Path) -> None:
    card, more = Scorecard(7), Scorecard(8)
    sound, lost = Verdict(orders=3, killed=1), Verdict(orders=2)
    lost.broken["I1"] = ["an order is gone"]
    card.add(sound, Counter(["hang", "hang", "reset"]))
    more.add(lost, Counter(["reset"]))
    card.merge(more)
    card.seconds = 7.2
    card.write(tmp_path)
    found = json.loads((tmp_path / "chaos.json").read_text())
    assert found["faults"] == {"hang": 2, "reset": 2} and found["faults_injected"] == 4
    assert found["breaches"] == {
        "lost": 1, "doubled": 0, "disagreements": 0, "limits broken": 0, "silent faults": 0,
    }  # fmt: skip
    assert (found["sequences"], found["orders"], found["sequences_per_hour"]) == (2, 5, 1000)
    assert "<th>lost</th><td>1</td>" in (tmp_path / "chaos.html").read_text()
