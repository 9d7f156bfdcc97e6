"""What was answered survives: SIGKILL, torn and damaged journals, a second process, changed arguments."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.config import load_config
from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.venue_process import CLOSE, MINUTE, OPEN, SECRET, TOKEN, Exchange, configuration

START = OPEN + timedelta(minutes=30)


def market(symbol: str, side: str, qty: int, **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "side": side, "qty": qty, "type": "market", "time_in_force": "day", **more}


def resting(symbol: str, qty: int, price: float, **more: Any) -> dict[str, Any]:
    return {**market(symbol, "buy", qty, **more), "type": "limit", "limit_price": price}


def lines(exchange: Exchange) -> list[bytes]:
    return (exchange.directory / "journal.jsonl").read_bytes().splitlines(keepends=True)


def run_to_its_end(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "trading_assets.exchange", "--directory", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.patient
def test_a_kill_right_after_any_answer_loses_nothing_that_was_answered(start_exchange: Starter) -> None:
    exchange = start_exchange(START)
    port = exchange.url
    exchange.post(market("KO", "buy", 7, client_order_id="a"))
    exchange.kill()
    assert exchange.start().url == port
    assert exchange.get("/v2/orders").json()[0]["client_order_id"] == "a"
    exchange.step(30)
    exchange.post(resting("PFE", 5, 2.5, client_order_id="b"))
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen and len(seen["positions"]) == 1
    order = exchange.get("/v2/orders:by_client_order_id", client_order_id="b").json()
    assert exchange.delete(f"/v2/orders/{order['id']}").status_code == 204
    exchange.kill()
    exchange.start()
    assert exchange.get("/v2/orders").json() == []
    reached = exchange.advance(CLOSE + MINUTE)
    exchange.kill()
    exchange.start()
    assert exchange.now() == reached
    again = exchange.post(resting("PFE", 5, 2.5, client_order_id="b"))
    assert (again.status_code, again.json()["code"]) == (422, 40010001)


def test_a_torn_last_line_is_cut_off_with_a_word_in_the_log(start_exchange: Starter) -> None:
    exchange = start_exchange(START)
    exchange.post(resting("KO", 1, 1, client_order_id="kept"))
    seen = exchange.picture()
    exchange.post(resting("KO", 1, 1, client_order_id="torn"))
    exchange.kill()
    journal = exchange.directory / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    exchange.start()
    assert exchange.picture() == seen
    assert "cut off a torn last line" in exchange.log()
    assert exchange.post(resting("KO", 1, 1, client_order_id="torn")).status_code == 200
    exchange.kill()
    assert len(exchange.start().get("/v2/orders").json()) == 2


def test_damage_in_the_middle_refuses_to_start_and_names_the_line(start_exchange: Starter) -> None:
    exchange = start_exchange(START)
    for number in range(4):
        exchange.post(resting("KO", 1, 1, client_order_id=str(number)))
    exchange.kill()
    kept = lines(exchange)
    kept[2] = kept[2].replace(b'"quantity":1', b'"quantity":9')
    (exchange.directory / "journal.jsonl").write_bytes(b"".join(kept))
    ended = run_to_its_end(exchange.directory)
    assert ended.returncode == 2 and "line 3" in ended.stderr and "Traceback" not in ended.stderr
    assert lines(exchange) == kept


def test_a_journal_of_another_world_is_refused(start_exchange: Starter) -> None:
    exchange = start_exchange(START)
    exchange.stop()
    (exchange.directory / "config.json").write_text(json.dumps(configuration(START, seed=8)))
    ended = run_to_its_end(exchange.directory)
    assert ended.returncode == 2 and "begun with another seed" in ended.stderr


def test_a_second_exchange_in_the_same_directory_is_refused(start_exchange: Starter) -> None:
    exchange = start_exchange(START)
    ended = run_to_its_end(exchange.directory)
    assert ended.returncode == 2 and "already runs" in ended.stderr
    assert exchange.get("/v2/clock").status_code == 200


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"session": "2026-03-14"}, "closed on 2026-03-14"),
        ({"seed": -1}, "seed"),
        ({"speeed": 1}, "speeed"),
        ({"accounts": []}, "accounts"),
        ({"accounts": configuration(START)["accounts"][:1] * 2}, "two accounts have the same name"),
        ({"control_token": "short"}, "control_token"),
        ({"start_at": "2026-03-13T09:00:00"}, "start_at"),
        ({"start_at": "2026-03-12T19:59:59Z"}, "start_at"),
        ({"start_at": "2026-03-20T15:00:00Z"}, "start_at"),
        ({"rules": {"expiry_entry_cutoff": 10}}, "expiry_entry_cutoff"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_keys_name_and_without_a_secret(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configuration(START, **changes)))
    with pytest.raises(ConfigurationError) as error:
        load_config(tmp_path)
    assert words in str(error.value) and SECRET not in str(error.value) and TOKEN not in str(error.value)


def test_a_refused_configuration_ends_the_process_with_one_sentence_and_code_2(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(configuration(START, scenario="carnival")))
    ended = run_to_its_end(tmp_path)
    assert ended.returncode == 2 and "carnival" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "exchange.json").exists()


def test_a_missing_or_broken_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        load_config(tmp_path)
    (tmp_path / "config.json").write_text('{"seed": 1,')
    with pytest.raises(ConfigurationError, match="not JSON"):
        load_config(tmp_path)


def test_no_secret_reaches_log_journal_address_or_error(start_exchange: Starter, tmp_path: Path) -> None:
    exchange = start_exchange(START)
    exchange.post(market("KO", "buy", 1))
    exchange.step(5)
    exchange.stop()
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "config.json").write_text(json.dumps(configuration(START, seed="x", extra=SECRET)))
    written = exchange.log() + (exchange.directory / "exchange.json").read_text() + run_to_its_end(wrong).stderr
    written += (exchange.directory / "journal.jsonl").read_text()
    assert SECRET not in written and TOKEN not in written and "secret-of-account-two" not in written


def test_running_time_moves_by_itself_limits_requests_and_survives_a_kill(start_exchange: Starter) -> None:
    exchange = start_exchange(START, speed=60)
    exchange.post(market("KO", "buy", 2))
    for _ in range(400):
        if exchange.get("/v2/positions").json():
            break
        time.sleep(0.05)
    assert exchange.get("/v2/positions").json()[0]["symbol"] == "KO"
    assert exchange.now() > START
    with httpx.Client(headers=dict(exchange.headers)) as client:
        answers = [client.get(exchange.url + "/v2/clock") for _ in range(420)]
    limited = [answer for answer in answers if answer.status_code == 429]
    assert limited and limited[0].json() == {"code": 42910000, "message": "rate limit exceeded"}
    assert limited[0].headers["X-RateLimit-Remaining"] == "0"
    seen = exchange.now()
    exchange.kill()
    assert exchange.start().now() >= seen
    assert datetime.fromisoformat(exchange.status()["now"]).microsecond == 0
