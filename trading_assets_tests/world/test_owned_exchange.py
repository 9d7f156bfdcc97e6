"""The exchange of a world that somebody runs: its owner starts it again after a blow, and clients wait for that."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trading_assets.domain.errors import BrokerUnavailable
from trading_assets.settings import Settings, load_settings
from trading_assets.world import practice, runtime
from trading_assets.world.lease import stop_world
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.processes import Children

SPEED = 10.0
_OWNER = """
import sys
from pathlib import Path
from trading_assets.world.paths import World
with World(Path(sys.argv[1])).lock():
    print("mine", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Iterator[Settings]:
    """A practice world whose exchange ran at ten times the wall's speed and was killed."""
    url = database_url.replace("postgresql+psycopg", "postgresql")
    env = {"TRADING_ASSETS_DATABASE_URL": url, "TRADING_ASSETS_DAGSTER_URL": url}
    world = World(tmp_path)
    settings = load_settings(world=world, kind=WorldKind.PRACTICE, env=env)
    try:
        runtime.open_world(settings, begin=True, speed=SPEED)
        Children(world).stop(practice.CHILD)
        yield settings
    finally:
        stop_world(world)


@pytest.fixture
def owner(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the world."""
    command = [sys.executable, "-c", _OWNER, str(settings.world.home)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "mine\n"
    yield process
    process.communicate("\n", timeout=60)


def speed(settings: Settings) -> float:
    stored: float = json.loads((settings.world.exchange / "config.json").read_text())["speed"]
    return stored


def test_a_client_waits_until_the_owner_has_started_it_again(
    settings: Settings, owner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = threading.Event()
    sleep = time.sleep

    def looking(seconds: float) -> None:
        looked.set()
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", looking)

    def revive() -> None:
        looked.wait()
        practice.start(Children(settings.world))

    reviving = threading.Thread(target=revive)
    reviving.start()
    opened = runtime.open_world(settings)
    reviving.join()
    assert opened.exchange is not None and speed(settings) == SPEED
    before = opened.clock().now()
    while opened.clock().now() == before:
        sleep(0.05)


def test_a_client_that_waited_in_vain_says_who_should_have_and_changes_nothing(
    settings: Settings, owner: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_REVIVAL_SECONDS", 0.5)
    with pytest.raises(BrokerUnavailable, match=f"pid {owner.pid} runs this world"):
        runtime.open_world(settings)
    assert practice.running(settings.world.exchange) is None and speed(settings) == SPEED


def test_without_an_owner_a_client_starts_it_and_time_stands_still(settings: Settings) -> None:
    opened = runtime.open_world(settings)
    assert opened.exchange is not None and speed(settings) == 0.0
