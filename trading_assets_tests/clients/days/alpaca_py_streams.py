"""The streams of ``alpaca-py``, each in a thread as its users run it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from alpaca.data.live import NewsDataStream, OptionDataStream, StockDataStream
from alpaca.trading.models import TradeUpdate
from alpaca.trading.stream import TradingStream

from trading_assets_tests.clients.days.driver import Day, number, order_of, plain, until


class AlpacaPyStreams:
    """Listening to trade updates and watching market data."""

    def __init__(self, day: Day) -> None:
        self._names = day.fields["order"]
        self._updates = TradingStream(day.key, day.secret, paper=True, url_override=day.url_of("trade_updates"))
        self._stock_data = StockDataStream(day.key, day.secret, url_override=day.url_of("stocks"))
        self._news_data = NewsDataStream(day.key, day.secret, url_override=day.url_of("news"))
        self._option_data = OptionDataStream(day.key, day.secret, url_override=day.url_of("options"))
        self._heard: list[dict[str, Any]] = []
        self._seen: dict[str, list[Any]] = {"bars": [], "news": [], "quotes": []}

    def listen(self) -> None:
        async def hear(update: TradeUpdate) -> None:
            self._heard.append(
                {
                    "event": plain(update.event),
                    "order_id": str(update.order.id),
                    "order": order_of(update.order, self._names),
                    "qty": number(update.qty),
                    "price": number(update.price),
                    "position_qty": number(update.position_qty),
                    "execution_id": plain(update.execution_id),
                    "timestamp": plain(update.timestamp),
                }
            )

        self._updates.subscribe_trade_updates(hear)
        _run(self._updates)

    def heard(self, order_id: str, event: str) -> Any:
        def told() -> bool:
            return any(update["order_id"] == order_id and update["event"] == event for update in self._heard)

        until(told, f"{event} of {order_id}")
        _stop(self._updates)
        return self._heard

    def watch(self, stocks: list[str], option: str) -> None:
        async def bar(seen: Any) -> None:
            values = (seen.open, seen.high, seen.low, seen.close, seen.volume, seen.trade_count, seen.vwap)
            self._seen["bars"].append([seen.symbol, plain(seen.timestamp), *map(number, values)])

        async def news(seen: Any) -> None:
            self._seen["news"].append([seen.id, seen.headline, plain(seen.created_at), seen.symbols])

        async def quote(seen: Any) -> None:
            self._seen["quotes"].append([seen.symbol, plain(seen.timestamp), seen.bid_price, seen.ask_price])

        self._stock_data.subscribe_bars(bar, *stocks)
        self._news_data.subscribe_news(news, "*")
        self._option_data.subscribe_quotes(quote, option)
        for stream in (self._stock_data, self._news_data, self._option_data):
            _run(stream)

    def watched(self, bars: int, news: int, quote: int) -> Any:
        until(lambda: len(self._seen["bars"]) >= bars, f"{bars} bars")
        until(lambda: len(self._seen["news"]) >= news, f"{news} headlines")
        until(lambda: any(seen[1] >= quote for seen in self._seen["quotes"]), f"the quote of {quote}")
        for stream in (self._stock_data, self._news_data, self._option_data):
            _stop(stream)
        # What comes before a stream has ended is not part of it.
        return {kind: list(rows) for kind, rows in self._seen.items()}


def _run(stream: Any) -> None:
    """Connect and subscribe. The client says nothing when it is ready; the requests of the next steps give the exchange
    time to read what was sent."""
    threading.Thread(target=stream.run, daemon=True).start()
    until(lambda: stream._running, type(stream).__name__)


def _stop(stream: Any) -> None:
    asyncio.run_coroutine_threadsafe(stream.stop_ws(), stream._loop).result(30)
