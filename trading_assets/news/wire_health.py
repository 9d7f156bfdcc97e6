"""How the broker's news do, in the words of the check that names failing feeds."""

from __future__ import annotations

from sqlalchemy import Engine

from trading_assets.ledger import wires as remembered
from trading_assets.ledger.wires import STREAM, WIRE
from trading_assets.news.config import NewsConfig


def wire_troubles(engine: Engine, config: NewsConfig) -> list[str]:
    """What of the broker's news is switched on and failed last, a sentence each."""
    limits = config.alpaca
    asked = [name for name, on in ((WIRE, limits.api or limits.stream), (STREAM, limits.stream)) if on]
    if not asked:
        return []
    with engine.connect() as connection:
        states = {name: remembered.state(connection, name) for name in asked}
    return [
        f"{name} ({state.error_count} times: {state.last_error})"
        for name, state in states.items()
        if state.error_count > 0
    ]
