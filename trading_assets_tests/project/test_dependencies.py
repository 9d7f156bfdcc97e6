"""pyproject.toml says what is allowed, constraints.txt says what was tested, and the code imports nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(text) for text in PROJECT["dependencies"]]
EXTRAS = {name: [Requirement(text) for text in texts] for name, texts in PROJECT["optional-dependencies"].items()}
EVERY = [one for one in [*DIRECT, *(one for extra in EXTRAS.values() for one in extra)] if one.name != "trading-assets"]
#: Years are versions of the time zone data: every newer one is wanted.
WITHOUT_UPPER_BOUND = {"tzdata"}


def _pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 for pair in pairs), "every line is name==version"
    return {canonicalize_name(name): Version(text) for name, text in pairs}


PINS = _pins()


@pytest.mark.parametrize("requirement", EVERY, ids=str)
def test_a_direct_dependency_has_bounds_and_its_tested_version_lies_within(requirement: Requirement) -> None:
    operators = {specifier.operator for specifier in requirement.specifier}
    assert ">=" in operators
    assert "<" in operators or requirement.name in WITHOUT_UPPER_BOUND
    assert PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_what_is_installed_here_is_what_was_pinned() -> None:
    different = {
        one.name: version(one.name)
        for one in EVERY
        if Version(version(one.name)).public != PINS[canonicalize_name(one.name)].public
    }
    assert different == {}


def test_pins_carry_no_local_build_and_no_address() -> None:
    assert [name for name, pin in PINS.items() if pin.local] == []
    assert re.search(r"://|@|\s/", "\n".join(map(str, PINS))) is None
    assert str(PINS["torch"]) == "2.13.0"
    assert {"dagster", "dagster-webserver", "dagster-postgres", "dagster-aws"} <= set(PINS)


def test_the_base_needs_neither_torch_nor_transformers() -> None:
    heavy = {"torch", "transformers", "onnxruntime", "trafilatura", "scikit-learn", "pytest", "mypy", "ruff"}
    assert heavy.isdisjoint(one.name for one in DIRECT)
    assert {one.name for one in EXTRAS["finbert"]} == {"torch", "transformers"}
    assert [one.extras for one in EXTRAS["test"] if one.name == "trading-assets"] == [set(EXTRAS) - {"test"}]


def _imported(folder: Path) -> set[str]:
    names: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), str(path))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"trading_assets", "trading_assets_tests"}


#: Parts of a direct dependency that may be imported under their own names, and who brings them.
BROUGHT_BY = {
    "dagster-shared": "dagster",
    "requests": "alpaca-py",
    "urllib3": "alpaca-py",
    "pillow": "matplotlib",
    "click": "typer",
    "markdown-it-py": "rich",
    "huggingface-hub": "transformers",
    "safetensors": "transformers",
    "tokenizers": "transformers",
    "httpx2": "transformers",
    "botocore": "boto3",
    "packaging": "pytest",
}


#: What a script of the tests imports in an environment of its own, whose file pins it.
ELSEWHERE = {"alpaca_trade_api": ROOT / "trading_assets_tests" / "clients" / "requirements-alpaca-trade-api.txt"}


def test_an_environment_beside_the_projects_own_is_pinned_wholly() -> None:
    for name, path in ELSEWHERE.items():
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines), path
        assert canonicalize_name(name) in {canonicalize_name(line.partition("==")[0]) for line in lines}
    lock = (ROOT / "trading_assets_tests" / "clients" / "node" / "package-lock.json").read_text()
    assert '"integrity"' in lock and '"resolved"' not in lock and "://" not in lock


@pytest.mark.parametrize("folder", ["trading_assets", "trading_assets_tests"])
def test_the_code_imports_only_what_it_declares(folder: str) -> None:
    optional = [one for name, extra in EXTRAS.items() if name != "test" for one in extra]
    declared = {canonicalize_name(one.name) for one in [*DIRECT, *optional]}
    if folder.endswith("tests"):
        declared |= {canonicalize_name(one.name) for one in EXTRAS["test"]}
    declared |= {canonicalize_name(part) for part, whole in BROUGHT_BY.items() if whole in declared}
    owners = packages_distributions()
    undeclared = {
        name
        for name in _imported(ROOT / folder) - set(ELSEWHERE)
        if declared.isdisjoint(canonicalize_name(owner) for owner in owners.get(name, []))
    }
    assert undeclared == set()
