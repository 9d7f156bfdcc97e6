"""Bars of stocks as the wire has them: whole sessions read once, what of them has ended, and the day so far.

Nothing here asks what time it is: who asks hands in the instant, and gets only what had ended by then.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from trading_assets.domain.clock import NEW_YORK
from trading_assets.exchange.market_port import MarketPort
from trading_assets.market.sessions import require_session, session_on

MINUTE = timedelta(minutes=1)
#: ``t`` (its start, UTC), ``o``, ``h``, ``l``, ``c``, ``v``, and ``n`` and ``vw``, which are None where not known.
Bar = dict[str, Any]


class BarBook:
    """The bars of one venue. Bars of a session are the same in every market that knows them, so they are read once."""

    def __init__(self) -> None:
        self._minutes: dict[tuple[str, date], list[Bar]] = {}
        self._days: dict[tuple[str, date], list[tuple[date, Bar]]] = {}

    def session(self, market: MarketPort, symbol: str, day: date) -> list[Bar]:
        """The minute bars of a whole session, the future too. A recorded minute without a trade has none."""
        if (symbol, day) not in self._minutes:
            rows = market.minute_bars(symbol, day)
            self._minutes[symbol, day] = [_bar(row, row["ts"].astimezone(UTC)) for row in rows.iter_rows(named=True)]
        return self._minutes[symbol, day]

    def finished(self, market: MarketPort, symbol: str, day: date, now: datetime) -> list[Bar]:
        """The session's minute bars whose minutes have ended by ``now``."""
        if require_session(day).open >= now:
            return []
        bars = self.session(market, symbol, day)
        return bars[: bisect_right(bars, now - MINUTE, key=lambda bar: bar["t"])]

    def last_minute(self, market: MarketPort, symbol: str, now: datetime) -> Bar | None:
        """The newest minute bar that has ended."""
        for day in reversed(market.minute_days()):
            finished = self.finished(market, symbol, day, now)
            if finished:
                return finished[-1]
        return None

    def daily(self, market: MarketPort, symbol: str, now: datetime) -> Iterator[Bar]:
        """Daily bars of the sessions that have closed by ``now``, labelled by their New York midnight."""
        key = (symbol, market.minute_days()[-1])
        if key not in self._days:
            rows = market.daily_bars(symbol).with_columns(
                trade_count=pl.lit(None, dtype=pl.Int64), vwap=pl.lit(None, dtype=pl.Float64)
            )
            self._days[key] = [
                (row["session"], _bar(row, midnight(row["session"]))) for row in rows.iter_rows(named=True)
            ]
        for day, bar in self._days[key]:
            session = session_on(day)
            if session is not None and session.close <= now:
                yield bar


def midnight(day: date) -> datetime:
    """The New York midnight at which ``day`` begins, UTC."""
    return datetime.combine(day, datetime.min.time(), NEW_YORK).astimezone(UTC)


def day_so_far(bars: Sequence[Bar], day: date) -> Bar:
    """The daily bar that minute bars of a session make; there must be one."""
    return merged(bars, midnight(day))


def merged(bars: Sequence[Bar], at: datetime) -> Bar:
    """The bar that begins at ``at`` and that these make, in order; there must be one."""
    return {
        "t": at,
        "o": bars[0]["o"],
        "h": max(bar["h"] for bar in bars),
        "l": min(bar["l"] for bar in bars),
        "c": bars[-1]["c"],
        "v": sum(bar["v"] for bar in bars),
        "n": _total([bar["n"] for bar in bars]),
        "vw": _average([(bar["vw"], bar["v"]) for bar in bars]),
    }


def _total(counts: list[int | None]) -> int | None:
    """The sum, or None where one is not known."""
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _average(weighted: list[tuple[float | None, int]]) -> float | None:
    """The mean weighted by volume, or None where a value is not known or nothing was traded."""
    known = [(value, weight) for value, weight in weighted if value is not None]
    weight = sum(volume for _, volume in known)
    return sum(value * volume for value, volume in known) / weight if weight and len(known) == len(weighted) else None


def _bar(row: dict[str, Any], at: datetime) -> Bar:
    return {
        "t": at,
        "o": row["open"],
        "h": row["high"],
        "l": row["low"],
        "c": row["close"],
        "v": row["volume"],
        "n": row["trade_count"],
        "vw": row["vwap"],
    }
