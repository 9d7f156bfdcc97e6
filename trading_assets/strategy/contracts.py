"""Which option contract to buy: what to ask the broker for, what to refuse, and the best of the rest.

What belongs here: the choice among listed contracts at one instant, with every candidate's score and refusals, so that
"why this contract, and why not that one" is a look-up. What does not: fetching the chain, sizing, orders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
from numpy.typing import NDArray

from trading_assets.domain.money import CENT
from trading_assets.domain.values import ContractSnapshot, Direction, OptionContract, Right, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.chain_columns import (
    ChainColumns,
    chain_columns,
    described,
    known,
    with_computed_greeks,
)
from trading_assets.strategy.config_trading import ContractConfig, DteWindow
from trading_assets.strategy.contract_quality import PARTS, quality_columns, spread_fraction
from trading_assets.strategy.quoting import finite
from trading_assets.strategy.refusals import (
    LISTING_CODES,
    STANDARD_MULTIPLIER,
    Request,
    is_standard,
    refusals,
    strike_range,
)
from trading_assets.strategy.volatility_rank import VolatilityRank, rank_refusal

__all__ = [
    "STANDARD_MULTIPLIER",
    "Candidate",
    "ChainQuery",
    "ContractSelection",
    "chain_query",
    "dte_window",
    "is_standard",
    "right_for",
    "select_contract",
]


@dataclass(frozen=True, slots=True)
class ChainQuery:
    """The part of the chain that a choice needs, complete: every expiry and strike within, both ends included."""

    min_expiry: date
    max_expiry: date
    min_strike: Decimal
    max_strike: Decimal
    right: Right


@dataclass(frozen=True, slots=True)
class Candidate:
    """One listed contract as it was judged.

    ``quality`` is 0 to 100, or None where it cannot be told; ``parts`` are its points (None: the feed does not know);
    ``refusals`` read ``code: sentence``. A contract without refusals could have been bought.
    """

    symbol: str
    quality: float | None
    parts: Mapping[str, float | None]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContractSelection:
    """The choice, its runners-up and the reason.

    ``chosen`` carries computed Greeks where the feed had none. ``day_trade_exits`` says that the position follows the
    day-trade exits, also when ``fallback`` (a later expiry, since none of the usual ones is listed).
    """

    chosen: ContractSnapshot | None
    quality: float | None
    day_trade_exits: bool
    fallback: bool
    candidates: tuple[Candidate, ...]
    iv_rank: VolatilityRank
    reason: str


def dte_window(strategy: Strategy, config: ContractConfig) -> DteWindow:
    """The usual days to expiry of ``strategy``, without a day trade's fallback. ``ValueError`` for stocks."""
    if strategy is Strategy.DAY_TRADE:
        return config.day_dte
    if strategy is Strategy.SWING_TRADE:
        return config.swing_dte
    raise ValueError(f"strategy {strategy.value} trades no options")


def right_for(direction: Direction) -> Right:
    """Calls for a bullish signal, puts for a bearish one."""
    return Right.CALL if direction is Direction.BULLISH else Right.PUT


def chain_query(
    signal_direction: Direction, strategy: Strategy, spot: Decimal, session_day: date, config: ContractConfig
) -> ChainQuery:
    """What to fetch before ``select_contract`` can choose. ``ValueError`` without a positive ``spot`` or for stocks."""
    if finite(spot) is None or spot <= 0:
        raise ValueError(f"expected a positive price of the underlying, saw {spot}")
    window = dte_window(strategy, config)
    last = window.maximum
    if strategy is Strategy.DAY_TRADE:
        last = max(last, config.day_fallback_dte.maximum)
    low, high = strike_range(spot, config)
    return ChainQuery(
        min_expiry=session_day + timedelta(days=window.minimum),
        max_expiry=session_day + timedelta(days=last),
        min_strike=low.quantize(CENT, rounding=ROUND_CEILING),
        max_strike=high.quantize(CENT, rounding=ROUND_FLOOR),
        right=right_for(signal_direction),
    )


def _window_for(
    listed: Sequence[OptionContract], strategy: Strategy, session: Session, config: ContractConfig
) -> tuple[DteWindow | None, bool]:
    """The expiries that count here, and whether they are the fallback: the nearest one if no usual one is listed."""
    usual = dte_window(strategy, config)
    days = sorted({(contract.expiry - session.day).days for contract in listed})
    if any(usual.contains(dte) for dte in days):
        return usual, False
    if strategy is Strategy.DAY_TRADE:
        for dte in days:
            if config.day_fallback_dte.contains(dte):
                return DteWindow(minimum=dte, maximum=dte), True
    return None, False


def _targets(
    columns: ChainColumns, eligible: NDArray[np.bool_], strategy: Strategy, spot: float, config: ContractConfig
) -> NDArray[np.float64]:
    """Target strike of each contract's expiry: at the money for a swing; for a day trade the strike of an ``eligible``
    contract whose |delta| is closest to 0.35.

    Equally close strikes: the one nearer to spot, then the lower. NaN for an expiry in which no delta is known.
    """
    if strategy is Strategy.SWING_TRADE:
        return np.where(np.isin(columns.expiry, columns.expiry[eligible]), spot, np.nan)
    result = np.full(columns.strike.shape, np.nan)
    rows = np.flatnonzero(eligible & ~np.isnan(columns.delta))
    # Rounded, so that what is equally close counts as such in binary arithmetic too.
    off = np.round(np.abs(np.abs(columns.delta[rows]) - config.day_target_delta), 9)
    away = np.round(np.abs(columns.strike[rows] - spot), 9)
    for expiry in np.unique(columns.expiry[rows]):
        of_day = columns.expiry[rows] == expiry
        best = np.lexsort((columns.strike[rows][of_day], away[of_day], off[of_day]))[0]
        result[columns.expiry == expiry] = columns.strike[rows][of_day][best]
    return result


def select_contract(
    chain: Sequence[ContractSnapshot],
    *,
    spot: Decimal,
    direction: Direction,
    strategy: Strategy,
    session: Session,
    as_of: datetime,
    iv_rank: VolatilityRank,
    config: ContractConfig,
    only: str | None = None,
) -> ContractSelection:
    """The best contract of ``chain`` for a signal, or None with the reason. Every contract is judged and recorded.

    Highest quality wins; equals go to the tighter spread, then the nearer expiry, then the symbol. Unknown inputs
    refuse: a missing quote, age, delta or volatility rank is never read as a number. ``only`` leaves no other choice
    than the contract of that symbol (an add buys what is held), judged among all others.
    """
    day = strategy is Strategy.DAY_TRADE

    def answer(
        row: ContractSnapshot | None, quality: float | None, rows: Sequence[Candidate], late: bool, reason: str
    ) -> ContractSelection:
        return ContractSelection(row, quality, day, late, tuple(rows), iv_rank, reason)

    if finite(spot) is None or spot <= 0:
        return answer(None, None, (), False, "the price of the underlying is unknown")
    price = float(spot)
    underlying = chain[0].contract.underlying if chain else ""
    columns = with_computed_greeks(chain_columns(chain, as_of), spot=price, underlying=underlying, config=config)
    right, (low, high) = right_for(direction), strike_range(spot, config)
    listed = [r.contract.right is right and is_standard(r.contract) and r.contract.tradable for r in chain]
    window, fallback = _window_for(
        [row.contract for row, counts in zip(chain, listed, strict=True) if counts], strategy, session, config
    )
    eligible = np.array(
        [counts and low <= row.contract.strike <= high for row, counts in zip(chain, listed, strict=True)], dtype=bool
    )
    quality = quality_columns(
        columns,
        target=_targets(columns, eligible, strategy, price, config),
        band=config.day_delta if day else config.swing_delta,
        config=config,
    )
    judged = refusals(chain, columns, quality, Request(right, spot, window, session, as_of, config))
    totals = [known(total) for total in quality.total.tolist()]
    candidates = [
        Candidate(row.contract.symbol, total, dict(zip(PARTS, map(known, points), strict=True)), tuple(said))
        for row, total, said, *points in zip(
            chain, totals, judged, *(getattr(quality, part).tolist() for part in PARTS), strict=True
        )
    ]
    denied = rank_refusal(iv_rank, config)
    if denied is not None:
        return answer(None, None, candidates, fallback, denied)
    if not candidates:
        return answer(None, None, candidates, fallback, "the chain is empty")
    place, said = _held(candidates, only) if only is not None else _choose(chain, candidates)
    if place is None:
        return answer(None, None, candidates, fallback, said)
    return answer(described(chain[place], columns, place), candidates[place].quality, candidates, fallback, said)


def _choose(chain: Sequence[ContractSnapshot], candidates: Sequence[Candidate]) -> tuple[int | None, str]:
    """The place of the best contract, or None; with what is said of it."""
    best = _best(chain, candidates)
    if best is None:
        return None, _all_refused([row.refusals for row in candidates])
    row, total = best
    return row, f"{candidates[row].symbol} has the best quality, {total:.2f}, of {len(candidates)} contracts"


def _held(candidates: Sequence[Candidate], only: str) -> tuple[int | None, str]:
    """The place of the contract that is held, or None if it may not be bought; with what is said of it."""
    place = next((index for index, row in enumerate(candidates) if row.symbol == only), None)
    if place is None:
        return None, f"{only}, which is held, is not in the chain"
    held = candidates[place]
    if held.refusals or held.quality is None:
        return None, f"{only}, which is held, was refused: {', '.join(held.refusals) or 'unknown quality'}"
    return place, f"{only} is held, its quality is {held.quality:.2f}"


def _all_refused(judged: Sequence[Sequence[str]]) -> str:
    """How many contracts were refused and what refused most; those that were never meant count only if all were."""
    codes = [{refusal.partition(":")[0] for refusal in refusals} for refusals in judged]
    meant = [found for found in codes if not found & LISTING_CODES]
    counts = Counter(code for found in meant or codes for code in sorted(found))
    said = ", ".join(f"{code} {count}" for code, count in counts.most_common(3))
    if meant:
        return f"all {len(meant)} contracts of the right expiry and strike were refused: {said}"
    return f"none of {len(codes)} contracts has the right expiry and strike: {said}"


def _best(chain: Sequence[ContractSnapshot], candidates: Sequence[Candidate]) -> tuple[int, float] | None:
    """The row of the best contract without a refusal and its quality, or None."""
    free = [(row, one.quality) for row, one in enumerate(candidates) if one.quality is not None and not one.refusals]

    def key(one: tuple[int, float]) -> tuple[float, Decimal, date, str]:
        snapshot = chain[one[0]]
        spread = spread_fraction(snapshot)
        assert spread is not None
        return -round(one[1], 9), spread, snapshot.contract.expiry, snapshot.contract.symbol

    return min(free, key=key, default=None)
