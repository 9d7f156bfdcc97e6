"""Arming, counting, chances, windows and the record of the switchboard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from trading_assets.domain.errors import ConfigurationError
from trading_assets.exchange.faults.plan import KINDS, Fault, Hit
from trading_assets.exchange.faults.switchboard import RECORD_FILE, Switchboard
from trading_assets_tests.exchange.conftest import Starter
from trading_assets_tests.exchange.faults.switchboard_client import PATH, Refused, SwitchboardClient
from trading_assets_tests.exchange.venue_process import OPEN, TOKEN, Exchange


def statuses(exchange: Exchange, count: int) -> list[int]:
    return [exchange.get("/v2/clock").status_code for _ in range(count)]


def test_an_exchange_without_the_switch_knows_no_such_path_and_answers_the_same_bytes(
    exchange: Exchange, start_exchange: Starter
) -> None:
    plain = start_exchange(OPEN + timedelta(minutes=30))
    for method in ("GET", "POST", "DELETE"):
        assert plain.control.request(method, plain.url + PATH).status_code == 404
    for path in ("/v2/assets", "/v2/calendar?start=2026-03-02", "/v2/stocks/bars?symbols=KO&start=2026-03-13"):
        one, other = plain.get(path), exchange.get(path)
        assert (one.status_code, one.content) == (other.status_code, other.content)
        assert set(one.headers) == set(other.headers)
    assert not (plain.directory / RECORD_FILE).exists()


def test_after_and_count_let_the_first_through_and_end_it(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    fault = switchboard.arm("server_error", path="/v2/clock", after=2, count=3, status=503)
    assert statuses(exchange, 4) == [200, 200, 503, 503]
    [armed] = switchboard.armed()
    assert (armed["id"], armed["seen"], armed["hits"]) == (fault, 4, 2)
    assert statuses(exchange, 2) == [503, 200] and switchboard.armed() == []


def test_chances_are_a_matter_of_the_seed(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    played = []
    for seed in (1, 1, 2):
        with switchboard.during("server_error", path="/v2/clock", probability=0.4, seed=seed, count=100):
            played.append(statuses(exchange, 40))
    assert played[0] == played[1] != played[2]
    assert 5 < played[0].count(500) < 30


def test_a_window_of_the_exchange_ends_with_its_clock(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("server_error", path="/v2/clock", count=100, duration_s=30, clock="exchange")
    exchange.step(29)
    assert statuses(exchange, 1) == [500]
    exchange.step(1)
    assert statuses(exchange, 1) == [200] and switchboard.armed() == []


def test_a_window_of_the_wall_ends_with_the_wall(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("server_error", path="/v2/clock", count=10_000, duration_s=0.3)
    for _ in range(10_000):
        if statuses(exchange, 1) == [200]:
            break
    assert switchboard.armed() == []


def test_the_first_that_is_armed_goes_first_and_each_may_be_taken_away(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    first = switchboard.arm("server_error", path="/v2/clock", count=100, status=502)
    switchboard.arm("server_error", path="/v2/clock", count=100, status=503)
    assert statuses(exchange, 1) == [502]
    switchboard.disarm(first)
    assert statuses(exchange, 1) == [503]
    with pytest.raises(Refused) as refused:
        switchboard.disarm(first)
    assert refused.value.status == 404
    assert switchboard.clear() == 1 and statuses(exchange, 1) == [200]


def test_the_record_is_in_order_is_read_from_anywhere_and_survives_a_kill(start_exchange: Starter) -> None:
    running = start_exchange(OPEN, faults=True)
    client = SwitchboardClient(running.url, TOKEN)
    client.arm("server_error", path="/v2/clock", count=2)
    client.arm("unauthorized", path="/v2/account", count=5)
    statuses(running, 3)
    running.get("/v2/account")
    fired = client.fired()
    assert [one.kind for one in fired] == ["server_error", "server_error", "unauthorized"]
    assert [one.sequence for one in fired] == [1, 2, 3] and client.fired(after=2) == fired[2:]
    running.kill()
    running.start()
    assert client.fired() == fired, "what happened is known"
    assert client.armed() == [], "what was armed is not"
    assert client.arm("unauthorized", path="/v2/account") > max(one.fault for one in fired)
    running.get("/v2/account")
    assert [one.sequence for one in client.fired()] == [1, 2, 3, 4]
    client.arm("hang", path="/v2/clock")
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(running.get, "/v2/clock")
        while not client.fired("hang"):
            assert not hanging.done()
        running.stop()
        assert running.process is not None and running.process.returncode is not None, "it ends all the same"
        assert hanging.exception() is not None or hanging.result().status_code == 500


def test_a_torn_record_is_cut_off_and_a_broken_one_is_named(tmp_path: Path) -> None:
    record = tmp_path / RECORD_FILE
    record.write_bytes(b'{"sequence": 1, "fau')
    assert Switchboard(record).fired() == [] and record.read_bytes() == b""
    record.write_bytes(b"nonsense\n")
    with pytest.raises(ConfigurationError, match="record of faults"):
        Switchboard(record)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "kind"),
        ({"kind": "meteor"}, "kind: expected one of"),
        ({"kind": "hang", "parameters": {"seconds": -1}}, "seconds"),
        ({"kind": "hang", "parameters": {"minutes": 1}}, "minutes"),
        ({"kind": "lost_answer", "count": 0}, "count"),
        ({"kind": "lost_answer", "probability": 1.5}, "probability"),
        ({"kind": "lost_answer", "scope": {"path": "orders"}}, "scope.path"),
        ({"kind": "lost_answer", "scope": {"account": "three"}}, "scope.account"),
        ({"kind": "reject_order", "parameters": {"reason": "mood"}}, "reason"),
        ({"kind": "correct", "parameters": {}}, "a correction needs"),
        ({"kind": "liquidate", "count": 2}, "happens once"),
    ],
)
def test_what_cannot_be_armed_is_refused_by_name(
    exchange: Exchange, switchboard: SwitchboardClient, body: dict[str, Any], words: str
) -> None:
    answer = exchange.control.post(exchange.url + PATH, json=body)
    assert answer.status_code == 422 and words in answer.json()["message"]
    assert switchboard.armed() == []


def test_nobody_arms_anything_without_the_token(exchange: Exchange) -> None:
    for token in ("", "wrong"):
        for method, path in (("POST", ""), ("GET", ""), ("DELETE", ""), ("GET", "/fired"), ("DELETE", "/1")):
            answer = httpx.request(
                method, exchange.url + PATH + path, headers={"X-Practice-Token": token}, trust_env=False
            )
            assert answer.status_code == 401


#: Parameters without which a kind cannot be armed.
NEEDED: dict[str, dict[str, Any]] = {"clock_skew": {"seconds": 1}, "correct": {"price": 1}}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_keeps_scope_count_and_chances_and_is_recorded(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    asked = kind.hook in ("request", "answer", "act")
    method, path = (kind.method or "GET", (kind.path or "/v2/account").rstrip("*")) if asked else (None, None)
    inside = Hit(method, path, "one", ("KO",), kind.side or "buy", "mine", "id", "fill")
    scope: dict[str, Any] = {"account": "one", "symbol": "K*", "side": inside.side, "client_order_id": "mine"}
    if asked:
        scope |= {"method": method, "path": path}
    outside = [replace(inside, account="two"), replace(inside, symbols=("PFE",)), replace(inside, client_order_id=None)]
    outside.append(replace(inside, side=None))
    board = Switchboard(tmp_path / RECORD_FILE)
    fault = {"kind": name, "scope": scope, "parameters": NEEDED.get(name, {}), "probability": 0.5, "seed": 1}
    hits = []
    for _ in range(2):
        one = board.arm(Fault.model_validate({**fault, "count": 3, "after": 2}))
        assert not any(board.strikes(one, hit) for hit in outside) and one.seen == 0
        hits.append([board.strikes(one, inside) for _ in range(30)])
        assert board.armed() == []
    assert hits[0] == hits[1] and sum(hits[0]) == 3 and not any(hits[0][:2]) and not all(hits[0][2:5])
    assert [fired.kind for fired in board.fired()] == [name] * 6
    assert Switchboard(tmp_path / RECORD_FILE).fired() == board.fired()
    assert board.fired()[0].symbol == "KO" and board.fired()[0].path == path


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_ends_by_itself_unless_it_lasts(name: str) -> None:
    fault = Fault.model_validate({"kind": name, "parameters": NEEDED.get(name, {})})
    assert fault.times == (None if KINDS[name].lasting else 1)
    assert not KINDS[name].lasting or fault.model_copy(update={"count": 2}).times == 2
