"""Who is listed on the practice exchange: 31 large companies and the index tracker SPY.

Names, sectors and exchanges are those of the real companies; prices, volatilities and volumes are round numbers of a
plausible size and no market data. Many prices lie between 40 and 300 dollars, where one option contract fits a small
account.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

#: The index tracker: it carries the market factor and nothing else.
INDEX = "SPY"


class Cadence(StrEnum):
    """How often options of an underlying expire, besides the third Friday of every month."""

    DAILY = "daily"
    MON_WED_FRI = "mon_wed_fri"
    FRIDAY = "friday"


@dataclass(frozen=True, slots=True)
class Listing:
    """One underlying.

    ``base_price`` in dollars is the level around which the price wanders for years; ``annual_volatility`` a decimal;
    ``beta`` the loading on the market factor; ``average_volume`` shares per session.
    """

    symbol: str
    name: str
    sector: str
    exchange: str
    base_price: float
    annual_volatility: float
    beta: float
    average_volume: int
    cadence: Cadence


def _listing(symbol: str, name: str, sector: str, exchange: str, numbers: tuple[float, float, float, float]) -> Listing:
    price, volatility, beta, millions = numbers
    cadence = Cadence.DAILY if symbol == INDEX else Cadence.MON_WED_FRI if symbol in _BUSY else Cadence.FRIDAY
    return Listing(symbol, name, sector, exchange, price, volatility, beta, round(millions * 1e6), cadence)


_BUSY = frozenset({"NVDA", "TSLA", "AAPL", "AMZN", "META", "GOOGL", "MSFT", "AVGO"})

LISTINGS: tuple[Listing, ...] = (
    _listing("AAPL", "Apple", "Technology", "NASDAQ", (252.0, 0.27, 1.1, 52)),
    _listing("AMD", "Advanced Micro Devices", "Semiconductors", "NASDAQ", (196.0, 0.50, 1.6, 44)),
    _listing("AMZN", "Amazon", "Consumer", "NASDAQ", (214.0, 0.31, 1.2, 45)),
    _listing("AVGO", "Broadcom", "Semiconductors", "NASDAQ", (318.0, 0.45, 1.5, 24)),
    _listing("BA", "Boeing", "Industrials", "NYSE", (218.0, 0.34, 1.1, 9)),
    _listing("BAC", "Bank of America", "Financials", "NYSE", (51.0, 0.25, 1.0, 38)),
    _listing("C", "Citigroup", "Financials", "NYSE", (108.0, 0.29, 1.1, 14)),
    _listing("CRM", "Salesforce", "Software", "NYSE", (198.0, 0.36, 1.2, 10)),
    _listing("CVX", "Chevron", "Energy", "NYSE", (164.0, 0.25, 0.7, 9)),
    _listing("DIS", "Walt Disney", "Communication", "NYSE", (106.0, 0.28, 1.0, 10)),
    _listing("GOOGL", "Alphabet", "Communication", "NASDAQ", (292.0, 0.31, 1.1, 33)),
    _listing("INTC", "Intel", "Semiconductors", "NASDAQ", (44.0, 0.52, 1.4, 85)),
    _listing("JNJ", "Johnson & Johnson", "Health", "NYSE", (212.0, 0.18, 0.4, 9)),
    _listing("JPM", "JPMorgan Chase", "Financials", "NYSE", (297.0, 0.24, 1.0, 9)),
    _listing("KO", "Coca-Cola", "Consumer", "NYSE", (76.0, 0.17, 0.4, 17)),
    _listing("META", "Meta Platforms", "Communication", "NASDAQ", (648.0, 0.34, 1.2, 14)),
    _listing("MRK", "Merck", "Health", "NYSE", (112.0, 0.25, 0.5, 11)),
    _listing("MSFT", "Microsoft", "Software", "NASDAQ", (404.0, 0.26, 1.0, 25)),
    _listing("MU", "Micron Technology", "Semiconductors", "NASDAQ", (236.0, 0.55, 1.6, 26)),
    _listing("NFLX", "Netflix", "Communication", "NASDAQ", (94.0, 0.34, 1.1, 38)),
    _listing("NKE", "Nike", "Consumer", "NYSE", (63.0, 0.33, 1.0, 15)),
    _listing("NVDA", "Nvidia", "Semiconductors", "NASDAQ", (182.0, 0.42, 1.6, 175)),
    _listing("ORCL", "Oracle", "Software", "NYSE", (158.0, 0.45, 1.3, 24)),
    _listing("PFE", "Pfizer", "Health", "NYSE", (26.5, 0.24, 0.5, 46)),
    _listing("PLTR", "Palantir Technologies", "Software", "NASDAQ", (152.0, 0.55, 1.7, 48)),
    _listing("QCOM", "Qualcomm", "Semiconductors", "NASDAQ", (144.0, 0.36, 1.3, 10)),
    _listing(INDEX, "SPDR S&P 500 ETF Trust", "Index", "ARCA", (676.0, 0.15, 1.0, 72)),
    _listing("TSLA", "Tesla", "Automobiles", "NASDAQ", (392.0, 0.52, 1.7, 78)),
    _listing("UBER", "Uber Technologies", "Technology", "NYSE", (78.0, 0.37, 1.2, 18)),
    _listing("WFC", "Wells Fargo", "Financials", "NYSE", (84.0, 0.27, 1.1, 15)),
    _listing("WMT", "Walmart", "Consumer", "NASDAQ", (121.0, 0.21, 0.6, 19)),
    _listing("XOM", "Exxon Mobil", "Energy", "NYSE", (132.0, 0.25, 0.7, 16)),
)
BY_SYMBOL: dict[str, Listing] = {listing.symbol: listing for listing in LISTINGS}
SYMBOLS: tuple[str, ...] = tuple(listing.symbol for listing in LISTINGS)
