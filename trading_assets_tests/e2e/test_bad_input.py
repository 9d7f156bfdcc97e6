"""Bad input gets one clear error (what, where, how to mend), and loses nothing."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, DagsterRun, DagsterRunStatus, Definitions, RunRequest, build_schedule_context
from pydantic import SecretStr
from sqlalchemy import text

from trading_assets.assets.bars import bars
from trading_assets.automation.names import MINUTE_JOB, MINUTE_TICK, NEWS_JOB, NEWS_TICK
from trading_assets.automation.schedules import HANGS
from trading_assets.definitions import build_definitions
from trading_assets.domain.errors import UnknownSchemaError
from trading_assets.jobs.backfill import QUIET, run_range
from trading_assets.ledger.schema import head
from trading_assets.market.sessions import shift
from trading_assets.news.config import FeedConfig
from trading_assets.resources.desk import Desk
from trading_assets.world import practice
from trading_assets.world.paths import World
from trading_assets.world.practice import PracticeKeys
from trading_assets.world.processes import Children
from trading_assets.world.runtime import open_world
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.playground import SESSION, Playground, playground

YESTERDAY = shift(SESSION, -1).key
SECRET = "x9Kq7Lm2Vb5Nc8Zd1Wf4Ht6Rj3Ys0Pa"


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        (
            "strategy.yaml",
            "gates: {max_bar_age_s: -3}",
            ["strategy.yaml", "gates.max_bar_age_s", "saw -3", "allowed: "],
        ),
        (
            "strategy.yaml",
            "gates: {max_bar_age: 60}",
            ["strategy.yaml", "gates.max_bar_age: unknown key", "max_bar_age_s"],
        ),
        ("strategy.yaml", "gates: [unclosed", ["strategy.yaml, line ", "not valid YAML"]),
        ("strategy.yaml", "gates:\n\tmax_bar_age_s: 60", ["strategy.yaml, line 2", "not valid YAML"]),
        ("accounts.yaml", f"accounts: {{large: {{secret: {SECRET}}}}}", ["accounts.large.secret", "environment"]),
        ("accounts.yaml", f"accounts: {{large: {{key_variable: {SECRET}}}}}", ["accounts.large.key_variable"]),
        ("accounts.yaml", "accounts: []", ["accounts: expected at least one account"]),
    ],
    ids=["out of range", "unknown key", "broken YAML", "a tab", "a secret", "a key for a name", "no account"],
)
def test_a_wrong_file_is_refused_by_every_command_before_it_touches_a_finished_world(
    world_home: Path, file: str, content: str, says: list[str]
) -> None:
    world = DemoWorld(world_home, [])
    directory = World(world_home, "demo").directory
    directory.mkdir(parents=True)
    (directory / "world.json").write_text(
        json.dumps({"name": "demo", "kind": "PRACTICE", "arguments": {}, "start_id": "a", "state": "finished"})
    )
    (directory / "kept").write_text("what a finished day left")
    (world_home / file).write_text(content + "\n")
    for arguments in (["config", "check", "--world", "demo"], ["demo"]):
        result = world.asked(*arguments)
        assert result.returncode == 2, (result.stdout, result.stderr)
        assert result.stderr.startswith("trading-assets: ")
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        for text_ in says:
            assert text_ in result.stderr
        assert SECRET not in result.stdout + result.stderr
    assert (directory / "kept").read_text() == "what a finished day left"


class _Later:
    """The wall, some time on."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return datetime.now(UTC) + self._by


# --- a running world --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(module_world_home: Path) -> Iterator[Playground]:
    """A world one minute run into its session, with one session of history."""
    with playground(module_world_home, history=1) as found:
        found.minute(found.session.open + timedelta(minutes=30))
        yield found


def due(world: Playground, tick: str) -> RunRequest:
    """What a schedule asks for right now."""
    repository = world.definitions.get_repository_def()
    with build_schedule_context(
        instance=world.instance,
        scheduled_execution_time=world.desk.wall.now(),
        repository_def=repository,
        resources={"desk": world.desk},
    ) as context:
        (request,) = repository.get_schedule_def(tick).evaluate_tick(context).run_requests or []
    return request


def run(world: Playground, job: str, request: RunRequest, tick: str) -> Any:
    """The run that the schedule asked for."""
    return world.definitions.resolve_job_def(job).execute_in_process(
        instance=world.instance,
        tags={**request.tags, "dagster/schedule_name": tick},
        partition_key=request.partition_key,
        run_config=QUIET,
        raise_on_error=False,
    )


def said(result: Any) -> dict[str, str]:
    """Every failed step with its whole error."""
    return {
        event.step_key: event.step_failure_data.error.to_string()
        for event in result.all_events
        if event.is_step_failure
    }


def materialize_bars(definitions: Definitions, world: Playground, partition: str) -> Any:
    """A person materializes the bars of one past partition."""
    return definitions.resolve_job_def(MINUTE_JOB).execute_in_process(
        instance=world.instance,
        asset_selection=[AssetKey("bars")],
        partition_key=partition,
        run_config=QUIET,
        raise_on_error=False,
    )


def test_F14_a_minute_without_an_exchange_fails_with_its_reason_and_the_next_one_with_it_succeeds(
    world: Playground,
) -> None:
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    request = due(world, MINUTE_TICK)
    frames, ledger = world.frame_bytes(), world.ledger_counts()
    children = Children(world.desk.settings.world)
    try:
        assert children.stop("exchange")
        result = run(world, MINUTE_JOB, request, MINUTE_TICK)
        assert not result.success
        errors = said(result)
        assert "BrokerUnavailable: the practice exchange's clock gave no answer" in errors["bars"]
        assert "'trading-assets up' starts the exchange again" in errors["bars"]
        assert world.frame_bytes() == frames
        assert world.ledger_counts() == ledger
    finally:
        again = practice.start(children)
    assert world.desk.runtime.exchange is not None
    assert again.url == world.desk.runtime.exchange.url, "a restarted exchange answers where it did"
    world.minute(world.desk.clock.now() + timedelta(minutes=1))
    assert world.frame_bytes() != frames


def test_a_wrong_key_is_refused_in_words_and_nothing_is_written(world: Playground) -> None:
    runtime = world.desk.runtime
    assert runtime.exchange is not None
    wrong = {name: PracticeKeys(keys.key, SecretStr(SECRET)) for name, keys in runtime.exchange.keys.items()}
    other = dataclasses.replace(runtime, exchange=dataclasses.replace(runtime.exchange, keys=wrong))
    stranger = build_definitions(Desk(lambda: world.desk.settings, lambda _: other))
    frames, ledger = world.frame_bytes(), world.ledger_counts()
    result = materialize_bars(stranger, world, YESTERDAY)
    assert not result.success
    error = said(result)["bars"]
    assert "NotAuthorized: the broker refused the credentials" in error
    assert "Check key and secret." in error
    assert SECRET not in error
    assert world.frame_bytes() == frames
    assert world.ledger_counts() == ledger


def test_F51_a_damaged_file_stops_what_reads_it_by_name_and_nothing_else_until_it_is_moved_away(
    world: Playground, tmp_path: Path
) -> None:
    (file,) = (path for path in (world.desk.frames.root / "bars" / YESTERDAY).glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    before = world.frame_bytes()
    ledger = world.ledger_counts()
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    result = run(world, MINUTE_JOB, due(world, MINUTE_TICK), MINUTE_TICK)
    assert not result.success
    errors = said(result)
    assert set(errors) == {"features"}, "the others of the minute did their work"
    assert "CorruptFrameError: the file cannot be read as bars" in errors["features"]
    assert str(file) in errors["features"]
    assert "Move the file away and materialize the partition again" in errors["features"]
    after = world.frame_bytes()
    assert before.items() <= after.items(), "every file that was there is there, byte for byte"
    assert any("/bars/" in path for path in after.keys() - before.keys()), "the minute's bars were stored"
    counts = world.ledger_counts()
    assert {name for name, count in counts.items() if count != ledger[name]} <= {"dispatcher_runs"}

    file.rename(tmp_path / file.name)
    run_range(world.definitions, world.instance, [bars.key], YESTERDAY, YESTERDAY)
    world.minute(world.desk.clock.now() + timedelta(minutes=1))
    assert world.desk.frames.read("bars", [YESTERDAY]).height > 0


def test_F48_an_hour_of_missed_ticks_fired_at_once_is_skipped_and_the_present_one_makes_up_for_it(
    world: Playground,
) -> None:
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=60))
    frames, ledger, wall = world.frame_bytes(), world.ledger_counts(), world.desk.wall.now()
    for tick in (MINUTE_TICK, NEWS_TICK):
        for late in range(60, 1, -1):
            assert world.ticker.schedule(tick, wall - timedelta(minutes=late)) == []
    assert (world.frame_bytes(), world.ledger_counts()) == (frames, ledger), "nothing old did anything"
    (run,) = world.ticker.schedule(MINUTE_TICK, world.desk.wall.now())
    assert run.success
    stored = set(world.desk.frames.read("bars", [SESSION.isoformat()])["ts"].unique())
    now = world.desk.clock.now()
    minutes = int((now - world.session.open) / timedelta(minutes=1))
    assert {world.session.open + timedelta(minutes=n) for n in range(minutes)} <= stored, "no minute is left out"


def test_F50_a_run_that_hangs_is_waited_for_three_minutes_and_then_its_slot_is_free(
    world: Playground, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=1))
    stuck = DagsterRun(job_name=MINUTE_JOB, status=DagsterRunStatus.STARTED)
    world.instance.add_run(stuck)
    began = world.desk.wall.now()
    try:
        assert world.ticker.schedule(MINUTE_TICK, began) == [], "it may still end"
        monkeypatch.setitem(world.desk.__dict__, "wall", _Later(HANGS + timedelta(seconds=1)))
        (run,) = world.ticker.schedule(MINUTE_TICK, world.desk.wall.now())
        assert run.success
    finally:
        world.instance.report_run_failed(stuck, "the test is over")


class _Page(BaseHTTPRequestHandler):
    """A site that answers a feed's address with a web page."""

    def do_GET(self) -> None:
        body = b"<!doctype html><html><head><title>Sign in</title></head><body><p>Please sign in.</p></body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def web_page() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/feed.xml"
    finally:
        server.shutdown()
        server.server_close()


def test_F39_a_feed_that_answers_a_web_page_is_a_warning_and_the_others_are_read(world: Playground) -> None:
    sound = world.desk.news
    known = world.ledger_counts()["inbound_events_raw"]
    with web_page() as address:
        broken = FeedConfig(name="signin", url=address, source="a page")
        world.desk.news = sound.model_copy(update={"feeds": (broken, *sound.feeds)})
        try:
            world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=60))
            result = run(world, NEWS_JOB, due(world, NEWS_TICK), NEWS_TICK)
        finally:
            world.desk.news = sound
    assert result.success, said(result)
    checks = {found.check_name: found for found in result.get_asset_check_evaluations()}
    listed = checks["companies_listed"]
    assert listed.passed, "the broker's list of assets was read by a run of this world"
    assert "symbols of the broker's list of assets" in (listed.description or "")
    check = checks["feeds_answer"]
    assert not check.passed
    assert check.severity.value == "WARN"
    assert "signin" in (check.description or "")
    assert world.ledger_counts()["inbound_events_raw"] > known, "the other feeds brought news"


def test_F52_a_ledger_of_an_unknown_version_is_refused_and_left_as_it_is(world: Playground) -> None:
    settings = world.desk.settings
    ledger = world.ledger_counts()
    with world.desk.ledger.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    try:
        tool = DemoWorld(settings.world.home, []).tool
        result = tool("data", "executions", "--session", SESSION.isoformat(), "--world", settings.world.name)
        assert result.returncode == 2, result.stderr
        assert len(result.stderr.strip().splitlines()) == 1
        for expected in (
            "revision from_the_future",
            f"it knows up to {head()}",
            "alembic_version",
            "Install the version",
        ):
            assert expected in result.stderr
        with pytest.raises(UnknownSchemaError, match="from_the_future"):
            open_world(settings)
        with pytest.raises(UnknownSchemaError, match="from_the_future"):
            _ = Desk(lambda: settings, lambda _: world.desk.runtime).ledger
    finally:
        with world.desk.ledger.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head()})
    assert world.ledger_counts() == ledger
