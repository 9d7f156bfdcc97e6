"""How often one site is asked: a least interval between requests and few at a time, whoever asks.

Hosts of one domain are one site, since their limits are (EDGAR counts all of sec.gov). This machine itself is no
stranger and is never waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from trading_assets.news.config import FetchConfig
from trading_assets.news.guard import is_loopback, literal


class RoundOver(Exception):
    """The time of this round is used up; what has not been asked waits for the next one."""


@dataclass(slots=True)
class _Site:
    slots: asyncio.Semaphore
    free_at: float


class Manners:
    """The turns of one round. Belongs to the event loop in which it was made."""

    def __init__(self, config: FetchConfig) -> None:
        self._interval = config.host_interval_s
        self._per_site = config.host_concurrency
        self._all = asyncio.Semaphore(config.concurrency)
        self._sites: dict[str, _Site] = {}
        self._over_at = asyncio.get_running_loop().time() + config.round_s

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait until ``host`` may be asked, and hold one of its places. Raises ``RoundOver`` once the round is."""
        if is_loopback(host):
            async with self._all:
                self._require_time(0)
                yield
            return
        # The site's place comes first: who waits for a site must not keep others from theirs.
        loop = asyncio.get_running_loop()
        site = self._sites.setdefault(site_of(host), _Site(asyncio.Semaphore(self._per_site), loop.time()))
        async with site.slots:
            wait = max(0.0, site.free_at - loop.time())
            self._require_time(wait)
            site.free_at = loop.time() + wait + self._interval
            await asyncio.sleep(wait)
            async with self._all:
                self._require_time(0)
                yield

    def _require_time(self, wait: float) -> None:
        if asyncio.get_running_loop().time() + wait > self._over_at:
            raise RoundOver


def site_of(host: str) -> str:
    """The site a host belongs to: its last two labels. ``feeds.co.uk`` names share one, which is merely slower."""
    name = host.lower().rstrip(".")
    return name if literal(host) is not None else ".".join(name.split(".")[-2:])
