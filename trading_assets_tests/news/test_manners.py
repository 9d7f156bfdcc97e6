"""How sites of the outside world are asked, through a proxy that stands for all of them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from trading_assets.news.config import FeedConfig, FetchConfig, NewsConfig
from trading_assets.news.fetch import Failed, Fetched, FetchResult, NotAsked, fetch_all
from trading_assets.news.guard import PrivateAddress, is_inside, public_addresses
from trading_assets.news.manners import Manners, site_of
from trading_assets.news.web import Reader, Refused
from trading_assets_tests.news.feed_server import FeedServer, item, rss, send

BODY = rss(item("Nvidia beats estimates", guid="1"))


@pytest.fixture
def outside(feeds: FeedServer, monkeypatch: pytest.MonkeyPatch) -> FeedServer:
    """The feed server as the proxy to everything: its paths are whole addresses."""
    for name in ("ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{feeds.port}")
    return feeds


def configured(*urls: str) -> list[FeedConfig]:
    return [FeedConfig(name=f"f{number}", url=url, source="Test") for number, url in enumerate(urls)]


def fetch(config: FetchConfig, *urls: str) -> tuple[FetchResult, ...]:
    return fetch_all(configured(*urls), config, {})


def test_one_site_is_asked_by_few_at_a_time(outside: FeedServer) -> None:
    now, most, lock = 0, 0, threading.Lock()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.3)
        with lock:
            now -= 1
        send(handler, BODY.encode())

    urls = [f"http://{host}.sec.example/" for host in ("www", "data", "efts")]
    for url in urls:
        outside.answers[url] = answer
    results = fetch(FetchConfig(host_interval_s=0.2, host_concurrency=1), *urls)
    assert all(isinstance(result, Fetched) for result in results)
    assert most == 1


def test_one_site_is_never_asked_faster_than_its_interval(outside: FeedServer) -> None:
    together = threading.Barrier(4)

    def wait_for_the_others(handler: BaseHTTPRequestHandler) -> None:
        together.wait(20)
        send(handler, BODY.encode())

    urls = [f"http://one.example/{n}" for n in range(4)]
    for url in urls:
        outside.answers[url] = wait_for_the_others
    began = time.monotonic()
    config = FetchConfig(host_interval_s=0.2, host_concurrency=8, read_timeout_s=20, deadline_s=20)
    assert all(isinstance(result, Fetched) for result in fetch(config, *urls))
    # Four requests have three pauses between them, however slow the machine is.
    assert time.monotonic() - began >= 0.6


def test_waiting_for_one_site_keeps_no_other_from_being_asked(outside: FeedServer) -> None:
    together = threading.Barrier(2)

    def wait_for_the_other(handler: BaseHTTPRequestHandler) -> None:
        together.wait(20)
        send(handler, BODY.encode())

    busy = [f"http://busy.example/{n}" for n in range(4)]
    for url in (busy[0], "http://free.example/"):
        outside.answers[url] = wait_for_the_other
    for url in busy[1:]:
        outside.serve(url, BODY)
    config = FetchConfig(host_interval_s=0.2, host_concurrency=1, concurrency=2, read_timeout_s=20, deadline_s=20)
    assert all(isinstance(result, Fetched) for result in fetch(config, *busy, "http://free.example/"))


def test_feeds_that_had_no_turn_when_the_round_ends_are_not_failures(outside: FeedServer) -> None:
    urls = [f"http://busy.example/{n}" for n in range(3)]
    for url in urls:
        outside.serve(url, BODY)
    first, *others = fetch(FetchConfig(host_interval_s=60, round_s=5), *urls)
    assert isinstance(first, Fetched)
    assert others == [NotAsked("f1"), NotAsked("f2")]


def test_hosts_of_one_domain_are_one_site() -> None:
    assert {site_of(host) for host in ("www.sec.gov", "data.SEC.gov.", "sec.gov")} == {"sec.gov"}
    assert site_of("10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize("url", ["https://www.sec.gov/a", "https://SEC.gov/a", "https://www.sec.gov./a"])
def test_a_feed_of_the_sec_needs_a_user_agent_with_a_mail_address(url: str) -> None:
    with pytest.raises(ValidationError, match=r"news\.fetch\.user_agent.*jane@example\.com"):
        NewsConfig(feeds=tuple(configured(url)))
    named = FetchConfig(user_agent="Jane Doe jane@example.com")
    assert NewsConfig(feeds=tuple(configured(url)), fetch=named).feeds[0].url == url
    assert NewsConfig(feeds=tuple(configured("https://notsec.gov.example/a"))).feeds


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest",
        "http://127.0.0.1:5432/",
        "http://[::1]/x",
        "http://0x7f.1/",
        "http://localhost/",
    ],
)
def test_F39_a_public_feed_cannot_send_the_reader_into_the_private_network(outside: FeedServer, target: str) -> None:
    (result,) = fetch(FetchConfig(), outside_redirect(outside, target))
    assert isinstance(result, Failed)
    assert "private network" in result.reason
    assert len(outside.requests) == 1


def outside_redirect(outside: FeedServer, target: str) -> str:
    outside.serve("http://feeds.example/rss", "", 302, Location=target)
    return "http://feeds.example/rss"


async def _get(url: str, resolver: dict[str, list[str]], *, trusted: bool = True) -> httpx.Headers:
    async def resolve(host: str, port: int) -> Sequence[str]:
        if host not in resolver:
            raise OSError(f"no address of {host}")
        return resolver[host]

    config = FetchConfig(connect_timeout_s=1, read_timeout_s=1, deadline_s=3)
    async with Reader(config, "*/*", Manners(config), resolve) as reader:
        return (await reader.get(url, {}, trusted=trusted)).headers


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "100.64.0.1"])
def test_F39_a_redirect_to_a_name_that_resolves_into_the_private_network_is_refused(
    outside: FeedServer, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("no_proxy", "rebound.example")
    names = {"rebound.example": ["93.184.216.34", address], "feeds.example": ["93.184.216.34"]}
    with pytest.raises(Refused, match="private network"):
        asyncio.run(_get(outside_redirect(outside, f"http://rebound.example:{outside.port}/"), names))
    assert len(outside.requests) == 1


def test_F39_a_feed_cannot_lead_the_reader_inside_by_its_own_name(
    outside: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs a feed runs its name, too: by the time its redirect is followed it may lead to this machine."""
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    within = _names(monkeypatch, {"feeds.example": "127.0.0.1"})
    with socket.create_server(("127.0.0.1", 0)) as service:
        outside.serve(
            "http://feeds.example/rss", "", 302, Location=f"https://feeds.example:{service.getsockname()[1]}/graphql"
        )
        (result,) = fetch(FetchConfig(), "http://feeds.example/rss")
        service.setblocking(False)
        with pytest.raises(BlockingIOError):
            service.accept()
    assert isinstance(result, Failed)
    assert "private network" in result.reason
    assert within == ["feeds.example"]


def test_a_configured_feed_within_the_private_network_may_move_within_it(
    feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    _names(monkeypatch, {"old.inside.example": "127.0.0.1", "new.inside.example": "127.0.0.1"})
    feeds.serve("/new", BODY)
    feeds.serve("/old", "", 301, Location=f"http://new.inside.example:{feeds.port}/new")
    (result,) = fetch(FetchConfig(), f"http://old.inside.example:{feeds.port}/old")
    assert isinstance(result, Fetched)


def _names(monkeypatch: pytest.MonkeyPatch, addresses: dict[str, str]) -> list[str]:
    """Let this machine resolve these names; those that are asked for, in order."""
    resolve, asked = socket.getaddrinfo, list[str]()

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name in addresses:
            asked.append(name)
        return resolve(addresses.get(name, host), *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def test_F39_an_address_that_was_not_configured_must_be_public(feeds: FeedServer) -> None:
    with pytest.raises(Refused, match="private network"):
        asyncio.run(_get(feeds.serve("/a", BODY), {}, trusted=False))
    with pytest.raises(Refused, match="private network"):
        asyncio.run(_get(f"http://inside.example:{feeds.port}/a", {"inside.example": ["127.0.0.1"]}, trusted=False))
    assert feeds.requests == []


def test_only_public_addresses_are_public() -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "2606:4700::1111"]

    assert asyncio.run(public_addresses("dns.example", 443, resolve)) == ["8.8.8.8", "2606:4700::1111"]
    assert asyncio.run(public_addresses("8.8.8.8", 443, resolve)) == ["8.8.8.8"]
    with pytest.raises(PrivateAddress):
        asyncio.run(public_addresses("127.1", 443, resolve))
    inside = ["0.0.0.0", "224.0.0.1", "fe80::1%eth0", "fd00::1", "2002:a00:1::", "2130706433", "a.localhost"]
    assert all(map(is_inside, inside))
    assert not any(map(is_inside, ["8.8.8.8", "example.com", "2606:4700::1111"]))
