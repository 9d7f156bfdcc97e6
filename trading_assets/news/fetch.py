"""Getting feeds over HTTP: conditional, bounded in time and size, side by side. Nothing is parsed or stored here.

Every feed ends in one typed result; no answer of one server can delay or stop the others beyond its own deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from trading_assets.news.config import FetchConfig
from trading_assets.news.manners import Manners, RoundOver
from trading_assets.news.web import Reader, Refused, retry_after

_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
#: Validators longer than this are not kept: they would be sent with every request.
_VALIDATOR_LIMIT = 1000


class Named(Protocol):
    """A feed as far as fetching it goes."""

    @property
    def name(self) -> str:
        """Its name, unique within one call."""
        ...

    @property
    def url(self) -> str:
        """Its address."""
        ...


@dataclass(frozen=True, slots=True)
class Validators:
    """What the server said identifies the last body that was read completely; sent back as a condition."""

    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class NotModified:
    """304: nothing new since the validators that were sent."""

    feed: str
    validators: Validators
    elapsed_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete body, unpacked."""

    feed: str
    body: bytes
    content_type: str | None
    validators: Validators
    elapsed_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """No body. ``status`` is the HTTP status if there was an answer; ``retry_after_s`` what the server asked for."""

    feed: str
    reason: str
    status: int | None = None
    retry_after_s: int | None = None
    elapsed_ms: int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class NotAsked:
    """The round's time was used up before this feed had its turn."""

    feed: str


FetchResult = NotModified | Fetched | Failed | NotAsked


def fetch_all(
    feeds: Sequence[Named], config: FetchConfig, validators: Mapping[str, Validators]
) -> tuple[FetchResult, ...]:
    """Fetch feeds side by side within ``config``; results in the order of ``feeds``, which is also that of asking.

    ``validators`` maps feed names to what the last complete body carried. Never raises for what a server does.
    May be called with or without an event loop running in this thread.
    """
    if not feeds:
        return ()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="feeds") as runner:
        return runner.submit(lambda: asyncio.run(_fetch_all(feeds, config, validators))).result()


async def _fetch_all(
    feeds: Sequence[Named], config: FetchConfig, validators: Mapping[str, Validators]
) -> tuple[FetchResult, ...]:
    async with Reader(config, _ACCEPT, Manners(config)) as reader:
        each = (_fetch(reader, feed, validators.get(feed.name, Validators())) for feed in feeds)
        return tuple(await asyncio.gather(*each))


async def _fetch(reader: Reader, feed: Named, known: Validators) -> FetchResult:
    try:
        answer = await reader.get(feed.url, _conditions(known), trusted=True)
    except Refused as refusal:
        return Failed(feed.name, refusal.reason, refusal.status, elapsed_ms=refusal.elapsed_ms)
    except RoundOver:
        return NotAsked(feed.name)
    fresh, took = _validators(answer.headers), answer.elapsed_ms
    if answer.status == 200:
        return Fetched(feed.name, answer.body, answer.headers.get("content-type"), fresh, took)
    if answer.status == 304 and known == Validators():
        return Failed(feed.name, "304 Not Modified, but no condition was sent", 304, elapsed_ms=took)
    if answer.status == 304:
        kept = Validators(fresh.etag or known.etag, fresh.last_modified or known.last_modified)
        return NotModified(feed.name, kept, took)
    reason = f"HTTP {answer.status} {answer.reason}".rstrip()
    return Failed(feed.name, reason, answer.status, retry_after(answer.headers), took)


def _conditions(known: Validators) -> dict[str, str]:
    headers = {}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def _validators(headers: httpx.Headers) -> Validators:
    def header(name: str) -> str | None:
        value: str | None = headers.get(name)
        if value is None:
            return None
        printable = 0 < len(value) <= _VALIDATOR_LIMIT and value.isascii() and value.isprintable()
        return value if printable else None

    return Validators(header("etag"), header("last-modified"))
