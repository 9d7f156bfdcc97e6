"""``RecordedMarket``: a session played from recorded minute bars, with options priced by the surface model.

The bars are what was recorded; what the recording does not know is modelled and said to be: the way of the price within
a minute, quotes, option chains, and daily bars older than the recording. A minute without a bar has no trade: the price
stands where it was and the quote keeps the time of the last trade, so that it grows old.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trading_assets.domain.clock import require_utc
from trading_assets.market.frames import INSTANT
from trading_assets.market.sessions import Session, require_session, sessions_between, shift
from trading_assets.simulation.profile import profile_of
from trading_assets.simulation.quoted import Minute, QuotedMarket
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.surface import State
from trading_assets.simulation.universe import BY_SYMBOL, INDEX, Cadence, Listing

#: Columns of a recording, one row per ticker and minute that traded: ``ts`` is the bar's start, UTC.
COLUMNS = ("ticker", "ts", "open", "high", "low", "close", "volume")
_SESSIONS_PER_YEAR = 252.0
#: Characters of an OCC symbol after its root.
_OCC_TAIL = 15
#: How far from the close before it the strikes of a session may lie: one bad print must not list a million contracts.
_STRIKE_REACH = 0.5
#: Shares a day of a name without a recorded day before the world's first session.
_USUAL_VOLUME = 1_000_000
#: Annual volatility where fewer than two recorded closes lie before the session.
_USUAL_VOLATILITY = 0.35
_LEAST_VOLATILITY, _MOST_VOLATILITY = 0.08, 2.0


@dataclass(frozen=True, slots=True)
class _Day:
    """One ticker's recorded minutes of one session: minute numbers since the open, and prices in dollars."""

    session: Session
    minute: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.int64]


class RecordedMarket(QuotedMarket):
    """One session of a recording with what lies before it.

    ``bars`` has ``COLUMNS``, sorted by ticker and ts, only minutes within XNYS sessions. ``session`` must be in it;
    sessions after it are ignored. ``daily_sessions`` daily bars are offered, of which those before the recording are
    extended backwards by a seeded walk. ``began`` is the first session of the world (default: this one): the walk is as
    volatile as what was recorded before it, so that it is the same in every session and knows nothing of any of them.
    Raises ``ValueError`` if the session or the columns are missing.
    """

    def __init__(
        self,
        bars: pl.DataFrame,
        session: date,
        seed: int,
        *,
        history_sessions: int = 31,
        daily_sessions: int = 300,
        held: frozenset[str] = frozenset(),
        began: date | None = None,
    ) -> None:
        missing = [name for name in COLUMNS if name not in bars.columns]
        if missing:
            raise ValueError(f"the recording lacks the columns {', '.join(missing)}")
        super().__init__(seed, require_session(session), profile_of("normal"), held)
        bars = bars.with_columns(day=pl.col("ts").dt.convert_time_zone("America/New_York").dt.date())
        bars = bars.filter(pl.col("day") <= session)
        self.recorded: tuple[date, ...] = tuple(bars["day"].unique().sort().to_list())
        if not self.recorded or self.recorded[-1] != session:
            reach = f"{self.recorded[0]} to {self.recorded[-1]}" if self.recorded else "no earlier session"
            raise ValueError(f"the recording has no minute of {session}; before it, it has {reach}")
        self._frames: dict[str, pl.DataFrame] = {
            str(key[0]): frame for key, frame in bars.partition_by("ticker", as_dict=True).items()
        }
        self._began = began or session
        # A name that stopped trading before the session is no longer listed, unless it is still held.
        roots = {symbol[:-15] if len(symbol) > _OCC_TAIL else symbol for symbol in held}
        current = set(bars.filter(pl.col("day") == session)["ticker"].to_list())
        current |= {symbol for symbol in self._frames if symbol.replace(".", "") in roots}
        self.symbols: tuple[str, ...] = tuple(sorted(current))
        self._frames = {symbol: self._frames[symbol] for symbol in self.symbols}
        self._minute_days = self.recorded[-(history_sessions + 1) :]
        self._daily_sessions = daily_sessions
        self._days = lru_cache(maxsize=None)(self._read_day)
        self._dailies = lru_cache(maxsize=None)(self._read_dailies)
        self._turns = lru_cache(maxsize=4096)(self._draw_turns)
        self._listings: dict[str, Listing] = {}

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Sessions with minute bars, oldest first; the last is today."""
        return tuple(require_session(day) for day in self._minute_days)

    def listing(self, symbol: str) -> Listing:
        """The name's known listing, or one made from the recording; price, volatility and volume are the recording's.

        Raises ``KeyError`` for a symbol that is not in the session.
        """
        found = self._listings.get(symbol)
        if found is None:
            if symbol not in self._frames:
                raise KeyError(symbol)
            known = BY_SYMBOL.get(symbol)
            before = self._dailies(symbol).filter(pl.col("session") < self.session.day)
            volumes = before.filter(~pl.col("extended"))["volume"].tail(20)
            average = volumes.mean() if len(volumes) else None
            found = Listing(
                symbol=symbol,
                name=known.name if known is not None else symbol,
                sector=known.sector if known is not None else "",
                exchange=known.exchange if known is not None else "NYSE",
                base_price=self._previous_close(symbol, self.session.day),
                annual_volatility=self._volatility(symbol),
                beta=known.beta if known is not None else 1.0,
                average_volume=max(1, round(float(average))) if isinstance(average, int | float) else 1_000_000,
                cadence=known.cadence if known is not None else Cadence.DAILY if symbol == INDEX else Cadence.FRIDAY,
            )
            self._listings[symbol] = found
        return found

    # -- bars ---------------------------------------------------------------------------------------------------------

    def minute_bars(self, symbol: str, session_day: date) -> pl.DataFrame:
        """The recorded minutes of one session: ts, open, high, low, close, volume; trade_count and vwap are null."""
        if session_day not in self._minute_days:
            raise KeyError(session_day)
        return (
            self._frames[symbol]
            .filter(pl.col("day") == session_day)
            .select(
                pl.col("ts").cast(INSTANT),
                "open",
                "high",
                "low",
                "close",
                pl.col("volume").cast(pl.Int64),
                trade_count=pl.lit(None, dtype=pl.Int64),
                vwap=pl.lit(None, dtype=pl.Float64),
            )
            .sort("ts")
        )

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """Daily bars, oldest first; the last row is the whole of today. ``extended`` marks those that were modelled."""
        return self._dailies(symbol)

    def extended_sessions(self) -> int:
        """How many of the daily bars of the fullest name lie before the recording and are modelled."""
        return min((int(self._dailies(symbol)["extended"].sum()) for symbol in self.symbols), default=0)

    def _read_dailies(self, symbol: str) -> pl.DataFrame:
        recorded = (
            self._frames[symbol]
            .sort("ts")
            .group_by("day", maintain_order=True)
            .agg(
                pl.col("open").first(),
                pl.col("high").max(),
                pl.col("low").min(),
                pl.col("close").last(),
                pl.col("volume").sum().cast(pl.Int64),
            )
            .rename({"day": "session"})
            .with_columns(extended=pl.lit(False))
        )
        lacking = self._daily_sessions + 1 - recorded.height
        if lacking <= 0:
            return recorded.tail(self._daily_sessions + 1)
        return pl.concat([self._extend(symbol, recorded, lacking), recorded])

    def _extend(self, symbol: str, recorded: pl.DataFrame, count: int) -> pl.DataFrame:
        """``count`` sessions before the recording: a walk backwards from its first open."""
        first = recorded["session"][0]
        days = [session.day for session in sessions_between(shift(first, -count).day, shift(first, -1).day)]
        known = recorded.filter(pl.col("session") < self._began)
        deviation = self._deviation(known["close"].to_numpy()) or _USUAL_VOLATILITY / math.sqrt(_SESSIONS_PER_YEAR)
        rng = generator(self.seed, "extended", symbol, first)
        # Drawn backwards: a session keeps its steps however many lie before it.
        steps = rng.standard_normal((len(days), 3))[::-1] * deviation
        # Backwards from the first recorded open; the walk has no drift of its own.
        close = float(recorded["open"][0]) * np.exp(-np.cumsum(steps[::-1, 0])[::-1] + steps[:, 0])
        opened = close * np.exp(-steps[:, 1] * 0.7)
        reach = np.abs(steps[:, 2]) * 0.6
        volume = int(np.median(known["volume"].to_numpy())) if known.height else _USUAL_VOLUME
        return pl.DataFrame(
            {
                "session": days,
                "open": np.round(opened, 2),
                "high": np.round(np.maximum(opened, close) * np.exp(reach), 2),
                "low": np.round(np.minimum(opened, close) * np.exp(-reach), 2),
                "close": np.round(close, 2),
                "volume": [volume] * len(days),
                "extended": [True] * len(days),
            },
            schema=recorded.schema,
        )

    @staticmethod
    def _deviation(closes: NDArray[np.float64]) -> float | None:
        """Standard deviation of daily log returns; None of fewer than three closes."""
        if len(closes) < 3:
            return None
        found = float(np.std(np.diff(np.log(closes)), ddof=1))
        return found if found > 0 else None

    def _volatility(self, symbol: str) -> float:
        """Annual volatility of the recorded closes before the session (at most 60): what options are priced with."""
        before = self._frames[symbol].filter(pl.col("day") < self.session.day).sort("ts")
        closes = before.group_by("day", maintain_order=True).agg(pl.col("close").last())["close"].tail(61).to_numpy()
        daily = self._deviation(closes)
        annual = _USUAL_VOLATILITY if daily is None else daily * math.sqrt(_SESSIONS_PER_YEAR)
        return min(max(annual, _LEAST_VOLATILITY), _MOST_VOLATILITY)

    # -- prices -------------------------------------------------------------------------------------------------------

    def price_at(self, symbol: str, instant: datetime) -> float | None:
        """The traded price in dollars; outside a session the last close; None before the first known trade."""
        found = self._last_trade(symbol, require_utc(instant))
        return None if found is None else found[0]

    def traded_at(self, symbol: str, instant: datetime) -> datetime | None:
        """When that price was traded: ``instant`` itself within a recorded minute, else the end of the last one."""
        found = self._last_trade(symbol, require_utc(instant))
        return None if found is None else found[1]

    def _last_trade(self, symbol: str, at: datetime) -> tuple[float, datetime] | None:
        if symbol not in self._frames:
            return None
        for day_key in reversed(self._minute_days):
            session = require_session(day_key)
            if at < session.open:
                continue
            day = self._days(symbol, day_key)
            elapsed = min(at, session.close) - session.open
            minute = int(elapsed.total_seconds() // 60)
            index = int(np.searchsorted(day.minute, minute, side="right")) - 1
            if index < 0:
                continue
            number = int(day.minute[index])
            if number == minute and at < session.close:
                second = elapsed.total_seconds() - 60.0 * minute
                return self._minute(symbol, day, index).at(second), at
            return float(day.close[index]), session.open + timedelta(minutes=number + 1)
        return None

    def _minute(self, symbol: str, day: _Day, index: int) -> Minute:
        first, second, chance = self._turns(symbol, day.session.day, int(day.minute[index]))
        rises = day.close[index] >= day.open[index]
        return Minute(
            float(day.open[index]),
            float(day.high[index]),
            float(day.low[index]),
            float(day.close[index]),
            (first, second),
            chance < (0.25 if rises else 0.75),
        )

    def _draw_turns(self, symbol: str, day: date, minute: int) -> tuple[float, float, float]:
        rng = generator(self.seed, "turns", symbol, day, str(minute))
        first, second = sorted(rng.uniform(6.0, 52.0, 2).tolist())
        return first, second, float(rng.random())

    def _read_day(self, symbol: str, day: date) -> _Day:
        session = require_session(day)
        frame = self._frames[symbol].filter(pl.col("day") == day).sort("ts")
        since = (frame["ts"] - session.open).dt.total_seconds().to_numpy() // 60
        prices = {name: frame[name].to_numpy().astype(np.float64) for name in ("open", "high", "low", "close")}
        return _Day(
            session=session,
            minute=since.astype(np.int64),
            **prices,
            volume=frame["volume"].to_numpy().astype(np.int64),
        )

    # -- what option prices depend on ---------------------------------------------------------------------------------

    def _previous_close(self, symbol: str, day: date) -> float:
        rows = self._dailies(symbol).filter(pl.col("session") < day)
        return float(rows["close"][-1]) if rows.height else float(self._frames[symbol]["open"][0])

    def _price_range(self, symbol: str) -> tuple[float, float, float]:
        known = self._frames[symbol].filter(pl.col("day").is_in(list(self._minute_days)))
        # Strikes are listed before the session: what it will reach is not known to them.
        before = known.filter(pl.col("day") < self.session.day)
        previous = self._previous_close(symbol, self.session.day)
        low, high = (before["low"].min(), before["high"].max()) if before.height else (previous, previous)
        least, most = previous * (1.0 - _STRIKE_REACH), previous * (1.0 + _STRIKE_REACH)
        return max(float(low), least), min(float(high), most), previous  # type: ignore[arg-type]

    def _state(self, symbol: str, instant: datetime) -> State | None:
        at = require_utc(instant)
        price = self.price_at(symbol, at)
        if price is None:
            return None
        session = next((s for s in reversed(self.sessions) if at >= s.open), self.sessions[0])
        day = self._days(symbol, session.day)
        elapsed = min(max((at - session.open).total_seconds() / 60.0, 0.0), float(session.minutes))
        done = int(np.searchsorted(day.minute, int(elapsed), side="left"))
        return State(
            spot=price,
            previous_close=self._previous_close(symbol, session.day),
            seconds=at.timestamp(),
            bump=0.0,
            volume_share=float(day.volume[:done].sum()) / self.listing(symbol).average_volume,
            minutes_open=elapsed,
        )

    def _mark(self, symbol: str) -> int:
        return zlib.crc32(symbol.encode())
