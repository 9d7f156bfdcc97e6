"""Many accounts in one world whose time runs, with many signals at once: the load, and what must hold after it.

Used by the test of a small size and by ``tools/bench_dispatch.py`` with a large one. Exchange, database, adapter and
dispatch code are the real ones; signals are published as the minute run's would be, each to every account.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import select

from trading_assets.broker.consistency import compare
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain.identities import signal_id
from trading_assets.domain.values import Action, Direction, OrderState, Purpose, Signal, SignalStatus, Strategy
from trading_assets.ledger import dispatch, orders
from trading_assets.ledger.account_lock import account_lock
from trading_assets.ledger.tables import decisions, dispatch_recommendations, dispatch_status, order_intents
from trading_assets.market.sessions import MINUTE
from trading_assets.risk.exposure import entries_today, exposure, exposure_limit, live_positions, tier_for
from trading_assets.risk.gates import DEFAULT_GATES
from trading_assets.world import practice
from trading_assets.world.processes import Children
from trading_assets.world.runtime import open_world
from trading_assets_tests.e2e.playground import Playground, playground

_CASH = (150_000, 60_000, 20_000, 8_000)


def names(count: int) -> list[str]:
    """Names of ``count`` accounts."""
    return [f"a{number:02d}" for number in range(1, count + 1)]


def accounts_yaml(count: int) -> str:
    """``count`` accounts of several sizes that follow every option strategy."""
    rows = [
        f"  {name}: {{limits: {{strategies: [swing_trade, day_trade]}}, practice_cash: {_CASH[number % len(_CASH)]}}}"
        for number, name in enumerate(names(count))
    ]
    return "\n".join(["accounts:", *rows, ""])


@contextmanager
def running_world(home: Path, accounts: int) -> Iterator[Playground]:
    """A world of so many accounts two hours after its open, whose exchange goes at the speed of the wall.

    Only then does the exchange count requests. Features are those of one real minute run.
    """
    with playground(home, accounts=accounts_yaml(accounts), history=3) as world:
        world.minute(world.session.open + timedelta(minutes=120))
        # What that minute itself decided is too old by then: only the load's own signals are dispatched.
        world.desk.clock.wait_until(world.desk.clock.now() + timedelta(minutes=6))
        for account in world.desk.accounts:
            with account_lock(world.desk.runtime.ledger_url, account.name):
                reconcile(
                    world.desk.ledger,
                    world.desk.broker(account.name),
                    world.desk.clock,
                    account.name,
                    world.desk.start_id,
                )
        Children(world.desk.settings.world).stop(practice.CHILD)
        open_world(world.desk.settings, speed=1.0)
        yield world


def publish(world: Playground, signals: int) -> int:
    """Publish so many signals, all decided now and all different, each to every account; the number of pairs.

    They come in every ticker, strategy and direction, the first of each with the greatest confidence; that of the last
    ones no account trades.
    """
    desk, now = world.desk, world.desk.clock.now()
    rows = world.desk.frames.read("features", [world.session.key]).filter(pl.col("as_of") == pl.col("as_of").max())
    known = rows.drop_nulls(["daily_atr_pct_median60", "rv_rank"]).sort("rv_rank").select(pl.exclude("ts", "as_of"))
    features = known.to_dicts()
    strategies = (Strategy.SWING_TRADE, Strategy.DAY_TRADE)
    ways = ((Action.BUY_CALL, Direction.BULLISH), (Action.BUY_PUT, Direction.BEARISH))
    wanted = []
    for number in range(signals):
        row = features[number % len(features)]
        strategy = strategies[number // len(features) % 2]
        action, direction = ways[number // (2 * len(features)) % 2]
        identity = signal_id(f"load {number}", row["ticker"], now, action, strategy)
        wanted.append(
            Signal(
                signal_id=identity, session=world.session.day, ticker=row["ticker"], action=action,
                strategy=strategy, direction=direction, bar_start=now - MINUTE, known_at=now,
                confidence=round(0.95 - 0.35 * number / signals, 6),
                watchlist_score=0.5, urgent=False, rule_set="load", config_hash="c" * 64, features=row,
            )
        )  # fmt: skip
    with desk.ledger.begin() as connection:
        return dispatch.publish(connection, wanted, [one.name for one in desk.accounts], "load", desk.clock.now())


def dispatched(world: Playground, processes: int, seconds: float, go: Path, signals: int) -> dict[str, Any]:
    """Publish the load while ``processes`` stand ready, let them dispatch it, and give what each account's run said."""
    everyone = [account.name for account in world.desk.accounts]
    home = world.desk.settings.world
    children = []
    for number in range(min(processes, len(everyone))):
        mine = everyone[number::processes]
        command = [sys.executable, "-m", "trading_assets_tests.e2e.dispatching"]
        command += [str(home.home), home.name, ",".join(mine), str(seconds), str(go)]
        log = (go.parent / f"{go.name}.{number}.log").open("w")
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
    deadline = time.monotonic() + 300
    while len(list(go.parent.glob(f"{go.name}.[0-9]*[0-9]"))) < len(children):
        if time.monotonic() > deadline or any(child.poll() is not None for child in children):
            raise AssertionError("a dispatching process did not come up: see the logs beside " + str(go))
        time.sleep(0.05)
    publish(world, signals)
    go.touch()
    found: dict[str, Any] = {}
    for child in children:
        printed = child.communicate(timeout=seconds + 300)[0]
        assert child.returncode == 0, f"a dispatching process failed: see the logs beside {go}"
        found |= json.loads(printed)
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load. Seconds are of the exchange's clock, which goes with the wall's. A ``pair`` is a signal and
    an account that was to consider it; ``statuses`` and ``decided`` are of pairs."""

    signals: int
    pairs: int
    statuses: dict[str, int]
    decisions: int
    orders: int
    entries_filled: int
    decided_s: list[float]
    acknowledged_s: list[float]
    broken: list[str]


def outcome(world: Playground) -> Outcome:
    """Read ledger and exchange of every account, and name every rule that was broken."""
    with world.desk.ledger.connect() as connection:
        statuses = Counter(connection.execute(select(dispatch_status.c.status)).scalars())
        published = dict(
            connection.execute(
                select(dispatch_recommendations.c.signal_id, dispatch_recommendations.c.published_at)
            ).all()
        )
        decided = connection.execute(
            select(decisions.c.signal_id, decisions.c.account, decisions.c.decided_at, decisions.c.gates)
        ).all()
        row = order_intents.c
        intents = connection.execute(
            select(row.signal_id, row.account, row.submitted_at, row.filled_quantity).where(
                row.purpose == Purpose.ENTRY.value
            )
        ).all()
    first: dict[tuple[str, str], float] = {}
    for signal, account, at, _ in intents:
        if at is not None:
            seconds = (at - published[signal]).total_seconds()
            first[signal, account] = min(seconds, first.get((signal, account), seconds))
    twice = {pair: count for pair, count in Counter((one[0], one[1]) for one in decided).items() if count > 1}
    expected = [gate.id for gate in DEFAULT_GATES]
    broken = [f"{account}: signal {signal} was decided {count} times" for (signal, account), count in twice.items()]
    broken += [
        f"{account}: the decision on signal {signal} lacks gates"
        for signal, account, _, gates in decided
        if [gate["gate"] for gate in gates] != expected
    ]
    broken += [sentence for account in world.desk.accounts for sentence in _broken(world, account.name)]
    return Outcome(
        signals=len(published),
        pairs=statuses.total(),
        statuses=dict(statuses),
        decisions=len(decided),
        orders=len(intents),
        entries_filled=len({(signal, account) for signal, account, _, filled in intents if filled}),
        decided_s=sorted((at - published[signal]).total_seconds() for signal, _, at, _ in decided),
        acknowledged_s=sorted(first.values()),
        broken=broken,
    )


def _broken(world: Playground, account: str) -> Iterator[str]:
    """Doubled orders, exceeded limits, and differences between ledger and exchange of one account."""
    desk, broker = world.desk, world.desk.broker(account)
    with account_lock(desk.runtime.ledger_url, account, wait=60):
        reconcile(desk.ledger, broker, desk.clock, account, desk.start_id)
        theirs = broker.orders("all")
        ids = Counter(order.client_order_id for order in theirs)
        yield from (f"{account}: {name} exists {count} times" for name, count in ids.items() if count > 1)
        with desk.ledger.connect() as connection:
            ours = {intent.client_order_id: intent for intent in orders.of_account(connection, account)}
        never = {OrderState.REJECTED, OrderState.ABANDONED}
        sent = {name for name, intent in ours.items() if intent.state not in never}
        if set(ids) != sent:
            yield f"{account}: orders differ: {sorted(set(ids) ^ sent)}"
        yield from (f"{account}: {sentence}" for sentence in compare(desk.ledger, broker, account).differences)
        yield from (f"{account}: {sentence}" for sentence in _limits(world, account))


def _limits(world: Playground, account: str) -> Iterator[str]:
    desk, limits = world.desk, world.desk.account(account).limits
    strategy = desk.strategy(account)
    snapshot = account_snapshot(desk.ledger, desk.broker(account), desk.clock, account, start_id=desk.start_id)
    # The tier is that of the money the account began with: what was bought since moves its equity a little.
    opening = replace(snapshot, equity=snapshot.last_equity)
    tier = tier_for(opening.equity, strategy.sizing)
    assert tier is not None
    held, stake = len(live_positions(snapshot)), exposure(snapshot)
    most = tier.max_positions if limits.max_positions is None else min(tier.max_positions, limits.max_positions)
    if held > most:
        yield f"{held} positions, at most {most}"
    bound = exposure_limit(opening.equity, tier, limits)
    assert stake is not None and bound is not None
    if stake > bound * Decimal("1.001"):
        yield f"exposure {stake}, at most {bound}"
    trades = entries_today(snapshot)
    per_day = limits.trades_per_day or strategy.gates.trades_per_day
    if trades > min(per_day, strategy.gates.trades_per_day):
        yield f"{trades} entries today, at most {per_day}"


def undecided(found: Outcome) -> int:
    """Pairs that nobody settled."""
    return sum(found.statuses.get(status.value, 0) for status in (SignalStatus.PENDING, SignalStatus.PROCESSING))


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """The value below which ``fraction`` of the sorted ``values`` lie; None of none."""
    return values[min(len(values) - 1, int(len(values) * fraction))] if values else None
