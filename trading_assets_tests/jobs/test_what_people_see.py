"""A part of a real day, looked at as a person does: tags of every run, numbers, stories, the summary, failed runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterInstance, DagsterRunStatus, RunsFilter, build_sensor_context

from trading_assets.automation.failures import FAILURES_FILE
from trading_assets.automation.names import (
    CLOSING_JOB,
    CLOSING_TICK,
    DISPATCHER_JOB,
    DISPATCHER_TICK,
    FAILURE_TICK,
    MINUTE_JOB,
    NEWS_JOB,
    NEWS_REPORT_TICK,
    POSITION_MANAGER_JOB,
    POSITION_MANAGER_TICK,
)
from trading_assets.automation.tags import FAILURE_TAG
from trading_assets.automation.tickets import ACCOUNT_TAG, SESSION_TAG
from trading_assets.jobs.backfill import QUIET
from trading_assets.ledger import executions
from trading_assets.market.sessions import MINUTE, shift
from trading_assets_tests.e2e.playground import SESSION, Playground, playground

ACCOUNT = "large"
ACTING = (DISPATCHER_JOB, POSITION_MANAGER_JOB)


@pytest.fixture(scope="module")
def day(module_world_home: Path) -> Iterator[Playground]:
    """A session in which something was bought, and that is over."""
    with playground(module_world_home) as world:
        _say_failures(world)
        for _ in range(12):
            world.until_a_signal()
            world.ticker.sensor(DISPATCHER_TICK)
            with world.desk.ledger.connect() as connection:
                if executions.count(connection, ACCOUNT):
                    break
        world.minute(world.desk.clock.now() + MINUTE)
        world.ticker.sensor(POSITION_MANAGER_TICK)
        world.minute(world.session.close)
        world.desk.clock.wait_until(world.session.close + timedelta(minutes=6))
        assert all(outcome.success for outcome in world.ticker.schedule(CLOSING_TICK, world.desk.wall.now()))
        assert all(outcome.success for outcome in world.ticker.schedule(NEWS_REPORT_TICK, world.desk.wall.now()))
        yield world


_CURSOR: dict[int, str | None] = {}


def _say_failures(world: Playground) -> None:
    """One tick of the real sensor, with the cursor that the daemon would hand it."""
    repository = world.definitions.get_repository_def()
    definition = repository.get_sensor_def(FAILURE_TICK)
    cursor = _CURSOR.get(id(world))
    while True:
        with build_sensor_context(
            instance=world.instance,
            repository_def=repository,
            resources={"desk": world.desk},
            sensor_name=FAILURE_TICK,
            cursor=cursor,
        ) as context:
            data = definition.evaluate_tick(context)
        _CURSOR[id(world)] = data.cursor
        if data.cursor == cursor:
            return
        cursor = data.cursor


def latest(world: Playground, asset: str) -> dict[str, Any]:
    event = world.instance.get_latest_materialization_event(AssetKey(asset))
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.partition == SESSION.isoformat()
    return {key: value.value for key, value in event.asset_materialization.metadata.items()}


def every(world: Playground, asset: str) -> list[dict[str, Any]]:
    records = world.instance.fetch_materializations(AssetKey(asset), limit=200).records
    found = [record.asset_materialization for record in records]
    return [{key: value.value for key, value in one.metadata.items()} for one in found if one is not None]


def story(instance: DagsterInstance, run_id: str) -> list[str]:
    return [entry.user_message for entry in instance.all_logs(run_id) if entry.dagster_event is None]


def test_every_run_of_a_day_is_found_by_its_session_and_acting_ones_by_their_account(day: Playground) -> None:
    runs = day.instance.get_runs()
    assert {run.job_name for run in runs} >= {NEWS_JOB, MINUTE_JOB, *ACTING, CLOSING_JOB}
    history = f"{shift(SESSION, -10).key}...{shift(SESSION, -1).key}"
    assert {run.tags.get(SESSION_TAG) for run in runs} == {SESSION.isoformat(), history}
    assert {run.tags.get(ACCOUNT_TAG) for run in runs if run.job_name in ACTING} == {ACCOUNT, "tiny"}
    found = day.instance.get_runs(RunsFilter(tags={ACCOUNT_TAG: ACCOUNT, SESSION_TAG: SESSION.isoformat()}))
    assert {run.job_name for run in found} == set(ACTING)


def test_a_run_started_by_hand_is_tagged_by_what_it_looked_at(day: Playground) -> None:
    key = shift(SESSION, -1).key
    result = day.definitions.resolve_job_def(MINUTE_JOB).execute_in_process(
        instance=day.instance, partition_key=key, asset_selection=[AssetKey("bars")], run_config=QUIET
    )
    run = day.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags[SESSION_TAG] == key


def test_a_minute_is_told_in_a_handful_of_lines_with_what_came_in_and_what_came_out(day: Playground) -> None:
    runs = day.instance.get_runs(RunsFilter(job_name=MINUTE_JOB, tags={SESSION_TAG: SESSION.isoformat()}))
    told = story(day.instance, runs[0].run_id)
    for name in ("bars", "features", "signals"):
        lines = [line for line in told if line.startswith(f"{name} {SESSION}")]
        assert 2 <= len(lines) <= 4
        assert "looked at" in lines[0]
        assert "new rows as of" in lines[-1]
    assert len(told) <= 25


@pytest.mark.parametrize(
    ("asset", "names"),
    [
        ("bars", {"tickers", "tickers_missing", "minutes", "lag_s"}),
        ("daily_bars", {"tickers", "tickers_missing"}),
        ("features", {"tickers", "tickers_missing", "lag_s"}),
        ("iv_history", {"ivs", "ivs_unknown"}),
        ("market_context", {"vix", "index_close"}),
        ("signals", {"signals", "holds", "tickers", "lag_s"}),
    ],
)
def test_numbers_are_numbers_so_that_they_are_plotted(day: Playground, asset: str, names: set[str]) -> None:
    live = [one for one in every(day, asset) if one.keys() >= names]
    assert live, f"{asset} should carry {sorted(names)}"
    shared = {"dagster/row_count", "rows_written", "rows_left_out", "bytes"}
    for one in live:
        assert all(type(one[name]) in (int, float) for name in names | shared)


def test_every_partition_of_a_range_has_its_own_numbers_and_a_live_one_all_its_rows(day: Playground) -> None:
    records = day.instance.fetch_materializations(AssetKey("bars"), limit=500).records
    newest: dict[str, Any] = {}
    for record in records:
        one = record.asset_materialization
        assert one is not None
        newest.setdefault(str(one.partition), one.metadata)
    assert set(newest) == set(day.desk.frames.partitions("bars"))
    for key, metadata in newest.items():
        assert metadata["dagster/row_count"].value == day.desk.frames.read("bars", [key]).height


def test_a_followed_ticker_is_either_covered_or_missing(day: Playground) -> None:
    found = [one for name in ("bars", "daily_bars", "features") for one in every(day, name) if "tickers" in one]
    assert {one["tickers"] + one["tickers_missing"] for one in found} == {len(day.desk.universe)}


def test_the_summary_agrees_with_the_ledger_and_shows_one_small_picture(day: Playground) -> None:
    with day.desk.ledger.connect() as connection:
        fills = executions.of_account(connection, ACCOUNT)
    assert fills
    told = latest(day, "executions")
    assert told["dagster/row_count"] == told[f"{ACCOUNT}/fills"] == len(fills)
    assert all(fill.symbol in told["fills"] for fill in fills)
    assert_small_picture(told["session_chart"])
    assert [one for one in every(day, "executions") if "session_chart" in one] == [told], "drawn once a session"

    result = latest(day, "positions")
    assert result[f"{ACCOUNT}/equity_usd"] == float(day.desk.broker(ACCOUNT).account().equity or 0)
    assert type(result[f"{ACCOUNT}/realized_pnl_usd"]) is float
    orders = latest(day, "orders")
    assert orders["dagster/row_count"] == orders[f"{ACCOUNT}/orders"] == len(day.broker_orders())
    assert orders[f"{ACCOUNT}/signals_executed"] >= 1
    [run] = day.instance.get_runs(RunsFilter(job_name=CLOSING_JOB))
    assert any(f"account {ACCOUNT}:" in line and "equity" in line for line in story(day.instance, run.run_id))


def assert_small_picture(markdown: str) -> None:
    label, _, data = markdown.partition("data:image/png;base64,")
    assert SESSION.isoformat() in label
    png = base64.b64decode(data.removesuffix(")"))
    assert png.startswith(b"\x89PNG")
    assert len(png) < 60_000


def test_the_news_of_the_day_are_pictures_beside_the_stories_that_they_number(day: Playground) -> None:
    told = latest(day, "news_report")
    for name in ("sentiment", "volume", "feeds"):
        assert_small_picture(told[name])
    articles = day.desk.frames.read("news", [SESSION.isoformat()])
    assert (told["articles"], told["stories"]) == (articles.height, articles["cluster_id"].n_unique())
    scored = day.desk.frames.read("sentiment", [SESSION.isoformat()]).drop_nulls("ticker")
    rows = [line for line in told["told"].splitlines() if line.startswith("| 1 |")]
    assert len(rows) == 1 and any(ticker in rows[0] for ticker in scored["ticker"].unique())


def test_an_acting_run_says_what_it_took_and_what_came_of_it(day: Playground) -> None:
    runs = day.instance.get_runs(RunsFilter(job_name=DISPATCHER_JOB))
    told = [line for run in runs for line in story(day.instance, run.run_id)]
    assert any(f"account {ACCOUNT}: took" in line and "bought" in line for line in told)
    sent = [one for one in every(day, "orders") if "orders_sent" in one]
    assert sum(one["orders_sent"] for one in sent) == len(day.broker_orders())


def test_a_failed_run_is_announced_once_with_job_session_step_error_and_where_to_look(day: Playground) -> None:
    result = day.definitions.resolve_job_def(DISPATCHER_JOB).execute_in_process(
        instance=day.instance, tags={ACCOUNT_TAG: ACCOUNT}, run_config=QUIET, raise_on_error=False
    )
    assert not result.success
    _say_failures(day)
    _CURSOR[id(day)] = json.dumps({**json.loads(_CURSOR[id(day)] or "{}"), "record_id": 0})
    _say_failures(day)
    lines = (day.desk.settings.world.logs / FAILURES_FILE).read_text().splitlines()
    [said] = [json.loads(line) for line in lines]
    assert (said["run_id"], said["job"], said["account"]) == (result.run_id, DISPATCHER_JOB, ACCOUNT)
    assert said["session"] == SESSION.isoformat()
    assert said["step"] == "publish"
    assert "started by hand" in said["error"]
    assert f"/runs/{result.run_id}" in said["look"]
    run = day.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    assert run.tags[FAILURE_TAG] == said["error"]
