"""Into which contract a position is rolled, and at which net prices: the old one's delta again, at the monthly expiry.

What belongs here: the choice among listed contracts at one instant and the net limits of the two legs. Every contract
must pass what any purchase must (``strategy.refusals``), on fresh quotes; of those that do, the one nearest to the
delta wins. What does not: whether a roll is due (``strategy.rolling``), fetching the chain, gates, orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal

from trading_assets.domain.money import CENT
from trading_assets.domain.values import ContractSnapshot, Direction, Quote, Strategy
from trading_assets.market.sessions import Session
from trading_assets.strategy.config_trading import ContractConfig, DeltaBand, DteWindow, OrderConfig
from trading_assets.strategy.contracts import ChainQuery, ContractSelection, chain_query, select_contract
from trading_assets.strategy.option_model import usable_delta, with_greeks
from trading_assets.strategy.orders import Rung
from trading_assets.strategy.quoting import two_sided
from trading_assets.strategy.volatility_rank import VolatilityRank


@dataclass(frozen=True, slots=True)
class RollTarget:
    """What is looked for: ``delta`` (absolute) within ``tolerance`` at ``expiry``. ``only`` is the contract into which
    a part was rolled already."""

    expiry: date
    delta: float
    tolerance: float
    only: str | None = None


def roll_query(
    target: RollTarget, direction: Direction, spot: Decimal, session: Session, config: ContractConfig
) -> ChainQuery:
    """What to fetch before ``choose_roll`` can choose. ``ValueError`` without a positive ``spot``."""
    query = chain_query(direction, Strategy.SWING_TRADE, spot, session.day, config)
    return replace(query, min_expiry=target.expiry, max_expiry=target.expiry)


def choose_roll(
    chain: Sequence[ContractSnapshot],
    target: RollTarget,
    *,
    spot: Decimal,
    direction: Direction,
    session: Session,
    as_of: datetime,
    iv_rank: VolatilityRank,
    config: ContractConfig,
) -> ContractSelection:
    """The contract of ``chain`` to roll into, or None with the reason. Every contract is judged and recorded.

    Equally near deltas go to the better quality, then to the symbol.
    """
    days = (target.expiry - session.day).days
    band = DeltaBand(low=max(0.0, target.delta - target.tolerance), high=min(1.0, target.delta + target.tolerance))
    window = DteWindow(minimum=max(0, days), maximum=max(0, days))
    wanted = config.model_copy(update={"swing_dte": window, "swing_delta": band})

    def select(only: str | None) -> ContractSelection:
        return select_contract(
            chain,
            spot=spot,
            direction=direction,
            strategy=Strategy.SWING_TRADE,
            session=session,
            as_of=as_of,
            iv_rank=iv_rank,
            config=wanted,
            only=only,
        )

    judged = select(target.only)
    if judged.chosen is None:
        return judged
    deltas = {
        row.contract.symbol: abs(delta)
        for row in with_greeks(chain, spot=spot, as_of=as_of, config=config)
        if (delta := usable_delta(row)) is not None
    }
    near = [
        (round(abs(deltas[one.symbol] - target.delta), 9), -one.quality, one.symbol)
        for one in judged.candidates
        if not one.refusals and one.quality is not None and one.symbol in deltas
        # Rounded, so that what is just as far counts as such in binary arithmetic too.
        if round(abs(deltas[one.symbol] - target.delta) - target.tolerance, 9) <= 0
        if target.only in (None, one.symbol)
    ]
    if not near:
        said = f"no contract of {target.expiry} that may be bought has a delta within {target.tolerance:.2f} of "
        return replace(judged, chosen=None, quality=None, reason=said + f"{target.delta:.2f}")
    symbol = min(near)[2]
    found = select(symbol)
    said = f"{symbol} of {target.expiry} has the delta {deltas[symbol]:.2f}, wanted is {target.delta:.2f}"
    return replace(found, reason=said)


def roll_ladder(old: Quote | None, new: Quote | None, config: OrderConfig) -> tuple[Rung, ...]:
    """Net limits of selling ``old`` and buying ``new``, rising to what both quotes give at once; then it is cancelled.

    The steps are those of an entry, over the net of both spreads; in whole cents, as every net price is. Empty unless
    both quotes are two-sided and uncrossed, and the old contract has a bid.
    """
    held, wanted = two_sided(old), two_sided(new)
    if held is None or wanted is None or held[0] <= 0:
        return ()
    low, high = wanted[0] - held[1], wanted[1] - held[0]
    middle, spread = (low + high) / 2, high - low
    limits = [*(middle + step * spread for step in config.entry_steps), high]
    rungs: list[Rung] = []
    for limit in (price.quantize(CENT, rounding=ROUND_FLOOR) for price in limits):
        if rungs and rungs[-1].limit == limit:
            rungs[-1] = Rung(limit, rungs[-1].seconds + config.rung_seconds)
        else:
            rungs.append(Rung(limit, config.rung_seconds))
    return tuple(rungs)
