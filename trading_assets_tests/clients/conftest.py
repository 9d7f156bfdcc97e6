"""The day of every client, lived once for all tests."""

from __future__ import annotations

import pytest

from trading_assets_tests.clients.lived import CLIENTS, Lived, live


@pytest.fixture(scope="session")
def days(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lived]:
    """By the client's name."""
    return {client: live(client, tmp_path_factory.mktemp("day")) for client in CLIENTS}


@pytest.fixture(params=CLIENTS)
def day(request: pytest.FixtureRequest, days: dict[str, Lived]) -> Lived:
    """The day of each client in turn."""
    return days[request.param]
