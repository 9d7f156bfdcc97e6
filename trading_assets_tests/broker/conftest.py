"""Fixtures of the broker's tests: a scripted broker, a fault proxy before it, the real adapter, a ledger with an
account and three published signals."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from trading_assets.broker.alpaca import AlpacaBroker
from trading_assets_tests.broker import desk
from trading_assets_tests.broker.fault_proxy import FaultProxy, proxied
from trading_assets_tests.broker.scripted_exchange import ScriptedExchange, serve


@pytest.fixture
def exchange() -> ScriptedExchange:
    return ScriptedExchange()


@pytest.fixture
def exchange_url(exchange: ScriptedExchange) -> Iterator[str]:
    with serve(exchange) as url:
        yield url


@pytest.fixture
def proxy(exchange_url: str) -> Iterator[FaultProxy]:
    with proxied(exchange_url) as running:
        yield running


@pytest.fixture
def clock(exchange_url: str) -> desk.SteppedClock:
    return desk.SteppedClock(exchange_url)


@pytest.fixture
def broker(proxy: FaultProxy, clock: desk.SteppedClock) -> Iterator[AlpacaBroker]:
    adapter = desk.connect(proxy.url, clock)
    yield adapter
    adapter.close()


@pytest.fixture
def engine(ledger: Engine) -> Engine:
    with ledger.begin() as connection:
        desk.add_account(connection)
        for signal in ("s1", "s2", "s3"):
            desk.publish(connection, signal)
    return ledger
