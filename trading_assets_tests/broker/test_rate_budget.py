"""The account's request budget: what a window allows, who comes first, and several processes before a real limit."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.config import BrokerConfig
from trading_assets.broker.errors import RateLimited
from trading_assets.broker.rate_budget import RateBudget, Share, Spent, Word, seconds_until, share_of, word_of
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import Side
from trading_assets.world.clocks import SystemClock
from trading_assets_tests.exchange.venue_process import KEY, OPEN, SECRET, Exchange, prepare

SECOND = 1_000_000_000
PER_MINUTE, PROCESSES, READS = 60, 3, 40


class Hands:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def budget(tmp_path: Path, hands: Hands) -> RateBudget:
    return RateBudget(tmp_path / "account" / "trading", clock=hands)


def sent(budget: RateBudget, word: Word | None, share: Share = Share.EXIT) -> bool:
    """Whether a request was let through; it is answered with ``word`` at once."""
    taken = budget.take(share)
    if isinstance(taken, Spent):
        return False
    budget.answered(taken, word)
    return True


def test_nothing_is_limited_before_the_broker_has_named_a_limit(budget: RateBudget) -> None:
    assert all(sent(budget, None, Share.BULK) for _ in range(500))


def test_each_share_ends_where_the_next_one_begins_and_an_exit_may_take_the_last_request(budget: RateBudget) -> None:
    left = {Share.BULK: 61, Share.ACCOUNT: 31, Share.ENTRY: 11, Share.EXIT: 1}
    for share, enough in left.items():
        reset = 1_000 - enough
        assert sent(budget, Word(200, enough, reset, 30.0))
        assert sent(budget, Word(200, enough - 1, reset, 30.0), share)
        assert not sent(budget, None, share), share


def test_whoever_is_about_to_read_much_learns_how_long_to_wait_and_takes_nothing(
    budget: RateBudget, hands: Hands
) -> None:
    assert budget.seconds_until(15, Share.BULK) == 0
    assert sent(budget, Word(200, 60 + 15, 1_000, 30.0))
    assert [budget.seconds_until(15, Share.BULK) for _ in range(3)] == [0, 0, 0]
    assert sent(budget, Word(200, 60 + 14, 1_000, 30.0))
    assert budget.seconds_until(15, Share.BULK) == pytest.approx(30)
    hands.now += 30 * SECOND
    assert budget.seconds_until(15, Share.BULK) == 0
    assert budget.seconds_until(1_000, Share.BULK) == 0, "more than a window ever has is not waited for"


def test_requests_under_way_count_until_they_are_answered(budget: RateBudget) -> None:
    assert sent(budget, Word(10, 3, 1_000, 30.0))
    taken = [budget.take(Share.EXIT) for _ in range(3)]
    assert not any(isinstance(one, Spent) for one in taken)
    assert isinstance(budget.take(Share.EXIT), Spent)
    assert isinstance(taken[0], int)
    budget.answered(taken[0], Word(10, 3, 1_000, 30.0))
    assert isinstance(budget.take(Share.EXIT), int)


def test_what_a_killed_process_left_under_way_is_forgotten(budget: RateBudget, hands: Hands) -> None:
    assert sent(budget, Word(10, 2, 1_000, 100.0))
    budget.take(Share.EXIT), budget.take(Share.EXIT)
    assert not sent(budget, None)
    hands.now += 61 * SECOND
    assert sent(budget, None)


def test_an_unanswered_request_counts_as_spent(budget: RateBudget) -> None:
    assert sent(budget, Word(10, 2, 1_000, 30.0))
    assert sent(budget, None) and sent(budget, None)
    assert not sent(budget, None)


def test_the_window_ends_by_the_brokers_clock_and_late_answers_of_it_are_no_news(
    budget: RateBudget, hands: Hands
) -> None:
    assert sent(budget, Word(10, 0, 1_000, 12.0))
    spent = budget.take(Share.EXIT)
    assert isinstance(spent, Spent) and spent.seconds == pytest.approx(12) and spent.reset == 1_000
    hands.now += 12 * SECOND
    assert sent(budget, Word(10, 0, 1_000, 0.0)), "an answer of the window before"
    assert sent(budget, Word(10, 5, 1_060, 60.0))
    assert sent(budget, Word(10, 0, 1_060, 60.0))
    assert not sent(budget, None)


def test_the_least_of_what_the_answers_say_counts_however_they_arrive(budget: RateBudget) -> None:
    for remaining in (3, 1, 2):
        assert sent(budget, Word(10, remaining, 1_000, 30.0))
    assert sent(budget, Word(10, 0, 1_000, 30.0))
    assert not sent(budget, None)


def test_F44_a_clock_that_is_minutes_off_here_moves_no_window() -> None:
    headers = {
        "X-RateLimit-Limit": "200",
        "X-RateLimit-Remaining": "7",
        "X-RateLimit-Reset": "1773154860",
        "Date": "Tue, 10 Mar 2026 15:00:25 GMT",
    }
    assert word_of(headers) == Word(200, 7, 1_773_154_860, 35.0)
    stepped = {**headers, "Date": "Sun, 22 Nov 2026 00:00:00 GMT"}
    assert word_of(stepped) == Word(200, 7, 1_773_154_860, None), "a reset of the exchange's own time"
    assert word_of({**headers, "X-RateLimit-Remaining": "many"}) is None
    assert seconds_until(1_773_154_860, {**headers, "Date": "yesterday"}) is None


def test_a_stepped_exchange_that_counts_nothing_is_never_waited_for(budget: RateBudget) -> None:
    assert all(sent(budget, Word(200, 200, 1_000, None), Share.BULK) for _ in range(500))


def test_a_file_from_before_a_restart_of_the_machine_or_a_damaged_one_stops_nobody(
    budget: RateBudget, hands: Hands, tmp_path: Path
) -> None:
    assert sent(budget, Word(10, 0, 1_000, 30.0))
    hands.now = 5 * SECOND
    assert sent(budget, None), "the machine's clock began anew"
    (tmp_path / "account" / "trading").write_bytes(b"not a window")
    assert sent(budget, None)


def test_a_lock_that_somebody_keeps_delays_for_milliseconds_and_then_is_passed_by(
    budget: RateBudget, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert sent(budget, Word(10, 0, 1_000, 30.0))
    held = os.open(tmp_path / "account" / "trading", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        assert sent(budget, None)
    finally:
        os.close(held)
    assert "held by a process that does not go on" in caplog.text
    assert not sent(budget, None), "and counts again afterwards"


@pytest.mark.parametrize(
    ("method", "path", "body", "share"),
    [
        ("POST", "/v2/orders", {"side": "sell", "qty": 1}, Share.EXIT),
        ("POST", "/v2/orders", {"legs": [{"position_intent": "buy_to_close"}]}, Share.EXIT),
        ("POST", "/v2/orders", {"side": "buy", "position_intent": "buy_to_open"}, Share.ENTRY),
        ("POST", "/v2/orders", ["odd"], Share.ENTRY),
        ("POST", "/v2/positions/X/exercise", None, Share.EXIT),
        ("DELETE", "/v2/orders/1", None, Share.EXIT),
        ("PATCH", "/v2/orders/1", None, Share.EXIT),
        ("GET", "/v2/orders:by_client_order_id", None, Share.EXIT),
        ("GET", "/v2/positions", None, Share.ACCOUNT),
        ("GET", "/v2/account/activities/FILL", None, Share.ACCOUNT),
        ("GET", "/v1beta1/options/quotes/latest", None, Share.ACCOUNT),
        ("GET", "/v2/options/contracts", None, Share.BULK),
        ("GET", "/v2/stocks/bars", None, Share.BULK),
    ],
)
def test_what_leaves_a_position_comes_before_what_fills_frames(method: str, path: str, body: Any, share: Share) -> None:
    assert share_of(method, path, None if body is None else json.dumps(body).encode()) is share


# --- before the practice exchange's own limit -------------------------------------------------------------------------


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Exchange]:
    """An exchange whose time runs, so that it counts requests by the wall."""
    rules = {"requests_per_minute": PER_MINUTE}
    exchange = prepare(tmp_path / "exchange", OPEN + timedelta(minutes=30), speed=1, rules=rules).start()
    yield exchange
    exchange.stop()


def hammer(exchange: Exchange, budget: Path | None, go: Path) -> list[dict[str, Any]]:
    """What several processes came to that read from one account at once, early in a window of the exchange."""
    command = [sys.executable, "-m", "trading_assets_tests.broker.hammering", exchange.url, KEY, SECRET]
    command += ["-" if budget is None else str(budget), str(READS), str(go)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    while time.time() % 60 > 40:
        time.sleep(0.1)
    go.touch()
    return [json.loads(child.communicate(timeout=60)[0]) for child in children]


def total(found: list[dict[str, Any]], status: str) -> int:
    return sum(one["answers"].get(status, 0) for one in found)


def test_F06_processes_that_share_a_budget_meet_no_429_and_an_order_goes_first(
    limited: Exchange, tmp_path: Path
) -> None:
    shared = tmp_path / "requests"
    connection = BrokerConnection("PRACTICE", limited.url, limited.url, KEY, SECRET, budget=shared)
    broker = AlpacaBroker(connection, SystemClock(), BrokerConfig(read_attempts=1, rate_limit_wait_seconds=0))
    found = hammer(limited, shared, tmp_path / "go")
    assert total(found, "429") == 0
    assert sum(one["held_back"] for one in found) > 0, "the processes wanted more than the limit"
    assert 0 < total(found, "200") <= PER_MINUTE * (1 - Share.BULK.value) + PROCESSES

    with pytest.raises(RateLimited) as held_back:
        broker.assets()
    assert not held_back.value.sent and 0 < (held_back.value.seconds or 0) <= 62
    bought = broker.submit(OrderRequest("first", "KO", Side.BUY, 1, Decimal("200")))
    assert broker.order_by_client_id("first") is not None
    broker.cancel(bought.order_id)
    assert broker.account().status == "ACTIVE", "where one stands is still read"
    broker.close()


def test_F06_without_a_shared_budget_the_same_processes_do_meet_the_limit(limited: Exchange, tmp_path: Path) -> None:
    found = hammer(limited, None, tmp_path / "go")
    assert total(found, "429") > 0
    assert sum(one["held_back"] for one in found) == 0
