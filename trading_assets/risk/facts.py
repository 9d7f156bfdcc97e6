"""What the gates and the size need to know beyond account and signal: sectors, correlations, Greeks, earnings.

What belongs here: the frozen value, gathered by ``jobs.risk_facts``. No rule lives here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trading_assets.market.correlation import Correlation
from trading_assets.market.portfolio_greeks import PositionGreeks

#: The name under which a calendar that was cut to one ticker says how far the whole one reaches.
CALENDAR_END = ""
#: The sector of every ticker that nobody named: they may be of one kind, and that is not known.
UNNAMED = "unnamed"


@dataclass(frozen=True, slots=True)
class RiskFacts:
    """Facts about one signal beside what an account holds. None means 'not known' and denies, ``earnings`` excepted.

    ``sectors``: ticker to sector; all tickers that are not named count as one sector. ``correlations``: the signal's
    ticker with each other underlying at stake. ``greeks``: by symbol, per share, of what is held or ordered; its
    quantity is not read. ``spot``: price of the signal's underlying. ``earnings``: days of earnings by ticker, None
    where no calendar is configured; ``earnings_trouble`` says why the configured one cannot be read.
    """

    sectors: Mapping[str, str] | None = None
    correlations: Mapping[str, Correlation] | None = None
    greeks: Mapping[str, PositionGreeks] | None = None
    spot: Decimal | None = None
    earnings: Mapping[str, tuple[date, ...]] | None = None
    earnings_trouble: str | None = None

    def sector(self, ticker: str) -> str | None:
        """The ticker's sector; ``UNNAMED`` if nobody named one, None if sectors are not known at all."""
        return None if self.sectors is None else self.sectors.get(ticker, UNNAMED)
