"""The adapter itself: addresses, secrets, typed errors, tolerant parsing, pages."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from trading_assets.broker import parsing
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable, NotAuthorized, RateLimited, Rejected
from trading_assets.broker.market_data import BARS_AS_READ
from trading_assets.broker.values import OrderRequest
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.errors import ConfigurationError
from trading_assets.domain.values import OrderState, Right, Side
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.desk import SECRET, SteppedClock
from trading_assets_tests.broker.fault_proxy import HTML, Fault, FaultProxy
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, never

PAPER, LIVE, DATA = "https://paper-api.alpaca.markets", "https://api.alpaca.markets", "https://data.alpaca.markets"


def request(client_order_id: str = "x-1", symbol: str = "AAPL") -> OrderRequest:
    return OrderRequest(client_order_id, symbol, Side.BUY, 1, Decimal("210"))


@pytest.mark.parametrize(
    ("mode", "key", "trading", "data"),
    [
        pytest.param("PAPER", "PK1", "", DATA, id="empty address"),
        pytest.param("PAPER", "PK1", PAPER, "", id="empty data address"),
        pytest.param("PAPER", "PK1", LIVE, DATA, id="paper on the live address"),
        pytest.param("LIVE", "AK1", PAPER, DATA, id="live on the paper address"),
        pytest.param("LIVE", "PK1", LIVE, DATA, id="paper key on the live address"),
        pytest.param("PAPER", "AK1", PAPER, DATA, id="live key on the paper address"),
        pytest.param("PAPER", "PK1", "http://paper-api.alpaca.markets", DATA, id="unencrypted"),
        pytest.param("PAPER", "PK1", "https://paper-api.alpaca.markets.example.com", DATA, id="look-alike"),
        pytest.param("PRACTICE", "PK1", PAPER, DATA, id="practice on a real address"),
        pytest.param("PRACTICE", "PK1", "http://127.0.0.1:1", DATA, id="practice with real data"),
        pytest.param("paper", "PK1", PAPER, DATA, id="unknown mode"),
    ],
)
def test_F55_an_address_that_does_not_belong_to_the_mode_is_refused_before_anything_is_sent(
    mode: str, key: str, trading: str, data: str, clock: SteppedClock
) -> None:
    with pytest.raises(ConfigurationError):
        AlpacaBroker(BrokerConnection(mode, trading, data, key, SECRET), clock)


@pytest.mark.parametrize(("mode", "key", "url"), [("PAPER", "PK1", PAPER), ("LIVE", "AK1", LIVE + "/")])
def test_F55_the_right_address_is_the_one_that_is_used(mode: str, key: str, url: str, clock: SteppedClock) -> None:
    adapter = AlpacaBroker(BrokerConnection(mode, url, DATA, key, SECRET), clock)
    assert repr(adapter) == f"AlpacaBroker(mode={mode!r}, at={url.rstrip('/')!r})"


def test_F57_secrets_are_in_no_repr_no_log_and_no_error(
    broker: AlpacaBroker, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proxy.faults.append(Fault("GET", "/account", "reset_before", times=99))
    with pytest.raises(BrokerUnavailable) as failure:
        broker.account()
    connection = BrokerConnection("PAPER", PAPER, DATA, "PK-KEY-IN-REPR", SECRET)
    shown = "\n".join((repr(broker), str(failure.value), repr(failure.value), caplog.text, repr(connection)))
    assert SECRET not in shown and "PKTEST" not in shown and "PK-KEY-IN-REPR" not in shown
    assert "broker try" in caplog.text


def test_proxies_from_the_environment_are_ignored_on_loopback(
    monkeypatch: pytest.MonkeyPatch, broker: AlpacaBroker
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert broker.account().status == "ACTIVE"


def test_importing_the_adapter_does_not_import_the_sdk() -> None:
    code = (
        "import sys, trading_assets.broker.reconciliation, trading_assets.broker.ladder;"
        "sys.exit(any(name.split('.')[0] in ('alpaca', 'pandas') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ}, check=False).returncode == 0


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        pytest.param(Fault("GET", "/positions", "answer", status=503, times=2), 3, id="F07-5xx"),
        pytest.param(Fault("GET", "/positions", "answer", status=504, times=2), 3, id="F04-504"),
        pytest.param(Fault("GET", "/positions", "answer", status=429, times=2), 3, id="F06-429"),
        pytest.param(Fault("GET", "/positions", "lose_answer", times=1), 2, id="F01-lost-answer"),
        pytest.param(Fault("GET", "/positions", "truncate", times=2), 3, id="F08-truncated"),
        pytest.param(Fault("GET", "/positions", "answer", body=HTML, times=2), 3, id="F08-html-as-200"),
        pytest.param(Fault("GET", "/positions", "answer", status=404, body=HTML, times=2), 3, id="F08-html-as-404"),
    ],
)
def test_a_read_is_tried_again_a_bounded_number_of_times(
    fault: Fault, tries: int, broker: AlpacaBroker, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    exchange.trade_by_hand("AAPL", "buy", 3, "210")
    proxy.faults.append(fault)
    assert [(p.symbol, p.quantity) for p in broker.positions()] == [("AAPL", Decimal(3))]
    assert proxy.count("GET", "/positions") == tries
    proxy.faults.append(Fault("GET", "/positions", "answer", status=500, times=99))
    with pytest.raises(BrokerUnavailable):
        broker.positions()
    assert proxy.count("GET", "/positions") == tries + 3


def test_errors_are_told_apart_by_status_and_code_and_never_by_text(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    def answer(status: int, body: Any) -> Exception:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        proxy.faults.append(Fault("POST", "/v2/orders", "answer", status=status, body=raw))
        with pytest.raises(Exception) as failure:
            broker.submit(request())
        return failure.value

    refused = answer(403, {"code": 40310000, "message": "timeout", "buying_power": "12"})
    assert isinstance(refused, Rejected)
    assert (refused.status, refused.code, refused.message, refused.body["buying_power"]) == (
        403,
        40310000,
        "timeout",
        "12",
    )
    assert isinstance(answer(401, {"code": 40110000, "message": "x"}), NotAuthorized)
    assert isinstance(answer(403, {"code": 40110000, "message": "x"}), NotAuthorized)
    assert type(answer(403, HTML)) is BrokerUnavailable
    assert type(answer(408, {"code": 1, "message": "order rejected"})) is BrokerUnavailable
    assert type(answer(500, {"code": 40310000, "message": "insufficient buying power"})) is BrokerUnavailable
    assert type(answer(301, b"")) is BrokerUnavailable
    assert isinstance(answer(429, b""), RateLimited)


def test_a_missing_order_is_none_only_on_the_brokers_own_404(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    assert broker.order_by_client_id("nobody") is None
    proxy.faults.append(Fault("GET", "by_client_order_id", "answer", status=404, body=HTML, times=99))
    with pytest.raises(BrokerUnavailable):
        broker.order_by_client_id("nobody")


def test_F09_an_order_without_identity_is_no_answer_while_unknown_words_are_kept(
    broker: AlpacaBroker, proxy: FaultProxy, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    broker.submit(request())

    def odd(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**rows[0], "status": "teleported", "side": "sideways", "filled_qty": None, "asset_class": "moon"}]

    proxy.faults.append(Fault("GET", "/v2/orders", "rewrite", rewrite=odd))
    (order,) = broker.orders("open")
    assert (order.status, order.side, order.filled_quantity, order.state) == (
        "teleported",
        None,
        None,
        OrderState.ACCEPTED,
    )
    proxy.faults.append(Fault("GET", "/v2/orders", "rewrite", rewrite=lambda rows: [{**rows[0], "id": None}], times=99))
    with pytest.raises(BrokerUnavailable, match="without id"):
        broker.orders("open")


def test_all_pages_of_orders_and_fills_are_read(broker: AlpacaBroker, exchange: ScriptedExchange) -> None:
    for number in range(505):
        exchange.now += timedelta(milliseconds=number % 3)
        exchange.trade_by_hand("AAPL", "buy", 1, f"{200 + number % 5}")
    assert len({order.order_id for order in broker.orders("all")}) == 505
    fills = broker.fills(exchange.now - timedelta(days=1))
    assert len({fill.activity_id for fill in fills}) == 505
    assert fills == sorted(fills, key=lambda fill: fill.at)


def test_F44_the_brokers_own_time_is_readable(broker: AlpacaBroker, exchange: ScriptedExchange) -> None:
    assert broker.clock_now() == exchange.now


def test_a_market_order_a_bracket_and_an_option_say_what_they_are(
    broker: AlpacaBroker, exchange: ScriptedExchange
) -> None:
    exchange.script = never
    broker.submit(OrderRequest("m", "AAPL", Side.SELL, 2, None))
    broker.submit(OrderRequest("b", "AAPL", Side.BUY, 2, Decimal("10"), Decimal("12"), Decimal("9")))
    broker.submit(OrderRequest("o", desk.SYMBOL, Side.SELL, 1, Decimal("2.05")))
    market, bracket, option = (order.body for order in exchange.orders.values())
    assert (market["type"], "limit_price" in market, "position_intent" in market) == ("market", False, False)
    assert (bracket["order_class"], bracket["take_profit"]["limit_price"], bracket["stop_loss"]["stop_price"]) == (
        "bracket",
        12.0,
        9.0,
    )
    assert (option["limit_price"], option["position_intent"], option["time_in_force"]) == (2.05, "sell_to_close", "day")


def page(body: dict[str, Any], path: str) -> Fault:
    return Fault("GET", path, "answer", body=json.dumps(body).encode())


def bar(at: str, close: object = 10.0, volume: object = 100) -> dict[str, Any]:
    return {"t": at, "o": 10, "h": 11, "l": 9, "c": close, "v": volume, "n": 3, "vw": None}


def test_F40_all_pages_of_bars_become_one_frame_with_nulls_for_what_is_no_number(
    broker: AlpacaBroker, proxy: FaultProxy
) -> None:
    path = "/v2/stocks/bars"
    proxy.faults += [
        page(
            {
                "bars": {"AAPL": [bar("2026-03-10T14:31:00Z"), bar("2026-03-10T14:30:00Z", float("nan"))]},
                "next_page_token": "p2",
            },
            path,
        ),
        page(
            {
                "bars": {"AAPL": [bar("2026-03-10T14:32:00Z")], "MSFT": [bar("2026-03-10T14:30:00Z", None, 7.0)]},
                "next_page_token": "",
            },
            path,
        ),
    ]
    start = datetime(2026, 3, 10, 14, 30, tzinfo=UTC)
    frame = broker.stock_bars(["MSFT", "AAPL"], start, start + timedelta(minutes=2))
    assert dict(frame.schema) == BARS_AS_READ
    assert frame.select("ticker", "close", "volume", "vwap", "feed").rows() == [
        ("AAPL", None, 100, None, "iex"),
        ("AAPL", 10.0, 100, None, "iex"),
        ("MSFT", None, 7, None, "iex"),
    ]


def test_F40_a_page_that_repeats_is_an_error_and_not_a_short_answer(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    body = {"bars": {"AAPL": [bar("2026-03-10T14:30:00Z")]}, "next_page_token": "again"}
    proxy.faults.append(Fault("GET", "/v2/stocks/bars", "answer", body=json.dumps(body).encode(), times=9))
    with pytest.raises(BrokerUnavailable, match="repeats a page"):
        broker.stock_bars(["AAPL"], datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC))


def test_daily_bars_are_labelled_by_their_new_york_session(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    days = [bar("2026-03-06T05:00:00Z"), bar("2026-03-09T04:00:00Z")]
    proxy.faults.append(page({"bars": {"AAPL": days}, "next_page_token": None}, "/v2/stocks/bars"))
    frame = broker.daily_bars(["AAPL"], date(2026, 3, 6), date(2026, 3, 9))
    assert frame["session"].to_list() == [date(2026, 3, 6), date(2026, 3, 9)]


def listed(symbol: str, strike: str, root: str = "NVDA", **more: object) -> dict[str, Any]:
    return {
        "id": symbol,
        "symbol": symbol,
        "name": symbol,
        "status": "active",
        "tradable": True,
        "size": "100",
        "expiration_date": "2026-03-20",
        "root_symbol": root,
        "underlying_symbol": "NVDA",
        "type": "call",
        "strike_price": strike,
        "open_interest": "812",
        **more,
    }


def test_F41_the_chain_merges_all_pages_of_contracts_and_snapshots(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    a, b, c, d = (f"NVDA260320C00{strike}000" for strike in (170, 175, 180, 185))
    adjusted = "NVDA1260320C00180000"
    quote = {"t": "2026-03-10T14:59:58.123456789Z", "bp": 2.4, "ap": 2.6, "bs": 5, "as": 6}
    good = {"delta": 0.4, "gamma": 0.02, "theta": -0.1, "vega": 0.09, "rho": 0.01}
    proxy.faults += [
        page(
            {"option_contracts": [listed(a, "170"), listed(b, "175", open_interest=None)], "next_page_token": "2"},
            "/v2/options/contracts",
        ),
        page(
            {
                "option_contracts": [listed(c, "180"), listed(adjusted, "180", "NVDA1", size="150")],
                "next_page_token": None,
            },
            "/v2/options/contracts",
        ),
        page(
            {
                "snapshots": {
                    a: {"latestQuote": quote, "greeks": good, "impliedVolatility": 0.5, "dailyBar": {"v": 850}}
                },
                "next_page_token": "2",
            },
            "/options/snapshots/NVDA",
        ),
        page(
            {
                "snapshots": {
                    b: {
                        "latestQuote": {**quote, "bp": -1},
                        "greeks": {**good, "delta": -999},
                        "impliedVolatility": -999,
                    },
                    d: {"latestQuote": quote},
                },
                "next_page_token": None,
            },
            "/options/snapshots/NVDA",
        ),
    ]
    chain = {s.contract.symbol: s for s in broker.option_chain("NVDA", date(2026, 3, 10), date(2026, 3, 20))}
    assert list(chain) == [adjusted, a, b, c, d]
    first = chain[a]
    assert (first.quote.mid, first.volume, first.open_interest, first.delta, first.iv) == (
        Decimal("2.5"),
        850,
        812,
        0.4,
        0.5,
    )
    assert first.quote.at == datetime(2026, 3, 10, 14, 59, 58, 123456, tzinfo=UTC)
    assert (first.contract.right, first.contract.strike, first.greeks_source) == (Right.CALL, Decimal(170), "feed")
    second = chain[b]
    assert (second.quote.bid, second.delta, second.iv, second.volume, second.open_interest) == (None,) * 5
    assert second.greeks_source is None
    assert chain[c].quote.bid is None and chain[c].quote.at is None
    assert (chain[adjusted].contract.root, chain[adjusted].contract.multiplier) == ("NVDA1", 150)
    assert chain[d].contract.tradable is False


def test_quotes_keep_a_bid_of_zero_and_lose_what_is_no_price(broker: AlpacaBroker, proxy: FaultProxy) -> None:
    body = {
        "quotes": {
            desk.SYMBOL: {"t": "2026-03-10T15:00:00Z", "bp": 0, "ap": 0.05, "bs": 0, "as": 9},
            "X": {"t": "yesterday", "bp": "NaN", "ap": None},
        }
    }
    proxy.faults.append(page(body, "/v1beta1/options/quotes/latest"))
    quotes = broker.option_quotes([desk.SYMBOL, "X"])
    assert quotes[desk.SYMBOL].bid == 0 and quotes[desk.SYMBOL].is_two_sided
    assert (quotes["X"].bid, quotes["X"].ask, quotes["X"].at) == (None, None, None)
    proxy.faults.append(page({"message": "no quotes today"}, "/v2/stocks/quotes/latest"))
    with pytest.raises(BrokerUnavailable):
        broker.quotes(["AAPL"])


@pytest.mark.parametrize(
    ("number", "read"),
    [
        (0.1, 0.1), (-0.05, -0.05), (1e-7, 1e-7), (5e-324, 5e-324), (1e308, 1e308), (17, 17.0), (2**53, 2.0**53),
        (2**53 + 1, float(2**53 + 1)), (-899.9, -899.9), (-999, None), (-999.0, None), (-(10**400), None),
        (10**400, None), (float("nan"), None), (float("inf"), None),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
def test_a_number_is_read_the_same_as_json_number_and_as_text(number: float, read: float | None) -> None:
    assert parsing.float_or_none(number) == parsing.float_or_none(str(number)) == read
    assert type(parsing.float_or_none(number)) is type(read)
    assert parsing.float_or_none(True) is None, "no number"


def test_an_asset_is_tradable_and_optionable_only_if_the_broker_says_so() -> None:
    full = {"symbol": "AAPL", "status": "active", "tradable": True, "attributes": ["has_options"], "name": "Apple"}
    assert (parsing.asset(full).tradable, parsing.asset(full).optionable) == (True, True)
    bare = parsing.asset({"symbol": "AAPL"})
    assert (bare.tradable, bare.optionable, bare.name) == (False, False, None)
