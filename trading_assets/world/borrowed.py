"""Looking at a world that may be stopped: start what nobody runs, and leave everything as it was found.

Unlike a client (``lease``) a look makes nothing: no cluster, no exchange, no schema. What it had to start it stops
again, unless somebody came in the meantime who uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trading_assets.domain.errors import ConfigurationError, TradingAssetsError
from trading_assets.world import practice
from trading_assets.world.lease import STOP_ORDER, stop_world
from trading_assets.world.lock import InUse, hold, holder
from trading_assets.world.paths import World
from trading_assets.world.postgres import EmbeddedPostgres
from trading_assets.world.practice import PracticeExchange
from trading_assets.world.processes import Children

POSTGRES = "postgres"
_WAIT = 60.0


class NotStarted(TradingAssetsError):
    """What is needed does not run, and a mere look must not start it."""


@dataclass(frozen=True, slots=True)
class Occupation:
    """Who has a world: its owner's process id (None: nobody), whether clients use it, and what runs in it."""

    owner: str | None
    clients: bool
    running: tuple[str, ...]


def occupation(world: World) -> Occupation:
    """Who has ``world`` right now. Makes no file; a lock that is free is held for no longer than the question."""
    children = Children(world)
    running = [name for name in children.recorded() if children.adopt(name) is not None]
    if children.strays():
        running.append("processes that nobody wrote down")
    if world.server().is_running():
        running.append(POSTGRES)
    owner = holder(world.lock_file)
    return Occupation(owner=owner, clients=holder(clients_lock(world), shared=True) is not None, running=tuple(running))


def clients_lock(world: World) -> Path:
    """The file on which every client of ``world`` holds a shared lock."""
    return world.directory / "clients.lock"


@dataclass
class Borrowed:
    """The services of a world for the length of a look; each is started when it is first asked for."""

    world: World
    found: Occupation
    started: list[str] = field(default_factory=list)

    def database(self) -> EmbeddedPostgres:
        """The embedded server, running. Raises :class:`TradingAssetsError` if there is none or it does not start."""
        server = self.world.server()
        if not (server.data / "PG_VERSION").is_file() or not (server.directory / "password").is_file():
            raise ConfigurationError("this world has no database", where=str(server.directory), mend=self._up())
        if server.is_running():
            return server
        self._require_unowned("database", server.log)
        with hold(self.world.directory / "open.lock", wait=_WAIT):
            if server.start():
                self.started.append(POSTGRES)
        return server

    def exchange(self) -> PracticeExchange:
        """The practice exchange, running. Raises :class:`TradingAssetsError` if there is none, if it does not start,
        or if its time would run on by itself once it was started."""
        directory = self.world.exchange
        stored = practice.read_config(directory)
        found = practice.running(directory)
        if found is not None:
            return found
        self._require_unowned("practice exchange", self.world.logs / f"{practice.CHILD}.log")
        if float(stored.get("speed", 0.0)) > 0:
            raise NotStarted(
                "the practice exchange does not run, and its time would move if it were started to be looked at",
                mend=self._up(),
            )
        with hold(self.world.directory / "open.lock", wait=_WAIT):
            children = Children(self.world)
            if children.adopt(practice.CHILD) is None:
                self.started.append(practice.CHILD)
            return practice.start(children)

    def _up(self) -> str:
        return f"Run 'trading-assets up --world {self.world.name}': it makes or starts what is missing."

    def _require_unowned(self, what: str, log: Path) -> None:
        if self.found.owner is not None:
            raise TradingAssetsError(
                f"the {what} does not answer although pid {self.found.owner} runs this world",
                where=str(log),
                mend=f"Look at the log, stop that process, then run 'trading-assets up --world {self.world.name}'.",
            )


@contextmanager
def borrowing(world: World, found: Occupation) -> Iterator[Borrowed]:
    """The services of an existing ``world``; at the end it is as it was ``found``, unless others use it by then."""
    borrowed = Borrowed(world, found)
    try:
        with hold(clients_lock(world), wait=_WAIT, shared=True):
            yield borrowed
    finally:
        _leave(borrowed)


def _leave(borrowed: Borrowed) -> None:
    """Stop what was started here. Clients that left meanwhile relied on the last one to stop what they had started."""
    world = borrowed.world
    if not borrowed.started and not borrowed.found.clients:
        return
    try:
        with hold(clients_lock(world)), hold(world.lock_file):
            if borrowed.found.clients:
                stop_world(world)
                return
            for name in STOP_ORDER:
                if name in borrowed.started:
                    Children(world).stop(name)
            if POSTGRES in borrowed.started:
                world.server().stop()
    except InUse:
        # Somebody came who uses them, and stops them when leaving.
        return
