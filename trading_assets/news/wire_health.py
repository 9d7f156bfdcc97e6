"""How the broker's news do: in the table of feeds as one of them, and in the check that names those that fail."""

from __future__ import annotations

from sqlalchemy import Engine

from trading_assets.ledger import wires as remembered
from trading_assets.ledger.wires import STREAM, WIRE
from trading_assets.news.config import NewsConfig
from trading_assets.news.feed_health import FeedHealth


def wire_health(engine: Engine, config: NewsConfig) -> list[FeedHealth]:
    """What of the broker's news is switched on. The socket's last attempt is when it last said how it does."""
    limits = config.alpaca
    asked = [name for name, on in ((WIRE, limits.api or limits.stream), (STREAM, limits.stream)) if on]
    if not asked:
        return []
    with engine.connect() as connection:
        states = {name: remembered.state(connection, name) for name in asked}
    return [
        FeedHealth(
            feed=name,
            last_attempt_at=state.last_attempt_at,
            last_success_at=state.last_success_at,
            error_count=state.error_count,
            last_error=state.last_error,
            next_attempt_at=state.next_attempt_at,
            gone=False,
        )
        for name, state in states.items()
    ]


def wire_troubles(engine: Engine, config: NewsConfig) -> list[str]:
    """What of it failed last, a sentence each."""
    found = wire_health(engine, config)
    return [f"{each.feed} ({each.error_count} times: {each.last_error})" for each in found if each.failing]
