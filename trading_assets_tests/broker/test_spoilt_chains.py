"""A chain as brokers spoil it, read by the real adapter and judged as an entry judges it: nothing spoilt is bought."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets.domain.values import Direction, Strategy
from trading_assets.market.sessions import require_session
from trading_assets.strategy.config_trading import ContractConfig
from trading_assets.strategy.contracts import ContractSelection, select_contract
from trading_assets.strategy.volatility_rank import VolatilityRank
from trading_assets_tests.broker.fault_proxy import FaultProxy
from trading_assets_tests.broker.test_alpaca import listed, page

TODAY, TOMORROW, GONE = date(2026, 3, 10), date(2026, 3, 11), date(2026, 3, 6)
NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)
SOUND, NO_GREEKS, NULL_GREEKS, SENTINEL, CROSSED, UNPRICED = (
    f"NVDA260311C00{strike}" for strike in ("182000", "183000", "183500", "184000", "181500", "181000")
)
ADJUSTED, EXPIRED = "NVDA1260311C00182000", "NVDA260306C00182000"
NULLS = dict.fromkeys(("delta", "gamma", "theta", "vega", "rho"))


def market(bid: float = 2.45, ask: float = 2.55, delta: float = 0.35, **more: Any) -> dict[str, Any]:
    quote = {"t": "2026-03-10T14:59:58Z", "bp": bid, "ap": ask, "bs": 50, "as": 50}
    greeks = {"delta": delta, "gamma": 0.02, "theta": -0.1, "vega": 0.09, "rho": 0.01}
    return {"latestQuote": quote, "greeks": greeks, "impliedVolatility": 0.5, "dailyBar": {"v": 850}} | more


#: The best market of all stands at what must not be bought.
BAIT = market(2.50, 2.50)
MARKETS = {
    SOUND: market(),
    NO_GREEKS: market(2.40, 2.60, greeks=None, impliedVolatility=None),
    NULL_GREEKS: market(2.40, 2.60, greeks=NULLS, impliedVolatility=None),
    SENTINEL: market(2.40, 2.60, greeks=dict.fromkeys(NULLS, -999), impliedVolatility=-999),
    CROSSED: market(2.55, 2.45),
    ADJUSTED: BAIT,
    EXPIRED: BAIT,
}


def judged(broker: AlpacaBroker, proxy: FaultProxy, symbols: list[str]) -> ContractSelection:
    """What an entry would choose, by a broker that lists ``symbols``."""
    rows = []
    for symbol in symbols:
        root = symbol[: -len("260311C00182000")]
        more = {"size": "150"} if root != "NVDA" else {}
        expiry = GONE if symbol == EXPIRED else TOMORROW
        rows.append(listed(symbol, f"{int(symbol[-8:]) / 1000:g}", root, expiration_date=expiry.isoformat(), **more))
    shown = {symbol: MARKETS[symbol] for symbol in symbols if symbol in MARKETS}
    proxy.faults += [
        page({"option_contracts": rows, "next_page_token": None}, "/v2/options/contracts"),
        # The page with the last contract's market is missing: the answer says that this one is the last.
        page({"snapshots": shown, "next_page_token": None}, "/options/snapshots/NVDA"),
    ]
    return select_contract(
        broker.option_chain("NVDA", TODAY, TOMORROW),
        spot=Decimal(180),
        direction=Direction.BULLISH,
        strategy=Strategy.DAY_TRADE,
        session=require_session(TODAY),
        as_of=NOW,
        iv_rank=VolatilityRank(0.4, "iv", 200),
        config=ContractConfig(),
    )


def test_F41_of_a_spoilt_chain_only_what_is_sound_or_computed_could_be_bought(
    broker: AlpacaBroker, proxy: FaultProxy
) -> None:
    found = judged(broker, proxy, [*MARKETS, UNPRICED])
    assert found.chosen is not None and found.chosen.contract.symbol == SOUND
    codes = {row.symbol: {said.partition(":")[0] for said in row.refusals} for row in found.candidates}
    assert codes[ADJUSTED] == {"deliverable"}
    assert codes[EXPIRED] == {"expiry"}
    assert "quote" in codes[CROSSED] and "quote" in codes[UNPRICED]
    for symbol in (SOUND, NO_GREEKS, NULL_GREEKS, SENTINEL):
        assert codes[symbol] == set(), symbol
    # Without the sound one a contract is bought by Greeks that were computed, never by -999 or by nothing.
    for symbol in (NO_GREEKS, NULL_GREEKS, SENTINEL):
        alone = judged(broker, proxy, [symbol]).chosen
        assert alone is not None and alone.greeks_source == "computed"
        assert alone.delta is not None and 0 < alone.delta < 1, symbol
    assert judged(broker, proxy, [CROSSED, ADJUSTED, EXPIRED, UNPRICED]).chosen is None
