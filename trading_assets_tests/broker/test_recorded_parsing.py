"""What the real broker once answered, read by this project's own parsing: every field arrives as it was sent.

The recordings hold no frame of a stream, so there is none here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from trading_assets.broker import parsing, values
from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.broker.errors import BrokerUnavailable
from trading_assets.domain.connections import BrokerConnection
from trading_assets.domain.values import OptionContract
from trading_assets_tests.broker.desk import SteppedClock
from trading_assets_tests.exchange.recordings import Recording, recordings

pytestmark = pytest.mark.recorded

#: The broker's name of each field of a value; those that are read from several are judged apart.
ORDER = {
    "order_id": "id",
    "client_order_id": "client_order_id",
    "symbol": "symbol",
    "side": "side",
    "order_type": "type",
    "quantity": "qty",
    "filled_quantity": "filled_qty",
    "filled_avg_price": "filled_avg_price",
    "limit_price": "limit_price",
    "stop_price": "stop_price",
    "status": "status",
    "submitted_at": "submitted_at",
}
ACCOUNT = {
    "account_id": "id",
    "status": "status",
    "equity": "equity",
    "last_equity": "last_equity",
    "cash": "cash",
    "options_buying_power": "options_buying_power",
    "buying_power": "buying_power",
}
BLOCKED = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
POSITION = {
    "symbol": "symbol",
    "quantity": "qty",
    "avg_entry_price": "avg_entry_price",
    "market_value": "market_value",
    "unrealized_pnl": "unrealized_pl",
    "current_price": "current_price",
}
FILL = {
    "activity_id": "id",
    "order_id": "order_id",
    "symbol": "symbol",
    "side": "side",
    "quantity": "qty",
    "price": "price",
    "cumulative_quantity": "cum_qty",
    "at": "transaction_time",
}
ACTIVITY = {
    "activity_id": "id",
    "activity_type": "activity_type",
    "symbol": "symbol",
    "quantity": "qty",
    "net_amount": "net_amount",
    "on": "date",
    "price": "price",
    "group": "group_id",
}
ASSET = {"symbol": "symbol", "name": "name", "exchange": "exchange"}
CONTRACT = {
    "symbol": "symbol",
    "underlying": "underlying_symbol",
    "right": "type",
    "strike": "strike_price",
    "expiry": "expiration_date",
    "root": "root_symbol",
    "multiplier": "size",
}
INTEREST = {"open_interest": "open_interest", "open_interest_date": "open_interest_date"}
QUOTE = {"bid": "bp", "ask": "ap", "at": "t", "bid_size": "bs", "ask_size": "as"}
GREEKS = {name: name for name in ("delta", "gamma", "theta", "vega")}
BAR = {"ts": "t", "open": "o", "high": "h", "low": "l", "close": "c", "volume": "v", "trade_count": "n", "vwap": "vw"}


@pytest.fixture(scope="module")
def recorded(recorded_data: Path) -> list[Recording]:
    return recordings(recorded_data / "alpaca")


def answers(recorded: list[Recording], *kinds: str) -> Iterator[Any]:
    """Every answer of the kinds that was no refusal."""
    found = [item.answer for item in recorded if item.kind in kinds and not item.is_refusal and item.answer]
    assert found, f"nothing recorded of {kinds}"
    yield from found


def rows(recorded: list[Recording], *kinds: str) -> list[dict[str, Any]]:
    """The same, row by row where an answer is a list."""
    return [row for answer in answers(recorded, *kinds) for row in (answer if isinstance(answer, list) else [answer])]


def same(value: Any, sent: Any) -> bool:
    """Whether a parsed value is what was sent, judged without the parser."""
    if sent is None or sent == "":
        return value is None or value == ""
    if isinstance(value, Enum):
        return bool(value.value == sent)
    if isinstance(value, datetime):
        # Nine digits of a second arrive as six.
        text, dot, rest = sent.partition(".")
        digits = rest.rstrip("Z")[:6].ljust(6, "0") if dot else "000000"
        return value.strftime("%Y-%m-%dT%H:%M:%S.%f") == f"{text.rstrip('Z')}.{digits}"
    if isinstance(value, date):
        return value.isoformat() == sent
    if isinstance(value, Decimal | int | float) and not isinstance(value, bool):
        return Decimal(str(value)) == Decimal(str(sent))
    return bool(value == sent)


def lossless(value: Any, raw: dict[str, Any], names: dict[str, str]) -> None:
    """Every named field of ``value`` is that of ``raw``."""
    lost = {name: (getattr(value, name), raw.get(sent)) for name, sent in names.items()}
    assert {name: pair for name, pair in lost.items() if not same(*pair)} == {}, raw


def test_every_field_of_a_value_is_judged_here() -> None:
    told: dict[type, set[str]] = {
        values.BrokerOrder: {*ORDER, "legs"},
        values.BrokerAccount: {*ACCOUNT, "trading_blocked", "options_level"},
        values.BrokerPosition: set(POSITION),
        values.BrokerFill: set(FILL),
        values.BrokerActivity: set(ACTIVITY),
        values.BrokerAsset: {*ASSET, "tradable", "optionable"},
        OptionContract: {*CONTRACT, "tradable"},
        values.ListedContract: {*INTEREST, "contract"},
    }
    # What other work adds to a value is judged here as soon as it is there.
    assert {kind: {f.name for f in fields(kind)} - names for kind, names in told.items()} == {k: set() for k in told}


def test_orders_arrive_whole_with_their_legs_and_those_of_closed_positions(recorded: list[Recording]) -> None:
    found = rows(recorded, "place", "orders", "order", "replace", "close")
    lines = rows(recorded, "cancel all", "close all")
    found += [line["body"] for line in lines if "client_order_id" in line.get("body", {})]
    found += [leg for raw in found for leg in raw.get("legs") or []]
    assert len(found) > 25 and any(raw.get("legs") for raw in found)
    for raw in found:
        order = parsing.order(raw)
        lossless(order, raw, ORDER)
        assert [leg.order_id for leg in order.legs] == [leg["id"] for leg in raw.get("legs") or []]
    assert {raw["status"] for raw in found} >= {"new", "accepted", "held", "filled", "canceled"}


def test_a_line_of_a_position_that_could_not_be_closed_is_no_order(recorded: list[Recording]) -> None:
    refused = [line for line in rows(recorded, "close all") if line["status"] >= 400]
    assert refused
    for line in refused:
        with pytest.raises(BrokerUnavailable):
            parsing.order(line["body"])


def test_accounts_arrive_whole(recorded: list[Recording]) -> None:
    for raw in rows(recorded, "account"):
        account = parsing.account(raw)
        lossless(account, raw, ACCOUNT)
        assert account.trading_blocked is any(raw[name] for name in BLOCKED)
        assert same(account.options_level, raw.get("options_trading_level", raw.get("options_approved_level")))


def test_positions_arrive_whole_and_a_short_one_stays_below_zero(recorded: list[Recording]) -> None:
    found = rows(recorded, "positions", "position")
    for raw in found:
        position = parsing.position(raw)
        lossless(position, raw, POSITION)
        assert (position.quantity < 0) == (raw["side"] == "short")
    assert {raw["side"] for raw in found} == {"long", "short"}


def test_activities_arrive_whole(recorded: list[Recording]) -> None:
    found = rows(recorded, "activities")
    fills = [raw for raw in found if raw["activity_type"] == "FILL"]
    assert 0 < len(fills) < len(found)
    for raw in fills:
        lossless(parsing.fill(raw), raw, {k: v for k, v in FILL.items() if (k, raw["side"]) != ("side", "sell_short")})
    for raw in found:
        lossless(parsing.activity(raw), raw, ACTIVITY)


def test_assets_arrive_whole(recorded: list[Recording]) -> None:
    found = rows(recorded, "assets", "asset")
    assert len(found) > 500
    for raw in found:
        asset = parsing.asset(raw)
        lossless(asset, raw, ASSET)
        assert asset.tradable == (raw["tradable"] and raw["status"] == "active")


def test_contracts_arrive_whole(recorded: list[Recording]) -> None:
    found = [raw for page in answers(recorded, "contracts") for raw in page["option_contracts"]]
    for raw in [*found, *rows(recorded, "contract")]:
        listed = parsing.contract(raw)
        lossless(listed.contract, raw, CONTRACT)
        lossless(listed, raw, INTEREST)
        assert listed.contract.tradable == (raw["tradable"] and raw["status"] == "active")


def test_quotes_of_stocks_and_options_arrive_whole(recorded: list[Recording]) -> None:
    count = 0
    for answer in answers(recorded, "latest stock quotes", "latest option quotes"):
        for symbol, raw in answer["quotes"].items():
            lossless(parsing.quote(symbol, raw), raw, QUOTE)
            count += 1
    for answer in answers(recorded, "stock snapshots"):
        for symbol, line in answer.items():
            lossless(parsing.quote(symbol, line["latestQuote"]), line["latestQuote"], QUOTE)
            count += 1
    assert count >= 4


def test_chains_arrive_whole_with_and_without_greeks(recorded: list[Recording]) -> None:
    listed = parsing.contract(
        {
            "symbol": "AAPL240126P00050000",
            "underlying_symbol": "AAPL",
            "type": "put",
            "strike_price": "50",
            "expiration_date": "2024-01-26",
            "size": "100",
        }
    )
    lines = [raw for page in answers(recorded, "chain", "option snapshots") for raw in page["snapshots"].values()]
    assert {"greeks" in raw for raw in lines} == {True, False}
    for raw in lines:
        line = parsing.snapshot(listed, raw)
        lossless(line.quote, raw["latestQuote"], QUOTE)
        lossless(line, raw.get("greeks", {}), GREEKS)
        assert same(line.iv, raw.get("impliedVolatility"))
        assert line.greeks_source == ("feed" if "greeks" in raw else None)


def test_bars_arrive_whole_over_every_page(recorded: list[Recording], clock: SteppedClock) -> None:
    pages = [answer for answer in answers(recorded, "stock bars") if answer["bars"]]
    assert any(page["next_page_token"] for page in pages)
    last: dict[str, Any] = {"bars": {}, "next_page_token": None}
    for page in pages:
        with serving(page, last) as url:
            broker = AlpacaBroker(BrokerConnection("PRACTICE", url, url, "PK1", "secret"), clock)
            frame = broker.daily_bars(list(page["bars"]), date(2020, 1, 1), date(2026, 1, 1))
            broker.close()
        sent = [(symbol, bar) for symbol, bars in page["bars"].items() for bar in bars]
        found = {(row["ticker"], row["session"].isoformat()): row for row in frame.iter_rows(named=True)}
        assert len(found) == len(sent)
        for symbol, bar in sent:
            row = found[symbol, bar["t"][:10]]
            lost = {name: (row[name], bar[wire]) for name, wire in BAR.items() if name in row}
            assert {name: pair for name, pair in lost.items() if not same(*pair)} == {}, symbol


@contextmanager
def serving(page: Any, last: Any) -> Iterator[str]:
    """A broker on loopback that answers ``page`` to whatever is asked, and ``last`` where a further page is."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            further = "page_token" in parse_qs(urlsplit(self.path).query)
            body = json.dumps(last if further else page).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
