"""The strategy as one model: the numbers of every rule, each section defined beside the rule it belongs to."""

from __future__ import annotations

import re
from decimal import Decimal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from trading_assets.broker.config import BrokerConfig
from trading_assets.market.config import ContextConfig, FeatureConfig
from trading_assets.news.config import NewsConfig
from trading_assets.news.discovery.config import DiscoveryConfig, Mode
from trading_assets.risk.config import GateConfig, SizingConfig
from trading_assets.strategy.config_signals import NewsViewConfig, SignalConfig, WatchlistConfig
from trading_assets.strategy.config_trading import ContractConfig, ExitConfig, OrderConfig

#: Large companies with liquid options that the practice exchange lists, too.
_SECTORS = {
    "AAPL": "Technology",
    "AMD": "Semiconductors",
    "AMZN": "Consumer",
    "AVGO": "Semiconductors",
    "BA": "Industrials",
    "BAC": "Financials",
    "C": "Financials",
    "CRM": "Software",
    "CVX": "Energy",
    "DIS": "Communication",
    "GOOGL": "Communication",
    "INTC": "Semiconductors",
    "JNJ": "Health",
    "JPM": "Financials",
    "KO": "Consumer",
    "META": "Communication",
    "MRK": "Health",
    "MSFT": "Software",
    "MU": "Semiconductors",
    "NFLX": "Communication",
    "NKE": "Consumer",
    "NVDA": "Semiconductors",
    "ORCL": "Software",
    "PFE": "Health",
    "PLTR": "Software",
    "QCOM": "Semiconductors",
    "TSLA": "Automobiles",
    "UBER": "Technology",
    "WFC": "Financials",
    "WMT": "Consumer",
    "XOM": "Energy",
}
#: A ticker as the broker writes it.
TICKER = r"^[A-Z][A-Z0-9.]{0,9}$"


class UniverseConfig(BaseModel):
    """Which tickers are followed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(
        default=Mode.AUTO,
        description="auto (discovered, but fixed where the tickers below are others than these), fixed (the tickers "
        "below) or discovered (found in news and volumes; the tickers below until then)",
    )
    tickers: tuple[str, ...] = Field(
        default=tuple(_SECTORS), min_length=1, max_length=8000, description="tickers that are followed"
    )
    sectors: dict[str, str] = Field(
        default=_SECTORS, description="sector of a ticker; all that are not named here count as one sector"
    )

    discovery: DiscoveryConfig = Field(default=DiscoveryConfig(), description="How tickers are discovered")

    @property
    def chosen(self) -> bool:
        """Whether somebody named tickers of their own, in whatever order."""
        return set(self.tickers) != set(_SECTORS)

    @property
    def discovers(self) -> bool:
        """Whether tickers are discovered. Who names others than the default ones does not want any beside them."""
        return self.mode is Mode.DISCOVERED or (self.mode is Mode.AUTO and not self.chosen)

    @field_validator("tickers", mode="after")
    @classmethod
    def _well_formed(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for ticker in value:
            if not re.fullmatch(TICKER, ticker):
                raise ValueError(f"{ticker!r} is no ticker")
        if len(set(value)) != len(value):
            raise ValueError("a ticker stands twice")
        return value


class CollectionConfig(BaseModel):
    """How far back data is collected and looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history_sessions: int = Field(
        default=10, ge=1, le=60, description="earlier sessions whose minute bars feed the features of a session"
    )
    daily_sessions: int = Field(
        default=300, ge=60, le=2000, description="earlier sessions of daily bars: trend, correlation, volatility rank"
    )
    chain_min_dte: int = Field(
        default=20, ge=0, le=365, description="nearest expiry of archived option chains, calendar days"
    )
    chain_max_dte: int = Field(
        default=45, ge=1, le=1000, description="farthest expiry of archived option chains, calendar days"
    )
    chain_width: Decimal = Field(
        default=Decimal("0.02"), gt=0, le=1, description="strikes of archived chains lie within this of the price"
    )
    archive_minutes_after_open: tuple[int, ...] = Field(
        default=(30, 360), description="minutes after the open at which every ticker's chain is archived"
    )


class StrategyConfig(BaseModel):
    """The whole of ``strategy.yaml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    universe: UniverseConfig = Field(default=UniverseConfig(), description="Which tickers are followed")
    collection: CollectionConfig = Field(default=CollectionConfig(), description="How far back data is collected")
    features: FeatureConfig = Field(default_factory=lambda: FeatureConfig.model_validate({}), description="Features")
    context: ContextConfig = Field(
        default_factory=lambda: ContextConfig.model_validate({}), description="Index trend and volatility regime"
    )
    news_view: NewsViewConfig = Field(default=NewsViewConfig(), description="Which stories count at an instant")
    watchlist: WatchlistConfig = Field(default=WatchlistConfig(), description="Scores and members of the watchlist")
    signals: SignalConfig = Field(default=SignalConfig(), description="Direction, confidence and instrument")
    contracts: ContractConfig = Field(default=ContractConfig(), description="Which option contract is bought")
    orders: OrderConfig = Field(default=OrderConfig(), description="Limit ladders")
    exits: ExitConfig = Field(default=ExitConfig(), description="When a position is left")
    gates: GateConfig = Field(default=GateConfig(), description="What denies an entry, the same for every account")
    sizing: SizingConfig = Field(default=SizingConfig(), description="Tiers of accounts, and how much is bought")
    news: NewsConfig = Field(default=NewsConfig(), description="News feeds, clusters and the scoring model")
    broker: BrokerConfig = Field(default=BrokerConfig(), description="How patiently the broker is asked")
