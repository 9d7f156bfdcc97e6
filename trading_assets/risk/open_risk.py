"""What an account stands to lose at its stops, and what it has at stake per sector, with everything in flight.

What belongs here: the sums. What does not: what follows from them (``risk.portfolio_gates``, ``risk.sizing``). An
amount that cannot be known is None and never zero.
"""

from __future__ import annotations

from decimal import Decimal

from trading_assets.domain.values import AccountSnapshot, LiveOrder, OpenPosition, Strategy
from trading_assets.risk.config import SizingConfig, TierConfig
from trading_assets.risk.exposure import finite, live_entries, live_positions
from trading_assets.risk.facts import RiskFacts
from trading_assets.strategy.config_trading import ExitConfig


def stop_fraction(strategy: Strategy | None, exits: ExitConfig) -> Decimal:
    """Part of the premium that is at risk: a day trade is left at its stop, anything that may stay overnight whole."""
    return exits.day_stop if strategy is Strategy.DAY_TRADE else Decimal(1)


def position_of(account: AccountSnapshot, order: LiveOrder) -> OpenPosition | None:
    """The live position that an entry order belongs to, or None."""
    found = (position for position in live_positions(account) if position.symbol == order.symbol)
    return next(found, None)


def _at_risk(
    cost: Decimal, position: OpenPosition | None, equity: Decimal | None, config: SizingConfig, exits: ExitConfig
) -> Decimal | None:
    if position is None:
        return cost
    if position.strategy is Strategy.STOCK and position.signal_id is not None:
        # Bought here, so its size was set by this loss at the stop. What was adopted counts whole.
        return None if equity is None else min(cost, config.stock_risk * equity)
    return cost * stop_fraction(position.strategy, exits)


def open_risk(account: AccountSnapshot, config: SizingConfig, exits: ExitConfig) -> Decimal | None:
    """Dollars that positions and entries in flight would lose: day trades at their stop, everything else whole.

    Stocks bought here count with the loss that their size was made for. None if a price or (for stocks) equity is
    unknown.
    """
    equity, total = finite(account.equity), Decimal(0)
    rows: list[tuple[Decimal | None, int, OpenPosition | None]] = [
        (position.entry_price, position.quantity * position.multiplier, position)
        for position in live_positions(account)
    ]
    rows += [
        (order.limit_price, (order.quantity - order.filled_quantity) * order.multiplier, position_of(account, order))
        for order in live_entries(account)
    ]
    for price, shares, position in rows:
        if shares <= 0:
            continue
        known = finite(price)
        part = None if known is None else _at_risk(known * shares, position, equity, config, exits)
        if part is None:
            return None
        total += part
    return total


def open_risk_limit(equity: Decimal | None, tier: TierConfig | None) -> Decimal | None:
    """Most that may be at risk at once, dollars: the tier's part of equity. None: unknown."""
    known = finite(equity)
    return None if known is None or tier is None else max(Decimal(0), tier.max_open_risk * known)


def sector_stakes(account: AccountSnapshot, facts: RiskFacts, sector: str) -> dict[str, Decimal] | None:
    """Cost of what is held or ordered in ``sector``, dollars, by underlying; None if sectors or a price are unknown."""
    stakes: dict[str, Decimal] = {}
    rows: list[tuple[str, Decimal | None, int]] = [
        (position.underlying, position.entry_price, position.quantity * position.multiplier)
        for position in live_positions(account)
    ]
    rows += [
        (order.underlying, order.limit_price, (order.quantity - order.filled_quantity) * order.multiplier)
        for order in live_entries(account)
    ]
    if facts.sectors is None:
        return None
    for underlying, price, shares in rows:
        if shares <= 0 or facts.sector(underlying) != sector:
            continue
        known = finite(price)
        if known is None:
            return None
        stakes[underlying] = stakes.get(underlying, Decimal(0)) + known * shares
    return stakes
