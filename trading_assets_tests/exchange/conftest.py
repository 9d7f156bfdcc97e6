"""Running exchanges for the tests of this room. A process starts in about two seconds, so most tests share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from trading_assets_tests.exchange.venue_process import OPEN, Exchange, prepare

Starter = Callable[..., Exchange]


@pytest.fixture
def start_exchange(tmp_path: Path) -> Iterator[Starter]:
    """Start exchanges of their own, each in its folder; all are stopped at the end."""
    running: list[Exchange] = []

    def start(at: datetime = OPEN, **changes: Any) -> Exchange:
        exchange = prepare(tmp_path / f"exchange{len(running)}", at, **changes)
        running.append(exchange)
        return exchange.start()

    yield start
    for exchange in running:
        exchange.stop()
