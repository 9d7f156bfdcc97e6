"""The practice exchange is configured once with keys of its own, started, adopted, and started again after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import sys
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.world import practice
from trading_assets.world.paths import World
from trading_assets.world.practice import PracticeAccount
from trading_assets.world.processes import Children, ProcessError

FAKE = (sys.executable, "-m", "trading_assets_tests.world.fake_exchange")
ACCOUNTS = [PracticeAccount("tiny", Decimal(1000)), PracticeAccount("large", Decimal("121000.50"), 3)]


def _configure(world: World, **changes: Any) -> None:
    values: dict[str, Any] = {
        "seed": 1,
        "session": date(2026, 3, 11),
        "scenario": "normal",
        "accounts": ACCOUNTS,
    } | changes
    practice.write_config(world.exchange, **values)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A configured practice world without a running exchange; its processes end with the test."""
    world = World(tmp_path)
    world.create()
    _configure(world)
    yield world
    Children(world).stop_all(wait=5)


def test_the_exchange_itself_accepts_the_configuration(world: World) -> None:
    from trading_assets.exchange.config import load_config

    config = load_config(world.exchange)
    assert [(a.name, a.cash, a.options_level) for a in config.accounts] == [
        ("tiny", Decimal(1000), 2),
        ("large", Decimal("121000.50"), 3),
    ]


def test_keys_are_generated_private_and_kept(world: World) -> None:
    keys = practice.read_keys(world.exchange)
    secrets = {value.get_secret_value() for pair in keys.values() for value in (pair.key, pair.secret)}
    assert len(secrets) == 4
    assert stat.S_IMODE((world.exchange / "config.json").stat().st_mode) == 0o600
    assert not any(secret in repr(keys) for secret in secrets)
    _configure(world)
    assert practice.read_keys(world.exchange) == keys


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"seed": 2}, "seed"), ({"scenario": "adverse"}, "scenario"), ({"accounts": ACCOUNTS[:1]}, "accounts")],
)
def test_an_exchange_keeps_what_it_was_made_with(world: World, changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"another {named}"):
        _configure(world, **changes)


def test_it_is_started_once_and_adopted_by_others(world: World) -> None:
    assert practice.running(world.exchange) is None
    started = practice.start(Children(world), command=FAKE)
    adopted = practice.start(Children(world), command=FAKE)
    assert started.pid == adopted.pid
    found = practice.running(world.exchange)
    assert found is not None and found.url == started.url
    assert started.clock().now().isoformat() == "2026-03-11T13:25:00+00:00"
    assert started.token.get_secret_value() not in repr(started)


def test_after_a_kill_the_old_address_is_not_believed_and_a_new_one_starts(world: World) -> None:
    children = Children(world)
    first = practice.start(children, command=FAKE)
    os.kill(first.pid, signal.SIGKILL)
    while children.adopt("exchange") is not None:
        pass
    assert practice.running(world.exchange) is None
    second = practice.start(children, command=FAKE)
    assert second.pid != first.pid
    assert second.keys == first.keys


def test_the_copy_of_a_world_does_not_take_the_originals_exchange_for_its_own(world: World, tmp_path: Path) -> None:
    practice.start(Children(world), command=FAKE)
    copy = tmp_path / "copy"
    shutil.copytree(world.exchange, copy)
    assert practice.running(copy) is None
    assert practice.running(world.exchange) is not None


def test_an_exchange_that_ends_at_once_tells_why(world: World) -> None:
    command = (sys.executable, "-c", "raise SystemExit('no market today')")
    with pytest.raises(ProcessError, match=r"ended during its start.*no market today"):
        practice.start(Children(world), command=command)


def test_a_world_without_an_exchange_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no practice exchange"):
        practice.read_keys(tmp_path)


def test_an_exchange_made_before_there_were_recorded_feeds_goes_on_without(world: World) -> None:
    path = world.exchange / "config.json"
    stored = json.loads(path.read_text())
    del stored["recorded_feeds"]
    path.write_text(json.dumps(stored))
    _configure(world)
    with pytest.raises(ConfigurationError, match="another recorded_feeds"):
        _configure(world, recorded_feeds=True)
