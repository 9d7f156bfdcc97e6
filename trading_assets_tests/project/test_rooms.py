"""Each room says in its ``__init__`` what belongs there, and names no module that is gone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "trading_assets"
ROOMS = sorted(PACKAGE.rglob("__init__.py"))


def _said(room: Path) -> str:
    return ast.get_docstring(ast.parse(room.read_text(encoding="utf-8"))) or ""


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.parent.relative_to(PACKAGE.parent)))
def test_every_room_says_what_belongs_there(room: Path) -> None:
    assert len(_said(room)) >= 30


@pytest.mark.parametrize("name", ["broker", "news", "strategy"])
def test_a_room_names_only_modules_that_are_there(name: str) -> None:
    listed = [line for line in re.split(r"\n(?=- )", _said(PACKAGE / name / "__init__.py")) if line.startswith("- ")]
    modules = {module for line in listed for module in re.findall(r"``([a-z]\w*)``", line)}
    assert modules and {module for module in modules if not list((PACKAGE / name).glob(f"{module}*"))} == set()
