"""Room for one more entry under every limit on the whole account: exposure, capital, risk at the stops, sector, Greeks.

What belongs here: constraints on a quantity. What does not: the size itself (``risk.sizing``) and the denial when none
is left (``risk.gates``).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from trading_assets.domain.values import AccountSnapshot, ContractSnapshot, Strategy
from trading_assets.risk.config import AccountLimits, GateConfig, SizingConfig, TierConfig
from trading_assets.risk.exposure import exposure, exposure_limit, finite
from trading_assets.risk.facts import RiskFacts
from trading_assets.risk.greek_limits import greek_lines, limited_totals, line_room, one_more, overnight_greeks
from trading_assets.risk.open_risk import open_risk, open_risk_limit, sector_stakes
from trading_assets.strategy.config_trading import ExitConfig


@dataclass(frozen=True, slots=True)
class Constraint:
    """One limit on the quantity; ``limit`` is None where it cannot be told, which allows nothing."""

    name: str
    limit: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Book:
    """The trade's place among everything else: its ticker, what is known beside the account, and the rules' numbers."""

    ticker: str
    facts: RiskFacts | None
    gates: GateConfig
    exits: ExitConfig


def _whole(room: Decimal | None, unit: Decimal | None) -> int | None:
    """How many whole units fit into ``room``: at least 0, None if either is unknown."""
    if room is None or unit is None:
        return None
    return max(0, int(room // unit))


def fits(name: str, room: Decimal | None, unit: Decimal | None, what: str) -> Constraint:
    """How many units fit into ``room``, named and explained."""
    limit = _whole(room, unit)
    if limit is None:
        return Constraint(name, None, f"unknown {what}")
    return Constraint(name, limit, f"{what} of {room:.2f} at {unit:.2f} each")


def minus(whole: Decimal | None, part: Decimal | None) -> Decimal | None:
    """The difference, None if either is unknown."""
    return None if whole is None or part is None else whole - part


def capital_rooms(
    account: AccountSnapshot,
    tier: TierConfig | None,
    unit: Decimal | None,
    config: SizingConfig,
    limits: AccountLimits,
) -> tuple[Constraint, Constraint]:
    """Room under the exposure limit and under the trading part of the capital."""
    equity, used = finite(account.equity), exposure(account)
    cap = exposure_limit(equity, tier, limits)
    capital = None if equity is None else equity * config.trading_capital
    return (
        fits("max_exposure", minus(cap, used), unit, "room under the exposure limit"),
        fits("capital_split", minus(capital, used), unit, "room in the capital for day and swing trades"),
    )


def book_rooms(
    account: AccountSnapshot,
    strategy: Strategy,
    tier: TierConfig | None,
    unit: Decimal | None,
    unit_risk: Decimal | None,
    contract: ContractSnapshot | None,
    config: SizingConfig,
    limits: AccountLimits,
    book: Book,
) -> tuple[Constraint, ...]:
    """Room under the limits of open risk, sector and (for what stays overnight) Greeks.

    A sector in which nothing else is at stake, and a tier without limits on Greeks, constrain nothing.
    """
    free = minus(open_risk_limit(account.equity, tier), open_risk(account, config, book.exits))
    risk = fits("max_open_risk", free, unit_risk, "room under the limit of the open risk")
    return (
        risk,
        *_sector_room(account, tier, unit, limits, book),
        *_greek_rooms(account, strategy, tier, contract, book),
    )


def _sector_room(
    account: AccountSnapshot, tier: TierConfig | None, unit: Decimal | None, limits: AccountLimits, book: Book
) -> tuple[Constraint, ...]:
    sector = None if book.facts is None else book.facts.sector(book.ticker)
    stakes = None if book.facts is None or sector is None else sector_stakes(account, book.facts, sector)
    if stakes is None:
        return (Constraint("sector_exposure", None, f"unknown sector of {book.ticker}, or cost within it"),)
    if not stakes.keys() - {book.ticker}:
        return ()
    whole = exposure_limit(account.equity, tier, limits)
    free = None if whole is None else whole * book.gates.sector_share - sum(stakes.values())
    return (fits("sector_exposure", free, unit, f"room in {sector}"),)


def _greek_rooms(
    account: AccountSnapshot, strategy: Strategy, tier: TierConfig | None, contract: ContractSnapshot | None, book: Book
) -> tuple[Constraint, ...]:
    if strategy is Strategy.DAY_TRADE:
        return ()
    if tier is None:
        return (Constraint("portfolio_greeks", None, "unknown equity, hence unknown tier"),)
    before = limited_totals(overnight_greeks(account, book.facts))
    unit = one_more(strategy, book.ticker, contract, book.facts)
    found = []
    for line in greek_lines(account.equity, tier, before, unit):
        room = line_room(line)
        said = (
            f"unknown {line.name}"
            if room is None
            else f"{line.name} {line.before:.2f} of at most {line.limit:.2f}, {line.unit:.2f} each"
        )
        found.append(Constraint("portfolio_greeks", room, said))
    return tuple(found)
