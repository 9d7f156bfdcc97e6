"""Why a contract of a chain may not be bought: every refusal of every contract, as ``code: sentence``.

What belongs here: the tests of listing, quote, liquidity and quality, made on columns, with the words for those that
fail. What does not: the points of quality and the choice among what is left (``strategy.contracts``). An unknown number
refuses; where a column lies within rounding of a limit the decimal numbers of the feed decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_assets.domain.values import ContractSnapshot, OptionContract, Right
from trading_assets.market.sessions import Session
from trading_assets.strategy.chain_columns import ChainColumns
from trading_assets.strategy.config_trading import ContractConfig, DteWindow
from trading_assets.strategy.contract_quality import QualityColumns, spread_fraction
from trading_assets.strategy.quoting import age_seconds, two_sided

Mask = NDArray[np.bool_]

#: Shares that a standard contract delivers.
STANDARD_MULTIPLIER = 100
#: Refusals of a contract that was never meant: another right, expiry or strike, or nothing that is traded here.
LISTING_CODES = frozenset({"right", "deliverable", "tradable", "expiry", "expiry_cutoff", "strike"})
_ROUNDING = 1e-9


def is_standard(contract: OptionContract) -> bool:
    """Whether the contract delivers 100 shares of its underlying: its root is the plain ticker, unadjusted."""
    return contract.root == contract.underlying.replace(".", "") and contract.multiplier == STANDARD_MULTIPLIER


def strike_range(spot: Decimal, config: ContractConfig) -> tuple[Decimal, Decimal]:
    """Lowest and highest strike that may be bought."""
    return spot * (1 - config.strike_range), spot * (1 + config.strike_range)


@dataclass(frozen=True, slots=True)
class Request:
    """What is looked for in a chain, and when; ``window`` is None where no expiry counts."""

    right: Right
    spot: Decimal
    window: DteWindow | None
    session: Session
    as_of: datetime
    config: ContractConfig


class _Book:
    """Refusals per contract, in the order in which they are entered."""

    def __init__(self, size: int) -> None:
        self.rows: list[list[str]] = [[] for _ in range(size)]

    def enter(self, failed: Any, said: str | Callable[[int], str]) -> None:
        """Enter ``said`` (or what it says of a row) for every row where ``failed`` holds."""
        for row in np.flatnonzero(np.asarray(failed, dtype=bool)).tolist():
            self.rows[row].append(said if isinstance(said, str) else said(row))


def refusals(
    chain: Sequence[ContractSnapshot], columns: ChainColumns, quality: QualityColumns, request: Request
) -> list[list[str]]:
    """The refusals of each contract in the order of the chain; an empty list for one that could be bought."""
    book = _Book(len(chain))
    _listing(book, chain, columns, request)
    _quotes(book, chain, columns, request)
    _liquidity(book, chain, columns, request.config)
    least = request.config.quality.minimum
    book.enter(np.isnan(columns.delta), "delta: unknown and not computable")
    book.enter(np.isnan(quality.total), "quality: unknown, a part of it is missing")
    with np.errstate(invalid="ignore"):
        low = quality.total < least
    book.enter(low, lambda row: f"quality: {quality.total[row]:.2f} is below {least:g}")
    return book.rows


def _listing(book: _Book, chain: Sequence[ContractSnapshot], columns: ChainColumns, request: Request) -> None:
    contracts, session, config = [row.contract for row in chain], request.session, request.config
    wanted, (low, high) = request.right, strike_range(request.spot, config)
    book.enter(
        [contract.right is not wanted for contract in contracts],
        lambda row: f"right: a {contracts[row].right.value}, expected a {wanted.value}",
    )
    book.enter(
        [not is_standard(contract) for contract in contracts],
        lambda row: f"deliverable: root {contracts[row].root} x {contracts[row].multiplier} is not standard",
    )
    book.enter([not contract.tradable for contract in contracts], "tradable: the broker does not trade this contract")
    dte, window = columns.expiry - session.day.toordinal(), request.window
    outside = np.full(len(chain), True) if window is None else (dte < window.minimum) | (dte > window.maximum)
    said = "none" if window is None else f"{window.minimum} to {window.maximum}"
    book.enter(outside, lambda row: f"expiry: {dte[row]} days to expiry, expected {said}")
    minutes = config.expiry_day_cutoff_minutes
    late = request.as_of >= session.close - timedelta(minutes=minutes)
    book.enter((dte == 0) & late, f"expiry_cutoff: expires today, less than {minutes} min before the close")
    book.enter(
        [not low <= contract.strike <= high for contract in contracts],
        lambda row: f"strike: {contracts[row].strike} is outside {low:.2f} to {high:.2f}",
    )


def _quotes(book: _Book, chain: Sequence[ContractSnapshot], columns: ChainColumns, request: Request) -> None:
    config = request.config
    ages = [age_seconds(row.quote.at, request.as_of, config.clock_skew_s) for row in chain]
    age = np.array(ages, dtype=np.float64)
    book.enter(np.isnan(age), "quote_age: unknown, or the quote lies in the future")
    with np.errstate(invalid="ignore"):
        old = age > config.max_quote_age_s
        wide, cheap = columns.spread - float(config.max_spread), columns.mid - float(config.min_premium)
    book.enter(old, lambda row: f"quote_age: {age[row]:.0f} s exceeds {config.max_quote_age_s:.0f} s")
    book.enter(
        np.isnan(columns.spread),
        lambda row: f"quote: not two-sided or crossed ({chain[row].quote.bid} x {chain[row].quote.ask})",
    )
    book.enter(
        _beyond(wide, lambda row: (spread_fraction(chain[row]) or Decimal(0)) > config.max_spread),
        lambda row: f"spread: {columns.spread[row]:.1%} of mid exceeds {float(config.max_spread):.1%}",
    )
    book.enter(
        _beyond(-cheap, lambda row: _mid(chain[row]) < config.min_premium),
        lambda row: f"premium: {_mid(chain[row])} is below {config.min_premium}",
    )


def _mid(snapshot: ContractSnapshot) -> Decimal:
    sides = two_sided(snapshot.quote)
    assert sides is not None
    return (sides[0] + sides[1]) / 2


def _beyond(excess: NDArray[np.float64], exactly: Callable[[int], bool]) -> Mask:
    """Where ``excess`` is positive; ``exactly`` decides where it is zero but for rounding. NaN is not beyond."""
    with np.errstate(invalid="ignore"):
        beyond: Mask = excess > _ROUNDING
        close = np.abs(excess) <= _ROUNDING
    for row in np.flatnonzero(close).tolist():
        beyond[row] = exactly(row)
    return beyond


def _liquidity(book: _Book, chain: Sequence[ContractSnapshot], columns: ChainColumns, config: ContractConfig) -> None:
    """Volume or open interest must be enough where the feed has them; what it never has is not asked for."""
    tests: list[tuple[str, str, NDArray[np.float64], int]] = []
    if config.feed_has_volume:
        tests.append(("volume", "volume", columns.volume, config.min_volume))
    if config.feed_has_open_interest:
        tests.append(("open interest", "open_interest", columns.open_interest, config.min_open_interest))
    if not tests:
        return
    with np.errstate(invalid="ignore"):
        liquid = np.any([column >= least for _name, _field, column, least in tests], axis=0)

    def said(row: int) -> str:
        seen = [(name, getattr(chain[row], field), least) for name, field, _column, least in tests]
        return "liquidity: " + " and ".join(
            f"{name} {'unknown' if number is None else number} (least {least})" for name, number, least in seen
        )

    book.enter(~liquid, said)
