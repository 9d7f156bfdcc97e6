"""Publishing: the step from a row in a frame to a recommendation that accounts may take. The first op of a dispatch."""

from __future__ import annotations

import polars as pl

from trading_assets.automation.sensors import fresh_signals
from trading_assets.ledger import dispatch
from trading_assets.market.sessions import open_session
from trading_assets.resources.desk import Desk
from trading_assets.strategy.rule_sets import RULE_SETS
from trading_assets.strategy.signals import to_signal


def publish_fresh(desk: Desk, run_id: str) -> int:
    """Write the current session's fresh live signals to the ledger; the number of new (signal, account) pairs.

    Outside an open session nothing is published. Publishing twice changes nothing, and what is published never changes.
    """
    now = desk.clock.now()
    session = open_session(now)
    if session is None:
        return 0
    rows = fresh_signals(desk, session, now)
    if rows.is_empty():
        return 0
    features = desk.frames.read("features", [session.key]).select(pl.exclude("ts"))
    joined = rows.join(features, on=["ticker", "as_of"], how="left", suffix="_feature")
    signals = [to_signal(row, session.day) for row in joined.to_dicts()]
    followers = {
        account.name: dispatch.Follower(
            frozenset(account.strategies),
            frozenset(RULE_SETS[name].version for name in account.rule_sets),
            account.preset.value,
        )
        for account in desk.accounts
    }
    with desk.ledger.begin() as connection:
        return dispatch.publish(connection, signals, followers, run_id, now)
