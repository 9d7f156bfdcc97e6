"""A process that trades and kills itself with SIGKILL at a named point. Runs in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import replace

from trading_assets.broker import ladder
from trading_assets.broker.reconciliation import reconcile
from trading_assets.broker.snapshot import account_snapshot
from trading_assets.domain import crashpoints
from trading_assets.ledger import positions
from trading_assets.ledger.engine import open_ledger
from trading_assets_tests.broker import desk


def trade(database_url: str, exchange_url: str, action: str, point: str) -> None:
    """Do one action (enter, add, leave, observe, reconcile) and die at the first passage of ``point``."""

    def die(name: str) -> None:
        if name == point:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = open_ledger(database_url)
    clock = desk.SteppedClock(exchange_url)
    broker = desk.connect(exchange_url, clock)
    crashpoints.install(die)
    if action == "enter":
        ladder.enter(engine, broker, clock, desk.entry(), desk.plan("2.50", "2.55"), run_id="dying")
    elif action == "add":
        with engine.connect() as connection:
            (position,) = positions.live_positions(connection, desk.ACCOUNT)
        more = replace(desk.entry("s2"), adds_to=position.position_id)
        ladder.enter(engine, broker, clock, more, desk.plan("2.50", "2.55"), run_id="dying")
    elif action == "leave":
        with engine.connect() as connection:
            (position,) = positions.live_positions(connection, desk.ACCOUNT)
        order = ladder.Exit(position.position_id, position.quantity, "stop_loss")
        ladder.leave(engine, broker, clock, order, desk.plan("2.00", None), run_id="dying")
    else:
        if action == "observe":
            account_snapshot(engine, broker, clock, desk.ACCOUNT, start_id="dying")
        reconcile(engine, broker, clock, desk.ACCOUNT, "start")


def run_and_die(database_url: str, exchange_url: str, action: str, point: str) -> int:
    """Run ``trade`` in a process of its own; returns its exit code (minus the signal that killed it)."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "alpaca.trading.client", "alpaca.data.historical.option"])
    process = context.Process(target=trade, args=(database_url, exchange_url, action, point))
    process.start()
    process.join(60)
    code = process.exitcode
    process.close()
    assert code is not None, "the process neither died nor ended"
    desk.kills += int(code == -signal.SIGKILL)
    return code
