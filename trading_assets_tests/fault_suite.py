"""The failure suite: which failures a test injects, told by its name; and the scorecard of what came of them.

A test is named after the failures it injects (``test_F01_F02_...``); a case of a parametrized test may
name its own (``[F03-reset]``), which then counts alone. Every such test carries the marker ``faults``.
What does not belong here: the failures themselves.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

#: Failures of execution, reconciliation, orchestration and storage: each has at least one test. F01-F14 submission,
#: F15-F23 stream and fills, F24-F31 restart and reconciliation, F32-F38 exits, F44 clocks, F45-F50 orchestration and
#: storage.
FAULT_IDS = tuple(f"F{number:02d}" for number in (*range(1, 39), *range(44, 51)))
SCORECARD_PROPERTY = "scorecard"
_IN_NAME = re.compile(r"^test_((?:F\d\d_)+)")
_IN_CASE = re.compile(r"\[((?:F\d\d[-_])*F\d\d)(?:[-_\]]|$)")
_FIGURES = ("faults_injected", "orders_placed", "lost", "doubled", "limits_broken")


def fault_ids(name: str) -> tuple[str, ...]:
    """The failures that the test of this name (with its case in brackets, if it has one) injects."""
    named = _IN_NAME.match(name)
    if named is None:
        return ()
    case = _IN_CASE.search(name)
    return tuple(re.findall(r"F\d\d", (case or named).group(1)))


def is_fault_test(name: str) -> bool:
    """Whether the test belongs to the failure suite."""
    return any(identity in FAULT_IDS for identity in fault_ids(name))


@dataclass
class Figures:
    """What a test counted. None: it did not look."""

    faults_injected: int | None = None
    orders_placed: int | None = None
    lost: int | None = None
    doubled: int | None = None
    limits_broken: int | None = None

    def add(self, **counts: int) -> None:
        """Add to the figures by name."""
        for name, count in counts.items():
            setattr(self, name, (getattr(self, name) or 0) + count)


@dataclass
class _Row:
    name: str
    outcome: str = "passed"
    seconds: float = 0.0
    figures: dict[str, int | None] = field(default_factory=dict)


class Scorecard:
    """A plugin that writes ``faults.json`` and ``faults.html`` into ``folder``.

    What an earlier part of the same suite wrote there is kept; a test that runs again replaces its own row.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, _Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not is_fault_test(_test_name(report.nodeid)):
            return
        row = self._rows.setdefault(report.nodeid, _Row(report.nodeid))
        row.seconds += report.duration
        if report.failed:
            row.outcome = "failed"
        elif report.skipped and row.outcome == "passed":
            row.outcome = "skipped"
        for key, value in report.user_properties:
            if key == SCORECARD_PROPERTY and isinstance(value, dict):
                row.figures = value

    def pytest_sessionfinish(self) -> None:
        if not self._rows:
            return
        target = self._folder / "faults.json"
        rows = {row["name"]: row for row in json.loads(target.read_text())["rows"]} if target.exists() else {}
        rows |= {name: asdict(row) | {"seconds": round(row.seconds, 2)} for name, row in self._rows.items()}
        card = scorecard([rows[name] for name in sorted(rows)])
        self._folder.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(card, indent=2) + "\n")
        (self._folder / "faults.html").write_text(page(card))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._rows:
            card = json.loads((self._folder / "faults.json").read_text())
            words = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in card["totals"].items())
            terminalreporter.write_line(f"scorecard {self._folder / 'faults.html'}: {words}")


def scorecard(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole card: totals, one entry per failure with its tests, failures without any, and the rows themselves."""
    faults: dict[str, dict[str, Any]] = {}
    for identity in FAULT_IDS:
        mine = [row for row in rows if identity in fault_ids(_test_name(row["name"]))]
        if mine:
            faults[identity] = {
                "tests": len(mine),
                "failed": sum(row["outcome"] == "failed" for row in mine),
                "skipped": sum(row["outcome"] == "skipped" for row in mine),
                "seconds": round(sum(row["seconds"] for row in mine), 2),
                **_sums(mine),
            }
    totals = {
        "failures": len(faults),
        "tests": len(rows),
        "failed": sum(row["outcome"] == "failed" for row in rows),
        **_sums(rows),
    }
    return {
        "totals": totals,
        "without_a_test": [i for i in FAULT_IDS if i not in faults],
        "faults": faults,
        "rows": rows,
    }


def page(card: dict[str, Any]) -> str:
    """The card as one HTML page."""
    heads = ("failure", "tests", "failed", "skipped", "seconds", *_FIGURES)
    lines = [
        "<tr>"
        + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in (identity, *(row[h] for h in heads[1:])))
        + "</tr>"
        for identity, row in card["faults"].items()
    ]
    tests = [
        f"<tr><td>{html.escape(row['name'])}</td><td class={row['outcome']}>{row['outcome']}</td>"
        f"<td>{row['seconds']}</td></tr>"
        for row in card["rows"]
    ]
    totals = ", ".join(f"{name.replace('_', ' ')} <b>{value}</b>" for name, value in card["totals"].items())
    missing = ", ".join(card["without_a_test"]) or "none"
    return (
        "<!doctype html><meta charset=utf-8><title>Failure suite</title>"
        "<style>body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:1em 0}"
        "td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}.failed{background:#fbb}</style>"
        f"<h1>Failure suite</h1><p>{totals}</p><p>failures without a test in this run: {missing}</p><table><tr>"
        + "".join(f"<th>{head.replace('_', ' ')}</th>" for head in heads)
        + "</tr>"
        + "".join(lines)
        + "</table><table><tr><th>test</th><th>outcome</th><th>seconds</th></tr>"
        + "".join(tests)
        + "</table>\n"
    )


def _test_name(nodeid: str) -> str:
    """``test_x[case]`` of a node's id; a case may itself contain ``::``."""
    head, bracket, case = nodeid.partition("[")
    return head.rpartition("::")[2] + bracket + case


def _sums(rows: list[dict[str, Any]]) -> dict[str, int | None]:
    """Each figure over all rows that looked; None where none did."""
    found: dict[str, int | None] = {}
    for name in _FIGURES:
        counted = [count for row in rows if (count := row["figures"].get(name)) is not None]
        found[name] = sum(counted) if counted else None
    return found
