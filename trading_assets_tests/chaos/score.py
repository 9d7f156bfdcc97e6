"""The scorecard of a chaos run: what was injected and ordered, and how often an invariant broke. JSON and a page."""

from __future__ import annotations

import html
import json
from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from trading_assets_tests.chaos.judge import Verdict

#: What each invariant's breach is called.
BREACHES = {"I1": "lost", "I2": "doubled", "I3": "disagreements", "I4": "limits broken", "I5": "silent faults"}


@dataclass(slots=True)
class Scorecard:
    """Sums over all sequences. ``failures`` keep the seed, the steps, the minimal steps and what broke."""

    first_seed: int
    sequences: int = 0
    seconds: float = 0.0
    orders: int = 0
    fills: int = 0
    signals_bought: int = 0
    processes_killed: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    breaches: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(BREACHES.values(), 0)))
    failures: list[dict[str, Any]] = field(default_factory=list)

    def add(self, verdict: Verdict, kinds: Counter[str]) -> None:
        """Count one sequence."""
        self.sequences += 1
        self.orders += verdict.orders
        self.fills += verdict.fills
        self.signals_bought += verdict.entered
        self.processes_killed += verdict.killed
        self.faults += kinds
        for name, said in verdict.broken.items():
            self.breaches[BREACHES[name]] += len(said)

    def merge(self, other: Scorecard) -> None:
        """Add another card's sums and failures; the seconds stay."""
        for name in ("sequences", "orders", "fills", "signals_bought", "processes_killed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.breaches.update(other.breaches)
        self.failures += other.failures

    @property
    def per_hour(self) -> float | None:
        """Sequences per hour of the wall, None before any time has passed."""
        return self.sequences / self.seconds * 3600 if self.seconds else None

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        per_hour = self.per_hour
        return {
            **{one.name: getattr(self, one.name) for one in fields(self)},
            "faults": dict(self.faults),
            "breaches": dict(self.breaches),
            "sequences_per_hour": None if per_hour is None else round(per_hour),
            "faults_injected": sum(self.faults.values()),
        }

    def write(self, folder: Path) -> None:
        """``chaos.json`` and ``chaos.html`` in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "chaos.json").write_text(json.dumps(self.as_json(), indent=2) + "\n")
        (folder / "chaos.html").write_text(self._page())

    def _page(self) -> str:
        found = self.as_json()
        figures = {
            "sequences": self.sequences,
            "sequences per hour": found["sequences_per_hour"],
            "faults injected": found["faults_injected"],
            "processes killed": self.processes_killed,
            "orders placed": self.orders,
            "fills": self.fills,
            "signals bought": self.signals_bought,
            **self.breaches,
        }
        rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{value}</td></tr>" for name, value in figures.items())
        kinds = "".join(
            f"<tr><th>{html.escape(name)}</th><td>{count}</td></tr>" for name, count in sorted(self.faults.items())
        )
        failures = "".join(
            f"<h3>seed {row['seed']}</h3><pre>{html.escape(json.dumps(row, indent=2))}</pre>" for row in self.failures
        )
        return (
            "<!doctype html><meta charset=utf-8><title>Chaos scorecard</title>"
            "<style>body{font:16px system-ui;margin:2rem;max-width:60rem}th{text-align:left;padding-right:2rem;"
            "font-weight:400}td{text-align:right}</style>"
            f"<h1>Chaos scorecard</h1><table>{rows}</table><h2>Faults by kind</h2><table>{kinds}</table>"
            f"<h2>Failing sequences</h2>{failures or '<p>none</p>'}\n"
        )
