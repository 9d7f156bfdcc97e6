"""The process of a world that listens to the broker's news socket (run with ``python -m``).

What belongs here: bringing world, settings and socket together, and ending in order. What does not: following
(``broker.news_stream``) and storing (``news``). ``up`` starts it where ``news.alpaca.stream`` is on, looks after it and
ends it. One account's keys are enough: the first's, since everybody is told the same.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from trading_assets.stream_process import meeting_place, serve

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from trading_assets.news.wire_listening import Listening
    from trading_assets.settings import Settings
    from trading_assets.world.runtime import Runtime


def run(stop: threading.Event) -> int:
    """Follow the news of the world that the environment names until ``stop``; the exit status."""
    from trading_assets.broker.news_stream.follower import NewsFollower
    from trading_assets.ledger.engine import open_ledger
    from trading_assets.ledger.schema import require_current
    from trading_assets.settings import load_settings
    from trading_assets.world.runtime import open_world

    settings = load_settings()
    runtime = open_world(settings)
    engine = open_ledger(runtime.ledger_url, application_name="trading-assets news stream", pool_size=1)
    try:
        require_current(engine)
        strategy = settings.strategy
        follower = NewsFollower(
            lambda: _place(settings, runtime, engine),
            strategy.broker.stream,
            strategy.news.alpaca.compare_seconds,
            stop,
        )
        follower.run()
        return 0
    finally:
        engine.dispose()


def _place(settings: Settings, runtime: Runtime, engine: Engine) -> Listening:
    """The first account at the place where it meets its broker now."""
    from trading_assets.broker.news_wire import NewsWire
    from trading_assets.news.wire_listening import Listening

    connection, clock = meeting_place(runtime, settings.accounts[0])
    wire = NewsWire(connection, clock, settings.strategy.broker)
    return Listening(connection, engine, settings.strategy.news, clock, wire, wire.close)


if __name__ == "__main__":
    sys.exit(serve(run))
