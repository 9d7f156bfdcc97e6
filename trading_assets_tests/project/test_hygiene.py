"""Nothing tracked tells of somebody's machine or holds a secret, and the pure rooms ask nobody for anything."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def hygiene() -> ModuleType:
    """``tools/hygiene.py``, which ``make check`` runs."""
    spec = importlib.util.spec_from_file_location("hygiene", ROOT / "tools" / "hygiene.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_file_leaks_an_index_a_machine_or_a_secret(hygiene: ModuleType) -> None:
    files = hygiene.tracked_files()
    assert len(files) > 50
    assert list(hygiene.leak_findings(files)) == []


def test_every_installed_distribution_says_a_licence_that_is_fine(hygiene: ModuleType) -> None:
    assert list(hygiene.licence_findings()) == []


@pytest.mark.parametrize(
    "leak",
    [
        "pip install --index-url https://packages.example/simple thing",
        "see https://packages.example/simple/thing",
        "open('/home/alice/thing.txt')",
        "cd /root/thing",
        "key = 'AKIA" + "ABCDEFGHIJ234567'",
        "key = 'PK" + "7ABCDEFGHIJ234567890'",
        "-----BEGIN RSA " + "PRIVATE KEY-----",
        "token = 'ghp_" + "a1" * 15 + "'",
        "torch==2.13.0+cpu",
    ],
)
def test_a_leak_would_be_found(hygiene: ModuleType, tmp_path: Path, leak: str) -> None:
    file = tmp_path / "file.txt"
    file.write_text(f"first line\n{leak}\n")
    (found,) = hygiene.leak_findings([file])
    assert found.startswith(f"{file}:2: ")


PURE = ("domain", "market", "strategy", "risk", "simulation")
#: Attribute calls that read a clock, a file, the environment or chance that nobody seeded.
ASKING = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("time", "time"),
    ("time", "monotonic"), ("time", "sleep"), ("os", "environ"), ("os", "getenv"), ("random", "random"),
    ("pl", "read_parquet"), ("pl", "scan_parquet"), ("pl", "read_csv"),
}  # fmt: skip
#: The one clock that the program has, and the generated calendar that ships inside the package.
ALLOWED = {("domain/clock.py", ("datetime", "now")), ("domain/clock.py", ("time", "sleep"))}


def _asked(source: str) -> set[tuple[str, str]]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add((node.value.id, node.attr))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("open", "input"):
            found.add(("builtins", node.func.id))
    return found & (ASKING | {("builtins", "open"), ("builtins", "input")})


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_asks_for_no_clock_file_environment_or_chance(room: str) -> None:
    package = ROOT / "trading_assets"
    files = list((package / room).rglob("*.py"))
    asked = {(str(path.relative_to(package)), what) for path in files for what in _asked(path.read_text())}
    assert files
    assert asked - ALLOWED == set()


def test_asking_would_be_found() -> None:
    assert _asked("from datetime import datetime\nx = datetime.now()\nopen('x')") == {
        ("datetime", "now"),
        ("builtins", "open"),
    }
