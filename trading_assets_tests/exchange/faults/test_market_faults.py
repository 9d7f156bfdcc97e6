"""Faults of market data and of the clock, seen by a bare client and by the unmodified SDK."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from alpaca.data.requests import OptionChainRequest, StockBarsRequest, StockLatestQuoteRequest
from alpaca.data.timeframe import TimeFrame

from trading_assets_tests.exchange.faults.switchboard_client import SwitchboardClient
from trading_assets_tests.exchange.faults.test_broker_faults import market
from trading_assets_tests.exchange.faults.test_http_faults import OTHER, resting
from trading_assets_tests.exchange.test_trade_updates import listening, said
from trading_assets_tests.exchange.venue_process import SESSION, Exchange

QUOTES = "/v2/stocks/quotes/latest"
CHAIN = "/v1beta1/options/snapshots/NVDA"
BARS = "/v2/stocks/bars"


def quotes(exchange: Exchange, *symbols: str) -> dict[str, Any]:
    found: dict[str, Any] = exchange.get(QUOTES, symbols=",".join(symbols or ("KO", "PFE"))).json()["quotes"]
    return found


def chain(exchange: Exchange, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = exchange.get(CHAIN, limit=20, **params).json()
    return found


def bars(exchange: Exchange) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = exchange.get(BARS, symbols="KO,PFE", start=SESSION.isoformat()).json()
    series: Any = found["bars"]
    return dict(series)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_F34_a_stale_quote_stays_what_it_was_and_as_old(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    first = quotes(exchange)
    switchboard.arm("stale_quote", symbol="KO", age_s=3600, duration_s=100, clock="exchange")
    stale = quotes(exchange)
    assert instant(stale["KO"]["t"]) == instant(first["KO"]["t"]) - timedelta(hours=1)
    assert stale["PFE"] == first["PFE"], "outside the scope"
    exchange.step(90)
    later = quotes(exchange)
    assert later["KO"] == stale["KO"] and later["PFE"]["t"] != first["PFE"]["t"]
    exchange.step(10)
    assert instant(quotes(exchange)["KO"]["t"]) == exchange.now()
    assert [(fired.symbol, fired.path) for fired in switchboard.fired("stale_quote")] == [("KO", QUOTES)] * 2


def test_F34_a_crossed_quote_and_the_sdk_reads_it(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("crossed_quote", symbol="KO", by=0.1, count=1)
    request = StockLatestQuoteRequest(symbol_or_symbols=["KO", "PFE"])
    found = exchange.stocks().get_stock_latest_quote(request)
    assert found["KO"].bid_price == pytest.approx(found["KO"].ask_price + 0.1)
    assert found["PFE"].bid_price < found["PFE"].ask_price
    again = quotes(exchange)["KO"]
    assert again["bp"] < again["ap"] and switchboard.fired("crossed_quote")[-1].symbol == "KO"


def test_F34_a_missing_quote_is_absent_alone_and_in_a_snapshot(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("missing_quote", symbol="KO", count=2)
    assert set(quotes(exchange)) == {"PFE"}
    shots = exchange.get("/v2/stocks/snapshots", symbols="KO,PFE").json()
    assert "latestQuote" not in shots["KO"] and "latestQuote" in shots["PFE"]
    assert set(quotes(exchange)) == {"KO", "PFE"} and len(switchboard.fired("missing_quote")) == 2


@pytest.mark.parametrize(
    ("side", "zero"), [("bid", {"bp", "bs"}), ("ask", {"ap", "as"}), ("both", {"bp", "bs", "ap", "as"})]
)
def test_F34_a_zero_quote_has_no_price_on_its_side(
    exchange: Exchange, switchboard: SwitchboardClient, side: str, zero: set[str]
) -> None:
    switchboard.arm("zero_quote", symbol="KO", sides=side)
    found = quotes(exchange)
    assert {name for name in ("bp", "bs", "ap", "as") if found["KO"][name] == 0} == zero
    assert found["PFE"]["bp"] > 0 and switchboard.fired("zero_quote")[-1].symbol == "KO"


def test_what_is_shown_is_not_what_is_traded(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("zero_quote", symbol="KO", count=100)
    order = exchange.post(market("KO", "buy", 1)).json()
    exchange.step(30)
    assert float(exchange.get(f"/v2/orders/{order['id']}").json()["filled_avg_price"]) > 1


@pytest.mark.parametrize("inside", [False, True])
def test_F41_greeks_are_null(exchange: Exchange, switchboard: SwitchboardClient, inside: bool) -> None:
    symbol = next(iter(chain(exchange)["snapshots"]))
    switchboard.arm("null_greeks", symbol=symbol, inside=inside)
    found = chain(exchange)["snapshots"]
    greeks = found[symbol]["greeks"]
    assert (set(greeks.values()) == {None}) if inside else greeks is None
    assert all(line["greeks"]["delta"] is not None for name, line in found.items() if name != symbol)
    assert [fired.symbol for fired in switchboard.fired("null_greeks")][-1] == symbol
    assert chain(exchange)["snapshots"][symbol]["greeks"]["delta"] is not None


def test_F41_greeks_are_a_sentinel_and_the_sdk_takes_it_for_a_number(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    switchboard.arm("sentinel_greeks", symbol="NVDA*", count=5)
    request = OptionChainRequest(underlying_symbol="NVDA", expiration_date_gte=SESSION)
    found = exchange.options().get_option_chain(request)
    assert sum(line.greeks is not None and line.greeks.delta == -999 for line in found.values()) == 5
    assert len(switchboard.fired("sentinel_greeks")) == 5


def test_F41_a_page_is_missing_because_the_answer_says_it_was_the_last(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    whole = chain(exchange)
    assert whole["next_page_token"]
    switchboard.arm("missing_page", path="/v1beta1/options/*")
    cut = chain(exchange)
    assert cut == {**whole, "next_page_token": None}
    assert chain(exchange) == whole
    switchboard.arm("missing_page", path="/v1beta1/options/*", shape="empty")
    empty = chain(exchange)
    assert empty == {"snapshots": {}, "next_page_token": whole["next_page_token"]}
    assert [fired.path for fired in switchboard.fired("missing_page")] == [CHAIN] * 2


def test_F40_bars_are_missing_in_the_middle(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    whole = bars(exchange)
    switchboard.arm("bar_gap", symbol="KO", bars=3)
    found = bars(exchange)
    gone = [bar for bar in whole["KO"] if bar not in found["KO"]]
    assert len(gone) == 3 and found["KO"][0] == whole["KO"][0] and found["KO"][-1] == whole["KO"][-1]
    assert found["PFE"] == whole["PFE"] and bars(exchange) == whole
    assert switchboard.fired("bar_gap")[-1].symbol == "KO"


def test_F40_a_bar_comes_twice(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    whole = bars(exchange)
    switchboard.arm("duplicate_bar", symbol="KO")
    times = [bar["t"] for bar in bars(exchange)["KO"]]
    assert len(times) == len(whole["KO"]) + 1 == len(set(times)) + 1
    assert switchboard.fired("duplicate_bar")[-1].symbol == "KO"


def test_F40_a_bar_is_revised(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    whole = bars(exchange)
    switchboard.arm("revised_bar", symbol="PFE", fraction=0.02)
    found = bars(exchange)
    assert found["PFE"][:-1] == whole["PFE"][:-1] and found["KO"] == whole["KO"]
    assert found["PFE"][-1]["c"] == pytest.approx(whole["PFE"][-1]["c"] * 1.02, abs=1e-4)
    assert switchboard.fired("revised_bar")[-1].symbol == "PFE"


def test_F40_a_price_is_no_number_and_the_sdk_passes_it_on(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    switchboard.arm("nan_bar", symbol="KO", field="c")
    start = datetime.combine(SESSION, datetime.min.time())
    request = StockBarsRequest(symbol_or_symbols=["KO", "PFE"], timeframe=TimeFrame.Minute, start=start)
    found: Any = exchange.stocks().get_stock_bars(request)
    assert math.isnan(found.data["KO"][-1].close)
    assert not any(math.isnan(bar.close) for bar in [*found.data["KO"][:-1], *found.data["PFE"]])
    assert switchboard.fired("nan_bar")[-1].path == BARS


def test_chances_are_asked_for_each_quote(exchange: Exchange, switchboard: SwitchboardClient) -> None:
    played = []
    for _ in range(2):
        with switchboard.during("missing_quote", probability=0.5, seed=3, count=1000):
            played.append([sorted(quotes(exchange, "KO", "PFE", "XOM", "BAC", "MSFT")) for _ in range(5)])
    assert played[0] == played[1] and len({tuple(names) for names in played[0]}) > 1


def test_F44_the_clock_and_every_instant_of_the_broker_are_off(
    exchange: Exchange, switchboard: SwitchboardClient
) -> None:
    true = exchange.now()
    order = exchange.post(resting()).json()
    switchboard.arm("clock_skew", account="one", seconds=120)
    clock = exchange.get("/v2/clock").json()
    assert instant(clock["timestamp"]) == true + timedelta(seconds=120)
    skewed = exchange.get(f"/v2/orders/{order['id']}").json()
    assert instant(skewed["submitted_at"]) == instant(order["submitted_at"]) + timedelta(seconds=120)
    assert skewed["expires_at"] == order["expires_at"], "an agreed instant is no reading of a clock"
    told = exchange.client.get(exchange.url + "/v2/clock", headers=OTHER).json()
    assert instant(told["timestamp"]) == true, "outside the scope"
    with listening(exchange) as socket:
        exchange.post(resting())
        assert instant(said(socket)["data"]["timestamp"]) == true + timedelta(seconds=120)
    assert {fired.account for fired in switchboard.fired("clock_skew")} == {"one"}
    switchboard.clear()
    assert instant(exchange.get("/v2/clock").json()["timestamp"]) == true
    assert exchange.trading().get_clock().is_open
