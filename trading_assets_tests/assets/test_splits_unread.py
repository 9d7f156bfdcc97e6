"""While nobody knows which prices are of which shares, nothing is decided on them; once the list is read, it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dagster import AssetCheckKey, AssetKey

from trading_assets.assets.history import known_splits
from trading_assets.automation.names import MINUTE_TICK
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.jobs.risk_facts import _returns
from trading_assets.market.sessions import MINUTE, shift
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground

ACCOUNT = "large"


@contextmanager
def without_the_list(world: Playground) -> Iterator[FaultProxy]:
    """Within the block the broker's list of corporate actions answers with an error, and all else as ever."""
    desk = world.desk
    own = desk.broker(ACCOUNT)
    connection = desk.runtime.connection(desk.account(ACCOUNT))
    with proxied(connection.data_url) as proxy:
        proxy.faults.append(Fault("GET", "/corporate-actions", "answer", status=503, times=10_000))
        here = replace(connection, data_url=proxy.url)
        desk._brokers[ACCOUNT] = AlpacaBroker(here, desk.clock, desk.settings.strategy.broker)
        try:
            yield proxy
        finally:
            desk._brokers[ACCOUNT] = own


def minute(world: Playground, minutes: int) -> tuple[bool, str]:
    """The minute run of so many minutes after the open: whether it succeeded, and what its failed steps say."""
    world.desk.clock.wait_until(world.session.open + minutes * MINUTE + timedelta(seconds=5))
    (outcome,) = world.ticker.schedule(MINUTE_TICK, world.desk.wall.now())
    logs = world.instance.all_logs(outcome.run_id)
    return outcome.success, "\n".join(str(log.dagster_event) for log in logs if log.is_dagster_event)


def read_in_the_session(world: Playground) -> bool:
    """The check of the list as the UI shows it."""
    key = AssetCheckKey(AssetKey("splits"), "splits_read")
    (record,) = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None and record.event.asset_check_evaluation is not None
    return record.event.asset_check_evaluation.passed


def test_F29_nothing_is_decided_until_the_list_of_splits_was_read_once(world_home: Path) -> None:
    with playground(world_home, accounts=ONE_ACCOUNT, history=2) as world:
        frames, today = world.desk.frames, SESSION.isoformat()
        with without_the_list(world) as proxy:
            for minutes in (20, 21):
                asked = proxy.taken
                success, said = minute(world, minutes)
                assert not success and "the list of splits was read neither in this session" in said
                assert proxy.taken > asked, "it is asked for again each minute"
                assert frames.read("bars", [today]).height, "what was observed is kept"
                assert not frames.exists("splits", today) and not frames.exists("features", today)
                assert not frames.exists("signals", today) and not read_in_the_session(world)
            with pytest.raises(TradingAssetsError, match="neither in this session"):
                known_splits(world.desk, SESSION)
            # Without returns the gate of correlation denies what an external signal asks for.
            assert _returns(world.desk, ACCOUNT, world.session, {"INTC"}) is None
        success, _ = minute(world, 22)
        assert success and read_in_the_session(world)
        assert frames.read("features", [today]).height and frames.exists("signals", today)


@pytest.mark.patient
def test_what_the_session_before_saw_of_the_list_is_enough(world_home: Path) -> None:
    with playground(world_home, accounts=ONE_ACCOUNT, history=2) as world:
        frames, before = world.desk.frames, shift(SESSION, -1)
        frames.append("splits", before.key, frames.read("splits", []), before.close)
        with without_the_list(world):
            success, _ = minute(world, 20)
            assert success and not read_in_the_session(world)
            assert frames.read("features", [SESSION.isoformat()]).height
