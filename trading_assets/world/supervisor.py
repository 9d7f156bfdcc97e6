"""The services of an open world: started in order, watched, and started again when one ends by itself.

A service that keeps ending is given up, which ends the world in order: better nothing than half of it. One that the
others do without is only left alone for a while.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trading_assets.domain.errors import TradingAssetsError
from trading_assets.world.processes import Children, ProcessError

#: A service that ended this often within ``_WITHIN`` seconds is given up.
_OFTEN, _WITHIN = 5, 120.0
_LOOK_SECONDS = 0.5

Say = Callable[[str, str], None]


@dataclass(slots=True)
class Service:
    """One service: how to start it (returning what to say about it) and how to see whether it lives.

    ``mend`` puts in order what its end left behind, before it is started again. Without a service that is not
    ``needed`` the world goes on: if it keeps ending, it is started again only after a pause.
    """

    name: str
    start: Callable[[], str]
    lives: Callable[[], bool]
    mend: Callable[[], None] = lambda: None
    needed: bool = True
    ended: deque[float] = field(default_factory=deque)
    resting: bool = False


class Supervisor:
    """Keeps ``services`` running. ``say`` gets a service's name and one line about it."""

    def __init__(self, children: Children, services: Sequence[Service], say: Say) -> None:
        self._children = children
        self._services = services
        self._say = say

    def start(self) -> None:
        """Start all in order; each says one line."""
        for service in self._services:
            self._say(service.name, service.start())

    def watch(self, until: Callable[[], bool] = lambda: False) -> None:
        """Look after the services until ``until`` says so; raises ``ProcessError`` once one cannot be kept alive."""
        while not until():
            for service in self._services:
                if not service.lives():
                    self._revive(service)
            time.sleep(_LOOK_SECONDS)

    def _revive(self, service: Service) -> None:
        now = time.monotonic()
        service.ended.append(now)
        while service.ended and now - service.ended[0] > _WITHIN:
            service.ended.popleft()
        if len(service.ended) > _OFTEN and not service.needed:
            service.ended.pop()
            if not service.resting:
                service.resting = True
                self._say(service.name, f"keeps ending, rests for up to {_WITHIN:.0f} s; the world goes on without it")
            return
        service.resting = False
        if len(service.ended) > _OFTEN:
            raise ProcessError(
                f"{service.name} ended {len(service.ended)} times within {_WITHIN:.0f} s",
                where=str(self._children.world.logs / f"{service.name}.log"),
                mend="Read its log; nothing is lost, and the next start continues.",
            )
        self._children.end_remains(service.name)
        try:
            service.mend()
            self._say(service.name, f"ended by itself, started again: {service.start()}")
        except TradingAssetsError as error:
            # Perhaps what it needs is just being started again itself; the next look tries once more.
            self._say(service.name, f"ended by itself and does not start yet: {error}")
