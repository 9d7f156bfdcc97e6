"""``SimulatedMarket``: one seeded trading session with its history, as the practice exchange sees it.

The market knows the whole day; revealing only the past is the exchange's task. Equal arguments give an equal market in
every process, and no answer depends on what was asked before.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trading_assets.domain.clock import require_utc
from trading_assets.market.frames import INSTANT
from trading_assets.market.sessions import Session, require_session
from trading_assets.simulation.headlines import Headline, write_headlines
from trading_assets.simulation.paths import draw_paths
from trading_assets.simulation.profile import MarketProfile, profile_of
from trading_assets.simulation.quoted import Minute, QuotedMarket
from trading_assets.simulation.shares import ShareChange, divisors, told_raw
from trading_assets.simulation.surface import State
from trading_assets.simulation.universe import BY_SYMBOL, INDEX, LISTINGS, SYMBOLS, Listing

_NAMESPACE = uuid.UUID("6f1c9a52-2f0e-5d3b-9a7e-0d6b54c1a3e8")
_LAST_KNOT = 59.0
_BUMP_DECAY_MINUTES = 45.0
_BUMP_PER_JUMP = 8.0
_INDEX_FEAR = 4.0
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class ListedAsset:
    """A listed underlying; ``id`` is derived from the symbol."""

    id: uuid.UUID
    symbol: str
    name: str
    exchange: str
    sector: str
    has_options: bool = True


class SimulatedMarket(QuotedMarket):
    """A session, its minute history and its daily history, drawn from ``seed``.

    ``session`` must be a trading day from 2018 on; ``scenario`` is ``normal``, ``quiet`` or ``adverse``, or hand in a
    ``profile`` of your own; ``history_sessions`` sessions before today have minute bars, ``daily_sessions`` (at least
    as many) daily bars; ``held`` contracts stay listed. ``changes`` are splits and dividends: every session is told in
    its own shares, and outside of sessions the last price in the shares of the session to come. Raises ``ValueError``
    for anything else.
    """

    def __init__(
        self,
        seed: int,
        session: date,
        scenario: str = "normal",
        history_sessions: int = 10,
        daily_sessions: int = 300,
        profile: MarketProfile | None = None,
        held: frozenset[str] = frozenset(),
        changes: Sequence[ShareChange] = (),
    ) -> None:
        if not 0 <= history_sessions <= daily_sessions:
            raise ValueError(f"expected 0 <= history {history_sessions} <= daily sessions {daily_sessions}")
        super().__init__(seed, require_session(session), profile if profile is not None else profile_of(scenario), held)
        self.scenario = scenario
        self._row = {symbol: row for row, symbol in enumerate(SYMBOLS)}
        paths = draw_paths(
            seed, session, self.profile, history_sessions=history_sessions, daily_sessions=daily_sessions
        )
        self._divisors = divisors(paths, self._row, changes)
        self._paths = told_raw(paths, self._divisors) if changes else paths
        self._by_day: dict[date, int] = {m.session.day: i for i, m in enumerate(self._paths.minutes)}
        self._sums: dict[int, NDArray[np.int64]] = {}

    @property
    def symbols(self) -> tuple[str, ...]:
        """All listed underlyings, sorted."""
        return SYMBOLS

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Sessions with minute bars, oldest first; the last is today."""
        return tuple(minutes.session for minutes in self._paths.minutes)

    def assets(self) -> tuple[ListedAsset, ...]:
        """All listed underlyings."""
        return tuple(
            ListedAsset(uuid.uuid5(_NAMESPACE, li.symbol), li.symbol, li.name, li.exchange, li.sector)
            for li in LISTINGS
        )

    def listing(self, symbol: str) -> Listing:
        """The listing of a symbol in the shares of today; raises ``KeyError`` if it is not listed."""
        listing, row = BY_SYMBOL[symbol], self._row[symbol]
        price, shares = self._divisors.price[-1, row], self._divisors.shares[-1, row]
        if price == shares == 1:
            return listing
        return replace(
            listing,
            base_price=listing.base_price / float(price),
            average_volume=max(1, round(listing.average_volume * float(shares))),
        )

    # -- the underlying -----------------------------------------------------------------------------------------------

    def minute_bars(self, symbol: str, session_day: date) -> pl.DataFrame:
        """All minute bars of one session: ts (bar start, UTC), open, high, low, close, volume, trade_count, vwap.

        Raises ``KeyError`` for an unlisted symbol or a session without minutes.
        """
        minutes, row = self._paths.minutes[self._by_day[session_day]], self._row[symbol]
        starts = pl.datetime_range(
            minutes.session.open, minutes.session.close, "1m", closed="left", time_unit="us", eager=True
        )
        return pl.DataFrame(
            {
                "ts": starts.cast(INSTANT),
                "open": minutes.open[row] / 100.0,
                "high": minutes.high[row] / 100.0,
                "low": minutes.low[row] / 100.0,
                "close": minutes.close[row] / 100.0,
                "volume": minutes.volume[row],
                "trade_count": minutes.trades[row],
                "vwap": minutes.vwap[row],
            }
        )

    def daily_bars(self, symbol: str) -> pl.DataFrame:
        """Daily bars, oldest first: session, open, high, low, close, volume; the last row is the whole of today.

        Sessions with minute bars are exactly the aggregates of their minutes.
        """
        row, days, minutes = self._row[symbol], self._paths.days, self._paths.minutes
        recent: dict[str, list[int]] = {
            "open": [int(m.open[row, 0]) for m in minutes],
            "high": [int(m.high[row].max()) for m in minutes],
            "low": [int(m.low[row].min()) for m in minutes],
            "close": [int(m.close[row, -1]) for m in minutes],
        }
        old = {"open": days.open, "high": days.high, "low": days.low, "close": days.close}
        prices = {name: np.concatenate([old[name][:, row], recent[name]]) / 100.0 for name in recent}
        volume = np.concatenate([days.volume[:, row], [int(m.volume[row].sum()) for m in minutes]])
        return pl.DataFrame(
            {
                "session": [s.day for s in days.sessions] + [m.session.day for m in minutes],
                **prices,
                "volume": volume.astype(np.int64),
            }
        )

    def price_at(self, symbol: str, instant: datetime) -> float | None:
        """The traded price in dollars: a broken line within each minute that visits its open, high, low and close.

        Outside a session it is the last close, in the shares of the session to come as far as this market knows it;
        None before the first session with minutes.
        """
        row = self._row[symbol]
        found = self._locate(instant)
        return None if found is None else self._price(row, *found) / self._turned(row, found[0], instant)

    def index_vix(self, instant: datetime) -> float | None:
        """Level of the volatility index in points: its level at the open, moved against the index's return since."""
        found = self._locate(instant)
        if found is None:
            return None
        number, minute, second = found
        minutes = self._paths.minutes[number]
        row = self._row[INDEX]
        move = self._price(row, number, minute, second) / (int(minutes.open[row, 0]) / 100.0) - 1.0
        level = self._paths.vix[minutes.session.day] * (1.0 - _INDEX_FEAR * move)
        return round(max(9.0, level), 2)

    # -- news ---------------------------------------------------------------------------------------------------------

    def headlines(self, session_day: date | None = None) -> tuple[Headline, ...]:
        """All news items of today, or of another session with minutes, in order of publication."""
        day = self.session.day if session_day is None else session_day
        session = self._paths.minutes[self._by_day[day]].session
        return write_headlines(self.seed, session, self._paths.events[day], self.profile)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _locate(self, instant: datetime) -> tuple[int, int, float] | None:
        """Session number, minute and second within it; the end of the last minute outside sessions; None before all."""
        at = require_utc(instant)
        for number in range(len(self._paths.minutes) - 1, -1, -1):
            session = self._paths.minutes[number].session
            if at >= session.close:
                return number, session.minutes - 1, 60.0
            if at >= session.open:
                minute, second = divmod((at - session.open).total_seconds(), 60.0)
                return number, int(minute), second
        return None

    def _turned(self, row: int, number: int, instant: datetime) -> float:
        """What a price of session ``number`` is divided by once that session is over and another one is to come."""
        session, last = self._paths.minutes[number].session, len(self._paths.minutes) - 1
        if number == last or require_utc(instant) < session.close:
            return 1.0
        return self._divisors.between(session.day, self._paths.minutes[number + 1].session.day, row)

    def _price(self, row: int, number: int, minute: int, second: float) -> float:
        minutes = self._paths.minutes[number]
        found = Minute(
            open=int(minutes.open[row, minute]),
            high=int(minutes.high[row, minute]),
            low=int(minutes.low[row, minute]),
            close=int(minutes.close[row, minute]),
            turns=(float(minutes.kink[row, minute, 0]), float(minutes.kink[row, minute, 1])),
            high_first=bool(minutes.high_first[row, minute]),
        )
        return found.at(second) / 100.0

    def _price_range(self, symbol: str) -> tuple[float, float, float]:
        row, sessions = self._row[symbol], self._paths.minutes
        today = sessions[-1].session.day
        turn = [self._divisors.between(m.session.day, today, row) for m in sessions]
        low = min(int(m.low[row].min()) / by for m, by in zip(sessions, turn, strict=True)) / 100.0
        high = max(int(m.high[row].max()) / by for m, by in zip(sessions, turn, strict=True)) / 100.0
        return low, high, self._previous_close(row, len(sessions) - 1)

    def _mark(self, symbol: str) -> int:
        return self._row[symbol]

    def _previous_close(self, row: int, number: int) -> float:
        """Close before session ``number`` in its shares; of the first known session, its own open."""
        here = self._paths.minutes[number].session.day
        if number > 0:
            before = self._paths.minutes[number - 1]
            return int(before.close[row, -1]) / 100.0 / self._divisors.between(before.session.day, here, row)
        days = self._paths.days
        if not days.sessions:
            return int(self._paths.minutes[0].open[row, 0]) / 100.0
        return int(days.close[-1, row]) / 100.0 / self._divisors.between(days.sessions[-1].day, here, row)

    def _state(self, underlying: str, instant: datetime) -> State | None:
        found = self._locate(instant)
        if found is None:
            return None
        number, minute, second = found
        row = self._row[underlying]
        minutes = self._paths.minutes[number]
        turned = self._turned(row, number, instant)
        elapsed = minute + second / 60.0
        bump = 0.0
        for event in self._paths.events[minutes.session.day]:
            if event.news and event.row == row and elapsed > event.first_minute:
                age = elapsed - event.first_minute
                bump += _BUMP_PER_JUMP * event.jump * float(np.exp(-age / _BUMP_DECAY_MINUTES))
        return State(
            spot=self._price(row, number, minute, second) / turned,
            previous_close=self._previous_close(row, number) / turned,
            seconds=require_utc(instant).timestamp(),
            bump=bump,
            volume_share=self._volume_share(row, number, minute, second),
            minutes_open=elapsed,
        )

    def _volume_share(self, row: int, number: int, minute: int, second: float) -> float:
        """Volume so far as a share of a usual session's; before today's open the last session's whole volume."""
        sums = self._sums.get(number)
        minutes = self._paths.minutes[number]
        if sums is None:
            sums = self._sums[number] = np.cumsum(minutes.volume, axis=1)
        volume = int(minutes.volume[row, minute])
        so_far = int(sums[row, minute]) - volume + volume * min(second, 60.0) / 60.0
        usual = LISTINGS[row].average_volume * self._divisors.shares[len(self._paths.days.sessions) + number, row]
        return so_far / float(usual)
