"""F11 crossed with every other fault of the broker: killed at each step, the next ones meeting trouble as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.exchange.faults.plan import KINDS
from trading_assets_tests.chaos import matrix
from trading_assets_tests.chaos.matrix import Cell
from trading_assets_tests.chaos.ring import ring
from trading_assets_tests.chaos.template import Template
from trading_assets_tests.fault_suite import Figures

_COVERING = {cell.name for cell in matrix.covering()}


def _cases() -> Iterator[object]:
    for number, cell in enumerate(matrix.cells()):
        marks = () if cell.name in _COVERING else (pytest.mark.matrix,)
        yield pytest.param(number, cell, id=cell.name, marks=marks)


def test_the_covering_part_has_every_crash_point_and_every_fault() -> None:
    chosen = matrix.covering()
    assert {cell.point for cell in chosen} == set(matrix.POINTS)
    assert {cell.kind for cell in chosen} == KINDS.keys() - matrix.ELSEWHERE.keys()
    assert matrix.ELSEWHERE.keys() <= KINDS.keys()
    names = [cell.name for cell in matrix.cells()]
    assert len(set(names)) == len(names) and set(names) >= _COVERING


def test_what_is_declared_as_not_met_exists() -> None:
    assert set(matrix.UNMET) <= {(cell.point, cell.kind) for cell in matrix.cells()}


@pytest.mark.parametrize(("number", "cell"), list(_cases()))
def test_F11_a_process_killed_at_this_point_under_this_fault_loses_and_doubles_nothing(
    number: int, cell: Cell, template: Template, world_home: Path, scorecard: Figures
) -> None:
    with ring(template, world_home, f"cell{number}") as opened:
        outcome = matrix.play(opened, cell)
    words = "\n".join(outcome.told)
    assert outcome.died, f"no process reached {cell.point}\n{words}"
    if (cell.point, cell.kind) not in matrix.UNMET:
        assert outcome.met, f"nobody met {cell.kind}\n{words}"
    counts = {name: len(said) for name, said in outcome.broken.items()}
    scorecard.add(
        faults_injected=2 if outcome.met else 1,
        orders_placed=outcome.orders,
        lost=counts.get("I1", 0),
        doubled=counts.get("I2", 0),
        limits_broken=counts.get("I4", 0),
    )
    assert not outcome.broken, f"{outcome.broken}\n{words}"
