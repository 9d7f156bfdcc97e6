"""The market of a recorded world as the exchange sees it: halts, names without options, and contracts that end."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from trading_assets.exchange.market_port import Resting
from trading_assets.exchange.markets import RecordedPort
from trading_assets.simulation.recorded import RecordedMarket
from trading_assets_tests.simulation.test_recorded import DAY, MINUTE, recording


@pytest.fixture(scope="module")
def port() -> RecordedPort:
    return RecordedPort(RecordedMarket(recording(gap=(60, 75)), DAY, seed=1), None)


def resting(side: str, port: RecordedPort) -> Resting:
    return Resting("an order", "HALT", side, None, 1, port._market.session.open)


@pytest.mark.parametrize(("minute", "filled"), [(59, True), (61, True), (70, False), (80, True)])
def test_nothing_is_filled_in_a_name_that_has_not_traded_for_minutes(
    port: RecordedPort, minute: int, filled: bool
) -> None:
    at = port._market.session.open + minute * MINUTE + timedelta(seconds=30)
    quote = port.quote("HALT", at)
    assert quote is not None
    assert (port.execute(resting("buy", port), quote, at) is not None) is filled


def test_the_quotes_of_a_chain_are_as_old_as_the_last_trade_of_their_name(port: RecordedPort) -> None:
    session = port._market.session
    symbol = port.contracts("HALT")[0].symbol
    quote = port.quote(symbol, session.open + 70 * MINUTE)
    assert quote is not None
    assert quote.at == session.open + 60 * MINUTE


def test_what_is_neither_a_listed_stock_nor_a_contract_has_no_quote(port: RecordedPort) -> None:
    assert port.quote("NVDA", port._market.session.open) is None


def test_a_share_class_is_listed_without_options() -> None:
    bars = recording().with_columns(ticker=recording()["ticker"].replace("HALT", "BRK.B"))
    port = RecordedPort(RecordedMarket(bars.sort("ticker", "ts"), date(2024, 7, 3), seed=1), None)
    assert {asset.symbol: asset.has_options for asset in port.assets()} == {"BRK.B": False, "LIQ": True}
    assert list(port.contracts("BRK.B")) == []
    assert list(port.chain("BRK.B", port._market.session.open + MINUTE)) == []
