"""What a listener of a market-data socket follows, and the errors that the sockets know by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

ALL = "*"
QUOTES, TRADES, BARS, DAILY_BARS, STATUSES, NEWS = "quotes", "trades", "bars", "dailyBars", "statuses", "news"
_CORRECTIONS = ("corrections", "cancelErrors")
_STOCK_CHANNELS = (TRADES, QUOTES, BARS, "updatedBars", DAILY_BARS, STATUSES, "lulds", *_CORRECTIONS)
_EVERY_CHANNEL = (*_STOCK_CHANNELS, NEWS, "orderbooks")
#: Channels that a plan limits.
_LIMITED = (TRADES, QUOTES)
_LONGEST_SYMBOL = 32
MESSAGES = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    412: "option messages are only available in MessagePack format",
    413: "star subscription is not allowed for option quotes",
    500: "internal error",
}


class StreamError(Exception):
    """An error of the sockets. ``ends`` says whether the connection is closed after it."""

    def __init__(self, code: int, *, ends: bool = False) -> None:
        self.code = code
        self.ends = ends
        super().__init__(f"{code} {MESSAGES[code]}")

    @property
    def message(self) -> dict[str, Any]:
        """The message that tells of it."""
        return {"T": "error", "code": self.code, "msg": MESSAGES[self.code]}


@dataclass(frozen=True, slots=True)
class Feed:
    """One address. ``delay`` is how long after the fact it tells."""

    name: str
    kind: str
    channels: tuple[str, ...]
    delay: timedelta = timedelta(0)


STOCKS, OPTIONS = "stocks", "options"
_DELAY = timedelta(minutes=15)
STOCK_FEEDS = {
    feed.name: feed
    for feed in (
        Feed("iex", STOCKS, _STOCK_CHANNELS),
        Feed("sip", STOCKS, _STOCK_CHANNELS),
        Feed("delayed_sip", STOCKS, _STOCK_CHANNELS, _DELAY),
    )
}
OTHER_FEEDS = {
    feed.name: feed
    for feed in (
        Feed("news", NEWS, (NEWS,)),
        Feed("indicative", OPTIONS, (TRADES, QUOTES)),
        Feed("opra", OPTIONS, (TRADES, QUOTES)),
    )
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """The symbols by channel, in the order in which they were named."""

    feed: Feed
    symbols: Mapping[str, tuple[str, ...]]

    @classmethod
    def empty(cls, feed: Feed) -> Subscription:
        """Of nothing."""
        return cls(feed, dict.fromkeys(feed.channels, ()))

    @property
    def message(self) -> dict[str, Any]:
        """The full set, as it is told after every change."""
        return {"T": "subscription", **{channel: list(self.symbols[channel]) for channel in self.feed.channels}}

    def follows(self, *channels: str) -> bool:
        """Whether anything is followed in one of these channels."""
        return any(self.symbols.get(channel) for channel in channels)

    def changed(self, message: Mapping[str, Any], most: int | None) -> Subscription:
        """What it is after a subscribe or unsubscribe message; raises ``StreamError`` and stays as it was.

        ``most`` is the limit on quotes and trades; everything (``*``) is more than any limit.
        """
        named = {channel: _symbols(value) for channel, value in message.items() if channel != "action"}
        if not named or any(channel not in _EVERY_CHANNEL for channel in named):
            raise StreamError(400)
        if any(channel not in self.feed.channels for channel in named):
            raise StreamError(410)
        adds = message["action"] == "subscribe"
        symbols = dict(self.symbols)
        for channel, given in named.items():
            if adds and channel == QUOTES and self.feed.kind == OPTIONS and ALL in given:
                raise StreamError(413)
            before = symbols[channel]
            symbols[channel] = (
                tuple(dict.fromkeys((*before, *given)))
                if adds
                else tuple(symbol for symbol in before if symbol not in given)
            )
        # Who follows trades is told what becomes of them.
        symbols |= {channel: symbols[TRADES] for channel in _CORRECTIONS if channel in symbols}
        limited = [symbol for channel in _LIMITED for symbol in symbols.get(channel, ())]
        if adds and most is not None and (len(limited) > most or ALL in limited):
            raise StreamError(405)
        return Subscription(self.feed, symbols)


def _symbols(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or any(
        not isinstance(symbol, str) or not 0 < len(symbol) <= _LONGEST_SYMBOL for symbol in value
    ):
        raise StreamError(400)
    return tuple(value)
