"""One bounded GET: time, size, redirects, and where it may go. What an answer means is for the caller to say."""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self
from urllib.request import getproxies, proxy_bypass

import httpx

from trading_assets.news import guard
from trading_assets.news.config import FetchConfig
from trading_assets.news.manners import Manners, RoundOver

# It writes every address that is asked, keys and all, where somebody logs what libraries have to say.
logging.getLogger("httpx").setLevel(logging.WARNING)

__all__ = ["Answer", "Reader", "Refused", "RoundOver"]
_log = logging.getLogger(__name__)
_LAST_PORT = 65_535


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer at the end of all redirects. ``body`` is complete and unpacked for a 200, empty for all others."""

    status: int
    reason: str
    headers: httpx.Headers
    body: bytes
    elapsed_ms: int


class Refused(Exception):
    """There is no answer, or one that is not accepted. ``elapsed_ms`` is None if nothing was asked."""

    def __init__(self, reason: str, status: int | None = None, elapsed_ms: int | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status, self.elapsed_ms = reason, status, elapsed_ms


class Reader:
    """Reads addresses within the limits of ``config``; an async context manager.

    Several reads may go on at once. ``resolver`` says which addresses a host has.
    """

    def __init__(self, config: FetchConfig, accept: str, manners: Manners, resolver: guard.Resolve | None = None):
        self._config = config
        self._accept = accept
        self._manners = manners
        self._resolver = resolver or guard.resolve
        self._stack = AsyncExitStack()
        self._clients: dict[str | None, httpx.AsyncClient] = {}
        # Read once: a proxy of the environment serves the outside world only, never a server on this machine.
        self._proxies = getproxies()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        trusted: bool,
        check: Callable[[httpx.Response], None] = lambda response: None,
    ) -> Answer:
        """GET ``url``. ``trusted``: the address was configured, and may lie anywhere; all others must be public.

        ``check`` may raise ``Refused`` before the body is read. Raises ``Refused`` for whatever goes wrong outside,
        and ``RoundOver`` when nothing was asked because the round's time is used up.
        """
        started: list[float] = []
        try:
            async with asyncio.timeout(None) as limit:
                return await self._follow(httpx.URL(url), headers, trusted, check, limit, started)
        except Refused as refusal:
            raise Refused(refusal.reason, refusal.status, _since(started)) from refusal
        except TimeoutError:
            raise Refused(f"no complete answer within {self._config.deadline_s:g} s", None, _since(started)) from None
        except httpx.TimeoutException as problem:
            raise Refused(f"timed out ({type(problem).__name__})", None, _since(started)) from problem
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError, ImportError, ValueError) as problem:
            # ImportError and ValueError: a proxy of the environment that cannot be used.
            raise Refused(f"{type(problem).__name__}: {problem}"[:500], None, _since(started)) from problem
        except ExceptionGroup as problem:
            # How the HTTP client's network layer tells what it did not foresee of an address or an answer. It is told
            # as this one's failure: nothing that a server says may end the reading of all others.
            _log.exception("unforeseen while reading from %s", httpx.URL(url).host)
            said = "; ".join(f"{type(each).__name__}: {each}" for each in problem.exceptions)
            raise Refused(f"unforeseen: {said}"[:500], None, _since(started)) from problem

    async def _follow(
        self,
        url: httpx.URL,
        headers: Mapping[str, str],
        trusted: bool,
        check: Callable[[httpx.Response], None],
        limit: asyncio.Timeout,
        started: list[float],
    ) -> Answer:
        begin, inside = url, trusted
        for _ in range(self._config.max_redirects + 1):
            if url.scheme not in ("http", "https") or not url.host:
                raise Refused(f"redirected to the scheme {url.scheme!r}" if url is not begin else "no http address")
            if url.port is not None and not 0 < url.port <= _LAST_PORT:
                raise Refused("the address has a port that does not exist")
            async with self._manners.turn(url.host):
                if not started:
                    # Waiting for one's turn is nobody's slowness.
                    limit.reschedule(asyncio.get_running_loop().time() + self._config.deadline_s)
                    started.append(time.monotonic())
                response = await self._send(url, headers, inside, trusted)
                try:
                    status = response.status_code
                    if not response.has_redirect_location:
                        if status == 200:
                            check(response)
                        body = await _read(response, self._config.max_bytes) if status == 200 else b""
                        return Answer(status, response.reason_phrase, response.headers, body, _since(started) or 0)
                    # Only who lies inside may lead there. Not by name: the same one may lead elsewhere the next time.
                    inside = inside and self._lies_inside(url, response)
                    url = url.join(response.headers["location"])
                finally:
                    await response.aclose()
        raise Refused(f"more than {self._config.max_redirects} redirects", status)

    async def _send(self, url: httpx.URL, headers: Mapping[str, str], inside: bool, trusted: bool) -> httpx.Response:
        """One request. ``inside``: also to an address of this machine or of a private network."""
        proxy = self._proxy(url)
        client = await self._client(proxy)
        if inside:
            return await client.send(client.build_request("GET", url, headers=headers), stream=True)
        if guard.is_inside(url.host):
            raise Refused(_into_private(trusted))
        if proxy is not None:
            # The proxy resolves the name, and says itself where it goes.
            return await client.send(client.build_request("GET", url, headers=headers), stream=True)
        port = url.port or (443 if url.scheme == "https" else 80)
        try:
            addresses = await guard.public_addresses(url.host, port, self._resolver)
        except guard.PrivateAddress:
            raise Refused(_into_private(trusted)) from None
        return await self._send_to(client, url, headers, addresses)

    def _lies_inside(self, url: httpx.URL, response: httpx.Response) -> bool:
        """Whether who answered lies on this machine or in a private network: by the address that was connected to."""
        if self._proxy(url) is not None:
            return guard.is_inside(url.host)
        stream = response.extensions.get("network_stream")
        peer = stream.get_extra_info("server_addr") if stream is not None else None
        return peer is not None and guard.is_inside(str(peer[0]))

    async def _send_to(
        self, client: httpx.AsyncClient, url: httpx.URL, headers: Mapping[str, str], addresses: list[str]
    ) -> httpx.Response:
        """Ask exactly the addresses that were judged, one after the other, under the name of the host."""
        asked = client.build_request("GET", url, headers=headers)
        for address in addresses[:-1]:
            try:
                return await client.send(_pinned(asked, address), stream=True)
            except httpx.ConnectError:
                continue
        return await client.send(_pinned(asked, addresses[-1]), stream=True)

    def _proxy(self, url: httpx.URL) -> str | None:
        if guard.is_loopback(url.host):
            return None
        found = self._proxies.get(url.scheme) or self._proxies.get("all")
        return found if found and not proxy_bypass(url.host) else None

    async def _client(self, proxy: str | None) -> httpx.AsyncClient:
        if proxy not in self._clients:
            config = self._config
            made = httpx.AsyncClient(
                proxy=proxy if proxy is None or "://" in proxy else f"http://{proxy}",
                trust_env=False,
                verify=httpx.create_ssl_context(),
                follow_redirects=False,
                timeout=httpx.Timeout(config.read_timeout_s, connect=config.connect_timeout_s),
                headers={
                    "User-Agent": config.user_agent,
                    "Accept": self._accept,
                    "Accept-Encoding": "gzip, deflate",
                },
            )
            self._clients[proxy] = await self._stack.enter_async_context(made)
        return self._clients[proxy]


def _pinned(request: httpx.Request, address: str) -> httpx.Request:
    """The same request to one address; the server and its certificate are still those of the name."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def _into_private(trusted: bool) -> str:
    if not trusted:
        return "the address lies in a private network"
    return "redirected from a public address into a private network"


def _since(started: list[float]) -> int | None:
    return round((time.monotonic() - started[0]) * 1000) if started else None


async def _read(response: httpx.Response, limit: int) -> bytes:
    declared = response.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise Refused(f"the body has {declared} bytes, more than {limit}", response.status_code)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return await _collect(response.aiter_raw(), limit)
    if encoding in ("gzip", "x-gzip", "deflate"):
        return await _unpack(response.aiter_raw(), limit)
    raise Refused(f"the body is encoded as {encoding!r}, which was not asked for", response.status_code)


async def _collect(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise Refused(f"the body is larger than {limit} bytes", 200)
    return bytes(body)


async def _unpack(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """Unpack gzip or zlib while reading, never producing more than ``limit`` bytes: a bomb costs nothing."""
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    async for chunk in chunks:
        try:
            body += unpacker.decompress(chunk, limit + 1 - len(body))
        except zlib.error as problem:
            raise Refused(f"the packed body is damaged: {problem}", 200) from problem
        if len(body) > limit or unpacker.unconsumed_tail:
            raise Refused(f"the unpacked body is larger than {limit} bytes", 200)
    if not unpacker.eof or unpacker.unused_data:
        raise Refused("the packed body breaks off, or goes on after its end", 200)
    return bytes(body)


def retry_after(headers: httpx.Headers) -> int | None:
    """Seconds that the server asks to wait, written as a number or as an instant by its own clock; None if not."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 8:
        return int(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0, round(wait.total_seconds())) or None
