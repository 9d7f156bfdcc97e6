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
from trading_assets_tests.fault_suite import Figures


@pytest.fixture
def exchange() -> ScriptedExchange:
    return ScriptedExchange()


@pytest.fixture
def exchange_url(exchange: ScriptedExchange) -> Iterator[str]:
    with serve(exchange) as url:
        yield url


@pytest.fixture
def proxy(exchange_url: str, scorecard: Figures) -> Iterator[FaultProxy]:
    with proxied(exchange_url) as running:
        yield running
    scorecard.add(faults_injected=running.taken)


@pytest.fixture
def clock(exchange_url: str) -> desk.SteppedClock:
    return desk.SteppedClock(exchange_url)


@pytest.fixture
def broker(proxy: FaultProxy, clock: desk.SteppedClock) -> Iterator[AlpacaBroker]:
    adapter = desk.connect(proxy.url, clock)
    yield adapter
    adapter.close()


@pytest.fixture
def engine(ledger: Engine, scorecard: Figures) -> Iterator[Engine]:
    with ledger.begin() as connection:
        desk.add_account(connection)
        for signal in ("s1", "s2", "s3"):
            desk.publish(connection, signal)
    desk.newest_verdict, desk.kills = None, 0
    yield ledger
    if desk.kills:
        scorecard.add(faults_injected=desk.kills)
    if (verdict := desk.newest_verdict) is not None:
        scorecard.add(orders_placed=verdict.orders, lost=len(verdict.lost), doubled=len(verdict.doubled))
