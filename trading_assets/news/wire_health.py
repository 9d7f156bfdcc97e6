"""How the broker's news do, in the words of the check that names failing feeds."""

from __future__ import annotations

from sqlalchemy import Engine

from trading_assets.ledger import wires as remembered
from trading_assets.ledger.wires import WIRE
from trading_assets.news.config import NewsConfig


def wire_troubles(engine: Engine, config: NewsConfig) -> list[str]:
    """What of the broker's news is switched on and failed last, a sentence each."""
    if not config.alpaca.api:
        return []
    with engine.connect() as connection:
        states = {name: remembered.state(connection, name) for name in (WIRE,)}
    return [
        f"{name} ({state.error_count} times: {state.last_error})"
        for name, state in states.items()
        if state.error_count > 0
    ]
