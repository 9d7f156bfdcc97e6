"""Every failure that has to be survived is injected by at least one test, found by its name."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from trading_assets_tests.fault_suite import FAULT_IDS, Scorecard, fault_ids, is_fault_test, page, scorecard

TESTS = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def named() -> set[str]:
    """Failures in the names of all test functions, as pytest collects them."""
    found: set[str] = set()
    for file in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef):
                found.update(fault_ids(node.name))
    return found


def test_every_failure_has_a_test_named_after_it(named: set[str]) -> None:
    assert [identity for identity in FAULT_IDS if identity not in named] == []


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_F03_a_reset", ("F03",)),
        ("test_F01_F03_two", ("F01", "F03")),
        ("test_F01_F03_two[F03-reset]", ("F03",)),
        ("test_F01_F03_two[F01-F03]", ("F01", "F03")),
        ("test_F01_F03_two[entry]", ("F01", "F03")),
        ("test_a_day[F03]", ()),
        ("test_F0_x", ()),
    ],
)
def test_a_name_tells_its_failures(name: str, ids: tuple[str, ...]) -> None:
    assert fault_ids(name) == ids


def test_failures_of_data_and_configuration_are_no_part_of_the_suite() -> None:
    assert is_fault_test("test_F38_x") and is_fault_test("test_F44_x")
    assert not is_fault_test("test_F39_x") and not is_fault_test("test_F51_x") and not is_fault_test("test_x")


def report(name: str, outcome: str, **figures: int) -> Any:
    return pytest.TestReport(
        nodeid=f"trading_assets_tests/test_x.py::{name}",
        location=("test_x.py", 1, name),
        keywords={},
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=None,
        when="call",
        user_properties=[("scorecard", figures)] if figures else [],
        duration=1.5,
    )


def test_the_scorecard_adds_up_over_several_parts_and_names_what_did_not_run(tmp_path: Path) -> None:
    first, second = Scorecard(tmp_path), Scorecard(tmp_path)
    first.pytest_runtest_logreport(report("test_F01_F02_x[F02-a::b]", "passed", orders_placed=2, lost=0))
    first.pytest_runtest_logreport(report("test_nothing", "failed"))
    first.pytest_sessionfinish()
    second.pytest_runtest_logreport(report("test_F03_y", "failed", lost=1))
    second.pytest_sessionfinish()
    text = (tmp_path / "faults.html").read_text()
    rows = json.loads((tmp_path / "faults.json").read_text())
    assert rows["totals"] == {
        "failures": 2, "tests": 2, "failed": 1,
        "faults_injected": None, "orders_placed": 2, "lost": 1, "doubled": None, "limits_broken": None,
    }  # fmt: skip
    assert rows["faults"]["F02"]["seconds"] == 1.5 and "F01" in rows["without_a_test"]
    assert "test_F03_y" in text and "<b>1</b>" in text
    assert page(scorecard([])).startswith("<!doctype html>")
