"""A world is one directory with one owner, and keeps its kind and arguments."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world.lock import InUse, hold
from trading_assets.world.paths import World, WorldKind, WorldState, home_directory, write_private


def test_everything_of_a_world_lies_in_its_directory(tmp_path: Path) -> None:
    world = World(tmp_path, "demo")
    world.create()
    for path in (world.postgres, world.frames, world.exchange, world.dagster, world.logs):
        assert path.parent == tmp_path / "worlds" / "demo"
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert stat.S_IMODE(world.directory.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["", "../other", "a/b", "Upper", "-x", "x" * 33, "a\n"])
def test_F59_a_name_that_could_leave_the_home_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="no name for a world"):
        World(tmp_path, name)


def test_the_home_is_given_or_named_by_the_environment_or_local(tmp_path: Path) -> None:
    assert home_directory(tmp_path, {}) == tmp_path
    assert home_directory(None, {"TRADING_ASSETS_HOME": str(tmp_path)}) == tmp_path
    assert home_directory(None, {}) == Path.cwd() / ".trading_assets"


def test_each_start_has_an_id_of_its_own_and_the_record_survives(tmp_path: Path) -> None:
    world = World(tmp_path, "demo")
    assert world.record() is None
    first = world.begin(WorldKind.PRACTICE, {"seed": 1})
    second = world.begin(WorldKind.PRACTICE, {"seed": 1})
    assert first.start_id != second.start_id
    assert World(tmp_path, "demo").record() == second
    assert world.finish().state is WorldState.FINISHED


@pytest.mark.parametrize(("kind", "arguments"), [(WorldKind.PAPER, {"seed": 1}), (WorldKind.PRACTICE, {"seed": 2})])
def test_a_world_never_changes_its_kind_or_arguments(
    tmp_path: Path, kind: WorldKind, arguments: dict[str, int]
) -> None:
    world = World(tmp_path, "demo")
    begun = world.begin(WorldKind.PRACTICE, {"seed": 1})
    with pytest.raises(ConfigurationError, match="PRACTICE world made with"):
        world.begin(kind, arguments)
    assert world.record() == begun


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"name": "demo", "kind": "GAME"}'])
def test_a_damaged_record_is_refused_not_guessed(tmp_path: Path, content: str) -> None:
    world = World(tmp_path, "demo")
    world.create()
    world.record_file.write_text(content)
    with pytest.raises(ConfigurationError, match=r"world\.json"):
        world.record()


def test_a_private_file_is_replaced_whole_and_read_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "one")
    write_private(path, "two")
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["secret"]


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.lock():
        with pytest.raises(InUse, match=f"already in use by pid {os.getpid()}"):
            world.lock().acquire()
        with pytest.raises(InUse):
            world.lock(shared=True).acquire()
    world.lock().acquire()


def test_clients_share_and_keep_an_owner_out(tmp_path: Path) -> None:
    world = World(tmp_path)
    with world.lock(shared=True), world.lock(shared=True), pytest.raises(InUse):
        world.lock().acquire()


def test_a_killed_owner_leaves_no_lock_behind(tmp_path: Path) -> None:
    program = f"""
        import os, signal
        from pathlib import Path
        from trading_assets.world.lock import FileLock
        FileLock(Path({str(tmp_path / "lock")!r})).acquire()
        print("held", flush=True)
        signal.pause()
    """
    owner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None and owner.stdout.readline() == "held\n"
    with pytest.raises(InUse, match=str(owner.pid)), hold(tmp_path / "lock"):
        raise AssertionError("two owners")
    owner.kill()
    owner.wait()
    owner.stdout.close()
    with hold(tmp_path / "lock"):
        pass
