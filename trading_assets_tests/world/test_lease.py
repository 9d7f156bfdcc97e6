"""Clients share a world; the last one that leaves stops what they started, and nobody stops an owned world."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from trading_assets.world.lease import hold_lease, leave
from trading_assets.world.paths import World

_CLIENT = """
    import sys
    from pathlib import Path
    from trading_assets.world.lease import hold_lease
    from trading_assets.world.paths import World
    world = World(Path({home!r}))
    hold_lease(world)
    world.server().start()
    print("up", flush=True)
    sys.stdin.readline()
"""


def _client(home: Path) -> subprocess.Popen[str]:
    client = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_CLIENT.format(home=str(home)))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdout is not None and client.stdout.readline() == "up\n"
    return client


def _end(client: subprocess.Popen[str]) -> None:
    client.communicate("\n", timeout=60)
    assert client.returncode == 0


def test_the_server_runs_until_the_last_client_leaves(world_home: Path) -> None:
    first, second = _client(world_home), _client(world_home)
    server = World(world_home).server()
    _end(first)
    assert server.is_running()
    _end(second)
    assert not server.is_running()


def test_a_killed_client_is_forgotten_and_the_next_one_tidies_up(world_home: Path) -> None:
    killed = _client(world_home)
    killed.kill()
    killed.communicate(timeout=60)
    server = World(world_home).server()
    assert server.is_running()
    _end(_client(world_home))
    assert not server.is_running()


def test_clients_leave_an_owned_world_running(world_home: Path) -> None:
    world = World(world_home)
    with world.lock():
        world.server().start()
        _end(_client(world_home))
        assert world.server().is_running()
    hold_lease(world)
    hold_lease(world)
    assert leave(world) == ["postgres"]
    assert leave(world) == []
