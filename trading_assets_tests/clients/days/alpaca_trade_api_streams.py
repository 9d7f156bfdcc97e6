"""The streams of ``alpaca-trade-api``: one object with all of them. It has none for options."""

from __future__ import annotations

import threading
from typing import Any

from alpaca_trade_api.common import URL
from alpaca_trade_api.stream import Stream

from trading_assets_tests.clients.days.driver import Day, number, order_of, plain, until

_NANOSECONDS = 1_000_000


class AlpacaTradeApiStreams:
    """Listening to trade updates and watching market data."""

    def __init__(self, day: Day) -> None:
        self._names = day.fields["order"]
        self._stream = Stream(day.key, day.secret, base_url=URL(day.url), data_stream_url=URL(day.stream_url))
        self._heard: list[dict[str, Any]] = []
        self._seen: dict[str, list[Any]] = {"bars": [], "news": []}

    def listen(self) -> None:
        async def hear(update: Any) -> None:
            told = update._raw
            self._heard.append(
                {
                    "event": update.event,
                    "order_id": update.order["id"],
                    "order": order_of(update.order, self._names),
                    "qty": number(told.get("qty")),
                    "price": number(told.get("price")),
                    "position_qty": number(told.get("position_qty")),
                    "execution_id": told.get("execution_id"),
                    "timestamp": plain(update.timestamp, "timestamp"),
                }
            )

        self._stream.subscribe_trade_updates(hear)
        threading.Thread(target=self._stream.run, daemon=True).start()
        # The client says nothing when it is ready; the requests of the next steps give the exchange time to read.
        until(lambda: self._stream._trading_ws._running, "the stream of trade updates")

    def heard(self, order_id: str, event: str) -> Any:
        def told() -> bool:
            return any(update["order_id"] == order_id and update["event"] == event for update in self._heard)

        until(told, f"{event} of {order_id}")
        self._stream.stop()
        return self._heard

    def watch(self, stocks: list[str], option: str) -> None:
        async def bar(seen: Any) -> None:
            values = (seen.open, seen.high, seen.low, seen.close, seen.volume, seen.trade_count, seen.vwap)
            self._seen["bars"].append([seen.symbol, seen.timestamp // _NANOSECONDS, *map(number, values)])

        async def news(seen: Any) -> None:
            created = seen.created_at.to_unix_nano() // _NANOSECONDS
            self._seen["news"].append([seen.id, seen.headline, created, seen.symbols])

        self._stream.subscribe_bars(bar, *stocks)
        self._stream.subscribe_news(news, "*")
        until(lambda: self._stream._data_ws._running, "the stream of stocks")
        until(lambda: self._stream._news_ws._running, "the stream of news")

    def watched(self, bars: int, news: int, quote: int) -> Any:
        until(lambda: len(self._seen["bars"]) >= bars, f"{bars} bars")
        until(lambda: len(self._seen["news"]) >= news, f"{news} headlines")
        # What comes before a stream has ended is not part of it.
        return {kind: list(rows) for kind, rows in self._seen.items()}
