"""A world is not opened while an account that holds something cannot be looked after."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.ledger.accounts import upsert_account
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.schema import upgrade
from trading_assets.preparation import session_at_or_after
from trading_assets.settings import load_settings
from trading_assets.world.lease import stop_world
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.runtime import open_world
from trading_assets_tests.ledger import factory

KEYS = {
    "ALPACA_LARGE_KEY": "PKLARGE000000000",
    "ALPACA_LARGE_SECRET": "large-secret-value",
    "ALPACA_TINY_KEY": "PKTINY0000000000",
    "ALPACA_TINY_SECRET": "tiny-secret-value",
}


@pytest.fixture
def env(database_url: str) -> dict[str, str]:
    url = database_url.replace("postgresql+psycopg", "postgresql")
    engine = open_ledger(database_url)
    upgrade(engine)
    with engine.begin() as connection:
        upsert_account(connection, "tiny", "PAPER", factory.NOW)
        factory.position(connection, "p1", account="tiny")
    engine.dispose()
    return {"TRADING_ASSETS_DATABASE_URL": url, "TRADING_ASSETS_DAGSTER_URL": url, **KEYS}


def opened(world: World, env: dict[str, str]) -> None:
    try:
        open_world(load_settings(world=world, env=env), begin=True)
    finally:
        stop_world(world)


def test_positions_of_an_account_without_credentials_forbid_the_start(tmp_path: Path, env: dict[str, str]) -> None:
    world = World(tmp_path, "money")
    world.begin(WorldKind.PAPER, {})
    opened(world, env)
    del env["ALPACA_TINY_KEY"], env["ALPACA_TINY_SECRET"]
    with pytest.raises(ConfigurationError, match=r"tiny.* open positions .*ALPACA_TINY_KEY"):
        opened(world, env)


def test_positions_of_an_account_that_is_not_configured_any_more_forbid_the_start(
    tmp_path: Path, env: dict[str, str]
) -> None:
    world = World(tmp_path, "money")
    world.begin(WorldKind.PAPER, {})
    (world.directory / "accounts.yaml").write_text("accounts: {large: {}}")
    with pytest.raises(ConfigurationError, match=r"tiny.* not configured any more.*accounts.yaml"):
        opened(world, env)


@pytest.mark.parametrize(
    ("now", "session"),
    [
        ("2026-03-16T00:30:00+00:00", "2026-03-16"),  # Sunday evening in New York
        ("2026-03-16T18:00:00+00:00", "2026-03-16"),
        ("2026-03-17T01:00:00+00:00", "2026-03-16"),  # still Monday there
        ("2026-04-03T15:00:00+00:00", "2026-04-06"),  # Good Friday
    ],
)
def test_what_is_loaded_lies_before_the_session_that_comes(now: str, session: str) -> None:
    assert session_at_or_after(datetime.fromisoformat(now)).key == session
