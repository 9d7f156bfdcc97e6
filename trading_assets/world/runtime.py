"""Opening a world: its database and, in a practice world, its exchange; started if nobody runs them.

Whoever opens a world holds a lease on it; what clients had to start is stopped by the last one that leaves. So
``dagster dev`` or a single ``dagster asset materialize`` works from a fresh checkout and leaves nothing behind,
and ends nothing that ``trading-assets up`` or a demo runs.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from trading_assets.domain.clock import Clock
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import BrokerUnavailable, ConfigurationError
from trading_assets.ledger.accounts import upsert_account
from trading_assets.ledger.engine import open_ledger
from trading_assets.ledger.positions import accounts_with_open_work
from trading_assets.ledger.schema import upgrade
from trading_assets.market.sessions import require_session, shift
from trading_assets.world import practice
from trading_assets.world.clocks import SystemClock
from trading_assets.world.lease import hold_lease
from trading_assets.world.lock import hold, holder
from trading_assets.world.paths import World, WorldKind, WorldRecord, write_private
from trading_assets.world.practice import PracticeAccount, PracticeExchange
from trading_assets.world.processes import Children
from trading_assets.world.recording import begins, counts_of, tickers

if TYPE_CHECKING:
    from trading_assets.account_config import AccountConfig
    from trading_assets.settings import Settings

LEDGER_DATABASE = "ledger"
DAGSTER_DATABASE = "dagster"
#: How long a client waits for the exchange of a world that somebody runs, and how often it looks.
_REVIVAL_SECONDS, _LOOK_SECONDS = 60.0, 0.2
#: Arguments of a practice world that nobody gave any: one fixed day, so that equal worlds are equal.
DEFAULT_PRACTICE: Mapping[str, Any] = {
    "session": "2026-03-11",
    "seed": 1,
    "scenario": "normal",
    "sessions": 250,
    "recording": None,
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """Addresses and secrets of an open world. Nothing secret appears in ``repr``."""

    world: World
    kind: WorldKind
    start_id: str
    ledger_url: str = field(repr=False)
    dagster_url: str = field(repr=False)
    ticket_secret: bytes = field(repr=False)
    exchange: PracticeExchange | None = field(repr=False)
    owns_database: bool = True

    def clock(self) -> Clock:
        """The exchange's clock in a practice world, else the system's."""
        return SystemClock() if self.exchange is None else self.exchange.clock()

    def practice_feeds(self) -> dict[str, str]:
        """The practice exchange's own news feeds: name to address."""
        if self.exchange is None:
            raise ConfigurationError("this world has no practice exchange", where=str(self.world.directory))
        return practice.feeds(self.exchange)

    def recorded_tickers(self) -> tuple[str, ...] | None:
        """What the world's recording trades in its first session; None if it plays none."""
        record = self.world.record()
        if record is None or record.arguments.get("recording") is None:
            return None
        return tickers(self.world.exchange, date.fromisoformat(record.arguments["session"]))

    def recorded_since(self) -> dict[str, date] | None:
        """The first session that the world's recording has of every name; None if it plays none."""
        record = self.world.record()
        if record is None or record.arguments.get("recording") is None:
            return None
        return begins(self.world.exchange)

    def connection(self, account: AccountConfig) -> BrokerConnection:
        """Where and as whom the account meets its broker."""
        return account_connection(account, self.world, self.exchange)


def account_connection(account: AccountConfig, world: World, exchange: PracticeExchange | None) -> BrokerConnection:
    """Where and as whom the account meets its broker: the practice ``exchange``, or the account's own without one."""
    budget = world.requests / account.name
    if exchange is None:
        return replace(account.connection(), budget=budget)
    keys = exchange.keys.get(account.name)
    if keys is None:
        raise ConfigurationError(
            f"the practice exchange has no account {account.name!r}",
            where=str(world.exchange / "config.json"),
            mend="An exchange keeps the accounts it was made with: use another world.",
        )
    return BrokerConnection(
        mode=WorldKind.PRACTICE.value,
        trading_url=exchange.url,
        data_url=exchange.url,
        key=keys.key.get_secret_value(),
        secret=keys.secret.get_secret_value(),
        budget=budget,
    )


def open_world(
    settings: Settings, *, arguments: Mapping[str, Any] | None = None, begin: bool = False, speed: float = 0.0
) -> Runtime:
    """Open the world of ``settings``, starting its database and exchange if nobody did.

    The exchange of a world that another process runs is that process's to start: it is waited for. Raises
    ``BrokerUnavailable`` if it does not come.

    ``begin`` notes a new start of the world (its owner does that, under the world's lock) and brings the schema up to
    date; a client that finds a world begins it only if it was never begun. ``speed`` is that of a practice exchange
    that is started here: multiples of wall time, 0 stands still until its clock is moved.
    """
    world = settings.world
    world.create()
    hold_lease(world)
    with hold(world.directory / "open.lock", wait=120):
        record = _record(settings, arguments, begin=begin)
        ledger_url, dagster_url = _databases(settings)
        exchange = _exchange(settings, record, speed) if record.kind is WorldKind.PRACTICE else None
        runtime = Runtime(
            world=world,
            kind=record.kind,
            start_id=record.start_id,
            ledger_url=ledger_url,
            dagster_url=dagster_url,
            ticket_secret=_ticket_secret(world),
            exchange=exchange,
            owns_database=settings.database_url is None,
        )
        _prepare_ledger(settings, runtime)
    return runtime


def _record(settings: Settings, arguments: Mapping[str, Any] | None, *, begin: bool) -> WorldRecord:
    world = settings.world
    known = world.record()
    kind = WorldKind(settings.mode)
    if known is not None and not begin:
        return known
    if arguments is None:
        arguments = known.arguments if known is not None else DEFAULT_PRACTICE if kind is WorldKind.PRACTICE else {}
    return world.begin(kind, arguments)


def _databases(settings: Settings) -> tuple[str, str]:
    """Addresses of the ledger's and of Dagster's database, on the configured server or the embedded one."""
    if settings.database_url is not None:
        return settings.ledger_database_url(), settings.dagster_database_url()
    server = settings.world.server()
    server.start()
    for name in (LEDGER_DATABASE, DAGSTER_DATABASE):
        server.ensure_database(name)
    _relax(server.url(DAGSTER_DATABASE))
    return server.url(LEDGER_DATABASE), server.dagster_url(DAGSTER_DATABASE)


def _relax(url: str) -> None:
    """Let Dagster's own events reach the disk a moment after they are answered.

    A power cut may cost the last events of a run's story; what was decided and ordered is in the ledger, which waits.
    """
    engine = open_ledger(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {DAGSTER_DATABASE} SET synchronous_commit = off"))
    finally:
        engine.dispose()


def _exchange(settings: Settings, record: WorldRecord, speed: float) -> PracticeExchange:
    world = settings.world
    found = practice.running(world.exchange)
    if found is not None:
        return found
    owner = holder(world.lock_file)
    if owner not in (None, str(os.getpid())):
        return _revived(world, owner)
    arguments = record.arguments
    session = require_session(date.fromisoformat(arguments["session"])).day
    practice.write_config(
        world.exchange,
        seed=int(arguments["seed"]),
        session=session,
        last_session=shift(session, int(arguments.get("sessions", 1)) - 1).day,
        recorded=arguments.get("recording") is not None,
        composite=(counts_of(world.exchange) or {}).get("composite_index"),
        recorded_feeds=arguments.get("feeds") is not None,
        feed_delays=arguments.get("feed_delays"),
        speed=speed,
        scenario=str(arguments["scenario"]),
        accounts=[
            PracticeAccount(account.name, account.practice_cash, account.practice_options_level)
            for account in settings.accounts
        ],
    )
    return practice.start(Children(world))


def _revived(world: World, owner: str | None) -> PracticeExchange:
    """The exchange once the world's owner has started it again.

    Nobody else may: it would come back with another speed than the owner gave it.
    """
    deadline = time.monotonic() + _REVIVAL_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        found = practice.running(world.exchange)
        if found is not None:
            return found
    raise BrokerUnavailable(
        f"the practice exchange has not answered for {_REVIVAL_SECONDS:.0f} s although pid {owner} runs this world",
        where=str(world.logs / f"{practice.CHILD}.log"),
        mend=f"Look at the log; 'trading-assets down --world {world.name}' and then 'up' start everything anew.",
    )


def _prepare_ledger(settings: Settings, runtime: Runtime) -> None:
    engine = open_ledger(runtime.ledger_url)
    try:
        upgrade(engine)
        now = runtime.clock().now()
        with engine.begin() as connection:
            for account in settings.accounts:
                upsert_account(connection, account.name, runtime.kind.value, now)
            _require_nothing_open(settings, accounts_with_open_work(connection))
    finally:
        engine.dispose()


def _require_nothing_open(settings: Settings, working: frozenset[str]) -> None:
    """Positions and orders are never left alone because their account is not configured this time."""
    idle = {account.name: account for account in settings.idle_accounts}
    for name in sorted(working - {account.name for account in settings.accounts}):
        if name in idle:
            missing = f"{idle[name].key_variable} and {idle[name].secret_variable}"
            raise ConfigurationError(
                f"account {name!r} has open positions or orders, and no credentials to look after them",
                where=idle[name].key_variable,
                mend=f"Set {missing}.",
            )
        raise ConfigurationError(
            f"account {name!r} has open positions or orders in this world's ledger and is not configured any more",
            where="accounts.yaml",
            mend="Name it again until it holds nothing.",
        )


def _ticket_secret(world: World) -> bytes:
    path = world.directory / "ticket.key"
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return bytes.fromhex(path.read_text().strip())
