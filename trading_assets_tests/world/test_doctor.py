"""Each thing that the doctor looks at is really broken in turn: it alone is named, with how to mend it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, func, insert, inspect, select, text

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.doctor.broker_checks import check_account, check_skew
from trading_assets.doctor.examination import as_lines, examine
from trading_assets.doctor.model_check import check_model
from trading_assets.doctor.news_check import check_news
from trading_assets.ledger import wires
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.feeds import FeedState, save_feed_states
from trading_assets.ledger.schema import head
from trading_assets.ledger.tables import accounts, metadata, watchlist_state
from trading_assets.ledger.wires import WireState
from trading_assets.news.addresses import remembered
from trading_assets.news.model_config import ModelConfig, ModelKind
from trading_assets.settings import Settings, load_settings
from trading_assets.world import practice
from trading_assets.world.borrowed import borrowing, clients_lock, occupation
from trading_assets.world.clocks import SystemClock
from trading_assets.world.dagster_home import write_dagster_home
from trading_assets.world.doctor import DoctorLimits, Finding, LedgerView, State, check_owner
from trading_assets.world.lease import leave, stop_world
from trading_assets.world.lock import FileLock
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.processes import Children
from trading_assets.world.runtime import LEDGER_DATABASE, open_world
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.scripted_exchange import ACCOUNT_ID, ScriptedExchange, serve
from trading_assets_tests.e2e.demo_runs import DemoWorld
from trading_assets_tests.e2e.leftovers import processes_of

NAME = "clinic"
SECRET = "x9Kq7Lm2Vb5Nc8Zd1Wf4Ht6Rj3Ys0Pa"
REFUSING = f"postgresql://somebody:{SECRET}@127.0.0.1:1/ledger"
ONE_ACCOUNT = "accounts: {large: {practice_cash: 121000}}"
ITEMS = [
    "configuration",
    "world",
    "owner",
    "database",
    "migrations",
    "trade stream",
    "news sources",
    "dagster storage",
    "dagster home",
    "practice exchange",
    "account large",
    "clock",
    "heartbeat",
    "sentiment model",
    "disk",
]
#: What cannot be looked at without the item; the account is then seen at its broker, but not compared.
UNCOMPARED = {"account large": State.WARNING, "clock": State.WARNING, "heartbeat": State.NOT_CHECKED}


def examined(
    world: World, env: Mapping[str, str] | None = None, limits: DoctorLimits | None = None
) -> dict[str, Finding]:
    findings = examine(world, env or {}, limits)
    assert SECRET not in as_lines(findings)
    assert len(as_lines(findings).splitlines()) == len(findings), "one line per item"
    return {finding.item: finding for finding in findings}


def others_stay(found: Mapping[str, Finding], item: str, state: State, **changed: State) -> Finding:
    """``item`` is in ``state`` and says how to mend it; ``changed`` items follow from it; all others are ok."""
    expected = dict.fromkeys(ITEMS, State.OK) | {k.replace("_", " "): v for k, v in changed.items()} | {item: state}
    assert {name: finding.state for name, finding in found.items()} == expected, as_lines(list(found.values()))
    assert found[item].mend
    return found[item]


def unchecked(*items: str) -> dict[str, State]:
    return dict.fromkeys(items, State.NOT_CHECKED)


def practice_settings(world: World) -> Settings:
    return load_settings(world=world, kind=WorldKind.PRACTICE, env={})


@pytest.fixture(scope="module")
def made(module_world_home: Path) -> World:
    """A practice world that was opened once and stands still. Copying its directory copies the world."""
    home = module_world_home / "made"
    world = World(home, NAME)
    world.create()
    (world.directory / "accounts.yaml").write_text(ONE_ACCOUNT)
    open_world(practice_settings(world), begin=True)
    write_dagster_home(world)
    leave(world)
    assert processes_of(home) == []
    return world


def copied(made: World, home: Path) -> World:
    subprocess.run(["cp", "-a", str(made.home), str(home)], check=True)
    return World(home, NAME)


@pytest.fixture(scope="module")
def world(made: World, module_world_home: Path) -> Iterator[World]:
    """The world, open and owned by this process. Every test leaves it as it was."""
    world = copied(made, module_world_home / "open")
    lock = world.lock()
    lock.acquire()
    try:
        open_world(practice_settings(world), begin=True)
        yield world
    finally:
        stop_world(world)
        lock.release()
        leave(world)


@pytest.fixture
def stopped(made: World, world_home: Path) -> Iterator[World]:
    """A copy of the world of this test's own, in which nothing runs."""
    world = copied(made, world_home / "stopped")
    yield world
    stop_world(world)


@contextmanager
def ledger_of(world: World) -> Iterator[Connection]:
    engine = open_ledger(world.server().url(LEDGER_DATABASE))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@contextmanager
def replaced(path: Path, content: str) -> Iterator[None]:
    """``path`` says something else for a while; permissions stay."""
    before = path.read_text() if path.exists() else None
    path.write_text(content)
    try:
        yield
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before)


# --- healthy ----------------------------------------------------------------------------------------------------------


def test_a_healthy_open_world_is_ok_in_every_item(world: World) -> None:
    found = examined(world)
    assert list(found) == ITEMS
    assert {finding.state for finding in found.values()} == {State.OK}, as_lines(list(found.values()))
    assert {finding.mend for finding in found.values()} == {None}
    assert f"pid {os.getpid()} runs it" in found["owner"].seen
    assert head() in found["migrations"].seen


def test_the_command_prints_a_list_for_programs_and_no_secret(world: World) -> None:
    result = DemoWorld(world.home, []).tool("doctor", "--world", NAME, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    rows = json.loads(result.stdout)
    assert [row["item"] for row in rows] == ITEMS
    assert all(set(row) == {"item", "state", "seen", "mend"} for row in rows)
    assert {row["state"] for row in rows} == {"ok"}
    config = practice.read_config(world.exchange)
    secrets = [config["control_token"], *(row[name] for row in config["accounts"] for name in ("key", "secret"))]
    secrets.append((world.postgres / "password").read_text())
    assert not [secret for secret in secrets if secret in result.stdout + result.stderr]


def tree(world: World) -> dict[str, str]:
    """Every file of the world with its content, except what a server notes about its own running and how many requests
    were made of a broker."""
    notes = {"pids.json", "pids.lock", "open.lock", "clients.lock", "lock", "start.lock", "exchange.json", "server.log"}
    found = {}
    for path in sorted(world.home.rglob("*")):
        relative = path.relative_to(world.directory) if world.directory in path.parents else path
        servers = relative.parts[0] in ("logs", "requests") or relative.parts[:2] == ("postgres", "data")
        if path.is_file() and path.name not in notes and not servers:
            found[str(relative)] = hashlib.sha256(path.read_bytes()).hexdigest() + oct(path.stat().st_mode)
    return found


def rows(world: World) -> dict[str, int]:
    """Rows of every table of the ledger, and whether Dagster made any of its own."""
    server = world.server()
    server.start()
    with ledger_of(world) as connection:
        counts = {
            table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in metadata.sorted_tables
        }
    engine = open_ledger(server.url("dagster"))
    counts["tables of Dagster"] = len(inspect(engine).get_table_names())
    engine.dispose()
    server.stop()
    return counts


def test_a_stopped_world_is_started_to_be_looked_at_and_stopped_again_and_stays_as_it_is(stopped: World) -> None:
    counted, before = rows(stopped), tree(stopped)
    result = DemoWorld(stopped.home, []).tool("doctor", "--world", NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["ok"] * len(ITEMS)
    started = [line[4:].split("  ")[0] for line in lines if "started for this check" in line]
    assert started == ["database", "practice exchange"]
    assert processes_of(stopped.home) == []
    assert tree(stopped) == before
    assert rows(stopped) == counted


# --- the world and who has it -----------------------------------------------------------------------------------------


def test_a_world_that_does_not_exist_is_named_with_the_command_that_makes_it_and_is_not_made(world_home: Path) -> None:
    result = DemoWorld(world_home, []).tool("doctor", "--world", "nowhere")
    assert result.returncode == 2
    first, second, *rest = result.stdout.splitlines()
    assert first.startswith("ok")
    assert second.startswith("failed") and "there is no world 'nowhere'" in second
    assert "trading-assets up --world nowhere" in second
    assert len(rest) == len(ITEMS) - 2 + 1, "the packaged list has a second account"
    assert all(line.startswith("not checked") for line in rest)
    assert list(world_home.iterdir()) == []


def test_a_damaged_record_is_the_worlds_failure_and_not_the_configurations(stopped: World) -> None:
    stopped.record_file.write_text('{"name": "clinic"')
    found = examined(stopped)
    finding = others_stay(found, "world", State.FAILED, **unchecked(*ITEMS[2:]))
    assert str(stopped.record_file) in finding.seen
    assert processes_of(stopped.home) == []


@pytest.mark.parametrize(
    ("path", "mode", "state", "says"),
    [
        (".", 0o755, State.WARNING, "open to other users"),
        (".", 0o777, State.FAILED, "open to other users"),
        ("postgres/password", 0o644, State.FAILED, "may read secrets"),
        ("exchange/config.json", 0o640, State.FAILED, "may read secrets"),
    ],
)
def test_what_other_users_may_read_is_found(world: World, path: str, mode: int, state: State, says: str) -> None:
    place = world.directory / path
    before = place.stat().st_mode
    place.chmod(mode)
    try:
        finding = others_stay(examined(world), "world", state)
    finally:
        place.chmod(before)
    assert says in finding.seen
    assert finding.mend is not None and "chmod" in finding.mend and str(place.resolve()) in finding.mend


def test_a_world_of_another_user_is_not_opened(stopped: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving a folder away takes root; being somebody else looks the same."""
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 12345)
    finding = others_stay(examined(stopped), "world", State.FAILED, **unchecked(*ITEMS[2:]))
    assert f"belongs to user id {owner}, this is {owner + 12345}" in finding.seen
    monkeypatch.undo()
    assert processes_of(stopped.home) == []


def test_what_a_killed_command_left_running_is_named_and_left_running(stopped: World) -> None:
    practice.start(Children(stopped))
    stopped.server().start()
    finding = others_stay(examined(stopped), "owner", State.WARNING)
    assert "left running: exchange, postgres" in finding.seen
    assert finding.mend is not None and f"trading-assets down --world {NAME}" in finding.mend
    assert occupation(stopped).running == ("exchange", "postgres")


def test_a_damaged_record_of_processes_is_the_owners_failure(world: World) -> None:
    with replaced(world.pids, '{"exchange": {"name"'):
        finding = others_stay(
            examined(world), "owner", State.FAILED, **unchecked(*ITEMS[3:-2]), sentiment_model=State.OK
        )
    assert str(world.pids) in str(finding.mend)


def test_a_client_that_leaves_during_the_look_leaves_nothing_behind(stopped: World) -> None:
    """The last one that leaves stops what clients had started: here that is the look."""
    open_world(practice_settings(stopped))
    finding, found = check_owner(stopped)
    assert found is not None and found.clients
    assert finding.state is State.OK
    with borrowing(stopped, found):
        assert leave(stopped) == []
    assert processes_of(stopped.home) == []
    assert occupation(stopped).running == ()


def test_a_client_that_comes_during_the_look_keeps_what_was_started_for_it(stopped: World) -> None:
    found = occupation(stopped)
    assert found.running == () and not found.clients
    client = FileLock(clients_lock(stopped), shared=True)
    with borrowing(stopped, found) as borrowed:
        server = borrowed.database()
        client.acquire()
    assert server.is_running()
    client.release()


# --- configuration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("strategy.yaml", "gates: {max_bar_age_s: -3}", "gates.max_bar_age_s"),
        ("strategy.yaml", "gates: [unclosed", "not valid YAML"),
        ("accounts.yaml", "accounts: []", "at least one account"),
        ("accounts.yaml", f"accounts: {{large: {{secret: {SECRET}}}}}", "accounts.large.secret"),
    ],
)
def test_a_broken_file_is_named_and_what_needs_it_is_not_checked(
    world: World, file: str, content: str, says: str
) -> None:
    with replaced(world.directory / file, content):
        found = examined(world)
    found["account large"] = found.pop("accounts")
    finding = others_stay(found, "configuration", State.FAILED, **unchecked(*ITEMS[3:-1]))
    assert file in finding.seen and says in finding.seen


# --- databases --------------------------------------------------------------------------------------------------------


def test_a_server_that_refuses_is_named_without_its_password(world: World) -> None:
    good = world.server().url("dagster")
    env = {"TRADING_ASSETS_DATABASE_URL": REFUSING, "TRADING_ASSETS_DAGSTER_URL": good}
    finding = others_stay(
        examined(world, env),
        "database",
        State.FAILED,
        **unchecked("migrations", "trade stream", "news sources"),
        **UNCOMPARED,
    )
    assert "127.0.0.1" in finding.seen and "refused" in finding.seen
    assert "TRADING_ASSETS_DATABASE_URL" in str(finding.mend)


def test_a_password_that_the_server_quotes_is_struck_out(world: World) -> None:
    """A password pasted where the user's name belongs comes back in the server's own words."""
    address = world.server().url(LEDGER_DATABASE)
    url = "postgresql://" + f"{SECRET}:{SECRET}@" + address.split("@", 1)[1]
    env = {"TRADING_ASSETS_DATABASE_URL": url, "TRADING_ASSETS_DAGSTER_URL": address}
    finding = others_stay(
        examined(world, env),
        "database",
        State.FAILED,
        **unchecked("migrations", "trade stream", "news sources"),
        **UNCOMPARED,
    )
    assert 'password authentication failed for user "***"' in finding.seen


def test_an_embedded_database_that_stopped_under_its_owner_is_not_started_by_the_look(world: World) -> None:
    assert world.server().stop()
    try:
        found = examined(world)
    finally:
        world.server().start()
    finding = others_stay(
        found,
        "database",
        State.FAILED,
        **unchecked("migrations", "trade stream", "news sources"),
        **UNCOMPARED,
        dagster_storage=State.FAILED,
    )
    assert f"although pid {os.getpid()} runs this world" in finding.seen


def test_a_world_without_its_database_gets_none(stopped: World) -> None:
    (stopped.postgres / "data").rename(stopped.home / "elsewhere")
    found = examined(stopped)
    finding = others_stay(
        found,
        "database",
        State.FAILED,
        **unchecked("migrations", "trade stream", "news sources"),
        **UNCOMPARED,
        dagster_storage=State.FAILED,
    )
    assert "has no database" in finding.seen
    assert not (stopped.postgres / "data").exists()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE alembic_version SET version_num = 'from_the_future'", "from_the_future"),
        ("DELETE FROM alembic_version", "no ledger schema yet"),
    ],
)
def test_a_schema_of_another_version_is_named_and_left_alone(world: World, statement: str, says: str) -> None:
    with ledger_of(world) as connection:
        connection.execute(text(statement))
    try:
        found = examined(world)
        with ledger_of(world) as connection:
            left = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    finally:
        with ledger_of(world) as connection:
            connection.execute(text("DELETE FROM alembic_version"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": head()})
    finding = others_stay(found, "migrations", State.FAILED, **unchecked("trade stream", "news sources"), **UNCOMPARED)
    assert says in finding.seen
    assert left in (["from_the_future"], [])


def test_dagsters_storage_is_an_item_of_its_own(world: World) -> None:
    finding = others_stay(examined(world, {"TRADING_ASSETS_DAGSTER_URL": REFUSING}), "dagster storage", State.FAILED)
    assert "TRADING_ASSETS_DAGSTER_URL" in str(finding.mend)


def test_dagsters_folder_is_missing_or_of_another_version(world: World) -> None:
    away = world.directory / "dagster-away"
    world.dagster.rename(away)
    try:
        found = examined(world)
    finally:
        away.rename(world.dagster)
    assert "is missing" in others_stay(found, "dagster home", State.FAILED).seen
    with replaced(world.dagster / "dagster.yaml", "telemetry: {enabled: true}\n"):
        finding = others_stay(examined(world), "dagster home", State.WARNING)
    assert "not the one of this version" in finding.seen


# --- broker and clock -------------------------------------------------------------------------------------------------


def changed_config(world: World, **changes: Any) -> str:
    """The exchange's configuration with other values for its account."""
    config = practice.read_config(world.exchange)
    return json.dumps(config | {"accounts": [row | changes for row in config["accounts"]]})


def test_a_wrong_key_is_the_accounts_failure(world: World) -> None:
    with replaced(world.exchange / "config.json", changed_config(world, secret=SECRET)):
        finding = others_stay(examined(world), "account large", State.FAILED)
    assert "refused the credentials" in finding.seen


def test_an_exchange_that_was_made_with_other_accounts_is_named(world: World) -> None:
    with replaced(world.directory / "accounts.yaml", "accounts: {large: {practice_cash: 5}}"):
        finding = others_stay(examined(world), "practice exchange", State.FAILED)
    assert "made with other accounts" in finding.seen and "large" in finding.seen
    with replaced(world.directory / "accounts.yaml", "accounts: {small: {}}"):
        found = examined(world)
    assert found["account small"].state is State.FAILED
    assert "has no account 'small'" in found["account small"].seen


def test_an_exchange_that_ended_under_its_owner_is_not_started_by_the_look(world: World) -> None:
    children = Children(world)
    assert children.stop("exchange")
    try:
        found = examined(world)
        assert children.adopt("exchange") is None
    finally:
        practice.start(children)
    finding = others_stay(found, "practice exchange", State.FAILED, **unchecked("account large", "clock", "heartbeat"))
    assert f"although pid {os.getpid()} runs this world" in finding.seen


def test_an_exchange_whose_time_would_run_is_not_started_to_be_looked_at(stopped: World) -> None:
    path = stopped.exchange / "config.json"
    with replaced(path, json.dumps(practice.read_config(stopped.exchange) | {"speed": 60.0})):
        found = examined(stopped)
    finding = others_stay(
        found, "practice exchange", State.NOT_CHECKED, **unchecked("account large", "clock", "heartbeat")
    )
    assert "its time would move" in finding.seen
    assert processes_of(stopped.home) == []


def test_another_broker_account_in_the_ledger_is_the_accounts_failure(world: World) -> None:
    with ledger_of(world) as connection:
        connection.execute(accounts.update().values(broker_account_id="another-account"))
    try:
        finding = others_stay(examined(world), "account large", State.FAILED)
    finally:
        with ledger_of(world) as connection:
            connection.execute(accounts.update().values(broker_account_id=None))
    assert "is not another-account of the ledger" in finding.seen
    assert "another-account" in str(finding.mend)


def test_too_low_an_options_level_fails_an_account_that_buys_options_only(world: World) -> None:
    with replaced(world.directory / "strategy.yaml", "gates: {options_level: 3}"):
        finding = others_stay(examined(world), "account large", State.FAILED)
        assert "options level is 2, 3 is needed" in finding.seen
        stocks = "accounts: {large: {limits: {mode: stock_only}, practice_cash: 121000}}"
        with replaced(world.directory / "accounts.yaml", stocks):
            assert examined(world)["account large"].state is State.OK


class Answers(ScriptedExchange):
    """A broker whose account says something else."""

    def __init__(self, **said: Any) -> None:
        super().__init__()
        self.said = said

    def get(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        status, answer = super().get(path, query)
        return (status, answer | self.said) if path == "/v2/account" else (status, answer)


@contextmanager
def at(exchange: ScriptedExchange, **expected: str) -> Iterator[AlpacaBroker]:
    with serve(exchange) as url:
        broker = desk.connect(url, SystemClock(), **expected)
        try:
            yield broker
        finally:
            broker.close()


@pytest.mark.parametrize(
    ("said", "expected", "says"),
    [
        ({}, {"expected_account_id": ACCOUNT_ID}, None),
        ({}, {"expected_account_id": "another"}, "is not another of accounts.yaml"),
        ({"status": "ACCOUNT_CLOSED"}, {}, "status is ACCOUNT_CLOSED, not ACTIVE"),
        ({"status": None}, {}, "status is unknown, not ACTIVE"),
        ({"trading_blocked": True}, {}, "trading is blocked"),
        ({"trading_blocked": None}, {}, "unknown whether trading is blocked"),
        ({"options_trading_level": None}, {}, "options level is unknown, 2 is needed"),
    ],
)
def test_what_a_broker_says_about_an_account_decides(
    tmp_path: Path, said: dict[str, Any], expected: dict[str, str], says: str | None
) -> None:
    settings = practice_settings(World(tmp_path))
    with at(Answers(**said), **expected) as broker:
        finding = check_account(settings.accounts[0], broker, settings, LedgerView({}, None))
    if says is None:
        assert finding.state is State.OK and finding.mend is None
    else:
        assert finding.state is State.FAILED and finding.mend
        assert says in finding.seen


@pytest.mark.parametrize(
    ("off_by", "state", "says"),
    [
        (timedelta(0), State.OK, "broker"),
        (timedelta(seconds=40), State.WARNING, "behind the broker"),
        (timedelta(seconds=-90), State.FAILED, "ahead of the broker"),
        (timedelta(seconds=90), State.FAILED, "behind the broker"),
    ],
)
def test_F44_a_machine_whose_clock_is_off_is_told(off_by: timedelta, state: State, says: str) -> None:
    """The limit is a minute here, so that a machine that is busy for seconds judges the same."""
    exchange = ScriptedExchange()
    with at(exchange) as broker:
        exchange.now = datetime.now(UTC) + off_by
        finding = check_skew(broker, SystemClock(), 60)
    assert finding.state is state, finding
    assert says in finding.seen
    assert (finding.mend is None) is (state is State.OK)


def test_an_exchange_behind_the_ledger_is_the_clocks_failure(world: World) -> None:
    row = {
        "ticker": "NVDA",
        "session": date(2026, 3, 12),
        "as_of": datetime(2026, 3, 12, 15, tzinfo=UTC),
        "rank": 1,
        "score": 0.5,
        "direction": "NONE",
        "factors": {},
        "entered_at": datetime(2026, 3, 12, 15, tzinfo=UTC),
    }
    with ledger_of(world) as connection:
        connection.execute(insert(watchlist_state).values(**row))
    try:
        finding = others_stay(examined(world), "clock", State.FAILED)
    finally:
        with ledger_of(world) as connection:
            connection.execute(delete(watchlist_state))
    assert "behind the ledger's newest record of 2026-03-12 15:00:00" in finding.seen


# --- paper ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", [True, False], ids=["a broker out of reach", "no credentials"])
def test_a_paper_world_says_why_its_account_cannot_trade(tmp_path: Path, database_url: str, credentials: bool) -> None:
    world = World(tmp_path, NAME)
    world.begin(WorldKind.PAPER, {})
    (world.directory / "strategy.yaml").write_text("broker: {read_attempts: 1}")
    (world.directory / "accounts.yaml").write_text(ONE_ACCOUNT)
    url = database_url.replace("postgresql+psycopg", "postgresql")
    env = {"TRADING_ASSETS_DATABASE_URL": url, "TRADING_ASSETS_DAGSTER_URL": url}
    if credentials:
        env |= {"ALPACA_LARGE_KEY": "PK" + SECRET, "ALPACA_LARGE_SECRET": SECRET}
    found = examined(world, env)
    assert "practice exchange" not in found
    found["practice exchange"] = Finding("practice exchange", State.OK, "a paper world has none")
    finding = others_stay(found, "account large", State.FAILED, **unchecked("clock"))
    assert ("no readable answer" if credentials else "no credentials") in finding.seen
    if not credentials:
        assert "ALPACA_LARGE_KEY" in str(finding.mend)


def test_an_account_without_credentials_is_named_and_the_others_are_looked_at(
    tmp_path: Path, database_url: str
) -> None:
    world = World(tmp_path, NAME)
    world.begin(WorldKind.PAPER, {})
    (world.directory / "strategy.yaml").write_text("broker: {read_attempts: 1}")
    url = database_url.replace("postgresql+psycopg", "postgresql")
    keys = {"ALPACA_TINY_KEY": "PK" + SECRET, "ALPACA_TINY_SECRET": SECRET}
    found = examined(world, {"TRADING_ASSETS_DATABASE_URL": url, "TRADING_ASSETS_DAGSTER_URL": url} | keys)
    idle = found["account large"]
    assert (idle.state, idle.seen) == (State.WARNING, "it has no credentials and does not trade")
    assert "ALPACA_LARGE_KEY" in str(idle.mend)
    assert "no readable answer" in found["account tiny"].seen


# --- the sources of news ----------------------------------------------------------------------------------------------


def test_sources_of_news_that_fail_were_never_asked_or_are_silent_are_named(tmp_path: Path, database_url: str) -> None:
    world = World(tmp_path, NAME)
    world.begin(WorldKind.PAPER, {})
    urls = {name: f"https://{name}.example/rss?key={SECRET}" for name in ("good", "bad", "new")}
    feeds = "".join(f"    - {{name: {name}, source: A, url: '{url}'}}\n" for name, url in urls.items())
    (world.directory / "strategy.yaml").write_text(
        f"news:\n  alpaca: {{stream: true, compare_seconds: 0.1, deadline_seconds: 0.05}}\n  feeds:\n{feeds}"
    )
    settings = load_settings(world=world, env={})
    ledger = open_ledger(database_url)
    now = datetime.now(UTC)
    failed = FeedState("bad", remembered(urls["bad"]), None, None, now, None, 3, "HTTP 403", now + timedelta(minutes=4))
    with ledger.begin() as connection:
        good = FeedState("good", remembered(urls["good"]), None, None, now, now, 0, None)
        save_feed_states(connection, [good, failed])
        wires.save(connection, wires.WIRE, "x", WireState(error_count=2, last_error="HTTP 500"), now)
        wires.save(connection, wires.STREAM, "x", WireState(last_success_at=now), now)
    ledger.dispose()
    found = check_news(settings, database_url)
    assert (found.state, SECRET in found.seen) == (State.WARNING, False)
    assert found.seen.startswith("2 of 5 answered when they were last asked, 1 were never asked; feeds that fail")
    assert "bad (3 times: HTTP 403; never read" in found.seen and "alpaca (2 times: HTTP 500)" in found.seen
    children = Children(world)
    children.start("news-stream", [sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        deadline = time.monotonic() + 30
        while "the news socket gave no sign of life since" not in check_news(settings, database_url).seen:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        children.stop("news-stream")


# --- the sentiment model ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model with a tokenizer, as it would lie in a folder. Untrained: here only its loading matters."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{each}" for each in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    labels = dict(enumerate(("positive", "negative", "neutral")))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        id2label=labels,
        label2id={label: position for position, label in labels.items()},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def finbert(name: str, revision: str | None = None) -> ModelConfig:
    return ModelConfig(kind=ModelKind.FINBERT, name=name, revision=revision)


def test_weights_in_a_folder_or_in_the_hubs_cache_are_loaded(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = check_model(finbert(str(weights)), tmp_path / "exported")
    assert found.state is State.OK, found
    snapshot = tmp_path / "models--acme--tiny" / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(weights)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = check_model(finbert("acme/tiny", "a" * 40), tmp_path / "exported")
    assert found.state is State.OK and str(snapshot) in found.seen, found
    found = check_model(finbert("acme/tiny", "b" * 40), tmp_path / "exported")
    assert found.state is State.FAILED, "another revision is another model"
    assert not (tmp_path / "exported").exists(), "a look changes nothing"


def test_missing_weights_fail_the_model_and_are_not_fetched(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    with replaced(world.directory / "strategy.yaml", "news: {model: {kind: finbert}}"):
        finding = others_stay(examined(world), "sentiment model", State.FAILED)
    assert "ProsusAI/finbert are not on this machine" in finding.seen
    assert "lexicon" in str(finding.mend)
    assert list(tmp_path.iterdir()) == []


def test_damaged_weights_and_a_missing_library_are_told_apart(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = tmp_path / "damaged"
    subprocess.run(["cp", "-a", str(weights), str(damaged)], check=True)
    (damaged / "model.safetensors").write_bytes(b"half of it")
    found = check_model(finbert(str(damaged)), tmp_path / "exported")
    assert found.state is State.FAILED and "cannot be loaded" in found.seen and found.mend
    (damaged / "model.safetensors").unlink()
    found = check_model(finbert(str(damaged)), tmp_path / "exported")
    assert found.state is State.FAILED and "not on this machine" in found.seen
    monkeypatch.setitem(sys.modules, "torch", None)
    found = check_model(finbert(str(weights)), tmp_path / "exported")
    assert found.state is State.FAILED and "finbert needs torch" in found.seen
    assert "[finbert]" in str(found.mend)
    monkeypatch.setitem(sys.modules, "vaderSentiment.vaderSentiment", None)
    found = check_model(ModelConfig(), tmp_path)
    assert found.state is State.FAILED and "vaderSentiment" in found.seen and found.mend


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        (DoctorLimits(disk_warning_bytes=2**62), State.WARNING),
        (DoctorLimits(disk_warning_bytes=2**62, disk_failure_bytes=2**62), State.FAILED),
    ],
)
def test_a_full_disk_is_told_before_it_is_full(world: World, limits: DoctorLimits, state: State) -> None:
    finding = others_stay(examined(world, limits=limits), "disk", state)
    assert "less than" in finding.seen
    assert "TRADING_ASSETS_HOME" in str(finding.mend)


def test_the_disk_warns_below_two_gibibytes_and_fails_below_five_hundred_mebibytes() -> None:
    limits = DoctorLimits()
    assert (limits.disk_warning_bytes, limits.disk_failure_bytes) == (2 * 1024**3, 500 * 1024**2)
    with pytest.raises(ValueError, match="exceeds"):
        DoctorLimits(disk_warning_bytes=1, disk_failure_bytes=2)
