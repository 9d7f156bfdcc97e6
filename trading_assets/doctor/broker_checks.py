"""Checks at the broker: the practice exchange, each account behind its key, and the clocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_assets.account_config import AccountConfig
from trading_assets.domain.clock import Clock
from trading_assets.domain.errors import NotAuthorized, TradingAssetsError
from trading_assets.risk.account_gates import ACTIVE
from trading_assets.risk.config import AccountMode
from trading_assets.settings import Settings
from trading_assets.world import practice
from trading_assets.world.borrowed import Borrowed, NotStarted
from trading_assets.world.clocks import SystemClock
from trading_assets.world.doctor import Finding, LedgerView, State, failed, not_checked, ok, one_line, up
from trading_assets.world.paths import World, WorldKind
from trading_assets.world.practice import PracticeExchange
from trading_assets.world.runtime import account_connection

if TYPE_CHECKING:
    from trading_assets.broker.alpaca import AlpacaBroker

_COMPARE_LATER = "Mend the ledger's database or schema, then run this again."


def check_accounts_and_clock(
    settings: Settings, exchange: PracticeExchange | None, ledger: LedgerView | None
) -> Iterator[Finding]:
    """Each account at its broker, then the clocks."""
    clock: Finding | None = None
    for account in settings.accounts:
        item = f"account {account.name}"
        try:
            with _broker(account, settings, exchange) as broker:
                finding = check_account(account, broker, settings, ledger)
                if exchange is None and clock is None:
                    clock = check_skew(broker, SystemClock(), settings.strategy.gates.clock_skew_s)
        except NotAuthorized as error:
            finding = Finding(item, State.FAILED, one_line(error.what), _key_mend(account))
        except TradingAssetsError as error:
            finding = failed(item, error, _broker_mend(settings))
        yield finding
    for account in settings.idle_accounts:
        yield Finding(
            f"account {account.name}",
            State.WARNING,
            "it has no credentials and does not trade",
            f"Set {account.key_variable} and {account.secret_variable}, or leave it out of your own accounts.yaml.",
        )
    if exchange is not None:
        clock = check_exchange_clock(exchange, ledger, settings.world)
    yield clock or not_checked("clock", "needs a broker that answers")


def check_exchange(settings: Settings, borrowed: Borrowed) -> tuple[Finding, PracticeExchange | None]:
    """The practice exchange answers, and has the accounts that are configured; None if it does not answer."""
    item, world = "practice exchange", settings.world
    try:
        exchange = borrowed.exchange()
        stored = {row["name"]: row for row in practice.read_config(world.exchange)["accounts"]}
    except NotStarted as error:
        return Finding(item, State.NOT_CHECKED, error.what, error.mend), None
    except TradingAssetsError as error:
        return failed(item, error, up(world)), None
    except (OSError, ValueError, KeyError, TypeError) as error:
        mend = "Restore exchange/config.json from a copy of the world, or use another world."
        return failed(item, f"its configuration cannot be used: {type(error).__name__}: {one_line(error)}", mend), None
    other = [
        account.name
        for account in settings.accounts
        if account.name not in stored
        or Decimal(stored[account.name]["cash"]) != account.practice_cash
        or stored[account.name]["options_level"] != account.practice_options_level
    ]
    other += sorted(set(stored) - {account.name for account in settings.accounts})
    if other:
        mend = "An exchange keeps the accounts it was made with: restore accounts.yaml, or use another world."
        return failed(item, f"it was made with other accounts than configured: {', '.join(other)}", mend), exchange
    how = "started for this check" if practice.CHILD in borrowed.started else "running"
    return ok(item, f"answers at {exchange.url}, {how}"), exchange


@contextmanager
def _broker(account: AccountConfig, settings: Settings, exchange: PracticeExchange | None) -> Iterator[AlpacaBroker]:
    """The real adapter, on the machine's clock: waiting by a practice clock would move it."""
    from trading_assets.broker.alpaca import AlpacaBroker

    connection = account_connection(account, settings.world, exchange)
    broker = AlpacaBroker(connection, SystemClock(), settings.strategy.broker)
    try:
        yield broker
    finally:
        broker.close()


def check_account(
    account: AccountConfig, broker: AlpacaBroker, settings: Settings, ledger: LedgerView | None
) -> Finding:
    """The account behind the key is the expected one and may trade what it is configured for. Raises what the broker's
    adapter raises."""
    item = f"account {account.name}"
    seen = broker.account()
    known = ledger.accounts.get(account.name) if ledger is not None else None
    troubles: list[tuple[str, str]] = []
    if known is not None and known.mode != settings.mode.value:
        troubles.append(
            (f"the ledger has it as a {known.mode} account", "Give the account another name in accounts.yaml.")
        )
    for expected, where in (
        (broker.expected_account_id, "accounts.yaml"),
        (known.broker_account_id if known is not None else None, "the ledger"),
    ):
        if expected is not None and expected != seen.account_id:
            mend = f"Use the keys of account {expected}, or another account name or world for {seen.account_id}."
            troubles.append((f"broker account {seen.account_id} is not {expected} of {where}", mend))
    dashboard = "Mend it in the broker's dashboard."
    if seen.status != ACTIVE:
        troubles.append((f"account status is {seen.status or 'unknown'}, not {ACTIVE}", dashboard))
    if seen.trading_blocked is not False:
        troubles.append(
            ("trading is blocked" if seen.trading_blocked else "unknown whether trading is blocked", dashboard)
        )
    level, needed = seen.options_level, settings.strategy.gates.options_level
    if account.limits.mode is not AccountMode.STOCK_ONLY and (level is None or level < needed):
        mend = "Apply for that level at the broker, or set limits.mode to stock_only."
        troubles.append((f"options level is {'unknown' if level is None else level}, {needed} is needed", mend))
    if troubles:
        mends = dict.fromkeys(mend for _, mend in troubles)
        return Finding(item, State.FAILED, "; ".join(trouble for trouble, _ in troubles), " ".join(mends))
    answer = f"{seen.status}, options level {'unknown' if level is None else level}, broker account {seen.account_id}"
    if ledger is None:
        return Finding(item, State.WARNING, f"{answer}; not compared with the ledger", _COMPARE_LATER)
    return ok(item, answer if known is not None else f"{answer}; not in the ledger yet, the next start adds it")


def _key_mend(account: AccountConfig) -> str:
    if account.mode is WorldKind.PRACTICE:
        return "Restore exchange/config.json from a copy of the world, start it again, or use another world."
    return f"Check {account.key_variable} and {account.secret_variable}."


def _broker_mend(settings: Settings) -> str:
    if settings.mode is WorldKind.PRACTICE:
        return f"Look at {settings.world.logs / 'exchange.log'}."
    return "Check the network and the broker's status page, then run this again."


# --- clocks -----------------------------------------------------------------------------------------------------------


def check_skew(broker: AlpacaBroker, clock: Clock, limit_seconds: float) -> Finding:
    """This machine's time against the broker's. What the request itself took is not held against either."""
    item = "clock"
    before = clock.now()
    try:
        theirs = broker.clock_now()
    except TradingAssetsError as error:
        return failed(item, error, "Check the network and the broker's status page, then run this again.")
    half = (clock.now() - before) / 2
    skew = before + half - theirs
    certain = max(abs(skew) - half, timedelta(0)).total_seconds()
    word = "ahead of" if skew > timedelta(0) else "behind"
    seen = f"this machine is {abs(skew).total_seconds():.1f} s {word} the broker (allowed: {limit_seconds:g} s)"
    mend = "Set this machine's clock, and let it be kept (timedatectl set-ntp true)."
    if certain > limit_seconds:
        return Finding(item, State.FAILED, seen, mend)
    return Finding(item, State.WARNING, seen, mend) if certain > limit_seconds / 2 else ok(item, seen)


def check_exchange_clock(exchange: PracticeExchange, ledger: LedgerView | None, world: World) -> Finding:
    """The practice exchange's time goes on from what the ledger has: an older one would decide again."""
    item = "clock"
    try:
        now = exchange.clock().now()
    except TradingAssetsError as error:
        return failed(item, error, up(world))
    seen = f"the practice exchange is at {now:%Y-%m-%d %H:%M:%S} UTC"
    if ledger is None:
        return Finding(item, State.WARNING, f"{seen}; not compared with the ledger", _COMPARE_LATER)
    if ledger.newest is not None and now < ledger.newest:
        mend = "Restore exchange and database from the same copy of the world, or use another world."
        return failed(item, f"{seen}, behind the ledger's newest record of {ledger.newest:%Y-%m-%d %H:%M:%S} UTC", mend)
    return ok(item, seen)
