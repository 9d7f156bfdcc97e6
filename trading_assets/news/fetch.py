"""Getting feeds over HTTP: conditional, bounded in time and size, side by side. Nothing is parsed or stored here.

Every feed ends in one typed result; no answer of one server can delay or stop the others beyond its own deadline.
"""

from __future__ import annotations

import asyncio
import ipaddress
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from trading_assets.news.config import FeedConfig, FetchConfig

_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
#: Validators longer than this are not kept: they would be sent with every request.
_VALIDATOR_LIMIT = 1000


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


@dataclass(frozen=True, slots=True)
class Fetched:
    """A complete body, unpacked."""

    feed: str
    body: bytes
    content_type: str | None
    validators: Validators


@dataclass(frozen=True, slots=True)
class Failed:
    """No body. ``status`` is the HTTP status if there was an answer; ``retry_after_s`` what a 429 or 503 asked for."""

    feed: str
    reason: str
    status: int | None = None
    retry_after_s: int | None = None


FetchResult = NotModified | Fetched | Failed


class _Refused(Exception):
    """Why an answer is not accepted; becomes ``Failed``."""

    def __init__(self, reason: str, status: int | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status, self.retry_after_s = reason, status, retry_after_s


def fetch_all(
    feeds: Sequence[FeedConfig], config: FetchConfig, validators: Mapping[str, Validators]
) -> tuple[FetchResult, ...]:
    """Fetch every feed at once (up to ``config.concurrency``); results in the order of ``feeds``.

    ``validators`` maps feed names to what the last complete body carried. Never raises for what a server does.
    May be called with or without an event loop running in this thread.
    """
    if not feeds:
        return ()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="feeds") as runner:
        return runner.submit(lambda: asyncio.run(_fetch_all(feeds, config, validators))).result()


async def _fetch_all(
    feeds: Sequence[FeedConfig], config: FetchConfig, validators: Mapping[str, Validators]
) -> tuple[FetchResult, ...]:
    slots = asyncio.Semaphore(config.concurrency)
    async with _client(config, trust_env=True) as outside, _client(config, trust_env=False) as loopback:

        async def one(feed: FeedConfig) -> FetchResult:
            client = loopback if _is_loopback(httpx.URL(feed.url).host) else outside
            async with slots:
                return await _fetch(client, feed, config, validators.get(feed.name, Validators()))

        return tuple(await asyncio.gather(*(one(feed) for feed in feeds)))


def _client(config: FetchConfig, *, trust_env: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        # A proxy of the environment must never stand between this program and a server on the same machine.
        trust_env=trust_env,
        follow_redirects=False,
        timeout=httpx.Timeout(config.read_timeout_s, connect=config.connect_timeout_s),
        headers={"User-Agent": config.user_agent, "Accept": _ACCEPT, "Accept-Encoding": "gzip, deflate"},
    )


async def _fetch(client: httpx.AsyncClient, feed: FeedConfig, config: FetchConfig, known: Validators) -> FetchResult:
    try:
        async with asyncio.timeout(config.deadline_s):
            return await _exchange(client, feed, config, known)
    except _Refused as refusal:
        return Failed(feed.name, refusal.reason, refusal.status, refusal.retry_after_s)
    except TimeoutError:
        return Failed(feed.name, f"no complete answer within {config.deadline_s:g} s")
    except httpx.TimeoutException as problem:
        return Failed(feed.name, f"timed out ({type(problem).__name__})")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as problem:
        return Failed(feed.name, f"{type(problem).__name__}: {problem}"[:500])


async def _exchange(client: httpx.AsyncClient, feed: FeedConfig, config: FetchConfig, known: Validators) -> FetchResult:
    request = client.build_request("GET", feed.url, headers=_conditions(known))
    for _ in range(config.max_redirects + 1):
        response = await client.send(request, stream=True)
        try:
            if response.next_request is None:
                return await _accept(feed, response, config, known)
            _check_redirect(request.url, response.next_request.url)
            request = response.next_request
        finally:
            await response.aclose()
    raise _Refused(f"more than {config.max_redirects} redirects", response.status_code)


async def _accept(feed: FeedConfig, response: httpx.Response, config: FetchConfig, known: Validators) -> FetchResult:
    status = response.status_code
    if status == 304:
        if known == Validators():
            raise _Refused("304 Not Modified, but no condition was sent", status)
        fresh = _validators(response)
        return NotModified(feed.name, Validators(fresh.etag or known.etag, fresh.last_modified or known.last_modified))
    if status != 200:
        raise _Refused(f"HTTP {status} {response.reason_phrase}".rstrip(), status, _retry_after(response))
    body = await _read(response, config.max_bytes)
    return Fetched(feed.name, body, response.headers.get("content-type"), _validators(response))


async def _read(response: httpx.Response, limit: int) -> bytes:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _Refused(f"the body has {declared} bytes, more than {limit}", response.status_code)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return await _collect(response.aiter_raw(), limit)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return await _unpack(response.aiter_raw(), limit)
    raise _Refused(f"the body is encoded as {encoding!r}, which was not asked for", response.status_code)


async def _collect(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise _Refused(f"the body is larger than {limit} bytes", 200)
    return bytes(body)


async def _unpack(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Unpack gzip or zlib while reading, never producing more than ``limit`` bytes: a bomb costs nothing."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    async for chunk in chunks:
        try:
            body += unpacker.decompress(chunk, limit + 1 - len(body))
        except zlib.error as problem:
            raise _Refused(f"the packed body is damaged: {problem}", 200) from problem
        if len(body) > limit or unpacker.unconsumed_tail:
            raise _Refused(f"the unpacked body is larger than {limit} bytes", 200)
    if not unpacker.eof or unpacker.unused_data:
        raise _Refused("the packed body breaks off, or goes on after its end", 200)
    return bytes(body)


def _conditions(known: Validators) -> dict[str, str]:
    headers = {}
    if known.etag:
        headers["If-None-Match"] = known.etag
    if known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    return headers


def _validators(response: httpx.Response) -> Validators:
    def header(name: str) -> str | None:
        value = response.headers.get(name)
        printable = bool(value) and len(value) <= _VALIDATOR_LIMIT and value.isascii() and value.isprintable()
        return value if printable else None

    return Validators(header("etag"), header("last-modified"))


def _retry_after(response: httpx.Response) -> int | None:
    value = response.headers.get("retry-after", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 8 else None


def _check_redirect(start: httpx.URL, target: httpx.URL) -> None:
    if target.scheme not in ("http", "https"):
        raise _Refused(f"redirected to the scheme {target.scheme!r}")
    if _is_inside(target.host) and not _is_inside(start.host):
        # A public feed must not be able to make this machine ask its own network.
        raise _Refused("redirected from a public address into a private network")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address.is_loopback if address is not None else host.lower().rstrip(".") == "localhost"


def _is_inside(host: str) -> bool:
    address = _address(host)
    return not address.is_global if address is not None else host.lower().rstrip(".") == "localhost"
