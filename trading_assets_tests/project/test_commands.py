"""What README, CONTRIBUTING and CI tell people to type exists, and the bootstrap keeps its promises."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from trading_assets.settings import PREFIX, Environment

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", ".ci/run")


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.M))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_command_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"(?:`|^|section )make\s+([a-z][a-z-]*)", text, flags=re.M))
    assert named <= _targets()


def test_every_file_that_a_document_links_exists() -> None:
    for document in DOCUMENTS[:3]:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text())
        assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_readme_lists_every_room() -> None:
    text = (ROOT / "README.md").read_text()
    rooms = {path.parent.name for path in (ROOT / "trading_assets").glob("*/__init__.py")} - {"defaults"}
    assert [room for room in sorted(rooms) if f"`{room}`" not in text and f"trading_assets/{room}`" not in text] == []


def test_ci_calls_the_commands_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    calls = re.findall(r"^section (.*)$", script.read_text(), flags=re.M)
    suites = [f"make test{suite}" for suite in ("", "-faults", "-patient", "-clients", "-browser")]
    assert calls == ["make check", *suites, "make demo"]


def test_the_example_environment_names_every_variable_and_sets_none() -> None:
    lines = [line for line in (ROOT / ".env.example").read_text().splitlines() if line and not line.startswith("#")]
    named = {line.partition("=")[0] for line in lines}
    assert [line for line in lines if not line.endswith("=")] == []
    assert {PREFIX + name.upper() for name in Environment.model_fields} <= named


def test_dagster_finds_the_same_module_in_both_of_its_files() -> None:
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert location["python_module"] == {"module_name": "trading_assets.definitions", "location_name": "trading_assets"}
    assert 'module_name = "trading_assets.definitions"' in (ROOT / "pyproject.toml").read_text()


# --- the bootstrap ----------------------------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with what the bootstrap reads, and nothing installed."""
    folder = tmp_path / "check out"
    for name in ("tools/bootstrap.sh", "pyproject.toml", "constraints.txt", "setup.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def _bootstrap(checkout: Path, path: Path, kind: str = "base") -> subprocess.CompletedProcess[str]:
    for tool in ("sh", "dirname", "cat", "cksum", "head", "grep", "tail", "rm", "flock", "env"):
        found = shutil.which(tool)
        assert found is not None
        if not (path / tool).exists():
            (path / tool).symlink_to(found)
    return subprocess.run(
        ["sh", "tools/bootstrap.sh", kind], cwd=checkout, env={"PATH": str(path)}, capture_output=True, text=True
    )


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


def test_without_python_3_11_one_sentence_says_so(checkout: Path, tmp_path: Path) -> None:
    _script(tmp_path / "bin" / "python3", "exit 1\n")
    done = _bootstrap(checkout, tmp_path / "bin")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "needs Python 3.11" in done.stderr


@pytest.mark.parametrize("uid", ["0", "1000"])
def test_without_venv_support_the_command_that_mends_it_is_run_by_root_and_told_to_others(
    checkout: Path, tmp_path: Path, uid: str
) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    _script(tmp_path / "bin" / "python3.11", '[ "$1" = -c ] && exit 0\nexit 1\n')
    _script(tmp_path / "bin" / "id", f"echo {uid}\n")
    _script(tmp_path / "bin" / "apt-get", f'echo "$@" >>"{calls}"\n')
    done = _bootstrap(checkout, tmp_path / "bin")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "apt-get update && apt-get install -y python3-venv"
    assert calls.read_text().splitlines() == (["update", "install -y python3-venv"] if uid == "0" else [])
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize("uid", ["0", "1000"])
def test_a_missing_chromium_is_installed_by_root_and_others_are_told_how(tmp_path: Path, uid: str) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    _script(tmp_path / "bin" / "id", f"echo {uid}\n")
    _script(tmp_path / "bin" / "apt-get", f'echo "$@" >>"{calls}"\n')
    command = ["/bin/sh", str(ROOT / "tools" / "chromium.sh")]
    done = subprocess.run(command, env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.endswith("As root, run: apt-get update && apt-get install -y chromium\n")
    assert done.stderr.count("\n") == 1
    assert calls.read_text().splitlines() == (["update", "install -y chromium"] if uid == "0" else [])
    _script(tmp_path / "bin" / "chromium", "exit 0\n")
    assert subprocess.run(command, env={"PATH": str(tmp_path / "bin")}, capture_output=True).returncode == 0
    assert len(calls.read_text().splitlines()) == (2 if uid == "0" else 0)


PYTHON = """
echo "$@" >>"{calls}"
case "$*" in
    *"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python && echo "#!$PWD/.venv/bin/python" >.venv/bin/pip ;;
    *"pip install"*) exit {pip} ;;
esac
"""


def _fake_python(tmp_path: Path, *, pip: int = 0) -> Path:
    """A Python 3.11 that writes down what is asked of it; ``pip`` is the exit status of every ``pip install``."""
    calls = tmp_path / "calls"
    calls.write_text("")
    path = f'PATH="{os.environ["PATH"]}"\n'
    _script(tmp_path / "bin" / "python3.11", path + PYTHON.format(calls=calls, pip=pip))
    return calls


def _installs(calls: Path) -> list[str]:
    return [line for line in calls.read_text().splitlines() if "pip install" in line]


def test_a_second_start_asks_pip_for_nothing_until_a_pin_changes(checkout: Path, tmp_path: Path) -> None:
    calls = _fake_python(tmp_path)
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 0
    assert len(_installs(calls)) == 2
    assert _installs(calls)[-1].endswith("-c constraints.txt --no-build-isolation -e .")
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 0
    assert len(_installs(calls)) == 2
    (checkout / "constraints.txt").write_text("dagster==1.13.27\n")
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 0
    assert len(_installs(calls)) == 4


def test_what_the_tests_need_serves_the_demo_too_but_not_the_other_way_round(checkout: Path, tmp_path: Path) -> None:
    calls = _fake_python(tmp_path)
    for kind, installs in (("base", 2), ("test", 4), ("base", 4), ("test", 4)):
        assert _bootstrap(checkout, tmp_path / "bin", kind).returncode == 0
        assert len(_installs(calls)) == installs


def test_an_installation_that_failed_is_tried_again(checkout: Path, tmp_path: Path) -> None:
    calls = _fake_python(tmp_path, pip=1)
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 1
    shutil.rmtree(checkout / ".venv")
    calls = _fake_python(tmp_path)
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 0
    assert len(_installs(calls)) == 2


def test_a_moved_environment_is_made_anew(checkout: Path, tmp_path: Path) -> None:
    calls = _fake_python(tmp_path)
    assert _bootstrap(checkout, tmp_path / "bin").returncode == 0
    moved = checkout.rename(tmp_path / "elsewhere")
    assert _bootstrap(moved, tmp_path / "bin").returncode == 0
    assert len([line for line in calls.read_text().splitlines() if "-m venv" in line]) == 2


def test_make_lists_its_commands() -> None:
    shown = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {"demo", "test", "check"} <= set(re.findall(r"make ([a-z-]+)", shown.stdout))
