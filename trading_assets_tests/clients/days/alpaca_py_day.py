"""The day through ``alpaca-py``."""

from __future__ import annotations

from datetime import date, datetime
from importlib.metadata import version
from typing import Any

from alpaca.common.exceptions import APIError
from alpaca.data.historical import NewsClient, OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    NewsRequest,
    OptionChainRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockSnapshotRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading import requests
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import OrderClass, QueryOrderStatus

from trading_assets_tests.clients.days.alpaca_py_streams import AlpacaPyStreams
from trading_assets_tests.clients.days.driver import Day, main, number, order_of, picked, plain

_REQUESTS = {
    "market": requests.MarketOrderRequest,
    "limit": requests.LimitOrderRequest,
    "stop": requests.StopOrderRequest,
    "stop_limit": requests.StopLimitOrderRequest,
    "trailing_stop": requests.TrailingStopOrderRequest,
}
_FRAMES = {"1Min": TimeFrame.Minute, "1Day": TimeFrame.Day}


class AlpacaPy(AlpacaPyStreams):
    """Every step of a day as calls of ``alpaca-py``."""

    Error = APIError

    def __init__(self, day: Day) -> None:
        super().__init__(day)
        self._fields = day.fields
        self._trading = TradingClient(day.key, day.secret, paper=True, url_override=day.url)
        self._stocks = StockHistoricalDataClient(day.key, day.secret, url_override=day.url)
        self._options = OptionHistoricalDataClient(day.key, day.secret, url_override=day.url)
        self._news = NewsClient(day.key, day.secret, url_override=day.url)

    def refusal(self, error: APIError) -> dict[str, Any]:
        return {"status": error.status_code, "code": error.code, "message": error.message}

    # --- account ----------------------------------------------------------------------------------------------------

    def account(self) -> Any:
        return picked(self._trading.get_account(), self._fields["account"])

    def configurations(self) -> Any:
        return picked(self._trading.get_account_configurations(), self._fields["configurations"])

    def configure(self, **changes: Any) -> Any:
        known = self._trading.get_account_configurations()
        wanted = type(known).model_validate({**known.model_dump(), **changes})
        return picked(self._trading.set_account_configurations(wanted), self._fields["configurations"])

    def clock(self) -> Any:
        return picked(self._trading.get_clock(), self._fields["clock"])

    def calendar(self, start: str, end: str) -> Any:
        wanted = requests.GetCalendarRequest(start=date.fromisoformat(start), end=date.fromisoformat(end))
        days = self._trading.get_calendar(wanted)
        return [[f"{day.date}", f"{day.open:%H:%M}", f"{day.close:%H:%M}"] for day in days]

    def assets(self) -> Any:
        return [self._asset(asset) for asset in self._trading.get_all_assets()]

    def asset(self, symbol: str) -> Any:
        return self._asset(self._trading.get_asset(symbol))

    def _asset(self, asset: Any) -> Any:
        return {"class": plain(asset.asset_class), **picked(asset, self._fields["asset"])}

    def activities(self, kind: str, page_size: int) -> Any:
        pages: list[Any] = []
        token: dict[str, Any] = {}
        while True:
            page = self._trading.get(f"/account/activities/{kind}", {"page_size": page_size, **token})
            pages += [picked(row, self._fields["activity"]) for row in page]
            if len(page) < page_size:
                return pages
            token = {"page_token": page[-1]["id"]}

    def history(self) -> Any:
        wanted = requests.GetPortfolioHistoryRequest(period="1W", timeframe="1D")
        return picked(self._trading.get_portfolio_history(wanted), self._fields["history"])

    # --- orders -----------------------------------------------------------------------------------------------------

    def submit(self, **order: Any) -> Any:
        request = _REQUESTS[order.pop("type")]
        return self._order(self._trading.submit_order(request(**order)))

    def combine(self, legs: list[dict[str, Any]], **order: Any) -> Any:
        wanted = [requests.OptionLegRequest(**leg) for leg in legs]
        request = requests.LimitOrderRequest(order_class=OrderClass.MLEG, legs=wanted, **order)
        return self._order(self._trading.submit_order(request))

    def replace(self, order_id: str, **changes: Any) -> Any:
        wanted = requests.ReplaceOrderRequest(**changes)
        return self._order(self._trading.replace_order_by_id(order_id, wanted))

    def cancel(self, order_id: str) -> Any:
        self._trading.cancel_order_by_id(order_id)

    def cancel_all(self) -> Any:
        return sorted([str(line.id), line.status] for line in self._trading.cancel_orders())

    def order(self, order_id: str, nested: bool) -> Any:
        wanted = requests.GetOrderByIdRequest(nested=nested)
        return self._order(self._trading.get_order_by_id(order_id, wanted))

    def order_by_client_id(self, client_order_id: str) -> Any:
        return self._order(self._trading.get_order_by_client_id(client_order_id))

    def orders(self, status: str, nested: bool, limit: int) -> Any:
        wanted = requests.GetOrdersRequest(status=QueryOrderStatus(status), nested=nested, limit=limit)
        return [self._order(order) for order in self._trading.get_orders(wanted)]

    def _order(self, order: Any) -> Any:
        return order_of(order, self._fields["order"])

    # --- positions --------------------------------------------------------------------------------------------------

    def positions(self) -> Any:
        return [picked(position, self._fields["position"]) for position in self._trading.get_all_positions()]

    def position(self, symbol: str) -> Any:
        return picked(self._trading.get_open_position(symbol), self._fields["position"])

    def close(self, symbol: str, qty: str | None) -> Any:
        part = None if qty is None else requests.ClosePositionRequest(qty=qty)
        return self._order(self._trading.close_position(symbol, part))

    def close_all(self) -> Any:
        lines = self._trading.close_all_positions()
        return sorted(self._closed(line) for line in lines)

    def _closed(self, line: Any) -> list[Any]:
        """The order that closes a position, or the code of the refusal."""
        if line.status == 200:
            return [line.symbol, line.status, str(line.body.id), plain(line.body.side)]
        return [line.symbol, line.status, line.body.code]

    # --- contracts and market data ----------------------------------------------------------------------------------

    def contracts(self, underlying: str, first: str, last: str, limit: int) -> Any:
        found: list[Any] = []
        token: str | None = None
        while True:
            wanted = requests.GetOptionContractsRequest(
                underlying_symbols=[underlying],
                expiration_date_gte=first,
                expiration_date_lte=last,
                limit=limit,
                page_token=token,
            )
            page = self._trading.get_option_contracts(wanted)
            found += [self._contract(contract) for contract in page.option_contracts]
            token = page.next_page_token
            if not token:
                return found

    def contract(self, symbol: str) -> Any:
        return self._contract(self._trading.get_option_contract(symbol))

    def _contract(self, contract: Any) -> Any:
        return {"strike_price": number(contract.strike_price), **picked(contract, self._fields["contract"])}

    def chain(self, underlying: str, first: str, last: str) -> Any:
        wanted = OptionChainRequest(underlying_symbol=underlying, expiration_date_gte=first, expiration_date_lte=last)
        chain = self._options.get_option_chain(wanted)
        return {symbol: self._line(line) for symbol, line in chain.items()}

    def _line(self, line: Any) -> Any:
        greeks = line.greeks
        return {
            "quote": [line.latest_quote.bid_price, line.latest_quote.ask_price],
            "trade": None if line.latest_trade is None else line.latest_trade.price,
            "iv": line.implied_volatility,
            "greeks": None if greeks is None else [greeks.delta, greeks.gamma, greeks.theta, greeks.vega, greeks.rho],
        }

    def bars(self, symbols: list[str], timeframe: str, start: str, end: str) -> Any:
        wanted = StockBarsRequest(
            symbol_or_symbols=symbols,
            timeframe=_FRAMES[timeframe],
            start=datetime.fromisoformat(start),
            end=datetime.fromisoformat(end),
        )
        bars = self._stocks.get_stock_bars(wanted).data
        return {symbol: [_bar(bar) for bar in rows] for symbol, rows in bars.items()}

    def latest(self, symbols: list[str]) -> Any:
        bars = self._stocks.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols=symbols))
        quotes = self._stocks.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols=symbols))
        trades = self._stocks.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols=symbols))
        return {
            "bars": {symbol: _bar(bar) for symbol, bar in bars.items()},
            "quotes": {symbol: _quote(quote) for symbol, quote in quotes.items()},
            "trades": {symbol: _trade(trade) for symbol, trade in trades.items()},
        }

    def snapshots(self, symbols: list[str]) -> Any:
        found = self._stocks.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols=symbols))
        return {
            symbol: {
                "trade": _trade(line.latest_trade),
                "quote": _quote(line.latest_quote),
                "minute": _bar(line.minute_bar),
                "day": _bar(line.daily_bar),
                "before": _bar(line.previous_daily_bar),
            }
            for symbol, line in found.items()
        }

    def news(self, limit: int) -> Any:
        rows = self._news.get_news(NewsRequest(limit=limit)).data["news"]
        return [picked(row, self._fields["news"]) for row in rows]


def _bar(bar: Any) -> Any:
    values = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trade_count, bar.vwap)
    return [plain(bar.timestamp), *map(number, values)]


def _quote(quote: Any) -> Any:
    values = (quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size)
    return [plain(quote.timestamp), *map(number, values)]


def _trade(trade: Any) -> Any:
    return [plain(trade.timestamp), number(trade.price), number(trade.size)]


if __name__ == "__main__":
    main("alpaca-py", version("alpaca-py"), AlpacaPy)
