"""The process of a world that follows the trade streams of all its accounts (run with ``python -m``).

What belongs here: bringing world, settings and streams together, and ending in order. What does not: following
(``broker.trade_stream``). ``up`` starts it, looks after it and ends it; the demo, whose clock moves in steps, polls.
"""

from __future__ import annotations

import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

from trading_assets.stream_process import meeting_place, serve

if TYPE_CHECKING:
    from trading_assets.account_config import AccountConfig
    from trading_assets.broker.trade_stream.follower import Place
    from trading_assets.world.runtime import Runtime


def run(stop: threading.Event) -> int:
    """Follow every configured account of the world that the environment names until ``stop``; the exit status."""
    from trading_assets.broker.trade_stream.follower import Follower
    from trading_assets.broker.trade_stream.service import follow_all
    from trading_assets.ledger.engine import open_ledger
    from trading_assets.ledger.schema import require_current
    from trading_assets.settings import load_settings
    from trading_assets.world.runtime import open_world

    settings = load_settings()
    runtime = open_world(settings)
    engine = open_ledger(
        runtime.ledger_url, application_name="trading-assets trade stream", pool_size=len(settings.accounts) + 1
    )
    try:
        require_current(engine)
        followers = {
            account.name: Follower(
                account.name,
                partial(_place, runtime, account),
                engine,
                runtime.ledger_url,
                settings.strategy_for(account.name).broker,
                stop,
            )
            for account in settings.accounts
        }
        return 1 if follow_all(followers, stop) else 0
    finally:
        engine.dispose()


def _place(runtime: Runtime, account: AccountConfig) -> Place:
    from trading_assets.broker.trade_stream.follower import Place

    return Place(*meeting_place(runtime, account))


if __name__ == "__main__":
    sys.exit(serve(run))
