"""``trading-assets doctor``: the order of the checks, the configuration, and what is printed.

Nothing is changed: no world, no schema and no account is made; a database or practice exchange that nobody runs is
started to be looked at and stopped again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy.engine import make_url

from trading_assets.doctor.broker_checks import check_accounts_and_clock, check_exchange
from trading_assets.doctor.heartbeat import check_heartbeat
from trading_assets.doctor.model_check import check_model
from trading_assets.doctor.news_check import ITEM as NEWS_SOURCES
from trading_assets.doctor.news_check import check_news
from trading_assets.doctor.stream_check import ITEM as TRADE_STREAM
from trading_assets.doctor.stream_check import check_trade_streams
from trading_assets.domain.errors import TradingAssetsError
from trading_assets.settings import Settings, load_settings
from trading_assets.world.borrowed import Borrowed, borrowing
from trading_assets.world.clocks import SystemClock
from trading_assets.world.doctor import (
    DoctorLimits,
    Finding,
    LedgerView,
    State,
    check_dagster_home,
    check_dagster_storage,
    check_database,
    check_disk,
    check_owner,
    check_schema,
    check_world,
    failed,
    not_checked,
    ok,
)
from trading_assets.world.lock import InUse
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.practice import PracticeExchange
from trading_assets.world.processes import Children

_SERVICES = ("database", "migrations", TRADE_STREAM, NEWS_SOURCES, "dagster storage", "dagster home")
#: Shorter texts are no secrets worth hiding, and hiding them would make messages unreadable.
_SHORTEST_SECRET = 6


def examine(world: World, env: Mapping[str, str] = os.environ, limits: DoctorLimits | None = None) -> list[Finding]:
    """Every check, in order. Secrets are struck out of whatever the findings quote."""
    world_finding, record = check_world(world)
    settings, configuration = check_configuration(world, env)
    findings = [configuration, world_finding]
    if record is None:
        return findings + _skipped(_items(settings, settings.mode if settings else None), "needs the world")
    owner, found = check_owner(world)
    findings.append(owner)
    secrets: list[str] = []
    items = _items(settings, record.kind)[1:-2]
    if settings is None or found is None:
        missing = "needs the configuration" if settings is None else "needs to know who runs the world"
        findings += _skipped(items, missing)
    else:
        secrets += _secrets(settings)
        try:
            with borrowing(world, found) as borrowed:
                findings.extend(_inside(settings, borrowed, secrets))
        except InUse as error:
            seen = {finding.item for finding in findings}
            because = f"somebody is starting or stopping this world: {error.what}"
            findings += _skipped([item for item in items if item not in seen], because)
    if settings is None:
        findings.append(not_checked("sentiment model", "needs the configuration"))
    else:
        findings.append(check_model(settings.strategy.news.model, settings.world.models))
    findings.append(check_disk(world, limits or DoctorLimits()))
    return [_struck(finding, secrets) for finding in findings]


def _skipped(items: Sequence[str], because: str) -> list[Finding]:
    return [not_checked(item, because) for item in items]


def _items(settings: Settings | None, kind: WorldKind | None) -> list[str]:
    """The items after the world's own, in order."""
    accounts = ["accounts"] if settings is None else [f"account {account.name}" for account in settings.accounts]
    exchange = ["practice exchange"] if kind is WorldKind.PRACTICE else []
    return ["owner", *_SERVICES, *exchange, *accounts, "clock", "heartbeat", "sentiment model", "disk"]


def _inside(settings: Settings, borrowed: Borrowed, secrets: list[str]) -> Iterator[Finding]:
    """The checks that look into the running world."""
    world = settings.world
    database, url = check_database(settings, borrowed)
    yield database
    ledger: LedgerView | None = None
    if url is None:
        yield not_checked("migrations", "needs the database")
        yield not_checked(TRADE_STREAM, "needs the database")
        yield not_checked(NEWS_SOURCES, "needs the database")
    else:
        schema, ledger = check_schema(world, url)
        yield schema
        known = ledger is not None
        yield check_trade_streams(settings, url) if known else not_checked(TRADE_STREAM, "needs the ledger's schema")
        yield check_news(settings, url) if known else not_checked(NEWS_SOURCES, "needs the ledger's schema")
    yield check_dagster_storage(settings, borrowed)
    yield check_dagster_home(world)
    exchange: PracticeExchange | None = None
    if settings.mode is WorldKind.PRACTICE:
        finding, exchange = check_exchange(settings, borrowed)
        yield finding
        if exchange is None:
            for item in (*(f"account {account.name}" for account in settings.accounts), "clock", "heartbeat"):
                yield not_checked(item, "needs the practice exchange")
            return
        secrets += _secrets_of(exchange)
    yield from check_accounts_and_clock(settings, exchange, ledger)
    if url is None or ledger is None:
        yield not_checked("heartbeat", "needs the ledger")
    else:
        yield _heartbeat(settings, url, exchange)


def _heartbeat(settings: Settings, url: str, exchange: PracticeExchange | None) -> Finding:
    """A practice world that nobody runs stands still. A money's world must be looked after all the same."""
    # The last service to be started: from then on the world is open.
    opened = Children(settings.world).adopt("webserver")
    since = None if opened is None else datetime.fromtimestamp(opened.started, UTC)
    if exchange is None:
        return check_heartbeat(url, SystemClock(), 1.0, since)
    if since is None:
        return ok("heartbeat", "no services of an open world run: nothing is due")
    try:
        pace = exchange.clock().speed()
    except TradingAssetsError as error:
        return failed("heartbeat", error, f"Look at {settings.world.logs / 'exchange.log'}.")
    return check_heartbeat(url, exchange.clock(), pace, since)


# --- configuration ----------------------------------------------------------------------------------------------------


def check_configuration(world: World, env: Mapping[str, str]) -> tuple[Settings | None, Finding]:
    """strategy.yaml, accounts.yaml and the variables in force; None if something in them is refused."""
    item = "configuration"
    # A record that cannot be read is an item of its own: it must not hide what the files say.
    kind = WorldKind.PRACTICE if _is_damaged(world) else None
    try:
        settings = load_settings(world=world, env=env, kind=kind)
    except TradingAssetsError as error:
        mend = "Correct the value named here; 'trading-assets config check' repeats this check."
        return None, failed(item, error, mend)
    except OSError as error:
        return None, failed(item, error, "Make the file readable for the user who runs this.")
    if settings.earnings_trouble is not None:
        return settings, failed(item, settings.earnings_trouble, "Until then every entry is denied; exits work.")
    names = ", ".join(account.name for account in settings.accounts)
    mode = "" if kind is not None else f"{settings.mode}, "
    return settings, ok(item, f"{mode}accounts: {names}; from {', '.join(settings.sources)}")


def _is_damaged(world: World) -> bool:
    try:
        world.record()
    except TradingAssetsError:
        return True
    except OSError:
        return False
    return False


# --- output -----------------------------------------------------------------------------------------------------------


def _secrets(settings: Settings) -> list[str]:
    """Every secret of the configuration and of the embedded database."""
    found = [secret for account in settings.accounts for secret in (account.key, account.secret)]
    texts = [secret.get_secret_value() for secret in found if secret is not None]
    for url in (settings.database_url, settings.dagster_url):
        if url is not None:
            password = make_url(url.get_secret_value()).password
            texts += [url.get_secret_value(), *([str(password)] if password else [])]
    file = settings.world.postgres / "password"
    return texts + ([file.read_text().strip()] if file.is_file() else [])


def _secrets_of(exchange: PracticeExchange) -> list[str]:
    keys = [secret.get_secret_value() for pair in exchange.keys.values() for secret in (pair.key, pair.secret)]
    return [*keys, exchange.token.get_secret_value()]


def _struck(finding: Finding, secrets: Sequence[str]) -> Finding:
    """The finding without any of ``secrets``, the longest first: an address contains its password."""
    seen, mend = finding.seen, finding.mend
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            seen, mend = seen.replace(secret, "***"), mend and mend.replace(secret, "***")
    return replace(finding, seen=seen, mend=mend)


def as_lines(findings: Sequence[Finding]) -> str:
    """One line per item: state, item, what was seen, how to mend."""
    states, items = max(len(State(f.state)) for f in findings), max(len(f.item) for f in findings)
    return "\n".join(
        f"{finding.state:<{states}}  {finding.item:<{items}}  {finding.seen}"
        + (f"  {finding.mend}" if finding.mend else "")
        for finding in findings
    )
