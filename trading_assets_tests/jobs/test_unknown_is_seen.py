"""An order whose fate nobody knows is seen wherever a person looks: Dagster's checks, the command line, the log."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetCheckEvaluation, AssetCheckKey, AssetKey

from trading_assets.assets.standing_checks import AGREEMENT_CHECK, UNKNOWN_CHECK, standing_checks
from trading_assets.automation.names import CLOSING_TICK, DISPATCHER_TICK, POSITION_MANAGER_TICK
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import OrderState
from trading_assets.ledger import listings, orders
from trading_assets.ledger.orders import OrderIntent
from trading_assets.ledger.standing import Standing, disagreements
from trading_assets.ledger.tables import accounts
from trading_assets.market.sessions import MINUTE
from trading_assets_tests.broker.fault_proxy import Fault, FaultProxy, proxied
from trading_assets_tests.e2e.playground import ONE_ACCOUNT, SESSION, Playground, playground

ACCOUNT = "large"


@pytest.fixture
def world(world_home: Path) -> Iterator[Playground]:
    with playground(world_home, accounts=ONE_ACCOUNT, history=3) as opened:
        yield opened


@contextmanager
def through_a_proxy(world: Playground) -> Iterator[FaultProxy]:
    """Within the block the account's requests pass a proxy that can lose answers."""
    desk = world.desk
    own = desk.broker(ACCOUNT)
    connection = desk.runtime.connection(desk.account(ACCOUNT))
    config = desk.settings.strategy.broker.model_copy(update={"lookup_seconds": (1.0, 2.0)})
    with proxied(connection.trading_url) as proxy:
        desk._brokers[ACCOUNT] = AlpacaBroker(replace(connection, trading_url=proxy.url), desk.clock, config)
        try:
            yield proxy
        finally:
            desk._brokers[ACCOUNT] = own


def command(world: Playground, *arguments: str) -> str:
    """What the command prints, as a person types it."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRADING_ASSETS_", "DAGSTER"))}
    home = world.desk.settings.world.home
    done = subprocess.run(
        [sys.executable, "-m", "trading_assets.cli", *arguments, "--world", "play"],
        cwd=home,
        env=kept | {"TRADING_ASSETS_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def check_in_the_ui(world: Playground, asset: str, name: str) -> AssetCheckEvaluation:
    """The newest evaluation, as the UI's checks page reads it."""
    key = AssetCheckKey(AssetKey(asset), name)
    (record,) = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    return evaluation


def until_unknown(world: Playground) -> tuple[OrderIntent, str]:
    """Signals are dispatched until an order was sent; its row, and the run that sent it."""
    for _ in range(12):
        world.until_a_signal()
        (outcome,) = world.ticker.sensor(DISPATCHER_TICK)
        assert outcome.success
        with world.desk.ledger.connect() as connection:
            unknown = orders.unknown_intents(connection)
        if unknown:
            return unknown[0], outcome.run_id
    raise AssertionError("nothing was ordered")


def test_F03_an_unknown_order_is_in_the_ui_the_command_line_and_the_log_with_all_its_names(
    world: Playground, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with through_a_proxy(world) as proxy:
        proxy.faults.append(Fault("POST", "/v2/orders", "reset_after", times=9))
        proxy.faults.append(Fault("GET", "by_client_order_id", "answer", status=503, times=999))
        intent, run_id = until_unknown(world)
        assert intent.signal_id is not None
        names = (ACCOUNT, intent.signal_id, intent.client_order_id, intent.position_id)

        failed = check_in_the_ui(world, "orders", UNKNOWN_CHECK)
        assert not failed.passed
        assert all(name in (failed.description or "") for name in names)
        table: Any = failed.metadata["standing"].value
        assert any(set(names) <= set(record.data.values()) for record in table.records)

        standing = json.loads(command(world, "alerts", "--json"))
        mine = [one for one in standing if one["order_id"] == intent.client_order_id]
        (row,) = [one for one in mine if one["kind"] == Standing.UNKNOWN_ORDER]
        assert (row["account"], row["signal_id"], row["order_id"], row["position_id"]) == names
        assert all(name in command(world, "alerts", "--account", ACCOUNT) for name in names)
        with world.desk.ledger.connect() as connection:
            said = [one for one in listings.alerts(connection, SESSION) if one["rule"] == "unknown_order"]
        (told,) = [one for one in said if one["client_order_id"] == intent.client_order_id]
        assert (told["account"], told["signal_id"], told["client_order_id"], told["position_id"]) == names

        assert any("UNKNOWN" in line and all(name in line for name in names) for line in caplog.messages)
        story = [one.user_message for one in world.instance.all_logs(run_id) if one.dagster_event is None]
        assert any(UNKNOWN_CHECK in line and all(name in line for name in names) for line in story)

    world.minute(world.desk.clock.now() + MINUTE)
    assert all(outcome.success for outcome in world.ticker.sensor(POSITION_MANAGER_TICK))
    with world.desk.ledger.connect() as connection:
        found = orders.get_intent(connection, intent.client_order_id)
    assert found is not None and found.state is not OrderState.UNKNOWN
    assert check_in_the_ui(world, "orders", UNKNOWN_CHECK).passed
    assert check_in_the_ui(world, "reconciliation", AGREEMENT_CHECK).passed
    assert "unknown_order" not in command(world, "alerts")


def test_F25_a_disagreement_fails_the_check_of_the_positions_and_a_person_may_ask_at_any_time(
    world: Playground,
) -> None:
    report = {"differences": ["NVDA: the ledger holds 2, the broker 1"], "blocked": ["NVDA", "AAPL"]}
    with world.desk.ledger.begin() as connection:
        connection.execute(accounts.update().values(reconciliation=report))
        said = [row["text"] for row in disagreements(connection)]
    assert said == [report["differences"][0], "AAPL: blocked by the last comparison"]
    (check,) = [one for one in standing_checks if one.check_key.name == AGREEMENT_CHECK]
    result: Any = check.node_def.compute_fn.decorated_fn(world.desk)  # type: ignore[attr-defined]
    assert not result.passed
    assert report["differences"][0] in result.description
    assert ACCOUNT in result.description


def test_F25_a_disagreement_that_is_over_after_the_close_is_no_red_check_overnight(world: Playground) -> None:
    with world.desk.ledger.begin() as connection:
        connection.execute(accounts.update().values(reconciliation={"differences": ["NVDA: the ledger holds 2"]}))
    world.desk.clock.wait_until(world.session.close + 6 * MINUTE)
    assert all(outcome.success for outcome in world.ticker.schedule(CLOSING_TICK, world.desk.wall.now()))
    assert check_in_the_ui(world, "reconciliation", AGREEMENT_CHECK).passed
    assert check_in_the_ui(world, "orders", UNKNOWN_CHECK).passed
    event = world.instance.get_latest_materialization_event(AssetKey("reconciliation"))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.partition == SESSION.isoformat()
    told = event.asset_materialization.metadata
    assert told["clean"].value is True and told[f"{ACCOUNT}/differences"].value == 0
