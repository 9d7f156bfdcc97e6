"""Which option contract to buy: what to ask the broker for, what to refuse, and the best of the rest.

What belongs here: the choice among listed contracts at one instant, with every candidate's score and refusals, so that
"why this contract, and why not that one" is a look-up. What does not: fetching the chain, sizing, orders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from trading_assets.domain.money import CENT
from trading_assets.domain.values import ContractSnapshot, Direction, OptionContract, Right, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.config_trading import ContractConfig, DteWindow
from trading_assets.strategy.contract_quality import quality_of, quality_parts, spread_fraction
from trading_assets.strategy.option_model import usable_delta, with_greeks
from trading_assets.strategy.quoting import age_seconds, finite, two_sided
from trading_assets.strategy.volatility_rank import VolatilityRank, rank_refusal

#: Shares that a standard contract delivers.
STANDARD_MULTIPLIER = 100


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


def _strike_range(spot: Decimal, config: ContractConfig) -> tuple[Decimal, Decimal]:
    return spot * (1 - config.strike_range), spot * (1 + config.strike_range)


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
    low, high = _strike_range(spot, config)
    return ChainQuery(
        min_expiry=session_day + timedelta(days=window.minimum),
        max_expiry=session_day + timedelta(days=last),
        min_strike=low.quantize(CENT, rounding=ROUND_CEILING),
        max_strike=high.quantize(CENT, rounding=ROUND_FLOOR),
        right=right_for(signal_direction),
    )


def is_standard(contract: OptionContract) -> bool:
    """Whether the contract delivers 100 shares of its underlying: its root is the plain ticker, unadjusted."""
    return contract.root == contract.underlying.replace(".", "") and contract.multiplier == STANDARD_MULTIPLIER


def _liquidity_refusal(snapshot: ContractSnapshot, config: ContractConfig) -> str | None:
    """Volume or open interest must be enough where the feed has them; what it never has is not asked for."""
    tests: list[tuple[str, int | None, int]] = []
    if config.feed_has_volume:
        tests.append(("volume", snapshot.volume, config.min_volume))
    if config.feed_has_open_interest:
        tests.append(("open interest", snapshot.open_interest, config.min_open_interest))
    if not tests or any(seen is not None and seen >= least for _, seen, least in tests):
        return None
    said = " and ".join(f"{name} {'unknown' if seen is None else seen} (least {least})" for name, seen, least in tests)
    return f"liquidity: {said}"


def _quote_refusals(snapshot: ContractSnapshot, as_of: datetime, config: ContractConfig) -> list[str]:
    refusals: list[str] = []
    age = age_seconds(snapshot.quote.at, as_of, config.clock_skew_s)
    if age is None:
        refusals.append("quote_age: unknown, or the quote lies in the future")
    elif age > config.max_quote_age_s:
        refusals.append(f"quote_age: {age:.0f} s exceeds {config.max_quote_age_s:.0f} s")
    sides, spread = two_sided(snapshot.quote), spread_fraction(snapshot)
    if sides is None or spread is None:
        refusals.append(f"quote: not two-sided or crossed ({snapshot.quote.bid} x {snapshot.quote.ask})")
        return refusals
    if spread > config.max_spread:
        refusals.append(f"spread: {float(spread):.1%} of mid exceeds {float(config.max_spread):.1%}")
    mid = (sides[0] + sides[1]) / 2
    if mid < config.min_premium:
        refusals.append(f"premium: {mid} is below {config.min_premium}")
    return refusals


def _listing_refusals(
    contract: OptionContract,
    *,
    right: Right,
    spot: Decimal,
    window: DteWindow | None,
    session: Session,
    as_of: datetime,
    config: ContractConfig,
) -> list[str]:
    refusals: list[str] = []
    if contract.right is not right:
        refusals.append(f"right: a {contract.right.value}, expected a {right.value}")
    if not is_standard(contract):
        refusals.append(f"deliverable: root {contract.root} x {contract.multiplier} is not standard")
    if not contract.tradable:
        refusals.append("tradable: the broker does not trade this contract")
    dte = (contract.expiry - session.day).days
    if window is None or not window.contains(dte):
        said = "none" if window is None else f"{window.minimum} to {window.maximum}"
        refusals.append(f"expiry: {dte} days to expiry, expected {said}")
    cutoff = session.close - timedelta(minutes=config.expiry_day_cutoff_minutes)
    if dte == 0 and as_of >= cutoff:
        refusals.append(
            f"expiry_cutoff: expires today, less than {config.expiry_day_cutoff_minutes} min before the close"
        )
    low, high = _strike_range(spot, config)
    if not low <= contract.strike <= high:
        refusals.append(f"strike: {contract.strike} is outside {low:.2f} to {high:.2f}")
    return refusals


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
    chain: Sequence[ContractSnapshot], strategy: Strategy, spot: Decimal, config: ContractConfig
) -> dict[date, Decimal]:
    """Target strike per expiry: at the money for a swing; for a day trade the strike whose |delta| is closest to 0.35.

    Equally close strikes: the one nearer to spot, then the lower. An expiry in which no delta is known has no target.
    """
    if strategy is Strategy.SWING_TRADE:
        return {row.contract.expiry: spot for row in chain}
    best: dict[date, tuple[float, Decimal, Decimal]] = {}
    for row in chain:
        delta = usable_delta(row)
        if delta is None:
            continue
        strike = row.contract.strike
        key = (round(abs(abs(delta) - config.day_target_delta), 9), abs(strike - spot), strike)
        best[row.contract.expiry] = min(best.get(row.contract.expiry, key), key)
    return {expiry: key[2] for expiry, key in best.items()}


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
) -> ContractSelection:
    """The best contract of ``chain`` for a signal, or None with the reason. Every contract is judged and recorded.

    Highest quality wins; equals go to the tighter spread, then the nearer expiry, then the symbol. Unknown inputs
    refuse: a missing quote, age, delta or volatility rank is never read as a number.
    """
    day = strategy is Strategy.DAY_TRADE

    def answer(
        row: ContractSnapshot | None, quality: float | None, rows: Sequence[Candidate], late: bool, reason: str
    ) -> ContractSelection:
        return ContractSelection(row, quality, day, late, tuple(rows), iv_rank, reason)

    if finite(spot) is None or spot <= 0:
        return answer(None, None, (), False, "the price of the underlying is unknown")
    rows = with_greeks(chain, spot=spot, as_of=as_of, config=config)
    right, (low, high) = right_for(direction), _strike_range(spot, config)
    listed = [r for r in rows if r.contract.right is right and is_standard(r.contract) and r.contract.tradable]
    window, fallback = _window_for([r.contract for r in listed], strategy, session, config)
    targets = _targets([r for r in listed if low <= r.contract.strike <= high], strategy, spot, config)
    band = config.day_delta if day else config.swing_delta
    candidates: list[Candidate] = []
    best: tuple[tuple[float, Decimal, date, str], ContractSnapshot, float] | None = None
    for row in rows:
        contract = row.contract
        refusals = _listing_refusals(
            contract, right=right, spot=spot, window=window, session=session, as_of=as_of, config=config
        )
        refusals += _quote_refusals(row, as_of, config)
        illiquid = _liquidity_refusal(row, config)
        if illiquid is not None:
            refusals.append(illiquid)
        parts = quality_parts(row, target=targets.get(contract.expiry), band=band, config=config)
        quality = quality_of(parts, config)
        if parts["delta"] is None:
            refusals.append("delta: unknown and not computable")
        if quality is None:
            refusals.append("quality: unknown, a part of it is missing")
        elif quality < config.quality.minimum:
            refusals.append(f"quality: {quality:.2f} is below {config.quality.minimum:g}")
        candidates.append(Candidate(contract.symbol, quality, parts, tuple(refusals)))
        spread = spread_fraction(row)
        if not refusals and quality is not None and spread is not None:
            key = (-round(quality, 9), spread, contract.expiry, contract.symbol)
            if best is None or key < best[0]:
                best = (key, row, quality)
    denied = rank_refusal(iv_rank, config)
    if denied is not None:
        return answer(None, None, candidates, fallback, denied)
    if not candidates:
        return answer(None, None, candidates, fallback, "the chain is empty")
    if best is None:
        return answer(None, None, candidates, fallback, f"all {len(candidates)} contracts were refused")
    _, chosen, quality = best
    said = f"{chosen.contract.symbol} has the best quality, {quality:.2f}, of {len(candidates)} contracts"
    return answer(chosen, quality, candidates, fallback, said)
