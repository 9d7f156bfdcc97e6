"""One finished demo day, opened once with ``trading-assets up``, and a browser before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from trading_assets.world.frames import FrameStore
from trading_assets.world.paths import World
from trading_assets_tests.browser.chromium import PATIENCE_MS, chromium, page_of
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.open_world import opened

#: A day with fills, so that the lineage is materialized to its end.
ARGUMENTS = ["--step", "30", "--seed", "1"]


@dataclass(frozen=True)
class OpenDay:
    """A finished day whose UI answers at ``address``; ``frames`` is what really lies in its storage."""

    address: str
    frames: FrameStore


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="session")
def day(browser: Browser, session_world_home: Path) -> Iterator[OpenDay]:
    """Asks for the browser first: without one the day need not be played."""
    world = DemoWorld(session_world_home / "day", ARGUMENTS)
    summary = world.finish()
    assert summary["consistent"] is True
    with opened(world) as (_, address):
        yield OpenDay(address, FrameStore(World(world.home, "demo").frames))


@pytest.fixture
def page(browser: Browser, day: OpenDay) -> Iterator[Page]:
    with page_of(browser, day.address) as fresh:
        yield fresh
