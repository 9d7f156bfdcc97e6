"""Fetching over real HTTP, against servers that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import threading
import zlib
from http.server import BaseHTTPRequestHandler

import pytest

from trading_assets.news import web
from trading_assets.news.config import FeedConfig, FetchConfig
from trading_assets.news.fetch import Failed, Fetched, FetchResult, NotModified, Validators, fetch_all
from trading_assets_tests.news.feed_server import FeedServer, item, rss, send

BODY = rss(item("Nvidia beats estimates", guid="1"))


def fetch(url: str, config: FetchConfig | None = None, known: Validators | None = None) -> FetchResult:
    feed = FeedConfig(name="one", url=url, source="Test")
    (result,) = fetch_all([feed], config or FetchConfig(), {"one": known} if known else {})
    return result


def failure(result: FetchResult) -> Failed:
    assert isinstance(result, Failed), result
    return result


def test_a_feed_comes_with_its_validators_and_the_reader_names_itself(feeds: FeedServer) -> None:
    url = feeds.serve("/a", BODY, ETag='"v1"', Last_Modified="Thu, 12 Mar 2026 13:00:00 GMT")
    result = fetch(url, FetchConfig(user_agent="desk news@example.com"))
    assert isinstance(result, Fetched)
    assert result.body == BODY.encode()
    assert result.validators == Validators('"v1"', "Thu, 12 Mar 2026 13:00:00 GMT")
    (headers,) = feeds.headers_of("/a")
    assert headers["user-agent"] == "desk news@example.com"
    assert "if-none-match" not in headers
    assert "if-modified-since" not in headers


def test_F39_304_answers_a_condition_that_was_really_sent(feeds: FeedServer) -> None:
    feeds.answers["/a"] = lambda handler: send(handler, b"", 304, ETag='"v2"')
    result = fetch(feeds.url("/a"), known=Validators('"v1"', "Thu, 12 Mar 2026 13:00:00 GMT"))
    assert result == NotModified("one", Validators('"v2"', "Thu, 12 Mar 2026 13:00:00 GMT"))
    (headers,) = feeds.headers_of("/a")
    assert headers["if-none-match"] == '"v1"'
    assert headers["if-modified-since"] == "Thu, 12 Mar 2026 13:00:00 GMT"


def test_F39_304_without_a_condition_is_a_failure_and_not_silence(feeds: FeedServer) -> None:
    feeds.answers["/a"] = lambda handler: send(handler, b"", 304)
    assert "no condition was sent" in failure(fetch(feeds.url("/a"))).reason


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_F39_an_error_status_is_a_failure_with_its_number(feeds: FeedServer, status: int) -> None:
    result = failure(fetch(feeds.serve("/a", BODY, status)))
    assert result.status == status
    assert str(status) in result.reason


def test_F39_429_tells_how_long_to_wait(feeds: FeedServer) -> None:
    result = failure(fetch(feeds.serve("/a", "slow down", 429, Retry_After="120")))
    assert (result.status, result.retry_after_s) == (429, 120)
    past = failure(fetch(feeds.serve("/b", "", 429, Retry_After="Thu, 12 Mar 2026 15:00:00 GMT")))
    assert past.retry_after_s is None
    dated = failure(fetch(feeds.serve("/c", "", 503, Retry_After="Thu, 31 Dec 2099 23:59:59 GMT")))
    assert (dated.retry_after_s or 0) > 86400


def test_F39_a_body_of_10_MB_is_refused_by_its_announced_length(feeds: FeedServer) -> None:
    result = failure(fetch(feeds.serve("/a", b"x" * 10_000_000)))
    assert "10000000 bytes" in result.reason


def test_F39_a_body_of_10_MB_without_a_length_is_cut_off_while_it_streams(feeds: FeedServer) -> None:
    written = 0

    def endless(handler: BaseHTTPRequestHandler) -> None:
        nonlocal written
        handler.send_response(200)
        handler.end_headers()
        while written < 10_000_000:
            written += handler.wfile.write(b"x" * 65536)

    feeds.answers["/a"] = endless
    result = failure(fetch(feeds.url("/a"), FetchConfig(max_bytes=100_000)))
    assert "larger than 100000 bytes" in result.reason


def test_a_packed_body_is_unpacked(feeds: FeedServer) -> None:
    for name, packed in (("gzip", gzip.compress(BODY.encode())), ("deflate", zlib.compress(BODY.encode()))):
        result = fetch(feeds.serve(f"/{name}", packed, Content_Encoding=name))
        assert isinstance(result, Fetched)
        assert result.body == BODY.encode()


def test_F39_a_gzip_bomb_is_refused_without_being_unpacked(feeds: FeedServer) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000, compresslevel=9)
    assert len(bomb) < 250_000
    result = failure(fetch(feeds.serve("/a", bomb, Content_Encoding="gzip"), FetchConfig(max_bytes=300_000)))
    assert "unpacked body is larger" in result.reason


@pytest.mark.parametrize(
    ("body", "encoding", "reason"),
    [
        (b"this is not gzip", "gzip", "damaged"),
        (gzip.compress(BODY.encode(), mtime=0)[:-20], "gzip", "breaks off"),
        (gzip.compress(b"<rss/>", mtime=0) + gzip.compress(b"more", mtime=0), "gzip", "goes on"),
        (BODY.encode(), "br", "not asked for"),
    ],
)
def test_F39_a_body_that_does_not_unpack_is_a_failure(
    feeds: FeedServer, body: bytes, encoding: str, reason: str
) -> None:
    assert reason in failure(fetch(feeds.serve("/a", body, Content_Encoding=encoding))).reason


def test_F39_a_body_shorter_than_announced_is_a_failure(feeds: FeedServer) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        send(handler, BODY.encode()[:50], Content_Length=str(len(BODY)))
        handler.close_connection = True

    feeds.answers["/a"] = short
    assert failure(fetch(feeds.url("/a"))).reason


def test_F39_a_server_that_falls_silent_runs_into_the_read_timeout(feeds: FeedServer) -> None:
    def silent(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"<rss>")
        handler.wfile.flush()
        feeds.stopping.wait(30)

    feeds.answers["/a"] = silent
    assert "ReadTimeout" in failure(fetch(feeds.url("/a"), FetchConfig(read_timeout_s=0.2))).reason


@pytest.mark.parametrize("in_headers", [True, False])
def test_F39_a_server_that_drips_forever_runs_into_the_deadline(feeds: FeedServer, in_headers: bool) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + (b"X-Slow: " if in_headers else b"\r\n"))
        while not feeds.stopping.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    feeds.answers["/a"] = drip
    assert "within 0.4 s" in failure(fetch(feeds.url("/a"), FetchConfig(read_timeout_s=5, deadline_s=0.4))).reason


def test_F39_a_redirect_is_followed_and_a_redirect_loop_is_not(feeds: FeedServer) -> None:
    feeds.serve("/there", BODY)
    moved = fetch(feeds.serve("/here", "", 301, Location="/there"))
    assert isinstance(moved, Fetched)
    assert moved.body == BODY.encode()
    loop = failure(fetch(feeds.serve("/loop", "", 302, Location="/loop"), FetchConfig(max_redirects=3)))
    assert "more than 3 redirects" in loop.reason
    assert len(feeds.headers_of("/loop")) == 4


def test_F39_a_redirect_to_a_file_is_refused(feeds: FeedServer) -> None:
    assert "scheme" in failure(fetch(feeds.serve("/a", "", 302, Location="file:///etc/passwd"))).reason


@pytest.mark.parametrize("where", ["127.0.0.1:99999", "[::1]:65536", "127.0.0.1:-1", "1.1.1.1:70000"])
def test_F39_a_redirect_to_a_port_that_does_not_exist_fails_its_own_feed_and_no_other(
    feeds: FeedServer, where: str
) -> None:
    moved = FeedConfig(name="moved", url=feeds.serve("/a", "", 302, Location=f"http://{where}/"), source="Test")
    other = FeedConfig(name="other", url=feeds.serve("/b", BODY), source="Test")
    failed, read = fetch_all([moved, other], FetchConfig(), {})
    assert "port that does not exist" in failure(failed).reason
    assert isinstance(read, Fetched)


def test_F39_what_the_network_layer_did_not_foresee_fails_its_own_feed_and_no_other(
    feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "_LAST_PORT", 100_000)
    moved = FeedConfig(name="moved", url=feeds.serve("/a", "", 302, Location="http://127.0.0.1:99999/"), source="Test")
    other = FeedConfig(name="other", url=feeds.serve("/b", BODY), source="Test")
    failed, read = fetch_all([moved, other], FetchConfig(), {})
    assert "unforeseen: OverflowError" in failure(failed).reason
    assert isinstance(read, Fetched)


def test_F39_a_dead_port_is_a_failure(feeds: FeedServer) -> None:
    assert "ConnectError" in failure(fetch("http://127.0.0.1:1/rss.xml")).reason


def test_a_proxy_of_the_environment_is_not_used_for_loopback(
    feeds: FeedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert isinstance(fetch(feeds.serve("/a", BODY)), Fetched)


def test_a_validator_that_cannot_be_sent_back_is_not_kept(feeds: FeedServer) -> None:
    result = fetch(feeds.serve("/a", BODY, ETag="x" * 5000, Last_Modified="caf\xe9"))
    assert isinstance(result, Fetched)
    assert result.validators == Validators()


def test_F39_feeds_are_fetched_side_by_side_and_results_keep_their_order(feeds: FeedServer) -> None:
    together = threading.Barrier(3)

    def wait_for_the_others(handler: BaseHTTPRequestHandler) -> None:
        together.wait(20)
        send(handler, BODY.encode())

    for path in ("/a", "/b", "/c"):
        feeds.answers[path] = wait_for_the_others
    configured = [FeedConfig(name=path[1:], url=feeds.url(path), source="Test") for path in ("/a", "/b", "/c")]
    results = fetch_all(configured, FetchConfig(deadline_s=20, read_timeout_s=20), {})
    assert [result.feed for result in results] == ["a", "b", "c"]
    assert all(isinstance(result, Fetched) for result in results)


def test_feeds_can_be_fetched_inside_a_running_event_loop(feeds: FeedServer) -> None:
    url = feeds.serve("/a", BODY)

    async def inside() -> FetchResult:
        return fetch(url)

    assert isinstance(asyncio.run(inside()), Fetched)


def test_no_feed_is_no_work() -> None:
    assert fetch_all([], FetchConfig(), {}) == ()
