"""One underlying's listed contracts with what is fixed for the session, and their values at an instant.

``Chain`` joins the listing (``contracts``) with the surface (``surface``): it owns the arrays, finds rows by symbol or
by filter, and turns the surface's numbers into the values that cross the border (``OptionMarket``, ``OptionQuote``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from trading_assets.domain.values import OptionContract, Right
from trading_assets.market.options import expiry_instant
from trading_assets.simulation.profile import MarketProfile
from trading_assets.simulation.randomness import generator
from trading_assets.simulation.surface import State, Terms, evaluate, interest, quote_only
from trading_assets.simulation.universe import Listing

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """Executable option quote at ``at``: dollars per share on the tick, sizes in contracts."""

    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int
    at: datetime


@dataclass(frozen=True, slots=True)
class OptionMarket:
    """A contract's whole market at ``at``. Greeks per share: theta per calendar day, vega per volatility point, rho per
    1 %; ``last`` is None before the contract's first trade of the session; ``volume`` counts today's contracts."""

    contract: OptionContract
    bid: Decimal
    ask: Decimal
    bid_size: int
    ask_size: int
    last: Decimal | None
    iv: float
    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float
    volume: int
    open_interest: int
    at: datetime


class Chain:
    """The contracts of one underlying in one session."""

    def __init__(
        self,
        listing: Listing,
        contracts: tuple[OptionContract, ...],
        session_day: date,
        previous_close: float,
        seed: int,
        profile: MarketProfile,
    ) -> None:
        self.listing = listing
        self.contracts = contracts
        self._profile = profile
        self._rows = {contract.symbol: row for row, contract in enumerate(contracts)}
        self._strike = np.array([float(contract.strike) for contract in contracts])
        self._is_call = np.array([contract.right is Right.CALL for contract in contracts])
        self._ordinal = np.array([contract.expiry.toordinal() for contract in contracts])
        instants = {c.expiry: expiry_instant(c.expiry).timestamp() for c in contracts}
        jitter = generator(seed, "contracts", listing.symbol, session_day).random(len(contracts))
        days = (self._ordinal - session_day.toordinal()).astype(np.float64)
        held, traded = interest(listing, self._strike, days, previous_close, jitter)
        # Market makers are there in one name and hardly in another, and not the same ones every day.
        mood = float(generator(seed, "market makers", listing.symbol, session_day).standard_normal())
        presence = math.exp(profile.option_spread_noise * mood)
        self.terms = Terms(
            strike=self._strike,
            is_call=self._is_call,
            expiry_seconds=np.array([instants[contract.expiry] for contract in contracts]),
            jitter=jitter,
            open_interest=held,
            day_volume=traded,
            width=(0.8 + 0.4 * jitter) * presence,
        )
        self._single: dict[int, Terms] = {}

    def row_of(self, symbol: str) -> int | None:
        """Row of an OCC symbol, or None if it is not listed."""
        return self._rows.get(symbol)

    def select(
        self,
        symbols: Sequence[str] | None,
        expiry_from: date | None,
        expiry_to: date | None,
        strike_from: float | None,
        strike_to: float | None,
        right: Right | None,
    ) -> NDArray[np.int64]:
        """Rows that pass all given filters (bounds included), in listing order; unknown symbols are left out."""
        keep = np.ones(len(self.contracts), dtype=bool)
        if symbols is not None:
            keep[:] = False
            keep[[self._rows[symbol] for symbol in symbols if symbol in self._rows]] = True
        if expiry_from is not None:
            keep &= self._ordinal >= expiry_from.toordinal()
        if expiry_to is not None:
            keep &= self._ordinal <= expiry_to.toordinal()
        if strike_from is not None:
            keep &= self._strike >= strike_from
        if strike_to is not None:
            keep &= self._strike <= strike_to
        if right is not None:
            keep &= self._is_call == (right is Right.CALL)
        return np.flatnonzero(keep)

    def markets(self, rows: NDArray[np.int64], state: State, at: datetime) -> list[OptionMarket]:
        """The markets of some rows at one instant."""
        if len(rows) == 0:
            return []
        terms = self.terms.take(rows)
        market = evaluate(self.listing, terms, state, self._profile)
        greeks = market.greeks
        # A trade prints on a side of the quote, which is on the tick; its mid need not be.
        last = np.where(terms.jitter < 0.5, market.bid, market.ask) * (market.volume > 0)
        columns = zip(
            rows.tolist(),
            market.bid.tolist(),
            market.ask.tolist(),
            market.bid_size.tolist(),
            market.ask_size.tolist(),
            last.tolist(),
            market.iv.tolist(),
            greeks.delta.tolist(),
            greeks.gamma.tolist(),
            greeks.theta.tolist(),
            greeks.vega.tolist(),
            greeks.rho.tolist(),
            market.volume.tolist(),
            terms.open_interest.tolist(),
            strict=True,
        )
        result = []
        for row, bid, ask, bid_size, ask_size, print_, iv, delta, gamma, theta, vega, rho, volume, held in columns:
            result.append(
                OptionMarket(
                    self.contracts[row],
                    Decimal(bid) / _HUNDRED,
                    Decimal(ask) / _HUNDRED,
                    bid_size,
                    ask_size,
                    Decimal(print_) / _HUNDRED if print_ > 0 else None,
                    iv,
                    delta,
                    gamma,
                    theta,
                    vega,
                    rho,
                    volume,
                    held,
                    at,
                )
            )
        return result

    def quote(self, row: int, state: State, at: datetime) -> OptionQuote:
        """Bid and ask of one row: the same numbers as ``markets``, without Greeks."""
        terms = self._single.get(row)
        if terms is None:
            terms = self._single[row] = self.terms.take(np.array([row]))
        bid, ask, bid_size, ask_size = quote_only(self.listing, terms, state, self._profile)
        return OptionQuote(
            self.contracts[row].symbol,
            Decimal(int(bid[0])) / _HUNDRED,
            Decimal(int(ask[0])) / _HUNDRED,
            int(bid_size[0]),
            int(ask_size[0]),
            at,
        )
