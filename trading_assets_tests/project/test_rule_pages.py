"""Every Python example on the pages about the rules is executed, in the order of the page, in one namespace."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

_PAGES = sorted((Path(__file__).parents[2] / "docs" / "rules").glob("*.md"))
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _blocks(text: str) -> list[str]:
    return _BLOCK.findall(text)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_worked_examples_of_a_page_give_what_it_says(page: Path) -> None:
    text = page.read_text()
    blocks = _blocks(text)
    assert blocks, f"{page.name} has no worked example"
    assert any("assert " in block for block in blocks), f"the examples of {page.name} claim nothing"
    namespace: dict[str, Any] = {"__name__": page.stem}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"{page.name} example {number}", "exec"), namespace)


def test_a_wrong_example_would_be_noticed() -> None:
    (block,) = _blocks("text\n```python\nassert 1 + 1 == 3\n```\n")
    with pytest.raises(AssertionError):
        exec(block, {})
