"""What the market-data sockets tell between two instants of the exchange, in order of the instants.

Every source is a generator over (start, until] of one market: it computes what is followed and nothing else, as it is
asked for. An instant with nothing to tell may come with no messages, so that a long silence can be interrupted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from heapq import merge

from trading_assets.exchange import ticks
from trading_assets.exchange.bars import MINUTE, BarBook, day_so_far
from trading_assets.exchange.codecs import Message
from trading_assets.exchange.engine import Engine
from trading_assets.exchange.market_port import Headline
from trading_assets.exchange.newsroom import Newsroom, article
from trading_assets.exchange.subscriptions import ALL, BARS, DAILY_BARS, NEWS, QUOTES, STATUSES, STOCKS, TRADES
from trading_assets.exchange.subscriptions import Subscription as Followed

#: What became known at an instant.
Told = tuple[datetime, list[Message]]
_OPENED = {"sc": "T", "sm": "Trading Resumption", "rc": "", "rm": "Session opened"}
_CLOSED = {"sc": "H", "sm": "Trading Halt", "rc": "", "rm": "Session closed"}
_HALTED = {"sc": "H", "sm": "Trading Halt", "rc": "", "rm": "No trade for minutes"}
_RESUMED = {"sc": "T", "sm": "Trading Resumption", "rc": "", "rm": "Traded again"}


class Reporter:
    """Makes the messages of one venue's markets."""

    def __init__(self, bars: BarBook, newsroom: Newsroom) -> None:
        self._bars = bars
        self._newsroom = newsroom

    def between(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        """What ``followed`` is told of (start, until] in the session of ``engine``; several may share an instant."""
        if followed.feed.kind == NEWS:
            return self._news(engine, followed, start, until)
        if followed.feed.kind == STOCKS:
            sources = (
                self._statuses(engine, followed, start, until),
                self._stock_ticks(engine, followed, start, until),
                self._stock_bars(engine, followed, start, until),
            )
            return merge(*sources, key=lambda told: told[0])
        return self._option_ticks(engine, followed, start, until)

    def brought(self, before: Engine, engine: Engine, followed: Followed, at: datetime) -> list[Message]:
        """What is told because ``engine`` took over at ``at``: news that its market brings along."""
        if followed.feed.kind != NEWS:
            return []
        return _articles(self._newsroom.brought(before.market, engine.market, at), followed)

    def _news(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        if not followed.symbols[NEWS]:
            return
        for headline in self._newsroom.between(engine.market, start, until):
            yield headline.published_at, _articles([headline], followed)

    # --- stocks -----------------------------------------------------------------------------------------------------

    def _stock_ticks(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        trades, quotes = _stocks(engine, followed, TRADES), _stocks(engine, followed, QUOTES)
        if not trades and not quotes:
            return
        for second in ticks.seconds(engine.session, start, until):
            found: list[Message] = []
            for symbol in trades:
                trade = ticks.stock_trade_at(engine.market, symbol, second)
                if trade is not None:
                    found.append({"T": "t", "S": symbol, **trade})
            for symbol in quotes:
                quote = ticks.stock_quote_at(engine.market, symbol, second)
                if quote is not None:
                    found.append({"T": "q", "S": symbol, **quote})
            yield second, found

    def _stock_bars(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        minutes, days = _stocks(engine, followed, BARS), _stocks(engine, followed, DAILY_BARS)
        if not minutes and not days:
            return
        session = engine.session
        mark = max(start.replace(second=0, microsecond=0), session.open) + MINUTE
        while mark <= min(until, session.close):
            found: list[Message] = []
            for kind, symbols in (("b", minutes), ("d", days)):
                for symbol in symbols:
                    ended = self._bars.finished(engine.market, symbol, session.day, mark)
                    # In a minute without a trade neither the minute nor the day has a new bar.
                    if not ended or ended[-1]["t"] != mark - MINUTE:
                        continue
                    bar = ended[-1] if kind == "b" else day_so_far(ended, session.day)
                    found.append({"T": kind, "S": symbol, **bar})
            yield mark, found
            mark += MINUTE

    def _statuses(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        symbols, session = _stocks(engine, followed, STATUSES), engine.session
        if not symbols or until < session.open or start >= session.close:
            return
        changes: dict[datetime, list[Message]] = defaultdict(list)
        for symbol in symbols:
            halts = engine.market.halts(symbol, session.day)
            begins_halted = bool(halts) and halts[0][0] == session.open
            for begin, end in halts:
                changes[begin].append(_status(symbol, begin, _HALTED))
                if end < session.close:
                    changes[end].append(_status(symbol, end, _RESUMED))
            if not begins_halted:
                changes[session.open].append(_status(symbol, session.open, _OPENED))
            changes[session.close].append(_status(symbol, session.close, _CLOSED))
        for at in sorted(changes):
            if start < at <= until:
                yield at, changes[at]

    # --- options ----------------------------------------------------------------------------------------------------

    def _option_ticks(self, engine: Engine, followed: Followed, start: datetime, until: datetime) -> Iterator[Told]:
        quotes = [symbol for symbol in followed.symbols[QUOTES] if engine.listing.contract(symbol) is not None]
        by_underlying: dict[str, list[str]] = defaultdict(list)
        for symbol in followed.symbols[TRADES]:
            contract = engine.listing.contract(symbol)
            if contract is not None:
                by_underlying[contract.underlying].append(symbol)
        tapes = [
            ticks.OptionTape(engine.market, underlying, symbols, engine.session)
            for underlying, symbols in by_underlying.items()
        ]
        if not quotes and not tapes:
            return
        for second in ticks.seconds(engine.session, start, until):
            found: list[Message] = [{"T": "t", "S": s, **trade} for tape in tapes for s, trade in tape.at(second)]
            for symbol in quotes:
                quote = ticks.option_quote_at(engine.market, symbol, second)
                if quote is not None:
                    found.append({"T": "q", "S": symbol, **quote})
            yield second, found


def _stocks(engine: Engine, followed: Followed, channel: str) -> Sequence[str]:
    """The listed stocks that are followed in a channel."""
    symbols = followed.symbols[channel]
    if ALL in symbols:
        return sorted(engine.listing.assets)
    return [symbol for symbol in symbols if symbol in engine.listing.assets]


def _status(symbol: str, at: datetime, words: dict[str, str]) -> Message:
    return {"T": "s", "S": symbol, **words, "t": at, "z": "C"}


def _articles(headlines: Sequence[Headline], followed: Followed) -> list[Message]:
    """The messages of those headlines that are followed; one that names no stock goes to who follows everything."""
    wanted = set(followed.symbols[NEWS])
    return [
        {"T": "n", **article(headline)} for headline in headlines if ALL in wanted or wanted & set(headline.symbols)
    ]
