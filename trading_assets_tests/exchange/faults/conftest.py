"""One running exchange with its switchboard on, shared by the tests of a file; each test leaves nothing armed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.venue_process import OPEN, TOKEN, Exchange, prepare


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = prepare(tmp_path_factory.mktemp("faults"), OPEN + timedelta(minutes=30), faults=True).start()
    yield running
    running.stop()


@pytest.fixture
def switchboard(exchange: Exchange) -> Iterator[SwitchboardClient]:
    client = SwitchboardClient(exchange.url, TOKEN)
    client.clear()
    yield client
    client.clear()
    client.close()
