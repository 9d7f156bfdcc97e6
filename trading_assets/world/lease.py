"""Clients of a world: each holds a lease while it lives, and the last one that leaves stops what clients had started.

A world that somebody owns (``trading-assets up`` or a demo holds its lock) is left alone by its clients.
"""

from __future__ import annotations

import atexit
import os

from trading_assets.world.lock import FileLock, InUse, hold
from trading_assets.world.paths import World
from trading_assets.world.processes import Children

#: Clients first, then what they use.
STOP_ORDER = ("webserver", "daemon", "code-server", "news-stream", "trade-stream", "exchange")
_leases: dict[str, FileLock] = {}


def hold_lease(world: World) -> None:
    """Hold a lease on ``world`` until this process ends or :func:`leave` is called. Once per process is enough."""
    key = str(world.directory)
    if key in _leases:
        return
    world.create()
    lock = FileLock(world.directory / "clients.lock", shared=True)
    lock.acquire(wait=60)
    _leases[key] = lock
    owner = os.getpid()
    # A forked child inherits the registration but not the duty.
    atexit.register(lambda: leave(world) if os.getpid() == owner else None)


def leave(world: World) -> list[str]:
    """Give this process's lease back; returns what was stopped because it was the last one."""
    lock = _leases.pop(str(world.directory), None)
    if lock is None:
        return []
    lock.release()
    if not world.directory.is_dir():
        return []
    try:
        with hold(world.directory / "clients.lock"), hold(world.lock_file):
            return stop_world(world)
    except InUse:
        return []


def stop_world(world: World) -> list[str]:
    """Stop the world's processes and its database, in order; the names of what ran."""
    ended = Children(world).stop_all(STOP_ORDER)
    if world.server().stop():
        ended.append("postgres")
    return ended
