"""Every minute is a fresh process: what a definition imports is paid for every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch", "transformers", "pandas", "alpaca", "boto3", "botocore", "dagster_aws", "exchange_calendars",
    "dataframely", "matplotlib", "talib",
)  # fmt: skip


def _loaded_by(module: str, looked_for: tuple[str, ...]) -> set[str]:
    script = f"import sys, {module}; print(*[name for name in {looked_for!r} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    return set(shown.stdout.split())


@pytest.mark.parametrize("module", ["trading_assets.definitions", "trading_assets.cli"])
def test_a_fresh_interpreter_loads_nothing_heavy(module: str) -> None:
    assert _loaded_by(module, HEAVY) == set()


def test_the_command_line_answers_before_dagster_or_a_database_is_loaded() -> None:
    assert _loaded_by("trading_assets.cli", ("dagster", "sqlalchemy", "polars")) == set()


def test_the_look_up_of_heavy_modules_would_find_one() -> None:
    assert _loaded_by("talib", HEAVY) >= {"talib"}


@pytest.mark.patient
def test_every_module_can_be_imported_by_itself() -> None:
    """Each in a process forked from a bare one, so that none leans on what another has imported."""
    modules = sorted(
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "trading_assets").rglob("*.py")
        if "migrations" not in path.parts and path.name != "__main__.py"
    )
    script = f"""
import importlib, os, sys, traceback
# Libraries are shared by the children, so that these are quick.
import alembic.command, alpaca.trading.client, dagster, dagster_postgres, httpx, numpy, polars, pydantic_settings
import psycopg, scipy.special, sqlalchemy, stamina, starlette.applications, typer, uvicorn
failed = []
for name in {modules!r}:
    child = os.fork()
    if child == 0:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        failed.append(name)
print(*failed)
"""
    shown = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == [], shown.stderr
