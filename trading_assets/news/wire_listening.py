"""What becomes of the articles that the news socket tells: stored at once, compared with the interface, noted as well
or not. The socket itself is the broker's room.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from trading_assets.domain.clock import Clock
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.newswire import AsksNews
from trading_assets.ledger import wires as remembered
from trading_assets.ledger.wires import STREAM, WireState
from trading_assets.news.config import NewsConfig
from trading_assets.news.wire_round import ask_wire, store_told

log = logging.getLogger(__name__)
_ADDRESS = "broker: news socket"
_TROUBLE_LIMIT = 1000


@dataclass(slots=True)
class Listening:
    """The news at the place where an account meets its broker now. ``release`` closes what ``wire`` holds open."""

    connection: BrokerConnection = field(repr=False)
    engine: Engine
    config: NewsConfig
    clock: Clock
    wire: AsksNews
    release: Callable[[], None]

    def heard(self, messages: Iterable[Mapping[str, Any]]) -> frozenset[str]:
        """Store what the socket told; its names."""
        names, unusable = store_told(self.engine, self.config, self.clock, messages)
        if unusable:
            log.error("the news socket: %d articles without identity or words were not used", unusable)
        return names

    def missed(self) -> frozenset[str] | None:
        """Ask the interface until nothing is left; the names of all that came, None if it gave no answer."""
        names: frozenset[str] = frozenset()
        while True:
            found = ask_wire(self.engine, self.config, self.clock, self.wire, at_once=True)
            names |= found.names
            if found.error is not None:
                log.warning("the broker's news cannot be asked: %s", found.error)
                return None
            if found.complete or not found.new:
                return names
            log.info("%d articles were missed and are stored; more wait", found.new)

    def well(self) -> None:
        """Socket and interface told the same."""
        now = self.clock.now()
        with self.engine.begin() as connection:
            remembered.save(connection, STREAM, _ADDRESS, WireState(last_success_at=now), now)

    def unwell(self, trouble: str) -> None:
        """Something is wrong; it shows among the feeds."""
        now = self.clock.now()
        with self.engine.begin() as connection:
            known = remembered.state(connection, STREAM)
            count, success = known.error_count + 1, known.last_success_at
            after = WireState(error_count=count, last_success_at=success, last_error=trouble[:_TROUBLE_LIMIT])
            remembered.save(connection, STREAM, _ADDRESS, after, now)

    def close(self) -> None:
        """The place is left."""
        self.release()
