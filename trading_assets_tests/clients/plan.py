"""The scripted day: every step that each client is asked for, with prices taken from the exchange's own market.

A step is a label, what is to be done (a method of the scripts' clients), and its arguments in the broker's words.
``@label`` in an argument is the id of the order that the step of that label made, ``@label/1`` that of its second leg.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from trading_assets.exchange.config import ExchangeConfig
from trading_assets.exchange.markets import simulated_port
from trading_assets_tests.exchange.venue_process import (
    CLOSE,
    KEY,
    OPEN,
    SECRET,
    SESSION,
    TOKEN,
    Exchange,
    configuration,
)

START = OPEN + timedelta(minutes=30)
#: When the clock stands for a last time within the session.
QUIET = START + timedelta(minutes=20)
WATCHED = ("KO", "PFE")
STOCKS = ("BAC", "KO", "MSFT", "PFE", "XOM")
#: The last event of the day: what was told before it has been heard once it was.
LAST = "left to expire"

#: What a script reports of each kind of answer, in the broker's names.
FIELDS: dict[str, list[str]] = {
    "account": [
        *("id", "account_number", "status", "currency", "cash", "equity", "last_equity", "portfolio_value"),
        *("buying_power", "options_buying_power", "long_market_value", "multiplier", "options_trading_level"),
        *("trading_blocked", "account_blocked", "trade_suspended_by_user", "created_at"),
    ],
    "configurations": [
        *("fractional_trading", "max_margin_multiplier", "no_shorting", "suspend_trade", "trade_confirm_email"),
        "max_options_trading_level",
    ],
    "clock": ["timestamp", "is_open", "next_open", "next_close"],
    "asset": ["id", "symbol", "name", "exchange", "status", "tradable", "marginable", "shortable", "fractionable"],
    "order": [
        *("id", "client_order_id", "symbol", "asset_id", "asset_class", "side", "type", "order_class"),
        *("time_in_force", "position_intent", "qty", "notional", "filled_qty", "filled_avg_price", "limit_price"),
        *("stop_price", "trail_price", "trail_percent", "hwm", "status", "extended_hours", "replaces", "replaced_by"),
        *("created_at", "updated_at", "submitted_at", "filled_at", "canceled_at", "expired_at", "replaced_at"),
    ],
    "position": [
        *("symbol", "asset_id", "exchange", "asset_class", "side", "qty", "qty_available", "avg_entry_price"),
        *("market_value", "cost_basis", "unrealized_pl", "unrealized_plpc", "current_price"),
    ],
    "activity": [
        *("id", "activity_type", "transaction_time", "type", "price", "qty", "side", "symbol", "leaves_qty"),
        *("cum_qty", "order_id", "order_status"),
    ],
    "history": ["timestamp", "equity", "profit_loss", "profit_loss_pct", "base_value", "timeframe"],
    "contract": ["id", "symbol", "status", "tradable", "root_symbol", "underlying_symbol", "type", "style", "size"],
    "news": ["id", "headline", "source", "url", "summary", "author", "created_at", "updated_at", "symbols"],
}


def plan(exchange: Exchange, key: str = KEY, secret: str = SECRET) -> dict[str, Any]:
    """The day for ``exchange``, which stands at ``START``."""
    assert exchange.now() == START, "a plan is written for a day that has not begun"
    return {
        "url": exchange.url,
        "stream_url": exchange.url.replace("http", "ws"),
        "key": key,
        "secret": secret,
        "token": TOKEN,
        "fields": FIELDS,
        "steps": list(_steps(exchange)),
    }


def _steps(exchange: Exchange) -> Iterator[dict[str, Any]]:
    quotes = exchange.get("/v2/stocks/quotes/latest", symbols=",".join(STOCKS)).json()["quotes"]
    ask = {symbol: quote["ap"] for symbol, quote in quotes.items()}
    first, last = SESSION + timedelta(days=3), SESSION + timedelta(days=14)
    calls = _calls(exchange, first, last)
    yield step("listen", "listen")
    yield step("watch", "watch", stocks=list(WATCHED), option=calls[0])
    yield from _reading()
    yield from _simple_orders(ask)
    yield from _refusals(ask)
    yield from _complex_orders(ask)
    yield from _options(calls, first, last)
    yield from _positions()
    yield _watched()
    yield from _end(ask)


def step(label: str, do: str, **arguments: Any) -> dict[str, Any]:
    """Something that succeeds."""
    return {"label": label, "do": do, "with": arguments, "refused": False}


def _refused(label: str, do: str, **arguments: Any) -> dict[str, Any]:
    return {**step(label, do, **arguments), "refused": True}


def _order(label: str, symbol: str, side: str, qty: int, kind: str, tif: str = "day", **more: Any) -> dict[str, Any]:
    order = {"symbol": symbol, "side": side, "qty": qty, "type": kind, "time_in_force": tif}
    return step(label, "submit", **order, client_order_id=f"day {label}", **more)


def _until(at: datetime) -> dict[str, Any]:
    return step(f"it is {at:%H:%M:%S}", "advance", to=at.isoformat())


def _price(value: float) -> float:
    return round(value, 2)


def _reading() -> Iterator[dict[str, Any]]:
    yield step("account at first", "account")
    yield step("configurations", "configurations")
    yield step("mails", "configure", trade_confirm_email="all")
    yield step("clock", "clock")
    yield step("calendar", "calendar", start="2026-03-30", end="2026-04-06")
    yield step("assets", "assets")
    yield step("asset", "asset", symbol="KO")
    yield _refused("unknown asset", "asset", symbol="NOSUCH")
    within = {"start": OPEN.isoformat(), "end": START.isoformat()}
    yield step("minutes", "bars", symbols=["KO", "PFE"], timeframe="1Min", **within)
    before = {"start": (OPEN - timedelta(days=20)).isoformat(), "end": START.isoformat()}
    yield step("days", "bars", symbols=["KO"], timeframe="1Day", **before)
    yield step("latest", "latest", symbols=["KO", "MSFT"])
    yield step("snapshots", "snapshots", symbols=["KO", "PFE"])
    yield step("news", "news", limit=5)


def _simple_orders(ask: dict[str, float]) -> Iterator[dict[str, Any]]:
    yield _order("market", "KO", "buy", 10, "market")
    yield _order("limit", "PFE", "buy", 8, "limit", limit_price=_price(ask["PFE"] * 1.01))
    yield _order("limit that rests", "MSFT", "buy", 1, "limit", "gtc", limit_price=5)
    yield _order("stop", "XOM", "buy", 2, "stop", stop_price=_price(ask["XOM"] * 0.999))
    prices = {"stop_price": _price(ask["BAC"] * 1.3), "limit_price": _price(ask["BAC"] * 1.31)}
    yield _order("stop limit", "BAC", "buy", 3, "stop_limit", "gtc", **prices)
    yield _until(START + timedelta(minutes=1))
    yield _order("trail by percent", "KO", "sell", 2, "trailing_stop", "gtc", trail_percent=5)
    yield _order("trail by amount", "PFE", "sell", 2, "trailing_stop", trail_price=0.01)
    yield step("limit replaced", "replace", order_id="@limit that rests", qty=2, limit_price=6.5)
    yield step("trail replaced", "replace", order_id="@trail by percent", trail=4.5)
    yield _until(START + timedelta(minutes=5))
    yield step("order", "order", order_id="@market", nested=False)
    yield step("order by client id", "order_by_client_id", client_order_id="day limit")
    yield step("limit canceled", "cancel", order_id="@limit replaced")


def _refusals(ask: dict[str, float]) -> Iterator[dict[str, Any]]:
    def refused(order: dict[str, Any]) -> dict[str, Any]:
        return {**order, "refused": True}

    yield _refused("unknown order", "order", order_id="00000000-0000-4000-8000-000000000000", nested=False)
    yield _refused("canceled twice", "cancel", order_id="@limit replaced")
    yield refused(_order("too dear", "MSFT", "buy", 900, "limit", limit_price=_price(ask["MSFT"])))
    yield refused(_order("off the tick", "MSFT", "buy", 1, "limit", limit_price=5.005))
    again = _order("market", "KO", "buy", 1, "market")
    yield {**refused(again), "label": "the same client id"}
    yield refused(_order("not held", "MSFT", "sell", 1, "market"))
    yield _refused("no such position", "position", symbol="MSFT")


def _complex_orders(ask: dict[str, float]) -> Iterator[dict[str, Any]]:
    def legs(symbol: str, profit: float = 1.5, stop: float = 0.5) -> dict[str, Any]:
        return {
            "take_profit": {"limit_price": _price(ask[symbol] * profit)},
            "stop_loss": {"stop_price": _price(ask[symbol] * stop)},
        }

    yield _order("bracket", "MSFT", "buy", 3, "market", "gtc", order_class="bracket", **legs("MSFT"))
    limits = {"stop_price": _price(ask["BAC"] * 0.6), "limit_price": _price(ask["BAC"] * 0.59)}
    oto = {"order_class": "oto", "stop_loss": limits}
    yield _order("oto", "BAC", "buy", 4, "limit", limit_price=_price(ask["BAC"] * 1.02), **oto)
    pair = legs("KO")
    yield _order("oco", "KO", "sell", 5, "limit", "gtc", order_class="oco", **pair, **pair["take_profit"])
    yield _until(START + timedelta(minutes=10))
    yield step("bracket with legs", "order", order_id="@bracket", nested=True)
    yield step("stop moved", "replace", order_id="@bracket/1", stop_price=_price(ask["MSFT"] * 1.02))
    yield _until(START + timedelta(minutes=11))
    yield step("bracket at its end", "order", order_id="@bracket", nested=True)
    yield step("open orders", "orders", status="open", nested=True, limit=100)


def _calls(exchange: Exchange, first: date, last: date) -> list[str]:
    """The contracts of the day: a call near the money, and the next ones above it."""
    asked = {"expiration_date_gte": first.isoformat(), "expiration_date_lte": last.isoformat(), "limit": 1000}
    chain = exchange.get("/v1beta1/options/snapshots/NVDA", type="call", **asked).json()["snapshots"]
    near = min(symbol for symbol, line in chain.items() if 0.4 < line["greeks"]["delta"] < 0.6)
    return sorted(symbol for symbol in chain if symbol >= near and symbol[:-8] == near[:-8])


def _options(calls: list[str], first: date, last: date) -> Iterator[dict[str, Any]]:
    within = {"underlying": "NVDA", "first": first.isoformat(), "last": last.isoformat()}
    yield step("contracts", "contracts", **within, limit=50)
    yield step("contract", "contract", symbol=calls[0])
    yield step("chain", "chain", **within)
    yield _order("option", calls[0], "buy", 2, "market", position_intent="buy_to_open")
    yield _combination(calls)
    yield _until(START + timedelta(minutes=12))
    yield _order("option out of reach", calls[0], "sell", 1, "limit", limit_price=90)
    yield step("option position", "position", symbol=calls[0])


def _combination(calls: list[str]) -> dict[str, Any]:
    """A call spread that pays a debit."""
    legs = [
        {"symbol": calls[2], "ratio_qty": 1, "side": "buy", "position_intent": "buy_to_open"},
        {"symbol": calls[4], "ratio_qty": 1, "side": "sell", "position_intent": "sell_to_open"},
    ]
    order = {"qty": 1, "limit_price": 3.5, "time_in_force": "day", "client_order_id": "day combination"}
    return step("combination", "combine", legs=legs, **order)


def _watched() -> dict[str, Any]:
    """All that the streams of market data tell until the clock stands at ``QUIET``."""
    drawn = simulated_port(ExchangeConfig.model_validate(configuration(START)), SESSION).headlines()
    news = sum(START < headline.published_at <= QUIET for headline in drawn)
    bars = len(WATCHED) * int((QUIET - START) / timedelta(minutes=1))
    return step(
        "what the market's streams told", "watched", bars=bars, news=news, quote=round(QUIET.timestamp() * 1000)
    )


def _positions() -> Iterator[dict[str, Any]]:
    yield step("positions", "positions")
    yield step("everything canceled", "cancel_all")
    yield step("position", "position", symbol="KO")
    yield step("a part closed", "close", symbol="KO", qty="4")
    yield _until(START + timedelta(minutes=13))
    yield step("the rest closed", "close", symbol="KO", qty=None)
    yield _until(START + timedelta(minutes=14))
    # What covers the short leg is refused as long as that leg is held.
    yield step("everything closed", "close_all")
    yield _until(START + timedelta(minutes=15))
    yield step("the rest of the spread closed", "close_all")
    yield _until(QUIET)
    yield step("nothing held", "positions")


def _end(ask: dict[str, float]) -> Iterator[dict[str, Any]]:
    yield _order("held over night", "XOM", "buy", 7, "limit", limit_price=_price(ask["XOM"] * 1.02))
    yield _order(LAST, "BAC", "buy", 1, "limit", limit_price=5)
    yield _until(CLOSE + timedelta(minutes=1))
    yield step("what the stream told", "heard", order_id=f"@{LAST}", event="expired")
    yield step("clock at last", "clock")
    yield step("fills", "activities", kind="FILL", page_size=5)
    yield step("history", "history")
    yield step("every order", "orders", status="all", nested=False, limit=500)
    yield step("every order with legs", "orders", status="all", nested=True, limit=500)
    yield step("positions at last", "positions")
    yield step("account at last", "account")
