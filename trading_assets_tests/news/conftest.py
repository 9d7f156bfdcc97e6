"""Fixtures of the news tests: a feed server and a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from trading_assets_tests.news.feed_server import FeedServer, running_feed_server
from trading_assets_tests.news.tiny_bert import trained_folder


@dataclass
class SetClock:
    """A clock that tells the time it was set to."""

    instant: datetime

    def now(self) -> datetime:
        return self.instant

    def wait_until(self, instant: datetime) -> None:
        self.instant = max(self.instant, instant)

    def advance(self, **parts: float) -> None:
        self.instant += timedelta(**parts)


@pytest.fixture
def feeds() -> Iterator[FeedServer]:
    with running_feed_server() as server:
        yield server


@pytest.fixture
def clock() -> SetClock:
    """Thursday 2026-03-12, 10:00 New York."""
    return SetClock(datetime(2026, 3, 12, 14, 0, tzinfo=UTC))


@pytest.fixture(scope="session")
def trained(run_folder: Path) -> Path:
    """The folder of a small BERT, trained once in a test run. Copy it before you damage it."""
    return trained_folder(run_folder)
