"""The documents, as a reader meets them: each section once, each link to a section or file that is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trading_assets.config_files import merged, validated
from trading_assets.settings import packaged
from trading_assets.strategy_config import StrategyConfig

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_YAML = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def _lines(document: Path) -> Iterator[str]:
    """Lines outside of blocks of code."""
    code = False
    for line in document.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            code = not code
        elif not code:
            yield line


def _sections(document: Path) -> list[tuple[str, ...]]:
    """Each heading with those it stands under."""
    path: list[str] = []
    found = []
    for line in _lines(document):
        if (heading := re.match(r"(#+) (.+)", line)) is not None:
            path = [*path[: len(heading[1]) - 1], heading[2].strip()]
            found.append(tuple(path))
    return found


def _anchor(heading: str) -> str:
    kept = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_has_a_section_twice(document: Path) -> None:
    sections = _sections(document)
    assert sorted({one for one in sections if sections.count(one) > 1}) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_document_has_a_paragraph_twice(document: Path) -> None:
    paragraphs = [one for one in "\n".join(_lines(document)).split("\n\n") if len(one) > 80]
    assert sorted({one for one in paragraphs if paragraphs.count(one) > 1}) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    astray = []
    for target in _LINK.findall("\n".join(_lines(document))):
        if re.match(r"\w+:", target):
            continue
        name, _, section = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        if not file.exists() or (section and section not in {_anchor(path[-1]) for path in _sections(file)}):
            astray.append(target)
    assert astray == []


def _strategies() -> Iterator[Any]:
    """Each example of a strategy.yaml; those of accounts.yaml are another file's."""
    for document in DOCUMENTS:
        for number, block in enumerate(_YAML.findall(document.read_text(encoding="utf-8")), start=1):
            values = yaml.safe_load(block)
            if "accounts" not in values:
                yield pytest.param(values, id=f"{document.relative_to(ROOT)} {number}")


@pytest.mark.parametrize("values", list(_strategies()))
def test_a_configuration_that_a_document_shows_is_accepted(values: dict[str, Any]) -> None:
    validated(StrategyConfig, merged(packaged("strategy.yaml"), values), "the document")
