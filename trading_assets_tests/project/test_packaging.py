"""A built wheel holds everything that the code reads at run time, and works away from this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = """
from importlib.resources import files
import trading_assets, trading_assets.cli, trading_assets.definitions
from trading_assets.market.sessions import holidays
from trading_assets.settings import packaged
assert packaged("strategy.yaml") and packaged("accounts.yaml") and holidays()
print(trading_assets.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that this checkout stays as it is."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "trading_assets", source / "trading_assets", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "trading_assets_tests" / "project", source / "trading_assets_tests" / "project")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", "."]
    built = subprocess.run([*command, str(source)], cwd=place, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (found,) = place.glob("*.whl")
    return found


def test_the_wheel_holds_every_file_that_the_package_reads_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "trading_assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    for known in (
        "trading_assets/py.typed",
        "trading_assets/defaults/strategy.yaml",
        "trading_assets/market/data/xnys.json",
        "trading_assets/news/data/companies.json",
        "trading_assets/ledger/migrations/script.py.mako",
    ):
        assert known in names
    assert [name for name in names if not name.startswith(("trading_assets/", "trading_assets-0"))] == []
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_an_installed_wheel_runs_away_from_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(target), "TRADING_ASSETS_HOME": str(elsewhere)}
    shown = subprocess.run([sys.executable, "-c", SHOW], cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert Path(shown.stdout.strip()).is_relative_to(target)
