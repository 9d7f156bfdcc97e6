"""``QuotedMarket``: what a session's price paths become: stock quotes, and option chains priced by the surface.

A subclass knows the prices (``market``: drawn from a seed, ``recorded``: played from minute bars) and says them through
a few methods; everything that is quoted around them is the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np

from trading_assets.domain.clock import require_utc
from trading_assets.domain.values import OptionContract, Right
from trading_assets.market.options import parse_occ
from trading_assets.market.sessions import Session
from trading_assets.simulation.chains import Chain, OptionMarket, OptionQuote
from trading_assets.simulation.contracts import expiries_on, list_contracts
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.surface import State
from trading_assets.simulation.universe import Listing

_LAST_KNOT = 59.0
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class StockQuote:
    """Stock quote at ``at``: dollars in whole cents, sizes in shares."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of a path: prices in one unit, the two seconds at which the path turns, the high before the low."""

    open: float
    high: float
    low: float
    close: float
    turns: tuple[float, float]
    high_first: bool

    def at(self, second: float) -> float:
        """The price ``second`` seconds into the minute: a broken line that visits open, high, low and close."""
        middle = (self.high, self.low) if self.high_first else (self.low, self.high)
        knots = (
            (0.0, self.open),
            (self.turns[0], middle[0]),
            (self.turns[1], middle[1]),
            (_LAST_KNOT, self.close),
        )
        for (start, first), (end, last) in pairwise(knots):
            if second <= end:
                return first + (last - first) * (second - start) / (end - start)
        return self.close


class QuotedMarket(ABC):
    """Stock and option quotes of one session. ``held`` are contracts that stay listed whatever the prices say."""

    def __init__(self, seed: int, session: Session, profile: MarketProfile, held: frozenset[str] = frozenset()) -> None:
        self.seed = seed
        self.session = session
        self.profile = profile
        self._held = held
        self._chains: dict[str, Chain] = {}

    # -- what a subclass knows ----------------------------------------------------------------------------------------

    @abstractmethod
    def listing(self, symbol: str) -> Listing:
        """The listing of a symbol; raises ``KeyError`` if it is not listed."""

    @abstractmethod
    def price_at(self, symbol: str, instant: datetime) -> float | None:
        """The traded price in dollars; outside a session the last close; None before the first known session."""

    @abstractmethod
    def _price_range(self, symbol: str) -> tuple[float, float, float]:
        """Lowest and highest price of the known minutes, and the close before today's session."""

    @abstractmethod
    def _state(self, symbol: str, instant: datetime) -> State | None:
        """What option prices depend on at an instant, or None where there is no price."""

    # -- stocks -------------------------------------------------------------------------------------------------------

    def quote_at(self, symbol: str, instant: datetime) -> StockQuote | None:
        """The stock quote around ``price_at``, at least a cent wide; None where there is no price."""
        price = self.price_at(symbol, instant)
        if price is None:
            return None
        half = max(0.5, price * 100.0 * self.profile.stock_spread / 2.0)
        bid = int(np.floor(round(price * 100.0 - half, 6)))
        ask = max(int(np.ceil(round(price * 100.0 + half, 6))), bid + 1)
        second = int(require_utc(instant).timestamp())
        mix = (second * 2654435761 + self._mark(symbol) * 40503 + self.seed * 97) & 0xFFFFFFFF
        return StockQuote(
            symbol,
            Decimal(bid) / _HUNDRED,
            Decimal(ask) / _HUNDRED,
            100 * (1 + mix % 9),
            100 * (1 + (mix >> 8) % 9),
            require_utc(instant),
        )

    @abstractmethod
    def _mark(self, symbol: str) -> int:
        """A number of its own for each symbol, which varies its displayed sizes."""

    # -- options ------------------------------------------------------------------------------------------------------

    def expiries(self, underlying: str) -> tuple[date, ...]:
        """Listed expiries, nearest first; today's included where it is one."""
        return expiries_on(self.listing(underlying).cadence, self.session.day)

    def contracts(self, underlying: str) -> tuple[OptionContract, ...]:
        """Listed contracts by expiry, strike, and call before put."""
        return self._chain(underlying).contracts

    def chain_at(
        self,
        underlying: str,
        instant: datetime,
        symbols: Sequence[str] | None = None,
        *,
        expiry_from: date | None = None,
        expiry_to: date | None = None,
        strike_from: float | None = None,
        strike_to: float | None = None,
        right: Right | None = None,
    ) -> list[OptionMarket]:
        """The markets of all listed contracts that pass the filters (bounds included), in listing order.

        Expired contracts are left out from their 16:00 on; unknown symbols are left out; empty where there is no price.
        Raises ``KeyError`` for an unlisted underlying.
        """
        chain = self._chain(underlying)
        state = self._state(underlying, instant)
        if state is None:
            return []
        rows = chain.select(symbols, expiry_from, expiry_to, strike_from, strike_to, right)
        rows = rows[chain.terms.expiry_seconds[rows] > state.seconds]
        return chain.markets(rows, state, require_utc(instant))

    def option_quote(self, occ: str, instant: datetime) -> OptionQuote | None:
        """Bid and ask of one contract, equal to the chain's; None if it is not listed, has expired or has no price.

        Raises ``ValueError`` for a malformed symbol.
        """
        contract = parse_occ(occ)
        try:
            chain = self._chain(contract.underlying)
        except KeyError:
            return None
        row = chain.row_of(occ)
        state = self._state(contract.underlying, instant) if row is not None else None
        if row is None or state is None or chain.terms.expiry_seconds[row] <= state.seconds:
            return None
        return chain.quote(row, state, require_utc(instant))

    def _chain(self, underlying: str) -> Chain:
        chain = self._chains.get(underlying)
        if chain is None:
            listing = self.listing(underlying)
            low, high, previous = self._price_range(underlying)
            listed = list_contracts(listing, self.session.day, low, high, previous)
            known = {contract.symbol for contract in listed}
            kept = [parse_occ(symbol) for symbol in sorted(self._held - known) if symbol[:-15] == underlying]
            contracts = (*listed, *(contract for contract in kept if contract.expiry >= self.session.day))
            chain = Chain(listing, contracts, self.session.day, previous, self.seed, self.profile)
            self._chains[underlying] = chain
        return chain
