"""Splits and dividends over night: prices, positions, orders, history and the answer that tells of them (F29)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alpaca.data.enums import Adjustment
from alpaca.data.historical.corporate_actions import CorporateActionsClient
from alpaca.data.requests import CorporateActionsRequest, StockBarsRequest
from alpaca.data.timeframe import TimeFrame, TimeFrameUnit

from trading_assets.market.sessions import shift
from trading_assets_tests.exchange.openapi import Document
from trading_assets_tests.exchange.test_combos import spreads
from trading_assets_tests.exchange.test_trading import limit
from trading_assets_tests.exchange.venue_process import CLOSE, KEY, MINUTE, SECRET, SESSION, Exchange, prepare

MONDAY = shift(SESSION, 1)
MORNING = MONDAY.open - 5 * MINUTE
LATE = CLOSE - 10 * MINUTE
MARKET = {"type": "market", "time_in_force": "day"}
ACTIONS: list[dict[str, Any]] = [
    {"type": "split", "symbol": "NVDA", "ex_session": MONDAY.key, "new": 2, "old": 1},
    {"type": "split", "symbol": "BAC", "ex_session": MONDAY.key, "new": 1, "old": 3},
    {"type": "cash_dividend", "symbol": "PFE", "ex_session": MONDAY.key, "rate": "2.50"},
    {
        "type": "split",
        "symbol": "DIS",
        "ex_session": MONDAY.key,
        "new": 3,
        "old": 2,
        "announced": (CLOSE + 60 * MINUTE).isoformat(),
    },
]


def begun(folder: Path, **changes: Any) -> Exchange:
    accounts = spreads(cash="900000", shorting=True)
    return prepare(folder, LATE, last_session=MONDAY.key, **accounts, **{"actions": ACTIONS, **changes})


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = begun(tmp_path / "exchange").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One that several tests share, for none of them changes it."""
    running = begun(tmp_path_factory.mktemp("unchanged")).start()
    yield running
    running.stop()


def told(exchange: Exchange, **asked: Any) -> dict[str, list[dict[str, Any]]]:
    """What the real client reads, by kind."""
    client = CorporateActionsClient(KEY, SECRET, url_override=exchange.url, raw_data=True)
    found: Any = client.get_corporate_actions(CorporateActionsRequest(**asked))
    return {kind: rows for kind, rows in found.items() if rows}


def held(exchange: Exchange) -> dict[str, tuple[str, str]]:
    rows = exchange.get("/v2/positions").json()
    return {row["symbol"]: (row["qty"], row["avg_entry_price"]) for row in rows}


def figures(exchange: Exchange) -> tuple[Decimal, Decimal]:
    account = exchange.get("/v2/account").json()
    return Decimal(account["cash"]), Decimal(account["equity"])


def last_trade(exchange: Exchange, symbol: str) -> float:
    found: float = exchange.get("/v2/stocks/trades/latest", symbols=symbol).json()["trades"][symbol]["p"]
    return found


def test_F29_a_split_over_night_changes_shares_and_prices_and_leaves_what_they_are_worth(exchange: Exchange) -> None:
    exchange.post({**MARKET, "symbol": "NVDA", "side": "buy", "qty": 10})
    exchange.post({**MARKET, "symbol": "KO", "side": "buy", "qty": 1})
    exchange.step(30)
    resting = limit("NVDA", "sell", 4, 900) | {"time_in_force": "gtc"}
    order = exchange.post(resting).json()
    exchange.advance(CLOSE)
    (quantity, entry), (cash, equity) = held(exchange)["NVDA"], figures(exchange)
    before = last_trade(exchange, "NVDA")
    exchange.advance(MORNING - timedelta(seconds=1))
    assert held(exchange)["NVDA"] == (quantity, entry) and last_trade(exchange, "NVDA") == before
    exchange.advance(MORNING)
    assert held(exchange)["NVDA"] == ("20", str((Decimal(entry) / 2).normalize()))
    after, value = figures(exchange)
    # A cent of the rounded price of each of them at most.
    assert after == cash and abs(value - equity) <= Decimal("0.5")
    assert abs(last_trade(exchange, "NVDA") - before / 2) <= 0.01
    row = next(row for row in exchange.get("/v2/positions").json() if row["symbol"] == "NVDA")
    assert abs(float(row["lastday_price"]) - before / 2) <= 0.01
    assert exchange.get(f"/v2/orders/{order['id']}").json()["status"] == "canceled"
    lines = exchange.get("/v2/account/activities/SPLIT").json()
    assert sorted((row["symbol"], row["qty"], row["date"], row["net_amount"]) for row in lines) == [
        ("NVDA", "-10", MONDAY.key, "0"),
        ("NVDA", "20", MONDAY.key, "0"),
    ]
    assert {row["activity_sub_type"] for row in lines} == {"FSPLIT"} and len({row["group_id"] for row in lines}) == 1
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen
    exchange.advance(MONDAY.open + MINUTE)
    exchange.trading().close_position("NVDA")
    exchange.step(60)
    assert "NVDA" not in held(exchange)


def test_F29_bars_are_told_raw_and_jump_at_the_split(exchange: Exchange) -> None:
    exchange.advance(MONDAY.open + 3 * MINUTE)
    span = {"symbols": "NVDA", "start": (CLOSE - 2 * MINUTE).isoformat(), "timeframe": "1Min"}
    bars = exchange.get("/v2/stocks/bars", **span).json()["bars"]["NVDA"]
    friday = [bar for bar in bars if bar["t"] < CLOSE.isoformat()[:19]]
    monday = [bar for bar in bars if bar["t"] > CLOSE.isoformat()[:19]]
    assert len(friday) == 2 and len(monday) == 3
    assert 1.8 < friday[-1]["c"] / monday[0]["o"] < 2.2
    chain = exchange.get("/v1beta1/options/snapshots/NVDA", type="call", limit="1000").json()["snapshots"]
    strikes = [int(symbol[-8:]) / 1000 for symbol in chain]
    spot = last_trade(exchange, "NVDA")
    assert min(strikes) < spot < max(strikes) and max(strikes) < 1.6 * spot
    days = exchange.get("/v2/stocks/bars", symbols="NVDA", timeframe="1Day", start="2026-03-12").json()["bars"]["NVDA"]
    assert [day["c"] for day in days][-1] == friday[-1]["c"]


def test_bars_are_adjusted_where_the_request_asks_for_it_and_for_nothing_that_is_to_come(exchange: Exchange) -> None:
    def read(symbol: str, timeframe: str, adjustment: Adjustment | None) -> list[Any]:
        asked = {"symbol_or_symbols": symbol, "start": shift(SESSION, -1).open, "adjustment": adjustment}
        unit = TimeFrameUnit.Day if timeframe == "Day" else TimeFrameUnit.Minute
        request = StockBarsRequest(**asked, timeframe=TimeFrame(1, unit))
        found: list[Any] = exchange.stocks().get_stock_bars(request).data[symbol]
        return found

    exchange.advance(CLOSE)
    for symbol in ("NVDA", "PFE"):
        assert read(symbol, "Day", Adjustment.ALL) == read(symbol, "Day", None), "nothing has changed yet"
    exchange.advance(MONDAY.open + 3 * MINUTE)
    for timeframe in ("Minute", "Day"):
        raw, split = (read("NVDA", timeframe, kind) for kind in (Adjustment.RAW, Adjustment.SPLIT))
        assert read("NVDA", timeframe, Adjustment.DIVIDEND) == raw == read("NVDA", timeframe, None)
        for before, after in zip(raw, split, strict=True):
            factor = 2 if before.timestamp < CLOSE else 1
            assert after.volume == before.volume * factor and after.timestamp == before.timestamp
            for name in ("open", "high", "low", "close"):
                assert getattr(after, name) * factor == pytest.approx(getattr(before, name), abs=1e-3)
        assert read("NVDA", timeframe, Adjustment.ALL) == split
    raw, paid = (read("PFE", "Minute", kind) for kind in (Adjustment.SPLIT, Adjustment.DIVIDEND))
    friday = [bar for bar in raw if bar.timestamp < CLOSE]
    share = 1 - 2.5 / read("PFE", "Day", None)[-1].close
    assert [bar.close for bar in paid[: len(friday)]] == [round(bar.close * share, 4) for bar in friday]
    assert paid[len(friday) :] == raw[len(friday) :] and [bar.volume for bar in paid] == [bar.volume for bar in raw]
    both = exchange.get("/v2/stocks/bars", symbols="PFE", timeframe="1Min", adjustment="split,dividend", limit=1).json()
    assert both["bars"] and exchange.get("/v2/stocks/KO/bars", adjustment="splits").status_code == 400


def test_F29_a_reverse_split_pays_out_the_part_of_a_share_that_is_left(exchange: Exchange) -> None:
    exchange.post({**MARKET, "symbol": "BAC", "side": "buy", "qty": 10})
    exchange.step(30)
    exchange.advance(CLOSE)
    entry, (cash, equity) = Decimal(held(exchange)["BAC"][1]), figures(exchange)
    price = Decimal(str(last_trade(exchange, "BAC")))
    exchange.advance(MORNING)
    assert held(exchange) == {"BAC": ("3", str((entry * 3).normalize()))}
    after, value = figures(exchange)
    assert after - cash == price.quantize(Decimal("0.01")) and abs(value - equity) < Decimal("0.5")
    lines = exchange.get("/v2/account/activities/SPLIT").json()
    assert {(row["qty"], row["activity_sub_type"]) for row in lines} == {("-10", "RSPLIT"), ("3", "RSPLIT")}
    assert sum(Decimal(row["net_amount"]) for row in lines) == after - cash


def test_a_dividend_is_paid_on_what_was_held_and_taken_out_of_the_price(exchange: Exchange) -> None:
    exchange.post({**MARKET, "symbol": "PFE", "side": "buy", "qty": 100})
    exchange.step(30)
    exchange.advance(CLOSE)
    cash, equity = figures(exchange)
    price = last_trade(exchange, "PFE")
    exchange.advance(MORNING)
    after, value = figures(exchange)
    assert after - cash == 250 and abs(value - equity) <= 2
    assert abs(price - 2.5 - last_trade(exchange, "PFE")) <= 0.02
    (line,) = exchange.get("/v2/account/activities/DIV").json()
    assert (line["symbol"], line["qty"], line["net_amount"], line["per_share_amount"], line["date"]) == (
        "PFE",
        "100",
        "250",
        "2.5",
        MONDAY.key,
    )


def test_who_is_short_pays_the_dividend_and_owes_as_many_more_shares(exchange: Exchange) -> None:
    for symbol in ("PFE", "NVDA"):
        exchange.post({**MARKET, "symbol": symbol, "side": "sell", "qty": 10})
    exchange.step(30)
    exchange.advance(CLOSE)
    cash, equity = figures(exchange)
    exchange.advance(MORNING)
    after, value = figures(exchange)
    assert {symbol: row[0] for symbol, row in held(exchange).items()} == {"PFE": "-10", "NVDA": "-20"}
    assert after - cash == -25 and abs(value - equity) < 1


def test_F29_contracts_follow_a_split_into_whole_shares(exchange: Exchange) -> None:
    chain = exchange.get("/v1beta1/options/snapshots/NVDA", type="call", expiration_date_gte="2026-03-20").json()
    liquid = {
        symbol: row
        for symbol, row in chain["snapshots"].items()
        if 0.4 < row.get("greeks", {}).get("delta", 0) < 0.6 and symbol[4:10] >= "260320"
    }
    symbol = min(liquid)
    exchange.post({**MARKET, "symbol": symbol, "side": "buy", "qty": 3})
    exchange.step(60)
    exchange.advance(CLOSE)
    quantity, entry = held(exchange)[symbol]
    _, equity = figures(exchange)
    exchange.advance(MORNING)
    becomes = f"{symbol[:-8]}{int(symbol[-8:]) // 2:08d}"
    assert quantity == "3" and held(exchange) == {becomes: ("6", str((Decimal(entry) / 2).normalize()))}
    # The quotes of one contract stand for two: what they are wide and where they are rounded is another.
    assert abs(figures(exchange)[1] - equity) < Decimal("0.25") * Decimal(entry) * 300
    lines = exchange.get("/v2/account/activities/OPCA").json()
    assert {(row["symbol"], row["qty"], row["activity_sub_type"]) for row in lines} == {
        (symbol, "-3", "SPLIT.FSPLIT"),
        (becomes, "6", "SPLIT.FSPLIT"),
    }
    exchange.advance(MONDAY.open + MINUTE)
    exchange.trading().close_position(becomes)
    exchange.step(60)
    assert held(exchange) == {}


def test_F29_contracts_of_a_split_into_parts_are_paid_out_and_no_money_is_made(exchange: Exchange) -> None:
    chain = exchange.get("/v1beta1/options/snapshots/BAC", type="call", expiration_date_gte="2026-03-20").json()
    symbol = min(
        symbol for symbol, row in chain["snapshots"].items() if 0.4 < row.get("greeks", {}).get("delta", 0) < 0.6
    )
    exchange.post({**MARKET, "symbol": symbol, "side": "buy", "qty": 4})
    exchange.step(60)
    exchange.advance(CLOSE)
    assert held(exchange)[symbol][0] == "4"
    cash, equity = figures(exchange)
    exchange.advance(MORNING)
    assert held(exchange) == {} and figures(exchange) == (equity, equity)
    lines = exchange.get("/v2/account/activities/OPCA").json()
    assert {(row["symbol"], row["qty"], row["activity_sub_type"]) for row in lines} == {
        (symbol, "-4", "SPLIT.RSPLIT"),
        (symbol, "0", "SPLIT.RSPLIT"),
    }
    assert sum(Decimal(row["net_amount"]) for row in lines) == equity - cash > 0
    exchange.advance(MONDAY.open + MINUTE)
    assert figures(exchange) == (equity, equity)


def test_the_answer_is_as_documented_and_tells_only_what_was_announced(exchange: Exchange, recorded_data: Path) -> None:
    document = Document(recorded_data / "alpaca" / "A5_openapi" / "market-data-api.json")
    week = {"start": SESSION.isoformat(), "end": "2026-03-20"}
    answer = exchange.get("/v1/corporate-actions", **week)
    assert document.troubles("GET", "/v1/corporate-actions", 200, answer.json()) == []
    found = told(exchange, start=SESSION, end=shift(SESSION, 5).day)
    assert {kind: [row["symbol"] for row in rows] for kind, rows in found.items()} == {
        "forward_splits": ["NVDA"],
        "reverse_splits": ["BAC"],
        "cash_dividends": ["PFE"],
    }
    (split,) = found["forward_splits"]
    assert (split["old_rate"], split["new_rate"], split["ex_date"]) == (1, 2, MONDAY.key)
    exchange.advance(CLOSE + 61 * MINUTE)
    late = told(exchange, start=SESSION, end=shift(SESSION, 5).day, types=["forward_split"])
    assert [row["symbol"] for row in late["forward_splits"]] == ["DIS", "NVDA"]
    assert told(exchange, start=SESSION, end=SESSION) == {}
    assert told(exchange, symbols=["PFE", "KO"], start=SESSION, end=MONDAY.day).keys() == {"cash_dividends"}
    assert told(exchange, ids=[split["id"]])["forward_splits"] == [split]
    paged = exchange.get("/v1/corporate-actions", **week, limit="1").json()
    assert paged["next_page_token"] and sum(len(rows) for rows in paged["corporate_actions"].values()) == 1
    read = CorporateActionsClient(KEY, SECRET, url_override=exchange.url).get_corporate_actions(
        CorporateActionsRequest(start=SESSION, end=MONDAY.day)
    )
    assert {kind: len(rows) for kind, rows in read.data.items()} == {
        "forward_splits": 2,
        "reverse_splits": 1,
        "cash_dividends": 1,
    }
    for wrong in ({"types": "magic"}, {"start": "yesterday"}, {"ids": split["id"], "symbols": "KO"}):
        assert exchange.get("/v1/corporate-actions", **wrong).status_code == 400


def test_a_world_keeps_the_actions_that_its_market_was_drawn_with(exchange: Exchange) -> None:
    exchange.advance(MONDAY.open)
    exchange.stop()
    path = exchange.directory / "config.json"
    config = json.loads(path.read_text())
    coming = {"type": "split", "symbol": "KO", "ex_session": shift(SESSION, 2).key, "new": 2, "old": 1}
    path.write_text(json.dumps(config | {"actions": [*config["actions"], coming]}))
    exchange.start()
    exchange.stop()
    path.write_text(json.dumps(config | {"actions": config["actions"][1:]}))
    with pytest.raises(AssertionError, match="other corporate actions"):
        exchange.start()


def announced(exchange: Exchange, **action: Any) -> tuple[int, Any]:
    answer = exchange.control.post(f"{exchange.url}/practice/v1/actions", json=action)
    return answer.status_code, answer.json()


def test_F29_what_is_announced_on_the_control_path_takes_place_and_outlives_a_kill(exchange: Exchange) -> None:
    exchange.post({**MARKET, "symbol": "KO", "side": "buy", "qty": 10})
    exchange.post({**MARKET, "symbol": "MSFT", "side": "buy", "qty": 3})
    exchange.step(60)
    split = {"type": "split", "symbol": "KO", "ex_session": MONDAY.key, "new": 4, "old": 1}
    status, told_of = announced(exchange, **split)
    assert status == 201 and told_of["id"]
    renamed = {"type": "name_change", "symbol": "MSFT", "new_symbol": "SOFT", "ex_session": MONDAY.key}
    assert announced(exchange, **renamed)[0] == 201
    (row,) = told(exchange, symbols=["KO"], start=SESSION, end=MONDAY.day)["forward_splits"]
    assert (row["id"], row["new_rate"], row["ex_date"]) == (told_of["id"], 4, MONDAY.key)
    entry = Decimal(held(exchange)["KO"][1])
    exchange.kill()
    exchange.start()
    listed = exchange.control.get(f"{exchange.url}/practice/v1/actions").json()["actions"]
    assert {row["symbol"] for row in listed} == {"NVDA", "BAC", "PFE", "DIS", "KO", "MSFT"}
    exchange.advance(MORNING)
    after = held(exchange)
    assert after["KO"] == ("40", str((entry / 4).normalize())) and after["SOFT"][0] == "3" and "MSFT" not in after
    assert {row["symbol"] for row in exchange.get("/v2/account/activities/SPLIT").json()} == {"KO"}
    seen = exchange.picture()
    exchange.kill()
    exchange.start()
    assert exchange.picture() == seen


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ex_session": SESSION.isoformat()}, "ex_session: expected one after"),
        ({"ex_session": "2026-03-14"}, "closed"),
        ({"ex_session": "2026-03-18"}, "up to 2026-03-16"),
        ({"new": 1}, "no split"),
        ({"symbol": "NOPE"}, "NOPE is not listed"),
        ({"symbol": "NVDA"}, "NVDA has another action"),
        ({"type": "magic"}, "action"),
        ({"ratio": 3}, "ratio"),
        ({"type": "name_change", "new_symbol": "XOM", "new": ..., "old": ...}, "XOM is listed"),
        ({"type": "name_change", "symbol": "BAC", "new_symbol": "BACX", "new": ..., "old": ...}, "BAC has another"),
    ],
    ids=["today", "a Saturday", "after the end", "nothing", "no stock", "twice", "kind", "field", "taken", "same day"],
)
def test_an_action_that_cannot_take_place_is_refused_and_nothing_is_announced(
    unchanged: Exchange, changes: dict[str, Any], words: str
) -> None:
    split = {"type": "split", "symbol": "KO", "ex_session": MONDAY.key, "new": 4, "old": 1}
    asked = {name: value for name, value in {**split, **changes}.items() if value is not ...}
    status, said = announced(unchanged, **asked)
    assert status == 422 and words in said["message"], said
    assert len(unchanged.control.get(f"{unchanged.url}/practice/v1/actions").json()["actions"]) == len(ACTIONS)
    token = {"X-Practice-Token": "another"}
    assert unchanged.client.post(f"{unchanged.url}/practice/v1/actions", json=split, headers=token).status_code == 401
