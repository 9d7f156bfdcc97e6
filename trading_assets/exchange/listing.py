"""What is listed: assets and contracts by symbol and by id, looked up once from the market."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from trading_assets.domain.values import OptionContract
from trading_assets.exchange.identities import contract_id
from trading_assets.exchange.market_port import Asset, MarketPort


@dataclass(frozen=True, slots=True)
class Listed:
    """A tradable thing. ``contract`` is None for a stock."""

    symbol: str
    asset_id: str
    asset_class: str
    multiplier: int
    asset: Asset
    contract: OptionContract | None


class Listing:
    """Index over the market's assets and contracts."""

    def __init__(self, market: MarketPort) -> None:
        self._market = market
        self.assets: dict[str, Asset] = {asset.symbol: asset for asset in market.assets()}
        self._by_asset_id = {asset.id: asset for asset in self.assets.values()}
        self.contracts = lru_cache(maxsize=None)(self._contracts)
        self._roots: dict[str, str] = {
            asset.symbol.replace(".", ""): asset.symbol for asset in self.assets.values() if asset.has_options
        }

    def _contracts(self, underlying: str) -> dict[str, OptionContract]:
        """Contracts of an underlying by OCC symbol, in symbol order; empty if it has none."""
        asset = self.assets.get(underlying)
        if asset is None or not asset.has_options:
            return {}
        ordered = sorted(self._market.contracts(underlying), key=lambda contract: contract.symbol)
        return {contract.symbol: contract for contract in ordered}

    def asset(self, symbol_or_id: str) -> Asset | None:
        """A stock by symbol or asset id."""
        return self.assets.get(symbol_or_id) or self._by_asset_id.get(symbol_or_id)

    def contract(self, symbol: str) -> OptionContract | None:
        """A listed contract by OCC symbol (the root is everything before the last 15 characters)."""
        underlying = self._roots.get(symbol[:-15])
        return self.contracts(underlying).get(symbol) if underlying is not None else None

    def contract_by_id(self, identity: str) -> OptionContract | None:
        """A listed contract by its id."""
        for underlying in self._roots.values():
            for contract in self.contracts(underlying).values():
                if contract_id(contract.symbol) == identity:
                    return contract
        return None

    def find(self, symbol: str) -> Listed | None:
        """A stock or a contract by symbol."""
        asset = self.assets.get(symbol)
        if asset is not None:
            return Listed(symbol, asset.id, "us_equity", 1, asset, None)
        contract = self.contract(symbol)
        if contract is None:
            return None
        return Listed(
            symbol,
            contract_id(symbol),
            "us_option",
            contract.multiplier,
            self.assets[self._roots[symbol[:-15]]],
            contract,
        )
