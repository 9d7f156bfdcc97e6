"""Sequences are played with real parts, and the judge sees what is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets_tests.chaos.judge import judge
from trading_assets_tests.chaos.play import play, settle
from trading_assets_tests.chaos.ring import Ring, perform, ring
from trading_assets_tests.chaos.steps import Step, draw
from trading_assets_tests.chaos.template import Template

pytestmark = pytest.mark.patient


@pytest.fixture
def bought(template: Template, world_home: Path, request: pytest.FixtureRequest) -> Iterator[Ring]:
    """A world in which the large account bought something and all is well."""
    with ring(template, world_home, f"judged{abs(hash(request.node.name)) % 10_000}") as opened:
        opened.offer(0, "swing_trade")
        opened.run(("dispatch",), account="large")
        settle(opened)
        verdict = judge(opened)
        assert verdict.sound and verdict.entered, verdict.broken
        yield opened


def test_drawn_sequences_break_no_invariant(template: Template) -> None:
    verdicts = {seed: play(template, draw(seed), f"drawn{seed}") for seed in range(1, 9)}
    assert {seed: verdict.broken for seed, verdict in verdicts.items() if not verdict.sound} == {}
    assert sum(verdict.orders for verdict in verdicts.values()) > 8
    assert sum(len(verdict.kinds) for verdict in verdicts.values()) > 8
    assert sum(verdict.killed for verdict in verdicts.values()) > 0


@pytest.mark.parametrize("more", [("3",), ("1", "--machine")], ids=["sequences", "machine"])
def test_the_command_plays_and_writes_the_scorecard(more: tuple[str, ...], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trading_assets_tests.chaos", "--folder", str(tmp_path), "--sequences", *more]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert " an hour)" in done.stdout and "lost 0, doubled 0" in done.stdout
    found = json.loads((tmp_path / "chaos.json").read_text())
    assert found["sequences"] >= 3 and found["orders"] > 0 and found["failures"] == []
    assert (tmp_path / "chaos.html").exists()


def test_an_order_that_the_ledger_does_not_know_is_lost(bought: Ring) -> None:
    order = {"symbol": "KO", "qty": 1, "side": "buy", "type": "limit", "limit_price": 1, "time_in_force": "day"}
    bought.broker("large", "POST", "/v2/orders", {**order, "client_order_id": "ta-nobody-knows"})
    broken = judge(bought).broken
    assert any("the ledger does not know" in said for said in broken["I1"])
    assert any("still lives" in said for said in broken["I1"])


def test_a_trade_that_nobody_booked_is_a_disagreement(bought: Ring) -> None:
    perform(bought, Step("hand_buy", {"account": "large"}))
    assert judge(bought).broken.keys() == {"I3"}


def test_a_signal_that_bought_more_than_decided_is_doubled(bought: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trading_assets_tests.chaos.judge.DECIDED", "SKIP")
    assert any("decided were 0" in said for said in judge(bought).broken["I2"])


def test_a_fault_that_was_met_without_a_word_is_silent(bought: Ring) -> None:
    perform(bought, Step("fault", {"kind": "lost_answer", "scope": {"method": "GET", "path": "/v2/positions"}}))
    bought.run(("manage",), account="large")
    settle(bought)
    assert [fault["kind"] for fault in bought.fired] == ["lost_answer"]
    assert judge(bought).sound
    for act in bought.acts:
        act.said, act.trouble, act.status = [], "", 0
        for report in act.reports:
            report.update(alerts=[], failed={}, skipped={}, busy=False)
    assert any("without a word" in said for said in judge(bought).broken["I5"])
