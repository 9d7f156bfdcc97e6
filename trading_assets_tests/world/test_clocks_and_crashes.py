"""Clocks keep to their exchange, stay on loopback and invent no time; crash points exist in practice worlds only."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from trading_assets.domain import crashpoints
from trading_assets.domain.errors import BrokerUnavailable, ConfigurationError
from trading_assets.world import crash_hook
from trading_assets.world.clocks import ExchangeClock, SystemClock, require_loopback
from trading_assets.world.paths import WorldKind

START = datetime(2026, 3, 11, 13, 25, tzinfo=UTC)


class FakeControl:
    """The control path of an exchange: a time, a speed, and what was asked."""

    def __init__(self) -> None:
        self.now, self.speed = START, 0.0
        self.tokens: list[str | None] = []
        self.advances: list[str] = []
        self.answer: bytes | None = None
        self.per_request = timedelta(0)
        control = self

        class Handler(BaseHTTPRequestHandler):
            def _send(self) -> None:
                control.tokens.append(self.headers.get("X-Practice-Token"))
                body = {"now": control.now.isoformat(), "speed": control.speed}
                data = control.answer if control.answer is not None else json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self) -> None:
                assert self.path == "/practice/v1/status"
                control.now += control.per_request
                self._send()

            def do_POST(self) -> None:
                assert self.path == "/practice/v1/clock"
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["advance_to"]
                control.advances.append(asked)
                control.now = datetime.fromisoformat(asked)
                self._send()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def control() -> Iterator[FakeControl]:
    """A control path to ask."""
    control = FakeControl()
    yield control
    control.server.shutdown()
    control.server.server_close()


def test_the_system_clock_speaks_utc_and_does_not_wait_for_the_past() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    clock.wait_until(clock.now() - timedelta(hours=1))
    soon = clock.now() + timedelta(milliseconds=20)
    clock.wait_until(soon)
    assert clock.now() >= soon


def test_the_exchange_clock_asks_with_its_token(control: FakeControl) -> None:
    clock = ExchangeClock(control.url, "secret-token")
    assert clock.now() == START
    assert control.tokens == ["secret-token"]
    assert "secret-token" not in repr(clock)


def test_a_stepped_exchange_is_moved_to_the_awaited_instant_once(control: FakeControl) -> None:
    clock = ExchangeClock(control.url, "t")
    clock.wait_until(START + timedelta(minutes=5))
    clock.wait_until(START + timedelta(minutes=3))
    assert clock.now() == START + timedelta(minutes=5)
    assert len(control.advances) == 1


def test_a_running_exchange_is_waited_for_and_never_moved(control: FakeControl) -> None:
    control.speed, control.per_request = 3600.0, timedelta(seconds=20)
    clock = ExchangeClock(control.url, "t")
    clock.wait_until(START + timedelta(minutes=1))
    assert control.now >= START + timedelta(minutes=1)
    assert control.advances == []


def test_threads_may_ask_one_clock_at_the_same_time(control: FakeControl) -> None:
    clock = ExchangeClock(control.url, "t")
    together = threading.Barrier(8)

    def ask(_: int) -> set[datetime]:
        together.wait()
        return {clock.now() for _ in range(25)}

    with ThreadPoolExecutor(8) as pool:
        assert set().union(*pool.map(ask, range(8))) == {START}


@pytest.mark.parametrize(
    "answer",
    [b"", b"<html>", b"{}", b"[]", b'{"now": "noon", "speed": 0}', b'{"now": "2026-03-11T13:25:00", "speed": 0}'],
)
def test_an_answer_without_a_usable_time_is_no_time(control: FakeControl, answer: bytes) -> None:
    control.answer = answer
    with pytest.raises(BrokerUnavailable):
        ExchangeClock(control.url, "t").now()


def test_no_answer_is_no_time(control: FakeControl) -> None:
    control.server.shutdown()
    control.server.server_close()
    with pytest.raises(BrokerUnavailable, match="no answer"):
        ExchangeClock(control.url, "t").now()


@pytest.mark.parametrize(
    "url",
    ["https://paper-api.alpaca.markets", "http://10.0.0.1:8000", "http://127.0.0.1.example.com", "", "ftp://127.0.0.1"],
)
def test_a_practice_clock_elsewhere_than_on_this_machine_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        ExchangeClock(url, "t")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://localhost:1", "http://[::1]:1"])
def test_loopback_is_accepted(url: str) -> None:
    assert require_loopback(url) == url.rstrip("/")


# --- crash points -----------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_hook_left() -> Iterator[None]:
    yield
    crashpoints.install(None)


@pytest.mark.parametrize("kind", [WorldKind.PAPER, WorldKind.LIVE])
def test_crash_points_cannot_be_armed_where_orders_are_real(kind: WorldKind) -> None:
    with pytest.raises(ConfigurationError, match="practice worlds only"):
        crash_hook.install(kind, {crash_hook.VARIABLE: "submission.after_post:1"})


@pytest.mark.parametrize(
    "wanted",
    [
        "nowhere:1",
        "submission.after_post",
        "submission.after_post:0",
        "submission.after_post:x",
        "submission.after_post:1:all",
    ],
)
def test_a_crash_that_could_never_happen_is_refused(wanted: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        crash_hook.install(WorldKind.PRACTICE, {crash_hook.VARIABLE: wanted})


def test_without_the_variable_nothing_is_armed() -> None:
    assert crash_hook.install(WorldKind.PRACTICE, {}) is False
    crashpoints.reached("submission.after_post")


def _run(wanted: str, times: int) -> subprocess.CompletedProcess[str]:
    program = f"""
        from trading_assets.domain import crashpoints
        from trading_assets.world import crash_hook
        from trading_assets.world.paths import WorldKind
        crash_hook.install(WorldKind.PRACTICE, {{crash_hook.VARIABLE: {wanted!r}}})
        for number in range({times}):
            crashpoints.reached("booking.after_commit")
            crashpoints.reached("submission.after_post")
            print(number, flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, start_new_session=True)


@pytest.mark.parametrize("suffix", ["", ":group"])
def test_the_process_dies_at_exactly_the_named_visit(suffix: str) -> None:
    ended = _run("submission.after_post:2" + suffix, 5)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == "0\n"


def test_a_point_reached_too_seldom_kills_nobody() -> None:
    assert _run("submission.after_post:9", 3).returncode == 0
