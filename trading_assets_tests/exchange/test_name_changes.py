"""A stock that is called otherwise from a session on: what is held, ordered, listed, quoted and told of it (F29)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest

from trading_assets_tests.exchange.openapi import Document
from trading_assets_tests.exchange.test_combos import spreads
from trading_assets_tests.exchange.test_corporate_actions import LATE, MARKET, MONDAY, MORNING, held, last_trade
from trading_assets_tests.exchange.test_trading import call_near_the_money, limit, refusal
from trading_assets_tests.exchange.venue_process import CLOSE, KEY, MINUTE, SECRET, SESSION, Exchange, prepare

CHANGE = {"type": "name_change", "symbol": "NVDA", "new_symbol": "NVDX", "ex_session": MONDAY.key}


def begun(folder: Path, *actions: dict[str, Any]) -> Exchange:
    return prepare(folder, LATE, last_session=MONDAY.key, **spreads(cash="900000"), actions=[CHANGE, *actions])


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = begun(tmp_path / "exchange").start()
    yield running
    running.stop()


def bars(exchange: Exchange, symbol: str) -> Any:
    span = {"start": (CLOSE - 5 * MINUTE).isoformat(), "end": CLOSE.isoformat(), "timeframe": "1Min"}
    return exchange.get("/v2/stocks/bars", symbols=symbol, **span).json()["bars"].get(symbol)


def test_F29_what_is_held_goes_on_under_the_new_name_and_can_be_sold(exchange: Exchange) -> None:
    chain = exchange.get("/v1beta1/options/snapshots/NVDA", type="call", expiration_date_gte="2026-03-20").json()
    contract = min(symbol for symbol, row in chain["snapshots"].items() if 0.4 < row["greeks"]["delta"] < 0.6)
    for symbol, quantity in (("NVDA", 10), (contract, 2)):
        exchange.post({**MARKET, "symbol": symbol, "side": "buy", "qty": quantity})
    exchange.step(60)
    resting = exchange.post(limit("NVDA", "sell", 4, 900) | {"time_in_force": "gtc"}).json()
    exchange.advance(CLOSE)
    before, price, history = held(exchange), last_trade(exchange, "NVDA"), bars(exchange, "NVDA")
    stock = exchange.get("/v2/positions/NVDA").json()
    assert before.keys() == {"NVDA", contract} and len(history) == 5
    exchange.advance(MORNING)
    becomes = f"NVDX{contract[4:]}"
    assert held(exchange) == {"NVDX": before["NVDA"], becomes: before[contract]}
    now = exchange.get("/v2/positions/NVDX").json()
    same = ("asset_id", "qty", "cost_basis", "market_value", "lastday_price")
    assert {name: now[name] for name in same} == {**{name: stock[name] for name in same}, "lastday_price": str(price)}
    assert exchange.get(f"/v2/orders/{resting['id']}").json()["status"] == "canceled"
    lines = exchange.get("/v2/account/activities", activity_types="NC,OPCA").json()
    assert {(row["activity_type"], row["symbol"], row["qty"], row["activity_sub_type"]) for row in lines} == {
        ("NC", "NVDA", "-10", "SCNC"),
        ("NC", "NVDX", "10", "SCNC"),
        ("OPCA", contract, "-2", "NC.SCNC"),
        ("OPCA", becomes, "2", "NC.SCNC"),
    }
    assert {row["net_amount"] for row in lines} == {"0"} and len({row["group_id"] for row in lines}) == 2
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen
    exchange.advance(MONDAY.open + MINUTE)
    assert bars(exchange, "NVDX") == history and bars(exchange, "NVDA") is None
    for symbol in ("NVDX", becomes):
        exchange.trading().close_position(symbol)
    exchange.step(60)
    assert held(exchange) == {}
    sold = {row["symbol"] for row in exchange.get("/v2/account/activities/FILL").json()}
    assert sold == {"NVDA", "NVDX", contract, becomes}


def test_F29_the_old_name_is_gone_and_the_new_one_has_its_market(exchange: Exchange) -> None:
    asset = exchange.get("/v2/assets/NVDA").json()
    asked = {"symbols": "NVDX", "timeframe": "1Min"}
    assert exchange.get("/v2/stocks/bars", **asked, asof="-").status_code == 200, "nothing has another name yet"
    exchange.advance(MONDAY.open + MINUTE)
    for day, status in ((MONDAY.key, 200), (SESSION.isoformat(), 400), ("-", 400), ("then", 400)):
        assert exchange.get("/v2/stocks/bars", **asked, asof=day).status_code == status, day
    assert exchange.get("/v2/assets/NVDX").json() == {**asset, "symbol": "NVDX"}
    assert exchange.get("/v2/assets/NVDA").status_code == 404
    assert len(exchange.get("/v2/assets").json()) == 32
    status, _, words = refusal(exchange, limit("NVDA", "buy", 1, 1))
    assert status == 422 and "not found" in words
    for path in ("quotes/latest", "trades/latest", "bars/latest"):
        found = exchange.get(f"/v2/stocks/{path}", symbols="NVDA,NVDX").json()
        assert list(next(iter(found.values()))) == ["NVDX"]
    assert exchange.get("/v1beta1/options/snapshots/NVDA").json()["snapshots"] == {}
    contract, _ = call_near_the_money(exchange, "NVDX")
    listed = exchange.get("/v2/options/contracts", underlying_symbols="NVDX", root_symbol="NVDX", limit=5).json()
    assert {row["underlying_symbol"] for row in listed["option_contracts"]} == {"NVDX"}
    quote = exchange.get("/v1beta1/options/quotes/latest", symbols=contract).json()["quotes"][contract]
    assert 0 < quote["bp"] < quote["ap"]
    old = f"NVDA{contract[4:]}"
    assert exchange.get("/v1beta1/options/quotes/latest", symbols=old).json()["quotes"] == {}


def test_a_change_of_name_is_told_as_documented_under_either_name(exchange: Exchange, recorded_data: Path) -> None:
    week = {"start": SESSION.isoformat(), "end": "2026-03-20"}
    document = Document(recorded_data / "alpaca" / "A5_openapi" / "market-data-api.json")
    answer = exchange.get("/v1/corporate-actions", **week).json()
    assert document.troubles("GET", "/v1/corporate-actions", 200, answer) == []
    client = CorporateActionsClient(KEY, SECRET, url_override=exchange.url)
    for symbol in ("NVDA", "NVDX"):
        asked = CorporateActionsRequest(symbols=[symbol], start=SESSION, end=MONDAY.day)
        (told,) = client.get_corporate_actions(asked).data["name_changes"]
        assert (told.old_symbol, told.new_symbol, told.process_date) == ("NVDA", "NVDX", MONDAY.day)
    assert exchange.get("/v1/corporate-actions", **week, symbols="KO").json()["corporate_actions"] == {}


def test_a_name_that_is_listed_or_unknown_cannot_be_taken(tmp_path: Path) -> None:
    for number, (old, new) in enumerate((("NVDA", "KO"), ("NOPE", "NVDX"))):
        wrong = {**CHANGE, "symbol": old, "new_symbol": new}
        running = prepare(tmp_path / f"{number}", LATE, last_session=MONDAY.key, actions=[wrong])
        with pytest.raises(AssertionError, match=f"{old} cannot be called {new}"):
            running.start()


def test_F29_a_split_under_the_new_name_counts_for_bars_from_under_the_old_one(tmp_path: Path) -> None:
    tuesday = MONDAY.day + timedelta(days=1)
    split = {"type": "split", "symbol": "NVDX", "ex_session": tuesday.isoformat(), "new": 2, "old": 1}
    running = begun(tmp_path / "exchange", split)
    config = running.directory / "config.json"
    config.write_text(config.read_text().replace(f'"last_session": "{MONDAY.key}"', f'"last_session": "{tuesday}"'))
    running.start()
    try:
        running.post({**MARKET, "symbol": "NVDA", "side": "buy", "qty": 10})
        running.step(60)
        entry = Decimal(held(running)["NVDA"][1])
        running.advance(CLOSE)
        raw = bars(running, "NVDA")
        running.advance(MORNING + timedelta(days=1))
        assert held(running) == {"NVDX": ("20", str((entry / 2).normalize()))}
        span = {"start": (CLOSE - 5 * MINUTE).isoformat(), "end": CLOSE.isoformat(), "timeframe": "1Min"}
        halved = running.get("/v2/stocks/bars", symbols="NVDX", adjustment="split", **span).json()["bars"]["NVDX"]
        assert len(raw) == 5
        assert [bar["c"] * 2 for bar in halved] == pytest.approx([bar["c"] for bar in raw], abs=1e-3)
    finally:
        running.stop()
