"""The day through ``alpaca-trade-api``, the broker's former Python client.

Its data interface finds the exchange by the client's own environment variable. What it has no method for (contracts,
chains) goes through its generic ``get`` and ``data_get``.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Any

from alpaca_trade_api.common import URL
from alpaca_trade_api.rest import REST, APIError, TimeFrame

from trading_assets_tests.clients.days.alpaca_trade_api_streams import AlpacaTradeApiStreams
from trading_assets_tests.clients.days.driver import Day, main, number, order_of, picked, plain

_FRAMES = {"1Min": TimeFrame.Minute, "1Day": TimeFrame.Day}


class AlpacaTradeApi(AlpacaTradeApiStreams):
    """Every step of a day as calls of ``alpaca-trade-api``."""

    Error = APIError

    def __init__(self, day: Day) -> None:
        super().__init__(day)
        os.environ["APCA_API_DATA_URL"] = day.url
        self._fields = day.fields
        self._api = REST(day.key, day.secret, URL(day.url))

    def refusal(self, error: APIError) -> dict[str, Any]:
        return {"status": error.status_code, "code": error.code, "message": str(error)}

    # --- account ----------------------------------------------------------------------------------------------------

    def account(self) -> Any:
        return picked(self._api.get_account(), self._fields["account"])

    def configurations(self) -> Any:
        return picked(self._api.get_account_configurations(), self._fields["configurations"])

    def configure(self, **changes: Any) -> Any:
        return picked(self._api.update_account_configurations(**changes), self._fields["configurations"])

    def clock(self) -> Any:
        return picked(self._api.get_clock(), self._fields["clock"])

    def calendar(self, start: str, end: str) -> Any:
        days = self._api.get_calendar(start, end)
        return [[f"{day.date.date()}", f"{day.open:%H:%M}", f"{day.close:%H:%M}"] for day in days]

    def assets(self) -> Any:
        return [self._asset(asset) for asset in self._api.list_assets()]

    def asset(self, symbol: str) -> Any:
        return self._asset(self._api.get_asset(symbol))

    def _asset(self, asset: Any) -> Any:
        return {"class": getattr(asset, "class"), **picked(asset, self._fields["asset"])}

    def activities(self, kind: str, page_size: int) -> Any:
        found: list[Any] = []
        token: str | None = None
        while True:
            page = self._api.get_activities(kind, page_size=page_size, page_token=token)
            found += [picked(row, self._fields["activity"]) for row in page]
            if len(page) < page_size:
                return found
            token = page[-1].id

    def history(self) -> Any:
        return picked(self._api.get_portfolio_history(period="1W", timeframe="1D"), self._fields["history"])

    # --- orders -----------------------------------------------------------------------------------------------------

    def submit(self, **order: Any) -> Any:
        # Its submit_order knows no position intent; the exchange infers one.
        order.pop("position_intent", None)
        return self._order(self._api.submit_order(**order))

    def combine(self, **order: Any) -> Any:
        # Its submit_order knows no legs; its generic post sends what it is given.
        return self._order(self._api.post("/orders", {"order_class": "mleg", "type": "limit", **order}))

    def replace(self, order_id: str, **changes: Any) -> Any:
        return self._order(self._api.replace_order(order_id, **changes))

    def cancel(self, order_id: str) -> Any:
        self._api.cancel_order(order_id)

    def cancel_all(self) -> Any:
        self._api.cancel_all_orders()

    def order(self, order_id: str, nested: bool) -> Any:
        return self._order(self._api.get_order(order_id, nested=nested))

    def order_by_client_id(self, client_order_id: str) -> Any:
        return self._order(self._api.get_order_by_client_order_id(client_order_id))

    def orders(self, status: str, nested: bool, limit: int) -> Any:
        return [self._order(order) for order in self._api.list_orders(status=status, nested=nested, limit=limit)]

    def _order(self, order: Any) -> Any:
        return order_of(order, self._fields["order"])

    # --- positions --------------------------------------------------------------------------------------------------

    def positions(self) -> Any:
        return [picked(position, self._fields["position"]) for position in self._api.list_positions()]

    def position(self, symbol: str) -> Any:
        return picked(self._api.get_position(symbol), self._fields["position"])

    def close(self, symbol: str, qty: str | None) -> Any:
        return self._order(self._api.close_position(symbol, qty=None if qty is None else float(qty)))

    def close_all(self) -> Any:
        lines = self._api.close_all_positions()
        return sorted(self._closed(line) for line in lines)

    def _closed(self, line: Any) -> list[Any]:
        """The order that closes a position, or the code of the refusal."""
        if line.status == 200:
            return [line.symbol, line.status, line.body["id"], line.body["side"]]
        return [line.symbol, line.status, line.body["code"]]

    # --- contracts and market data ----------------------------------------------------------------------------------

    def contracts(self, underlying: str, first: str, last: str, limit: int) -> Any:
        found: list[Any] = []
        asked = {"underlying_symbols": underlying, "expiration_date_gte": first, "expiration_date_lte": last}
        token: str | None = None
        while True:
            page = self._api.get("/options/contracts", {**asked, "limit": limit, "page_token": token})
            found += [self._contract(contract) for contract in page["option_contracts"]]
            token = page["next_page_token"]
            if not token:
                return found

    def contract(self, symbol: str) -> Any:
        return self._contract(self._api.get(f"/options/contracts/{symbol}"))

    def _contract(self, contract: Any) -> Any:
        return {"strike_price": number(contract["strike_price"]), **picked(contract, self._fields["contract"])}

    def chain(self, underlying: str, first: str, last: str) -> Any:
        found: dict[str, Any] = {}
        asked = {"expiration_date_gte": first, "expiration_date_lte": last, "limit": 1000}
        token: str | None = None
        while True:
            path, sent = f"/options/snapshots/{underlying}", {**asked, "page_token": token}
            page = self._api.data_get(path, sent, api_version="v1beta1")
            found |= {symbol: _line(line) for symbol, line in page["snapshots"].items()}
            token = page["next_page_token"]
            if not token:
                return found

    def bars(self, symbols: list[str], timeframe: str, start: str, end: str) -> Any:
        frame = self._api.get_bars(symbols, _FRAMES[timeframe], start, end).df
        found: dict[str, list[Any]] = {}
        for at, row in frame.iterrows():
            values = [row[name] for name in ("open", "high", "low", "close", "volume", "trade_count", "vwap")]
            found.setdefault(row["symbol"], []).append([plain(at), *map(_known, values)])
        return found

    def latest(self, symbols: list[str]) -> Any:
        return {
            "bars": {symbol: _bar(bar) for symbol, bar in self._api.get_latest_bars(symbols).items()},
            "quotes": {symbol: _quote(quote) for symbol, quote in self._api.get_latest_quotes(symbols).items()},
            "trades": {symbol: _trade(trade) for symbol, trade in self._api.get_latest_trades(symbols).items()},
        }

    def snapshots(self, symbols: list[str]) -> Any:
        return {
            symbol: {
                "trade": _trade(line.latest_trade),
                "quote": _quote(line.latest_quote),
                "minute": _bar(line.minute_bar),
                "day": _bar(line.daily_bar),
                "before": _bar(line.prev_daily_bar),
            }
            for symbol, line in self._api.get_snapshots(symbols).items()
        }

    def news(self, limit: int) -> Any:
        return [picked(row, self._fields["news"]) for row in self._api.get_news(limit=limit)]


def _known(value: Any) -> float | None:
    """A number of a data frame; the one that is not equal to itself stands for none."""
    return None if value is None or value != value else float(value)


def _bar(bar: Any) -> Any:
    return [plain(bar.t), *map(number, (bar.o, bar.h, bar.l, bar.c, bar.v, bar.n, bar.vw))]


def _quote(quote: Any) -> Any:
    return [plain(quote.t), *map(number, (quote.bp, quote.bs, quote.ap, getattr(quote, "as")))]


def _trade(trade: Any) -> Any:
    return [plain(trade.t), number(trade.p), number(trade.s)]


def _line(line: dict[str, Any]) -> Any:
    greeks = line.get("greeks")
    names = ("delta", "gamma", "theta", "vega", "rho")
    return {
        "quote": [line["latestQuote"]["bp"], line["latestQuote"]["ap"]],
        "trade": line["latestTrade"]["p"] if "latestTrade" in line else None,
        "iv": line.get("impliedVolatility"),
        "greeks": None if greeks is None else [greeks[name] for name in names],
    }


if __name__ == "__main__":
    main("alpaca-trade-api", version("alpaca-trade-api"), AlpacaTradeApi)
